from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime

import pytest

from airflow_provider_smartlive.metastudio.errors import (
    FAMILY_OF_CODE,
    FAMILY_OF_GATEWAY_CODE,
    AuthenticationError,
    Blocked,
    Conflict,
    InvalidRequest,
    MetaStudioError,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    ServerError,
    Throttled,
    UnexpectedResponse,
    family,
    fix_of,
    from_response,
    retry_after,
)


def refusal(status: int, body: object, **headers: str) -> MetaStudioError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return from_response(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def coded(status: int, code: str, text: str = "text") -> MetaStudioError:
    return refusal(status, {"error_code": code, "error_msg": text})


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "MSS.00000003", InvalidRequest),
        (401, "MSS.00000001", AuthenticationError),
        (500, "MSS.00000004", ServerError),
        (400, "MSS.00010003", InvalidRequest),
        (400, "MSS.20020001", Conflict),
        (400, "MSS.20010046", Conflict),
        (400, "MSS.20010066", Conflict),
        (400, "MSS.20010074", NotFound),
        (404, "MSS.20010045", NotFound),
        (403, "MSS.20010075", QuotaExceeded),
        (400, "20010056", QuotaExceeded),
        (400, "MSS.45000009", InvalidRequest),
        (401, "APIGW.0301", AuthenticationError),
        (401, "APIG.0301", AuthenticationError),
        (401, "APIGW.0307", AuthenticationError),
        (403, "APIGW.0302", PermissionDenied),
        (429, "APIGW.0308", Throttled),
        # A gateway that knows no such API does not say that there is no such job.
        (404, "APIGW.0101", InvalidRequest),
        (400, "APIGW.0201", InvalidRequest),
        (413, "APIGW.0201", InvalidRequest),
        (502, "APIGW.0201", ServerError),
        # The status speaks for a code that is not known, and alone for 429: the SDK loses the code of a GET.
        (429, "429", Throttled),
        (400, "MSS.99999999", InvalidRequest),
        (401, "MSS.99999999", AuthenticationError),
        (403, "MSS.99999999", PermissionDenied),
        (404, "MSS.99999999", NotFound),
        (409, "MSS.99999999", Conflict),
        (418, "MSS.99999999", MetaStudioError),
        (503, "MSS.99999999", ServerError),
    ],
)
def test_family(status: int, code: str, kind: type[MetaStudioError]) -> None:
    error = coded(status, code)
    assert type(error) is kind
    assert error.error_code == code
    assert error.error_msg == "text"
    assert error.http_status == status
    assert error.is_transient is (kind in (Throttled, ServerError))


def test_every_known_code_is_found_with_and_without_its_prefix() -> None:
    for code, kind in FAMILY_OF_CODE.items():
        assert family(code, 400) is family(f"MSS.{code}", 400) is kind
    for code, kind in FAMILY_OF_GATEWAY_CODE.items():
        assert family(f"APIGW.{code}", 400) is family(f"APIG.{code}", 400) is kind


def test_what_somebody_else_answers_says_nothing_for_ever() -> None:
    assert refusal(302, b"<html>").is_transient


def test_the_error_of_a_job_has_no_status() -> None:
    assert family("MSS.20010035") is QuotaExceeded
    assert family("MSS.99999999") is MetaStudioError
    assert str(Blocked("frozen", error_code="X.1")) == "X.1: frozen"


@pytest.mark.parametrize(
    "body",
    [
        {"errorCode": "X.1", "errorMsg": "text"},
        {"code": "X.1", "message": "text"},
        {"error": {"code": "X.1", "message": "text", "title": "Unauthorized"}},
        {"error_code": "X.1", "error_msg": "text", "request_id": "other"},
    ],
)
def test_the_spellings_of_error_bodies(body: object) -> None:
    error = refusal(400, body)
    assert (error.error_code, error.error_msg) == ("X.1", "text")


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>fake</html>", b"[]", b"null", b"{}", b'"fake"', b"\xff", b"[" * 60_000, b" " * 70_000],
)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, UnexpectedResponse),
        (400, UnexpectedResponse),
        (401, AuthenticationError),
        (403, PermissionDenied),
        (404, UnexpectedResponse),
        (429, Throttled),
        (502, ServerError),
    ],
)
def test_bodies_that_are_not_metastudio_s(body: bytes, status: int, kind: type[MetaStudioError]) -> None:
    error = refusal(status, body)
    assert type(error) is kind
    assert error.error_code is None
    assert "endpoint" in str(error)
    assert "fake" not in str(error)


