"""
How a transport behaves: one table of answers, proxies and certificates, for both HTTP libraries.

A trigger has to reach whatever a task reaches, and to understand it alike; whatever goes wrong is an error of ours.
"""

from __future__ import annotations

import gzip
import itertools
import resource
import socket
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_smartlive.client import transport
from airflow_provider_smartlive.client.body import MAX_BODY
from airflow_provider_smartlive.client.connection import InvalidConnectionError
from airflow_provider_smartlive.client.errors import StartOutcomeUnknown, TransportFailure, Unreachable
from airflow_provider_smartlive.client.network import NetworkSetupError
from airflow_provider_smartlive.metastudio.errors import (
    InvalidRequest,
    MetaStudioError,
    NotFound,
    ServerError,
    UnexpectedResponse,
)
from airflow_provider_smartlive.metastudio.ids import JobRef
from tests.client.conftest import SyncDriver
from tests.client.hook_connection import CONN_ID, PROJECT_ID
from tests.client.recording_server import answer

JOB = b'{"job_id":"job-1","state":"PROCESSING","room_name":"caf\xc3\xa9"}'
CUT = TransportFailure.LOST
JOB_ID = "job-1"


def http(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    return b"\r\n".join([b"HTTP/1.1 " + status, *headers, length]) + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def redirect(location: bytes, status: bytes = b"302 Found") -> bytes:
    return http(b"", b"Location: " + location, status=status)


#: What the server writes, and what both hooks make of it: the job, or an error, or a trouble of the wire.
ANSWERS: dict[str, tuple[bytes, Any]] = {
    "plain": (http(JOB), JOB_ID),
    "byte order mark": (http(b"\xef\xbb\xbf" + JOB), JOB_ID),
    "gzip": (http(gzip.compress(JOB), b"Content-Encoding: gzip"), JOB_ID),
    "gzip, in other letters": (http(gzip.compress(JOB), b"content-encoding:  X-GZIP "), JOB_ID),
    "gzip in two members": (
        http(gzip.compress(JOB[:9]) + gzip.compress(JOB[9:]), b"Content-Encoding: gzip"),
        JOB_ID,
    ),
    "gzip and padding": (http(gzip.compress(JOB) + bytes(9), b"Content-Encoding: gzip"), JOB_ID),
    "deflate": (http(zlib.compress(JOB), b"Content-Encoding: deflate"), JOB_ID),
    "deflate without a header": (http(raw_deflate(JOB), b"Content-Encoding: deflate"), JOB_ID),
    "deflate in chunks of a byte": (
        chunked(*[bytes([byte]) for byte in zlib.compress(JOB)]).replace(
            b"\r\n\r\n", b"\r\nContent-Encoding: deflate\r\n\r\n", 1
        ),
        JOB_ID,
    ),
    "an encoding that is none": (http(JOB, b"Content-Encoding: UTF-8"), JOB_ID),
    "an encoding that was not asked for": (
        http(b"\x8b\x03\x80", b"Content-Encoding: br"),
        UnexpectedResponse,
    ),
    "broken gzip": (http(b"nonsense", b"Content-Encoding: gzip"), CUT),
    "half of a gzip": (http(gzip.compress(JOB)[:-9], b"Content-Encoding: gzip"), CUT),
    "a byte of a deflate": (http(b"x", b"Content-Encoding: deflate"), CUT),
    "a body of nothing in gzip": (http(b"", b"Content-Encoding: gzip"), UnexpectedResponse),
    "charset utf-8": (http(JOB, b"Content-Type: application/json; charset=utf-8"), JOB_ID),
    "a charset that is not true": (http(JOB, b"Content-Type: application/json;charset=ISO-8859-1"), JOB_ID),
    "charset latin-1": (
        http(JOB.decode().encode("latin-1"), b'Content-Type: application/json; charset="ISO-8859-1"'),
        JOB_ID,
    ),
    "charset gbk": (
        http(JOB.decode().replace("é", "直").encode("gbk"), b"Content-Type: application/json;charset=gbk"),
        JOB_ID,
    ),
    "utf-16 with a byte order mark": (
        http(JOB.decode().encode("utf-16"), b"Content-Type: application/json;charset=utf-16"),
        JOB_ID,
    ),
    "a charset that nobody knows": (
        http(JOB.replace(b"\xc3", b"\xff"), b"Content-Type: application/json; charset=klingon"),
        JOB_ID,
    ),
    "not UTF-8, no charset": (http(JOB.replace(b"\xc3", b"\xff")), JOB_ID),
    "a header twice": (http(JOB, b"X-Request-Id: a", b"X-Request-Id: b"), JOB_ID),
    "a header in latin-1": (http(JOB, b"X-Note: caf\xe9"), JOB_ID),
    "a long header": (http(JOB, b"X-Note: " + b"a" * 60_000), JOB_ID),
    "a header that is too long": (http(JOB, b"X-Note: " + b"a" * 70_000), CUT),
    "many headers": (http(JOB, *[b"X-%d: a" % number for number in range(90)]), JOB_ID),
    "too many headers": (http(JOB, *[b"X-%d: a" % number for number in range(110)]), CUT),
    "early hints first": (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + http(JOB), JOB_ID),
    "two interim answers": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + http(JOB),
        JOB_ID,
    ),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\n" + JOB, JOB_ID),
    "chunks": (chunked(JOB[:5], JOB[5:]), JOB_ID),
    "chunks and trailers": (chunked(JOB, end=b"0\r\nX-Trailer: a\r\n\r\n"), JOB_ID),
    "chunks without an end": (chunked(JOB, end=b""), CUT),
    "a broken chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nabc", CUT),
    "half a body": (http(JOB)[:-9], CUT),
    "half a head": (b"HTTP/1.1 200 OK\r\nX-Note: a\r\n", CUT),
    "no answer": (b"", CUT),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", CUT),
    "HTML": (http(b"<html>Log in</html>", b"Content-Type: text/html"), UnexpectedResponse),
    "null": (http(b"null"), UnexpectedResponse),
    "a list": (http(b"[]"), UnexpectedResponse),
    "nothing": (http(b""), UnexpectedResponse),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", UnexpectedResponse),
    "deep nesting": (http(b"[" * 100_000), UnexpectedResponse),
    "304": (b"HTTP/1.1 304 Not Modified\r\n\r\n", UnexpectedResponse),
    "a redirect": (redirect(b"https://elsewhere.example.com/"), UnexpectedResponse),
    "307": (redirect(b"https://elsewhere.example.com/", b"307 Temporary"), UnexpectedResponse),
    "a redirect to nowhere": (redirect(b"http://["), UnexpectedResponse),
    "a redirect that is no UTF-8": (redirect(b"/\xff\xfe"), UnexpectedResponse),
    "a redirect to no port": (redirect(b"http://h:99999999/"), UnexpectedResponse),
    "an error without a text": (
        http(b'{"error_code":"MSS.00000003","error_msg":null}', status=b"400 Bad"),
        InvalidRequest,
    ),
    "an error with a number": (
        http(b'{"error_code":400,"error_msg":["a"]}', status=b"400 Bad"),
        InvalidRequest,
    ),
    "an error behind a byte order mark": (
        http(b'\xef\xbb\xbf{"error_code":"MSS.20010045","error_msg":"x"}', status=b"404 No"),
        NotFound,
    ),
    "an error in gzip": (
        http(
            gzip.compress(b'{"error_code":"MSS.20010045","error_msg":"x"}'),
            b"Content-Encoding: gzip",
            status=b"404 No",
        ),
        NotFound,
    ),
    "404 of some proxy": (http(b"<html>", status=b"404 No"), UnexpectedResponse),
    "502 of some proxy": (http(b"<html>", status=b"502 Bad"), ServerError),
    "a status that nobody knows": (http(JOB, status=b"299 Odd"), JOB_ID),
}

