"""
Error answers of MetaStudio and of Huawei's API gateway as typed exceptions, one class per family.

The code decides the family, and the HTTP status where the code is unknown. Sources: the StartSmartLive
page, the ErrorCode and ICSError pages, the API signing guide. No document says which code start, stop or
show answer with.
"""

# ruff: noqa: N818
# Families are named by what happened; an Error at the end of each would add nothing.

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from airflow_provider_smartlive.metastudio.text import request_id as request_id_of
from airflow_provider_smartlive.metastudio.text import safe_text

#: Longest error code that is kept; the schema allows 32 characters.
MAX_CODE = 64

#: Above this size, in bytes, an error body is not one of Huawei's.
_MAX_BODY = 64 * 1024

#: Retry-After in seconds; some servers send fractions, or the header twice.
_SECONDS = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(?:,.*)?", re.ASCII)


#: MetaStudio's own codes, with and without their prefix, and those of its gateway.
_OWN_CODE = re.compile(r"(?:MSS\.)?[0-9]{8}|APIGW?\.[0-9]{4}", re.ASCII)


class MetaStudioError(Exception):
    """
    MetaStudio refused a call.

    The text of the answer is kept without what may be secret, see :func:`~.text.safe_text`.

    :ivar http_status: the HTTP status; None for an error that a job reports.
    :ivar error_code: such as ``MSS.00000003`` or ``APIGW.0301``; None if the answer had none.
    :ivar error_msg: the text of the answer.
    :ivar request_id: the X-Request-Id, which Huawei's support asks for.
    :ivar operation: what was asked for, such as ``start_job``; None if it is not known, as the following ones.
    :ivar conn_id: id of the Airflow connection.
    :ivar room_id: the room that was named in the request.
    :ivar job_id: the job that was named in the request.
    """

    http_status: int | None
    error_code: str | None
    error_msg: str
    request_id: str | None
    operation: str | None = None
    conn_id: str | None = None
    room_id: str | None = None
    job_id: str | None = None

    def __init__(
        self,
        error_msg: str,
        *,
        http_status: int | None = None,
        error_code: str | None = None,
        request_id: str | None = None,
    ) -> None:
        self.http_status = http_status
        self.error_code = error_code
        self.error_msg = safe_text(error_msg)
        self.request_id = request_id
        super().__init__(self.error_msg)

    def __str__(self) -> str:
        asked = {"connection": self.conn_id, "room": self.room_id, "job": self.job_id}
        place = ", ".join([*filter(None, [self.operation]), *(f"{k} {v!r}" for k, v in asked.items() if v)])
        parts = [self.answer, f"[{place}]" if place else None, self.fix]
        return " ".join(filter(None, parts))

    @property
    def answer(self) -> str:
        """What was answered: code, text, status and request id."""
        known = [f"HTTP {self.http_status}"] if self.http_status is not None else []
        if self.request_id:
            known.append(f"request id {self.request_id}")
        text = f"{self.error_code}: {self.error_msg}" if self.error_code else self.error_msg
        return f"{text} ({', '.join(known)})" if known else text

    @property
    def fix(self) -> str | None:
        """What to do about it; None if MetaStudio's documents say nothing about the code."""
        return fix_of(self.error_code)

    @property
    def is_transient(self) -> bool:
        """Tell whether the same call may succeed later without anybody changing anything."""
        return False


class AuthenticationError(MetaStudioError):
    """The signature or token was refused (401)."""

    @property
    def token_expired(self) -> bool:
        """Tell whether a new token is all that is needed (gateway code 0307)."""
        return _gateway_number(self.error_code) == "0307"

    @property
    def key_locked(self) -> bool:
        """Tell whether the access key is locked, as more than 5 wrong signatures do for 5 minutes."""
        return "reach the limit" in self.error_msg

    @property
    def fix(self) -> str | None:
        """What to do about it."""
        if self.key_locked:
            return f"Wait five minutes: the key is locked, as after more than 5 wrong signatures. {_CHECK_CREDENTIALS}"
        return super().fix


class PermissionDenied(MetaStudioError):
    """The account is known but not allowed (403)."""


class InvalidRequest(MetaStudioError):
    """The request is wrong, and will be wrong again (400, or an API that does not exist at this endpoint)."""


class NotFound(MetaStudioError):
    """MetaStudio knows no such room or job."""

    @property
    def is_about_room(self) -> bool:
        """Tell whether it is the room that is not there: no job was asked for, or the code says so."""
        return self.job_id is None or _number(self.error_code) == _ROOM_NOT_FOUND


class Conflict(MetaStudioError):
    """The state of the room or job does not allow this."""


class QuotaExceeded(MetaStudioError):
    """The account's quota or the service's resources are used up."""


class Throttled(MetaStudioError):
    """
    Too many requests (429).

    :ivar retry_after: seconds to wait, if the answer says so.
    """

    def __init__(self, error_msg: str, *, retry_after: float | None = None, **details: Any) -> None:
        super().__init__(error_msg, **details)
        self.retry_after = retry_after

    @property
    def is_transient(self) -> bool:
        """Always: the rate will fall."""
        return True


