"""
How MetaStudio signs its event callbacks (``auth_type``), both sides: :func:`sign` and :func:`verify`.

Huawei's text is ``hwSecret = hmac_sha256(Key, URI(live_event_callback_url) + hwTime)`` with ``hwTime =
hex(timestamp)``. What "URI" means is documented by one worked example only, that of the live platforms (SDK
model ``CustomPlatformAuthConfig``): host, path and sorted query, no scheme, and seconds in lower-case hex.
That event callbacks use the same form is inferred; :class:`SignedForm` names the plausible ones. The body
is not covered.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from urllib.parse import parse_qsl, urlsplit

SECRET_PARAMETER = "hwSecret"  # noqa: S105 - the name of a parameter
TIME_PARAMETER = "hwTime"
SECRET_HEADER = "x-hw-mss-secret"  # noqa: S105 - the name of a header
TIME_HEADER = "x-hw-mss-time"

_HEX_TIME = re.compile(r"[0-9A-Fa-f]{1,16}")

#: Larger values of hwTime are read as milliseconds: as seconds they would be after the year 5000.
_FIRST_MILLISECONDS = 10**11


class AuthType(StrEnum):
    """How a callback is authenticated (StartSmartLive page; the last one by SDK text)."""

    NONE = "NONE"
    MSS_A = "MSS_A"
    MSS_A_HEAD = "MSS_A_HEAD"
    MEITUAN_DEFAULT = "MEITUAN_DEFAULT"


class SignedForm(StrEnum):
    """Which form of the callback URL goes into the MAC."""

    HOST_PATH_QUERY = "host-path-query"
    FULL_URL = "full-url"
    PATH_QUERY = "path-query"


class CallbackAuthProblem(StrEnum):
    """Why a callback was refused."""

    MISSING = "missing"
    MALFORMED_TIME = "malformed time"
    EXPIRED = "expired"
    FROM_THE_FUTURE = "from the future"
    MISMATCH = "mismatch"


class CallbackAuthError(ValueError):
    """
    A callback is not signed as it must be.

    :ivar reason: what is wrong; for the log, never for the caller.
    """

    def __init__(self, reason: CallbackAuthProblem) -> None:
        super().__init__(f"callback signature: {reason.value}")
        self.reason = reason


def sign(
    url: str,
    *,
    auth_type: AuthType,
    key: str,
    now: datetime,
    form: SignedForm = SignedForm.HOST_PATH_QUERY,
) -> tuple[str, dict[str, str]]:
    """
    Return the URL to call and the headers to send, as MetaStudio would.

    :param url: the callback URL as it was given in the start request.
    :param auth_type: the form of authentication.
    :param key: the callback key; unused for NONE.
    :param now: an aware datetime.
    :param form: which form of the URL is signed.
    :raises ValueError: if the type is Meituan's own or the key is empty.
    """
    _check(auth_type, key)
    if auth_type is AuthType.NONE:
        return url, {}
    time = format(int(now.timestamp()), "x")
    mac = _mac(key, _signed_text(url, form) + time)
    if auth_type is AuthType.MSS_A_HEAD:
        return url, {SECRET_HEADER: mac, TIME_HEADER: time}
    separator = "&" if urlsplit(url).query else "?"
    return f"{url}{separator}{SECRET_PARAMETER}={mac}&{TIME_PARAMETER}={time}", {}


def verify(
    issued_url: str,
    *,
    auth_type: AuthType,
    key: str,
    query: Mapping[str, str] | str,
    headers: Mapping[str, str],
    now: datetime,
    window: timedelta,
    forms: Sequence[SignedForm],
) -> datetime | None:
    """
    Check a callback against the URL that was issued, not against the one that the request claims to be for.

    :param issued_url: the callback URL as it was given in the start request.
    :param auth_type: the form of authentication that was asked for.
    :param key: the callback key.
    :param query: the query of the request, raw text or decoded.
    :param headers: the headers of the request, names in any case.
    :param now: an aware datetime.
    :param window: how far the signed time may be from now, both ways.
    :param forms: the accepted forms of the URL.
    :returns: the signed time, or None for NONE.
    :raises CallbackAuthError: with the reason.
    :raises ValueError: if the type is Meituan's own or the key is empty.
    """
    _check(auth_type, key)
    if auth_type is AuthType.NONE:
        return None
    if auth_type is AuthType.MSS_A:
        secret, time = _single(query, SECRET_PARAMETER), _single(query, TIME_PARAMETER)
    else:
        secret, time = _header(headers, SECRET_HEADER), _header(headers, TIME_HEADER)
    if not secret or not time:
        raise CallbackAuthError(CallbackAuthProblem.MISSING)
    signed_at = _moment(time)
    given = secret.lower().encode()
    # Every form is computed, so that the time taken does not tell which one fitted.
    fits = [
        hmac.compare_digest(_mac(key, _signed_text(issued_url, form) + time).encode(), given)
        for form in forms
    ]
    if not any(fits):
        raise CallbackAuthError(CallbackAuthProblem.MISMATCH)
    if now - signed_at > window:
        raise CallbackAuthError(CallbackAuthProblem.EXPIRED)
    if signed_at - now > window:
        raise CallbackAuthError(CallbackAuthProblem.FROM_THE_FUTURE)
    return signed_at


def _check(auth_type: AuthType, key: str) -> None:
    if auth_type is AuthType.MEITUAN_DEFAULT:
        raise ValueError(
            "auth_type MEITUAN_DEFAULT is for Meituan's own platform; use MSS_A_HEAD, MSS_A or NONE."
        )
    if auth_type is not AuthType.NONE and not key:
        raise ValueError(f"auth_type {auth_type.value} needs a callback key.")


def _signed_text(url: str, form: SignedForm) -> str:
    if form is SignedForm.FULL_URL:
        return url
    parts = urlsplit(url)
    # As in the published example, the pairs keep their encoding and are ordered by name.
    query = "&".join(sorted(parts.query.split("&"), key=lambda pair: pair.partition("=")[0]))
    text = f"{parts.path}?{query}" if query else parts.path
    return text if form is SignedForm.PATH_QUERY else parts.netloc + text


def _single(query: Mapping[str, str] | str, name: str) -> str | None:
    """Return a parameter that occurs exactly once."""
    if not isinstance(query, str):
        return query.get(name)
    values = [value for found, value in parse_qsl(query, keep_blank_values=True) if found == name]
    return values[0] if len(values) == 1 else None


def _header(headers: Mapping[str, str], name: str) -> str | None:
    return next((value for found, value in headers.items() if found.lower() == name), None)


def _moment(time: str) -> datetime:
    if _HEX_TIME.fullmatch(time):
        value = int(time, 16)
        seconds = value / 1000 if value >= _FIRST_MILLISECONDS else value
        with suppress(OverflowError, ValueError):  # after the year 9999
            return datetime.fromtimestamp(seconds, UTC)
    raise CallbackAuthError(CallbackAuthProblem.MALFORMED_TIME)


def _mac(key: str, text: str) -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
