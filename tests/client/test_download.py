"""A file behind a pre-signed URL: in one piece, in several, not at all; and nothing tells its URL."""

from __future__ import annotations

import io
import logging
from typing import Any

import pytest
from airflow.sdk.log import redact

from airflow_provider_smartlive.client import download
from airflow_provider_smartlive.client.connection import ConnectionProfile
from airflow_provider_smartlive.client.download import Downloader, DownloadError, PartialFile
from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook
from tests.client.hook_connection import CONN_ID, Connect
from tests.client.recording_server import Behaviour, RecordingServer, answer, hang_up

SECRET = "fake-signature-0123456789abcdef"
PATH = f"/records/fake-object-key-77/scripts.json?Expires=1&Signature={SECRET}"
CONTENT = bytes(range(256)) * 1024
HALF = len(CONTENT) // 2

PAUSES: list[float] = []


@pytest.fixture
def profile(connect: Connect) -> ConnectionProfile:
    PAUSES.clear()
    return SmartLiveTaskHook(CONN_ID).profile()


def cut(status: int, sent: bytes, *headers: str, length: int) -> Behaviour:
    """An answer that announces more than it sends."""
    lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {length}", "Connection: close", *headers]
    return lambda connection: connection.sendall("\r\n".join([*lines, "", ""]).encode() + sent)


def rest(start: int, etag: str = '"v1"') -> Behaviour:
    span = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
    return answer(206, CONTENT[start:], Content_Range=span, ETag=etag)


def whole(**headers: str) -> Behaviour:
    return answer(200, CONTENT, **headers)


def get(
    server: RecordingServer,
    profile: ConnectionProfile,
    *,
    limit: int = 10**6,
    attempts: int = 3,
    url: str = "",
) -> PartialFile:
    file = PartialFile(io.BytesIO())
    downloader = Downloader(profile, attempts=attempts, limit=limit, sleep=PAUSES.append)
    downloader.download(url or server.url + PATH, file)
    return file


def content(file: PartialFile) -> bytes:
    file.data.seek(0)
    return file.data.read()


def test_a_file_arrives_without_our_credentials(server: RecordingServer, profile: ConnectionProfile) -> None:
    server.will(whole(ETag='"v1"', Content_Type="application/json"))
    file = get(server, profile)
    assert content(file) == CONTENT
    assert (file.version, file.total, file.content_type) == ('"v1"', len(CONTENT), "application/json")
    (request,) = server.requests
    assert request.target == PATH
    assert request.headers["accept-encoding"] == "identity"
    assert "authorization" not in request.headers
    assert "x-project-id" not in request.headers
    assert PAUSES == []


@pytest.mark.parametrize("header", ['ETag: "v1"', "Last-Modified: Wed, 21 Oct 2026 07:28:00 GMT"])
def test_it_goes_on_where_the_connection_broke(
    server: RecordingServer, profile: ConnectionProfile, header: str
) -> None:
    server.will(cut(200, CONTENT[:HALF], header, length=len(CONTENT)), rest(HALF, ""))
    assert content(get(server, profile)) == CONTENT
    again = server.requests[1].headers
    assert (again["range"], again["if-range"]) == (f"bytes={HALF}-", header.partition(": ")[2])


@pytest.mark.parametrize(
    "then",
    [
        [whole(ETag='"v2"')],
        [rest(HALF + 1), whole(ETag='"v1"')],
        [rest(HALF, '"v2"'), whole(ETag='"v2"')],
        [answer(416), whole(ETag='"v1"')],
        [answer(206, CONTENT[HALF:]), whole()],
    ],
    ids=["changed", "another part", "a part of another version", "shorter", "a part of what"],
)
def test_it_begins_again_if_it_cannot_go_on(
    server: RecordingServer, profile: ConnectionProfile, then: list[Behaviour]
) -> None:
    server.will(cut(200, CONTENT[:HALF], 'ETag: "v1"', length=len(CONTENT)), *then)
    assert content(get(server, profile)) == CONTENT


@pytest.mark.parametrize("header", ["X-None: 1", 'ETag: W/"v1"'])
def test_without_a_version_it_begins_again(
    server: RecordingServer, profile: ConnectionProfile, header: str
) -> None:
    server.will(cut(200, CONTENT[:HALF], header, length=len(CONTENT)), whole())
    assert content(get(server, profile)) == CONTENT
    assert "range" not in server.requests[1].headers