class Blocked(MetaStudioError):
    """Huawei's operations froze the job or room for compliance reasons."""


class ServerError(MetaStudioError):
    """
    MetaStudio or its gateway failed (5xx).

    :ivar retry_after: seconds to wait, if the answer says so.
    """

    def __init__(self, error_msg: str, *, retry_after: float | None = None, **details: Any) -> None:
        super().__init__(error_msg, **details)
        self.retry_after = retry_after

    @property
    def is_transient(self) -> bool:
        """Always: it is not the request's fault."""
        return True


class UnexpectedResponse(MetaStudioError):
    """The answer is not one of MetaStudio's: a proxy, a wrong endpoint, or an unreadable body."""

    @property
    def is_transient(self) -> bool:
        """Always: a proxy on the way may have answered, and that says nothing about the request."""
        return True


_ROOM_NOT_FOUND = "20010045"

#: MetaStudio's own codes without their prefix: the ErrorCode page writes ``MSS.20010056``, the ICSError
#: list ``20010056``.
FAMILY_OF_CODE: dict[str, type[MetaStudioError]] = {
    "00000001": AuthenticationError,  # Unauthorized
    "00000002": InvalidRequest,  # Invalid body
    "00000003": InvalidRequest,  # Invalid parameter
    "00000004": ServerError,  # Internal Error
    "00010003": InvalidRequest,  # api not found: not a missing room or job
    "00010004": InvalidRequest,  # method not allowed
    "00010008": AuthenticationError,  # invalid token in header
    "00010009": AuthenticationError,  # the project of the URL is not that of the token
    "10000002": InvalidRequest,  # body is not JSON
    "10000003": InvalidRequest,  # parameter validation
    "20010035": QuotaExceeded,  # no enough resource
    _ROOM_NOT_FOUND: NotFound,
    "20010046": Conflict,  # the room has a job already
    "20010053": InvalidRequest,  # invalid command
    "20010056": QuotaExceeded,  # running jobs at the limit
    "20010066": Conflict,  # a finished job cannot be changed
    "20010074": NotFound,  # the job does not exist or is over
    "20010075": QuotaExceeded,  # interaction quota
    "20010076": QuotaExceeded,  # quota expired
    "20010082": QuotaExceeded,  # next to them; its text was not found
    "20010093": InvalidRequest,  # illegal URL, or no event callback configuration
    "20020001": Conflict,  # the state does not allow the operation
    "41000003": NotFound,  # job not found
    "41000012": QuotaExceeded,  # too many jobs at once
    "41000023": QuotaExceeded,  # not enough resources
    "42000007": ServerError,  # inference error
    "45000009": InvalidRequest,  # invalid RTMP URL
}

#: The gateway's codes without their prefix, which is written ``APIGW.`` and ``APIG.``. 0201 is missing on
#: purpose: it comes with 400, 413, 502 and 504, and the status tells them apart.
FAMILY_OF_GATEWAY_CODE: dict[str, type[MetaStudioError]] = {
    "0101": InvalidRequest,  # no such API at this endpoint: a 404, but not a missing room or job
    "0103": InvalidRequest,
    "0104": InvalidRequest,
    "0105": InvalidRequest,
    "0106": InvalidRequest,
    "0301": AuthenticationError,  # wrong signature, locked key
    "0302": PermissionDenied,
    "0306": PermissionDenied,
    "0307": AuthenticationError,  # the token must be renewed
    "0308": Throttled,
}

_CHECK_CREDENTIALS = (
    "Check login and password (or token) of the connection, and that they belong to its project_id."
)
_CHECK_ROOM = "Check room_id, and that the room is in the region and the project of the connection."
_CHECK_ENDPOINT = "Check host, region and project_id of the connection."
_QUOTA = "Wait until other livestreams have ended, or ask Huawei for a higher quota."
_OVER = "The job is over, or never was in this room: check job_id and room_id."

#: What to do about MetaStudio's own codes.
_FIX_OF_CODE: dict[str, str] = {
    "00000001": _CHECK_CREDENTIALS,
    "00010003": _CHECK_ENDPOINT,
    "00010004": _CHECK_ENDPOINT,
    "00010008": _CHECK_CREDENTIALS,
    "00010009": "Give the project_id that the credentials belong to, in the connection.",
    "20010035": _QUOTA,
    _ROOM_NOT_FOUND: _CHECK_ROOM,
    "20010046": "Stop the room's other job, or start without job_run_config.single_job_in_room.",
    "20010056": _QUOTA,
    "20010066": _OVER,
    "20010074": _OVER,
    "20010075": _QUOTA,
    "20010076": "Renew the account's quota in MetaStudio's console.",
    "20010093": "Check callback_base_url: MetaStudio takes https addresses that it can reach.",
    "20020001": "Check the state of the room and of its jobs, then try again.",
    "41000003": _OVER,
    "41000012": _QUOTA,
    "41000023": _QUOTA,
    "45000009": "Check the RTMP URL of the output connection, and that MetaStudio can reach it.",
}