#: With these, no job was started; with all others that are no job, it is open.
REFUSALS = (InvalidRequest, NotFound)


def says(written: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(written)


@pytest.fixture(autouse=True)
def one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__REQUEST_ATTEMPTS", "1")


@pytest.mark.parametrize("name", ANSWERS)
def test_answers(server, driver, name):
    written, expected = ANSWERS[name]
    server.will(*[says(written)] * 2)  # aiohttp sends a GET again whose connection breaks before an answer
    if expected == JOB_ID:
        assert driver("show_job", JobRef("room-1", "job-1")).job_id == JOB_ID
        return
    with pytest.raises(MetaStudioError) as caught:
        driver("show_job", JobRef("room-1", "job-1"))
    if isinstance(expected, TransportFailure):
        assert isinstance(caught.value, Unreachable)
        assert caught.value.failure is expected
    else:
        assert type(caught.value) is expected
    assert caught.value.conn_id == CONN_ID


@pytest.mark.parametrize("name", ANSWERS)
def test_a_start_is_open_unless_the_answer_refuses_it(server, driver, name):
    written, expected = ANSWERS[name]
    server.will(says(written))
    if expected == JOB_ID:
        assert driver("start_job", "room-1", {}).job_id == JOB_ID
        return
    with pytest.raises(MetaStudioError) as caught:
        driver("start_job", "room-1", {})
    foreign = expected is UnexpectedResponse and not written.startswith(b"HTTP/1.1 2")
    refused = foreign or expected in REFUSALS
    assert isinstance(caught.value, StartOutcomeUnknown) != refused


@pytest.mark.parametrize("status", [b"200 OK", b"204 No Content"])
def test_a_stop_needs_no_body(server, driver, status):
    server.will(says(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nContent-Encoding: gzip\r\n\r\n"))
    driver("stop_job", JobRef("room-1", "job-1"))


# --- time ---------------------------------------------------------------------------------------------------------


def drips(head: bytes, drop: bytes) -> Callable[[socket.socket], None]:
    """Never silent for long, and never done."""

    def drip(connection: socket.socket) -> None:
        connection.sendall(head)
        with suppress(OSError):
            while True:
                connection.sendall(drop)
                time.sleep(0.05)

    return drip


DRIPS = {
    "the body": drips(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" "),
    "chunks": drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "the size of a chunk": drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    "headers": drips(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "one header": drips(b"HTTP/1.1 200 OK\r\nX: ", b"y"),
    "the status": drips(b"HTTP/1.1 200 ", b"O"),
    "interim answers": drips(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
}


@pytest.mark.usefixtures("short_timeout")
@pytest.mark.parametrize("name", DRIPS)
def test_a_request_has_an_end_however_slow_its_answer(server, driver, name):
    server.will(DRIPS[name])
    began = time.monotonic()
    with pytest.raises(Unreachable) as caught:
        driver("show_job", JobRef("room-1", "job-1"))
    assert caught.value.failure is TransportFailure.TIMEOUT
    # [smartlive] request_timeout is 1, and the machine may be busy.
    assert 0.9 < time.monotonic() - began < 20


@pytest.mark.usefixtures("short_timeout")
def test_a_start_whose_answer_drips_is_open(server, driver):
    server.will(DRIPS["headers"])
    with pytest.raises(StartOutcomeUnknown, match="request_timeout"):
        driver("start_job", "room-1", {})


@pytest.mark.usefixtures("short_timeout")
def test_a_handshake_that_hangs_is_no_connection(driver, connect):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connect(host=f"https://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(Unreachable) as caught:
            driver("start_job", "room-1", {})
    assert caught.value.failure is TransportFailure.CONNECT


@pytest.mark.usefixtures("short_timeout")
def test_a_handshake_that_drips_is_no_connection(driver, connect):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(b"\x16\x03\x03\x40\x00")  # a TLS record of 16 KiB begins
                    while True:
                        connection.sendall(b"\x02")
                        time.sleep(0.05)

        threading.Thread(target=drip, daemon=True).start()
        connect(host=f"https://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(Unreachable) as caught:
            driver("start_job", "room-1", {})
    assert caught.value.failure is TransportFailure.CONNECT


@pytest.mark.parametrize("secure", [False, True])
def test_nothing_is_sent_over_a_connection_that_took_too_long(
    connect, server, tls_server, certificate, monkeypatch, secure
):
    """As of a process that was frozen while it connected: for it the time-out of the socket never came."""
    used = tls_server if secure else server
    connect({"ca_bundle": str(certificate)}, host=used.url)
    times = itertools.chain([0.0], itertools.repeat(100.0))
    monkeypatch.setattr(transport, "monotonic", lambda: next(times))
    with pytest.raises(Unreachable) as caught:
        SyncDriver()("start_job", "room-1", {})
    assert caught.value.failure is TransportFailure.CONNECT
    assert used.requests == []


def test_nothing_is_sent_over_a_connection_that_stands_too_late(connect, server, monkeypatch):
    """As of a process that was frozen while it connected, for less time than a request may take."""
    connect(host=server.url)
    send_by = datetime.now(UTC) + timedelta(hours=1)
    monkeypatch.setattr(transport, "utc_now", lambda: send_by)
    with pytest.raises(Unreachable) as caught:
        SyncDriver()("start_job", "room-1", {}, send_by=send_by)
    assert caught.value.failure is TransportFailure.CONNECT
    assert server.requests == []


# --- size ---------------------------------------------------------------------------------------------------------


def _bomb(megabytes: int) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = [compressor.compress(bytes(1 << 20)) for _ in range(megabytes)]
    return b"".join([*packed, compressor.flush()])


def _endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    with suppress(OSError):
        while True:
            connection.sendall(b"100000\r\n" + bytes(1 << 20) + b"\r\n")


LARGE = {
    "a gzip bomb": says(http(_bomb(300), b"Content-Encoding: gzip")),
    "an endless body": _endless,
    "a body that is too large": says(http(b" " * (MAX_BODY + 1))),
}


@pytest.mark.parametrize("name", LARGE)
def test_an_answer_is_bounded(server, driver, name):
    server.will(LARGE[name])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(Unreachable) as caught:
        driver("show_job", JobRef("room-1", "job-1"))
    assert caught.value.failure is TransportFailure.TOO_LARGE
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024  # KiB


def test_a_large_answer_is_read(server, driver):
    server.will(says(http(b" " * (MAX_BODY - len(JOB)) + JOB)))
    assert driver("show_job", JobRef("room-1", "job-1")).job_id == JOB_ID


@pytest.mark.parametrize("operation", ["list_jobs", "list_rooms", "list_room_jobs"])
def test_a_listing_ends_whatever_its_count_says(server, driver, monkeypatch, operation):
    monkeypatch.setattr("airflow_provider_smartlive.client.listing.MAX_ENTRIES", 3)
    entry = {"job_id": "job-1", "room_id": "room-1", "state": "PROCESSING"}
    page = answer(200, {"count": 10**9, "smart_live_jobs": [entry], "smart_live_rooms": [entry]})
    server.will(*[page] * 5)
    with pytest.raises(UnexpectedResponse, match="no end"):
        driver(operation, *(["room-1"] if operation == "list_room_jobs" else []))
    assert len(server.requests) == 3


# --- tokens -------------------------------------------------------------------------------------------------------


def test_a_token_may_be_long(server, driver, connect):
    token = "MII" + "A" * 16_000
    iam = {"auth": "password", "iam_domain": "account", "iam_endpoint": server.url}
    connect(login=f"user of {type(driver).__name__}", extra=iam)
    server.will(
        answer(201, {"token": {"expires_at": "2099-01-01T00:00:00.000000Z"}}, X_Subject_Token=token),
        says(http(JOB)),
    )
    assert driver("show_job", JobRef("room-1", "job-1")).job_id == JOB_ID
    assert server.requests[1].headers["x-auth-token"] == token


# --- the environment ----------------------------------------------------------------------------------------------

PROXIED = "metastudio.example.com:443"


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("scheme", ["http://", ""])
def test_a_proxy_of_the_environment(server, driver, connect, monkeypatch, variable, scheme):
    connect(host=f"https://{PROXIED}")
    monkeypatch.setenv(variable, f"{scheme}u%40x:p%3Aw@127.0.0.1:{server.port}")
    server.will(answer(407))
    with pytest.raises(Unreachable) as caught:
        driver("show_job", JobRef("room-1", "job-1"))
    assert caught.value.failure is TransportFailure.PROXY
    assert server.requests[0].target == PROXIED
    assert server.requests[0].headers["proxy-authorization"] == "Basic dUB4OnA6dw=="  # u@x:p:w
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy"])
def test_a_proxy_for_plain_http(server, driver, connect, monkeypatch, variable):
    connect(host="http://127.0.0.1:1")
    monkeypatch.setenv(variable, server.url)
    server.will(says(http(JOB)))
    assert driver("show_job", JobRef("room-1", "job-1")).job_id == JOB_ID
    assert server.requests[0].target.startswith(f"http://127.0.0.1:1/v1/{PROJECT_ID}/")


@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
@pytest.mark.parametrize("value", ["127.0.0.1", "example.com, 127.0.0.0/8", "*"])
def test_no_proxy(server, driver, monkeypatch, variable, value):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv(variable, value)
    server.will(says(http(JOB)))
    assert driver("show_job", JobRef("room-1", "job-1")).job_id == JOB_ID


@pytest.mark.parametrize(
    "value",
    ["socks5://127.0.0.1:1080", "http://", "http://proxy..example.com", "http://h:port", "http://[::"],
)
def test_a_proxy_that_is_none(server, driver, monkeypatch, value):
    monkeypatch.setenv("HTTP_PROXY", value)
    for operation, arguments in (("show_job", [JobRef("room-1", "job-1")]), ("start_job", ["room-1", {}])):
        with pytest.raises(NetworkSetupError, match="HTTPS_PROXY"):
            driver(operation, *arguments)
    assert not server.requests


CA_SOURCES = ["ca_bundle", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"]


@pytest.fixture
def trust(connect, tls_server, monkeypatch) -> Callable[[str, str], None]:
    def define(source: str, path: str) -> None:
        if source == "ca_bundle":
            connect(host=tls_server.url, extra={"ca_bundle": path})
        else:
            connect(host=tls_server.url)
            monkeypatch.setenv(source, path)

    return define


@pytest.fixture(scope="session")
def folder(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of certificates as OpenSSL wants it: the names are hashes."""
    import subprocess

    path = tmp_path_factory.mktemp("ca")
    digest = subprocess.run(
        ["openssl", "x509", "-noout", "-hash", "-in", certificate], capture_output=True, text=True, check=True
    )
    (path / f"{digest.stdout.strip()}.0").write_bytes(certificate.read_bytes())
    return path


@pytest.mark.parametrize("source", CA_SOURCES)
def test_certificates_of_a_file(tls_server, driver, trust, certificate, source):
    trust(source, str(certificate))
    tls_server.will(says(http(JOB)))
    assert driver("show_job", JobRef("room-1", "job-1")).job_id == JOB_ID


@pytest.mark.parametrize("source", [*CA_SOURCES, "SSL_CERT_DIR"])
def test_certificates_of_a_folder(tls_server, driver, trust, folder, source):
    trust(source, str(folder))
    tls_server.will(says(http(JOB)))
    assert driver("show_job", JobRef("room-1", "job-1")).job_id == JOB_ID


@pytest.mark.parametrize("source", CA_SOURCES)
@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_certificates_that_are_none(tls_server, driver, trust, tmp_path, source, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    trust(source, str(path))
    for operation, arguments in (("show_job", [JobRef("room-1", "job-1")]), ("start_job", ["room-1", {}])):
        with pytest.raises(NetworkSetupError, match=source):
            driver(operation, *arguments)
    assert not tls_server.requests


def test_the_connection_s_certificates_replace_those_of_the_environment(
    driver, trust, tls_server, monkeypatch
):
    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    trust("ca_bundle", DEFAULT_CA_BUNDLE_PATH)
    with pytest.raises(Unreachable) as caught:
        driver("show_job", JobRef("room-1", "job-1"))
    assert caught.value.failure is TransportFailure.TLS


def test_plain_http_needs_no_certificates(server, driver, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    server.will(says(http(JOB)))
    assert driver("show_job", JobRef("room-1", "job-1")).job_id == JOB_ID


def test_a_machine_that_is_set_up_wrong_is_an_error_of_both_kinds():
    """Who starts a job does not try again, and who looks at a running one does not take it for lost."""
    assert issubclass(NetworkSetupError, MetaStudioError)
    assert issubclass(NetworkSetupError, InvalidConnectionError)
    assert not NetworkSetupError("no such file").is_transient


# --- hosts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [".example.com", "foo..example.com", "a" * 64 + ".example.com", "*.example.com", "a" * 300, "ex ample"],
)
def test_a_host_that_is_none_is_refused_by_name(driver, connect, host):
    connect(host=f"https://{host}")
    with pytest.raises(InvalidConnectionError, match="host must be an address"):
        driver("show_job", JobRef("room-1", "job-1"))


@pytest.mark.parametrize(
    "host", ["exa_mple.invalid", "xn--.invalid", "1.2.3.4.5", "256.256.256.256", "-a.invalid"]
)
def test_a_host_that_does_not_exist_is_unreachable(driver, connect, host):
    connect(host=f"https://{host}")
    with pytest.raises(Unreachable) as caught:
        driver("start_job", "room-1", {})
    assert not caught.value.failure.sent


# --- run ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ANSWERS)
def test_run_goes_over_the_same_wire(server, connect, name):
    from airflow_provider_smartlive.hooks import SmartLiveHook

    written, expected = ANSWERS[name]
    server.will(says(written))
    run = SmartLiveHook(CONN_ID).run
    if expected == JOB_ID or (expected is UnexpectedResponse and written.startswith(b"HTTP/1.1 2")):
        assert run("smart-live-rooms").status_code // 100 == 2  # what is in it, is for the caller to read
        return
    with pytest.raises(MetaStudioError) as caught:
        run("smart-live-rooms")
    assert expected in (type(caught.value), getattr(caught.value, "failure", None))


def test_a_session_of_one_s_own_has_the_connection_s_proxy_and_certificates(connect):
    from airflow_provider_smartlive.hooks import SmartLiveHook

    connect(extra={"proxy": "http://127.0.0.1:1", "ca_bundle": "/etc/fake.pem"})
    session = SmartLiveHook(CONN_ID).get_conn()
    assert session.proxies == {"http": "http://127.0.0.1:1", "https": "http://127.0.0.1:1"}
    assert session.verify == "/etc/fake.pem"