def test_a_slow_file_may_take_many_requests_as_long_as_each_brings_something(
    server: RecordingServer, profile: ConnectionProfile
) -> None:
    step = len(CONTENT) // 4
    server.will(cut(200, CONTENT[:step], 'ETag: "v1"', length=len(CONTENT)))
    for start in (step, 2 * step):
        span = f"Content-Range: bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        server.will(cut(206, CONTENT[start : start + step], span, length=len(CONTENT) - start))
    server.will(rest(3 * step))
    assert content(get(server, profile, attempts=1)) == CONTENT


def test_an_empty_file(server: RecordingServer, profile: ConnectionProfile) -> None:
    server.will(answer(200, b""))
    assert content(get(server, profile)) == b""


@pytest.mark.parametrize(
    "large",
    [
        whole(),
        lambda connection: connection.sendall(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"8000\r\n%b\r\n" % (b"x" * 0x8000) * 9
        ),
    ],
    ids=["as announced", "unannounced"],
)
def test_a_file_that_is_too_large_is_left(
    server: RecordingServer, profile: ConnectionProfile, large: Behaviour
) -> None:
    server.will(large)
    with pytest.raises(DownloadError, match=r"is larger than 200000 bytes\.") as caught:
        get(server, profile, limit=200_000)
    assert not caught.value.may_pass
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answers", "text", "may_pass"),
    [
        ([answer(403, b"<Code>AccessDenied</Code>" + SECRET.encode())], "answers 403. The URL may have expired", True),
        ([answer(404)], "answers 404.", True),
        ([answer(302, Location=f"https://h.example.com/?{SECRET}")], "answers 302. Redirects are not followed", True),
        ([answer(503)] * 3, "answers 503.", True),
        ([hang_up] * 3, "broke before the answer was complete", True),
    ],
)  # fmt: skip
def test_what_does_not_arrive(
    server: RecordingServer,
    profile: ConnectionProfile,
    answers: list[Behaviour],
    text: str,
    may_pass: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    server.will(*answers)
    with pytest.raises(DownloadError) as caught:
        get(server, profile)
    assert text in str(caught.value)
    assert caught.value.may_pass is may_pass
    assert len(server.requests) == len(answers)
    assert [2.0**n for n in range(1, len(answers))] == PAUSES
    told = [str(caught.value), repr(caught.value.__cause__), redact(caplog.text)]
    assert not any(part in text for text in told for part in (SECRET, "fake-object-key"))
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_server_that_is_busy_is_asked_again(server: RecordingServer, profile: ConnectionProfile) -> None:
    server.will(answer(503), hang_up, whole())
    assert content(get(server, profile)) == CONTENT


@pytest.mark.parametrize(
    "url", ["ftp://h.example.com/a", "file:///etc/passwd", f"//h/{SECRET}", "https://", f"http://[{SECRET}"]
)
def test_an_address_that_is_none(server: RecordingServer, profile: ConnectionProfile, url: str) -> None:
    with pytest.raises(DownloadError) as caught:
        get(server, profile, url=url)
    assert not caught.value.may_pass
    assert SECRET not in str(caught.value)
    assert server.requests == []


def test_a_plain_address_is_for_a_plain_metastudio_only(
    server: RecordingServer, profile: ConnectionProfile
) -> None:
    from dataclasses import replace

    secure = replace(profile, endpoint="https://metastudio.example.com")
    with pytest.raises(DownloadError, match="none of https"):
        get(server, secure)


def test_a_disk_that_is_full_is_said(server: RecordingServer, profile: ConnectionProfile) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    server.will(whole())
    downloader = Downloader(profile, attempts=3, limit=10**6, sleep=PAUSES.append)
    with pytest.raises(DownloadError, match="cannot be written on this machine: No space left"):
        downloader.download(server.url + PATH, PartialFile(Full()))


def test_a_server_that_stalls_is_left(
    server: RecordingServer, profile: ConnectionProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "REQUEST_SECONDS", 0.5)
    server.will(server.stall)
    with pytest.raises(DownloadError, match="did not send all of it within"):
        get(server, profile, attempts=1)


def chunked(status: int, body: bytes, *headers: str) -> Behaviour:
    """An answer that says how large it is only as it comes, whatever its headers say."""
    lines = [f"HTTP/1.1 {status} Status", "Transfer-Encoding: chunked", "Connection: close", *headers]
    head = "\r\n".join([*lines, "", ""]).encode()
    return lambda connection: connection.sendall(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))


