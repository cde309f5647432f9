"""What comes of an answer or a failure: repeated, reported, or - for a start - left open."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from airflow_provider_smartlive.client.connection import InvalidConnectionError
from airflow_provider_smartlive.client.errors import StartOutcomeUnknown, TransportFailure, Unreachable
from airflow_provider_smartlive.client.flow import may_be_sent_again
from airflow_provider_smartlive.metastudio.errors import (
    AuthenticationError,
    Conflict,
    InvalidRequest,
    MetaStudioError,
    ServerError,
    Throttled,
    UnexpectedResponse,
)
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.metastudio.reports import LiveEvent
from tests.client.hook_connection import CONN_ID, REQUEST_TIMEOUT
from tests.client.recording_server import answer, hang_up, reset, truncated

JOB = {"job_id": "job-1", "state": "PROCESSING"}
STARTED = answer(202, {"job_id": "job-1"})
REQUEST = {"output_urls": ["rtmp://push.example.com/live"], "stream_keys": ["fake-stream-key"]}
FAILURE = answer(500, {"error_code": "MSS.00000004", "error_msg": "Internal Error"}, X_Request_Id="request-1")
THROTTLED = answer(429, {"error_code": "APIGW.0308", "error_msg": "throttling"})


def _stall(server):
    return server.stall


OPEN_OUTCOMES = {
    "no answer in time": _stall,
    "closed after the request": lambda server: hang_up,
    "reset after the request": lambda server: reset,
    "500": lambda server: FAILURE,
    "502 of some proxy": lambda server: answer(502, b"<html>Bad Gateway</html>"),
    "408 of some proxy": lambda server: answer(408, {"code": "408", "message": "Request Timeout"}),
    "499 of some proxy": lambda server: answer(499, {"code": "ClientClosed", "message": "gone"}),
    "504": lambda server: answer(504, {"error_code": "APIGW.0201", "error_msg": "Backend timeout."}),
    "half a body": lambda server: truncated(202, b'{"job_id": "jo'),
    "no JSON": lambda server: answer(202, b"accepted"),
    "no body": lambda server: answer(202),
    "no job id": lambda server: answer(202, {"rtc_room_info": {}}),
}


@pytest.mark.parametrize("outcome", OPEN_OUTCOMES)
def test_a_start_with_an_open_outcome_is_sent_once(server, driver, monkeypatch, outcome):
    if OPEN_OUTCOMES[outcome] is _stall:
        monkeypatch.setenv(REQUEST_TIMEOUT, "1")
    server.will(OPEN_OUTCOMES[outcome](server), STARTED)
    with pytest.raises(StartOutcomeUnknown) as caught:
        driver("start_job", "room-1", REQUEST)
    assert len(server.requests) == 1
    assert driver.pauses == []
    assert not caught.value.is_transient
    assert "fake-stream-key" not in f"{caught.value!s} {caught.value!r}"


def test_an_open_start_says_what_support_asks_for(server, driver):
    server.will(FAILURE)
    with pytest.raises(StartOutcomeUnknown, match=r"MSS\.00000004") as caught:
        driver("start_job", "room-1", REQUEST)
    assert (caught.value.http_status, caught.value.request_id) == (500, "request-1")


def test_a_throttled_start_is_not_sent_again_by_itself(server, driver):
    server.will(THROTTLED, STARTED)
    with pytest.raises(Throttled):
        driver("start_job", "room-1", REQUEST)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (answer(400, {"error_code": "MSS.00000003", "error_msg": "Invalid parameter"}), InvalidRequest),
        (answer(400, {"error_code": "MSS.20010046", "error_msg": "roomId job exist."}), Conflict),
        (
            answer(401, {"error_code": "APIGW.0301", "error_msg": "verify aksk signature fail"}),
            AuthenticationError,
        ),
        (answer(302, Location="https://elsewhere.example.com/"), UnexpectedResponse),
    ],
)
def test_a_refused_start_is_not_open(server, driver, reply, kind):
    server.will(reply)
    with pytest.raises(kind) as caught:
        driver("start_job", "room-1", REQUEST)
    assert not isinstance(caught.value, StartOutcomeUnknown)
    assert len(server.requests) == 1


def test_a_start_that_surely_was_not_sent_is_not_open(driver, connect):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]  # nobody listens there once it is closed
    connect(host=f"http://127.0.0.1:{port}")
    with pytest.raises(Unreachable) as caught:
        driver("start_job", "room-1", REQUEST)
    assert caught.value.failure is TransportFailure.CONNECT
    assert driver.pauses == []


@pytest.mark.parametrize("first", [_stall, lambda s: hang_up, lambda s: reset, lambda s: FAILURE])
@pytest.mark.parametrize(("operation", "then"), [("show_job", answer(200, JOB)), ("stop_job", answer(200))])
def test_what_does_no_harm_is_repeated(server, driver, monkeypatch, first, operation, then):
    if first is _stall:
        monkeypatch.setenv(REQUEST_TIMEOUT, "1")
    server.will(first(server), then)
    driver(operation, JobRef("room-1", "job-1"))
    assert len(server.requests) == 2


def test_a_repetition_comes_after_a_pause(server, driver):
    server.will(FAILURE, FAILURE, answer(200, JOB))
    driver("show_job", JobRef("room-1", "job-1"))
    assert [0 <= pause <= longest for pause, longest in zip(driver.pauses, (1, 2), strict=True)] == [True] * 2


def test_every_attempt_has_its_own_signature(server, driver):
    server.will(FAILURE, answer(200, JOB))
    driver("show_job", JobRef("room-1", "job-1"))
    assert all(request.accepted_by_us() for request in server.requests)


def test_attempts_are_bounded_by_the_setting(server, driver, monkeypatch):
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__REQUEST_ATTEMPTS", "2")
    server.will(*[FAILURE] * 5)
    with pytest.raises(ServerError):
        driver("show_job", JobRef("room-1", "job-1"))
    assert len(server.requests) == 2


def test_retry_after_is_waited_for(server, driver):
    server.will(answer(503, b"", Retry_After="7"), answer(200, JOB))
    driver("show_job", JobRef("room-1", "job-1"))
    assert 7 <= driver.pauses[0] <= 8


def test_a_long_retry_after_is_reported_instead(server, driver):
    server.will(answer(429, b"", Retry_After="3600"))
    with pytest.raises(Throttled) as caught:
        driver("show_job", JobRef("room-1", "job-1"))
    assert caught.value.retry_after == 3600
    assert driver.pauses == []


def test_a_redirect_is_not_followed(server, driver):
    server.will(answer(307, Location=f"{server.url}/elsewhere"))
    with pytest.raises(UnexpectedResponse, match="redirect"):
        driver("show_job", JobRef("room-1", "job-1"))
    assert len(server.requests) == 1


def test_an_answer_that_is_no_job_names_the_field_and_no_value(server, driver):
    server.will(answer(200, {"job_id": 17, "live_event_report_url": {"fake": "fake-report-secret"}}))
    with pytest.raises(UnexpectedResponse, match="job_id: string_type") as caught:
        driver("show_job", JobRef("room-1", "job-1"))
    assert "fake-report-secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_name_that_does_not_resolve(driver, connect):
    connect(host="https://metastudio.invalid")
    with pytest.raises(Unreachable, match=r"metastudio\.invalid") as caught:
        driver("show_job", JobRef("room-1", "job-1"))
    assert caught.value.failure is TransportFailure.NAME
    assert caught.value.is_transient


def test_an_untrusted_certificate(tls_server, driver, connect):
    connect(host=tls_server.url)
    with pytest.raises(Unreachable, match="ca_bundle") as caught:
        driver("start_job", "room-1", REQUEST)
    assert caught.value.failure is TransportFailure.TLS
    assert driver.pauses == []
    assert not tls_server.requests


def test_a_certificate_of_the_ca_bundle(tls_server, driver, connect, certificate):
    connect(host=tls_server.url, extra={"ca_bundle": str(certificate)})
    tls_server.will(answer(200, JOB))
    assert driver("show_job", JobRef("room-1", "job-1")).job_id == "job-1"


def test_a_certificate_of_the_environment(tls_server, driver, connect, certificate, monkeypatch):
    connect(host=tls_server.url)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    tls_server.will(answer(200, JOB))
    assert driver("show_job", JobRef("room-1", "job-1")).job_id == "job-1"


def test_a_ca_bundle_that_is_not_there(driver, connect):
    connect(host="https://127.0.0.1:1", extra={"ca_bundle": "/nowhere/fake.pem"})
    with pytest.raises(InvalidConnectionError, match="ca_bundle"):
        driver("show_job", JobRef("room-1", "job-1"))


def test_tls_with_a_server_that_speaks_none(driver, connect):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak_plainly() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

        threading.Thread(target=speak_plainly, daemon=True).start()
        connect(host=f"https://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(Unreachable) as caught:
            driver("start_job", "room-1", REQUEST)
        listener.shutdown(socket.SHUT_RDWR)
    assert caught.value.failure is TransportFailure.TLS


def test_a_proxy_that_is_not_there(driver, connect):
    connect(
        host="https://metastudio.example.com", extra={"proxy": "http://user:fake-proxy-password@127.0.0.1:1"}
    )
    with pytest.raises(Unreachable) as caught:
        driver("start_job", "room-1", REQUEST)
    assert caught.value.failure is TransportFailure.PROXY
    assert "fake-proxy-password" not in f"{caught.value!s} {caught.value!r}"


def test_a_proxy_that_refuses(server, driver, connect):
    connect(host="https://metastudio.example.com", extra={"proxy": server.url})
    server.will(*[answer(407)] * 4)
    with pytest.raises(Unreachable) as caught:
        driver("start_job", "room-1", REQUEST)
    assert caught.value.failure is TransportFailure.PROXY
    assert {request.method for request in server.requests} == {"CONNECT"}


def test_the_proxy_of_the_environment_is_used(server, driver, connect, monkeypatch):
    connect(host="https://metastudio.example.com")
    monkeypatch.setenv("HTTPS_PROXY", server.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    server.will(*[answer(407)] * 4)
    with pytest.raises(Unreachable):
        driver("show_job", JobRef("room-1", "job-1"))
    assert server.requests[0].target == "metastudio.example.com:443"


def test_the_proxy_of_the_connection_wins(server, driver, connect, monkeypatch):
    connect(host="https://metastudio.example.com", extra={"proxy": server.url})
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    server.will(*[answer(407)] * 4)
    with pytest.raises(Unreachable):
        driver("show_job", JobRef("room-1", "job-1"))
    assert server.requests[0].method == "CONNECT"


PLACES = {
    "start_job": (["room-1", {}], "room-1", None),
    "show_job": ([JobRef("room-1", "job-1")], "room-1", "job-1"),
    "stop_job": ([JobRef("room-1", "job-1")], "room-1", "job-1"),
    "list_room_jobs": (["room-1"], "room-1", None),
    "list_jobs": ([], None, None),
    "execute_command": (
        [JobRef("room-1", "job-1"), {"command": "GET_CURRENT_PLAYING_SCRIPTS"}],
        "room-1",
        "job-1",
    ),
    "list_rooms": ([], None, None),
    "show_room": (["room-1"], "room-1", None),
    "create_room": ([{"room_name": "x", "room_type": "NORMAL"}], None, None),
    "live_warnings": (["room-1"], "room-1", None),
    "report_events": ([JobRef("room-1", "job-1"), [LiveEvent(timestamp=1)]], "room-1", "job-1"),
}


BAD_REPLIES = {
    "refused": answer(404, {"error_code": "MSS.20010045", "error_msg": "roomInfo not found."}),
    "unreadable": answer(200, b"<html>Log in</html>"),
    "lost": hang_up,
}


@pytest.mark.parametrize(
    ("operation", "reply"),
    [
        (operation, reply)
        for operation in PLACES
        for reply in BAD_REPLIES
        if (operation, reply) != ("stop_job", "unreadable")  # a stop reads no body
    ],
)
def test_an_error_says_where_it_happened(server, driver, monkeypatch, operation, reply):
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__REQUEST_ATTEMPTS", "1")
    server.will(*[BAD_REPLIES[reply]] * 2)
    arguments, room_id, job_id = PLACES[operation]
    with pytest.raises(MetaStudioError) as caught:
        driver(operation, *arguments)
    error = caught.value
    assert (error.operation, error.conn_id, error.room_id, error.job_id) == (
        operation,
        CONN_ID,
        room_id,
        job_id,
    )
    assert f"[{operation}, connection '{CONN_ID}'" in str(error)


def test_a_conflict_in_the_room_says_what_to_do(server, driver):
    server.will(answer(400, {"error_code": "MSS.20010046", "error_msg": "roomId job exist."}))
    with pytest.raises(Conflict, match=r"roomId job exist.*room 'room-1'.*single_job_in_room"):
        driver("start_job", "room-1", REQUEST)


LONG_AGO, LATER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)


def test_a_start_that_can_only_be_sent_too_late_is_not_sent(server, driver):
    server.will(STARTED)
    with pytest.raises(Unreachable) as caught:
        driver("start_job", "room-1", REQUEST, send_by=LONG_AGO)
    assert caught.value.failure is TransportFailure.LATE
    assert may_be_sent_again(caught.value)
    assert server.requests == []


def test_a_start_that_is_in_time_is_sent(server, driver):
    server.will(STARTED)
    assert driver("start_job", "room-1", REQUEST, send_by=LATER).job_id == "job-1"
