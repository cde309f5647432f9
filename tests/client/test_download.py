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