#: What to do about the gateway's codes.
_FIX_OF_GATEWAY_CODE: dict[str, str] = {
    "0101": "Check room_id and job_id (an id holds no blank and no slash), and host and region of the connection.",
    "0103": _CHECK_ENDPOINT,
    "0301": _CHECK_CREDENTIALS,
    "0302": "Give the account the permission to use MetaStudio in this project.",
    "0306": "Give the account the permission to use MetaStudio in this project.",
    "0307": "Get a new token, or use an access key.",
    "0308": "Start fewer tasks at the same time, for example with a pool.",
}

_FAMILY_OF_STATUS: dict[int, type[MetaStudioError]] = {
    400: InvalidRequest,
    401: AuthenticationError,
    403: PermissionDenied,
    404: NotFound,
    405: InvalidRequest,
    409: Conflict,
    413: InvalidRequest,
    429: Throttled,
}


def family(error_code: str | None, http_status: int | None = None) -> type[MetaStudioError]:
    """
    Return the class of an error.

    :param error_code: the code of the answer, or of a job's ``error_info``.
    :param http_status: the HTTP status, if there was one; 429 decides alone, as the code of a throttled GET
        gets lost.
    """
    if http_status == 429:
        return Throttled
    known = FAMILY_OF_GATEWAY_CODE.get(_gateway_number(error_code) or "")
    known = known or FAMILY_OF_CODE.get(_number(error_code))
    if known is not None:
        return known
    if http_status is not None and http_status >= 500:
        return ServerError
    if error_code is None:
        # Without a code it is some proxy's word. Its 404 must not pass for MetaStudio's "no such job".
        return {401: AuthenticationError, 403: PermissionDenied}.get(http_status or 0, UnexpectedResponse)
    return _FAMILY_OF_STATUS.get(http_status or 0, MetaStudioError)


def is_own_code(error_code: str | None) -> bool:
    """Tell whether an error code is MetaStudio's or its gateway's; proxies have codes of their own, such as ``409``."""
    return _OWN_CODE.fullmatch(error_code or "") is not None


def fix_of(error_code: str | None) -> str | None:
    """
    Return what to do about an error.

    :param error_code: the code of the answer, or of a job's ``error_info``.
    """
    number = _gateway_number(error_code)
    return _FIX_OF_GATEWAY_CODE.get(number) if number else _FIX_OF_CODE.get(_number(error_code))


def from_response(
    http_status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    secrets: Iterable[str | None] = (),
    now: datetime | None = None,
) -> MetaStudioError:
    """
    Turn a refusal into the exception to raise.

    :param http_status: the HTTP status.
    :param headers: the headers of the answer, names in any case.
    :param body: the body of the answer, whatever it is.
    :param secrets: what the request held and the exception must not.
    :param now: the time, aware, for a Retry-After that is a date; default: the answer's own Date.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    known = tuple(secrets)
    error_code, error_msg = _code_and_text(body, known)
    kind = family(error_code, http_status)
    details: dict[str, Any] = {
        "http_status": http_status,
        "error_code": error_code,
        "request_id": request_id_of(lower.get("x-request-id"), secrets=known),
    }
    if kind is Throttled or kind is ServerError:
        return kind(error_msg, retry_after=retry_after(headers, now), **details)
    return kind(error_msg, **details)


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """
    Return the seconds for which the server asks not to be asked again; None if it does not say.

    :param headers: the headers of the answer, names in any case.
    :param now: the time, aware, if the header is a date and the answer has no Date of its own.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    text = lower.get("retry-after", "")
    if match := _SECONDS.fullmatch(text):
        return float(match[1])
    until, at = _http_date(text), _http_date(lower.get("date", "")) or now
    if until is None or at is None:
        return None
    return max(0.0, (until - at).total_seconds())


def _http_date(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)  # "-0000": UTC, of which the zone is not known


def _code_and_text(body: bytes, secrets: tuple[str | None, ...]) -> tuple[str | None, str]:
    """Read the spellings that Huawei's services use; IAM wraps its own into ``error``."""
    try:
        value = json.loads(body) if len(body) <= _MAX_BODY else None
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and isinstance(value.get("error"), dict):
        value = value["error"]
    if isinstance(value, dict):
        for code_name, text_name in (
            ("error_code", "error_msg"),
            ("errorCode", "errorMsg"),
            ("code", "message"),
        ):
            if code_name in value:
                code = safe_text(value[code_name], secrets=secrets, limit=MAX_CODE)
                return code or None, safe_text(value.get(text_name), secrets=secrets) or "no text"
    return None, "the answer is not one of MetaStudio's error answers; check the endpoint and the proxy"


def _number(error_code: str | None) -> str:
    return (error_code or "").removeprefix("MSS.")


def _gateway_number(error_code: str | None) -> str | None:
    prefix, _, number = (error_code or "").partition(".")
    return number if prefix in ("APIGW", "APIG") else None