def test_a_file_whose_size_is_said_as_it_comes(server: RecordingServer, profile: ConnectionProfile) -> None:
    server.will(chunked(200, CONTENT, 'ETag: "v1"'))
    file = get(server, profile)
    assert (content(file), file.total) == (CONTENT, len(CONTENT))


def test_a_file_of_which_nobody_knows_where_it_ends_is_not_complete(
    server: RecordingServer, profile: ConnectionProfile
) -> None:
    def until_closed(connection: Any) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + CONTENT[:HALF])

    server.will(*[until_closed] * 3)
    with pytest.raises(DownloadError, match="does not say how large it is"):
        get(server, profile, attempts=2)


def test_a_part_is_not_the_end_of_a_file_because_nobody_says_how_large_it_is(
    server: RecordingServer, profile: ConnectionProfile
) -> None:
    head = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: "v1"\r\n\r\n'
    server.will(lambda connection: connection.sendall(head + b"%x\r\n%b\r\n" % (HALF, CONTENT[:HALF])))
    start = HALF
    server.will(
        answer(206, CONTENT[start : start + 10], Content_Range=f"bytes {start}-{start + 9}/*", ETag='"v1"'),
        rest(start + 10),
    )
    assert content(get(server, profile)) == CONTENT


@pytest.mark.parametrize(
    "turn",
    [
        [
            cut(200, CONTENT[:100], 'ETag: "v1"', length=300),
            answer(206, CONTENT[:200], Content_Range="bytes 100-299/200"),
            answer(416),
        ],
        [
            cut(200, CONTENT[:200], 'ETag: "v1"', length=300),
            cut(200, CONTENT[:100], 'ETag: "v2"', length=300),
        ],
    ],
    ids=["never the size that was announced", "another one each time"],
)
def test_a_server_that_never_comes_to_an_end_is_left(
    server: RecordingServer, profile: ConnectionProfile, turn: list[Behaviour]
) -> None:
    server.will(*turn * 20)
    with pytest.raises(DownloadError):
        get(server, profile)
    assert len(server.requests) < 10


def test_a_server_that_sends_a_few_bytes_each_time_is_left_when_the_time_is_over(
    server: RecordingServer, profile: ConnectionProfile
) -> None:
    server.will(cut(200, CONTENT[:1], 'ETag: "v1"', length=len(CONTENT)))
    for start in range(1, 20):
        span = f"Content-Range: bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        server.will(cut(206, CONTENT[start : start + 1], span, length=len(CONTENT) - start))
    file = PartialFile(io.BytesIO())
    seconds = iter(range(0, 100_000, 600))
    downloader = Downloader(
        profile, attempts=3, limit=10**6, sleep=PAUSES.append, monotonic=lambda: float(next(seconds))
    )
    with pytest.raises(DownloadError, match="broke before the answer was complete") as caught:
        downloader.download(server.url + PATH, file)
    assert caught.value.may_pass
    assert len(server.requests) == download.LONGEST_DOWNLOAD // 600
    assert file.size == len(server.requests)  # the next try goes on there


@pytest.mark.parametrize(
    ("path", "secrets"),
    [
        ("/r/a.json?Signature=ab%2fcd%3d0123456789", ["ab%2fcd", "ab%2Fcd", "0123456789"]),
        ("/r/a.json?Signature=%41%42%43%440123456789 x", ["ABCD0123456789"]),
        ("/r/../capability-0123456789/a.json", ["capability-0123456789"]),
    ],
    ids=["lower-case escapes", "escapes that are not needed", "a path alone"],
)
def test_an_address_is_masked_as_it_goes_on_the_wire(
    server: RecordingServer,
    profile: ConnectionProfile,
    caplog: pytest.LogCaptureFixture,
    path: str,
    secrets: list[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    server.will(whole())
    get(server, profile, url=server.url + path)
    assert "GET" in caplog.text
    assert not any(secret in redact(caplog.text) for secret in secrets)


def test_what_a_server_says_of_a_file_is_bounded_and_holds_no_secret(
    server: RecordingServer, profile: ConnectionProfile
) -> None:
    server.will(whole(Content_Type="text/plain; a=" + "x" * 60_000, Content_Encoding=PATH, ETag="v" * 5000))
    file = get(server, profile)
    assert file.content_type is not None
    assert len(file.content_type) <= 100
    assert file.version is None
    assert SECRET not in str(file.content_encoding)