def test_text_names_code_status_and_request_id() -> None:
    error = refusal(400, {"error_code": "MSS.1", "error_msg": "Bad"}, x_request_id="r-1")
    assert str(error) == "MSS.1: Bad (HTTP 400, request id r-1)"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3.0),
        (" 3 ", 3.0),
        ("2.5", 2.5),
        ("3, 3", 3.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),  # nobody says what time it is
        ("-1", None),
        ("nan", None),
        ("1e9", None),
        ("", None),
        ("soon", None),
        ("9" * 400, None),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    error = refusal(429, {}, Retry_After=text)
    assert isinstance(error, Throttled)
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    ("until", "seconds"),
    [
        ("Wed, 21 Oct 2026 07:28:00 GMT", 60.0),
        ("Wednesday, 21-Oct-26 07:28:00 GMT", 60.0),
        ("Wed Oct 21 07:28:00 2026", 60.0),
        ("Wed, 21 Oct 2026 09:28:00 +0200", 60.0),
        ("Wed, 21 Oct 2026 07:28:00 -0000", 60.0),
        ("Wed, 21 Oct 2026 07:26:00 GMT", 0.0),
        ("Wed, 99 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_retry_after_as_a_date(until: str, seconds: float | None) -> None:
    at = datetime(2026, 10, 21, 7, 27, tzinfo=UTC)
    assert retry_after({"retry-after": until}, at) == seconds
    error = refusal(429, {}, Retry_After=until, Date="Wed, 21 Oct 2026 07:27:00 GMT")
    assert isinstance(error, Throttled)
    assert error.retry_after == seconds


def test_retry_after_of_a_server_that_is_not_ready() -> None:
    error = refusal(503, {}, Retry_After="20")
    assert isinstance(error, ServerError)
    assert error.retry_after == 20.0


def test_what_the_request_held_is_in_no_error() -> None:
    told = {"error_code": "fake-key-1", "error_msg": "live/fake-key-1 and /push/a%2Fb are refused"}
    error = from_response(
        400, {"X-Request-Id": "\x1b[31mr-1"}, json.dumps(told).encode(), secrets=["fake-key-1", "a/b"]
    )
    assert error.error_code == "***"
    assert error.error_msg == "live/*** and /push/*** are refused"
    assert error.request_id is None


@pytest.mark.parametrize(
    ("header", "shown"),
    [
        ("0a1b2c3d4e5f60718293a4b5c6d7e8f9", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"),
        ("request-1", "request-1"),
        ("x" * 64, "x" * 64),
        ("x" * 65, None),
        ("", None),
        ("fake-key-1", None),
        ("FAKE-KEY-1-x", None),
        ("ZmFrZS1rZXktMQ", None),
        ("rtmp://push.example.com/live", None),
        ("a b", None),
        ("a\n", None),
        ("\u0661", None),
    ],
)
def test_a_request_id_is_one_of_metastudios(header: str, shown: str | None) -> None:
    error = from_response(500, {"X-Request-Id": header}, b"", secrets=["fake-key-1"])
    assert error.request_id == shown


def test_text_names_operation_connection_room_job_and_fix() -> None:
    error = coded(404, "MSS.20010045", "roomInfo not found.")
    error.operation, error.conn_id, error.room_id, error.job_id = "show_job", "live", "room 1", "job-1"
    assert str(error) == (
        "MSS.20010045: roomInfo not found. (HTTP 404) [show_job, connection 'live', room 'room 1', job 'job-1'] "
        "Check room_id, and that the room is in the region and the project of the connection."
    )
    assert error.answer == "MSS.20010045: roomInfo not found. (HTTP 404)"


@pytest.mark.parametrize("code", [*FAMILY_OF_CODE, *(f"APIGW.{code}" for code in FAMILY_OF_GATEWAY_CODE)])
def test_what_somebody_has_to_do_is_said(code: str) -> None:
    """Unless the text of the code says it by itself (a field of the request), or there is nothing to do."""
    by_itself = {
        "00000002",
        "00000003",
        "00000004",
        "10000002",
        "10000003",
        "20010053",
        "20010082",
        "42000007",
    }
    by_itself |= {"APIGW.0104", "APIGW.0105", "APIGW.0106"}
    assert (fix_of(code) is None) == (code in by_itself)
    assert code.startswith("APIGW.") or fix_of(f"MSS.{code}") == fix_of(code)


def test_a_locked_key_has_to_wait() -> None:
    error = coded(401, "APIGW.0301", "AK access failed to reach the limit,forbidden")
    assert (error.fix or "").startswith("Wait five minutes")


def test_the_gateway_s_echo_of_the_request_is_cut() -> None:
    error = coded(
        401,
        "APIGW.0301",
        "Incorrect IAM authentication information: verify aksk signature fail,canonicalRequest:"
        "GET|/v1/x/|x-security-token:fake-token|",
    )
    assert error.error_msg == "Incorrect IAM authentication information: verify aksk signature fail"
    assert "fake" not in repr(error) + str(error) + str(vars(error))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("bad rtmp://push.example.com/live/fake-key?s=fake", "bad rtmp://push.example.com/***"),
        ("see 'https://u:fake@h.example.com?key=fake'!", "see 'https://h.example.com/***'!"),
        ("x" * 1000, "x" * 500),
    ],
)
def test_urls_and_long_texts_are_cut(text: str, shown: str) -> None:
    assert coded(400, "X.1", text).error_msg == shown


def test_what_only_authentication_errors_know() -> None:
    locked = coded(401, "APIGW.0301", "AK access failed to reach the limit,forbidden")
    expired = coded(401, "APIG.0307", "The token must be updated")
    assert isinstance(locked, AuthenticationError)
    assert isinstance(expired, AuthenticationError)
    assert (locked.key_locked, locked.token_expired) == (True, False)
    assert (expired.key_locked, expired.token_expired) == (False, True)


def test_errors_survive_the_way_between_processes() -> None:
    error = refusal(
        429, {"error_code": "APIGW.0308", "error_msg": "slow"}, retry_after="7", x_request_id="r-1"
    )
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is Throttled
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)
