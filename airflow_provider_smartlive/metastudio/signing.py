"""
AK/SK request signing (``SDK-HMAC-SHA256``), both sides: :func:`sign` and :func:`verify`.

Pure functions over what goes on the wire. Sources: Huawei's API signing guide (devg-apisign) and the
behaviour of ``huaweicloudsdkcore``'s signer, against which the tests compare byte by byte.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from urllib.parse import parse_qsl, quote, unquote, urlsplit

ALGORITHM = "SDK-HMAC-SHA256"
DATE_FORMAT = "%Y%m%dT%H%M%SZ"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"

#: The gateway refuses a request whose X-Sdk-Date is further from its own clock (signing guide).
CLOCK_WINDOW = timedelta(minutes=15)

#: Content types whose body is covered by the signature. The SDK sends any other type, such as a file, with
#: ``X-Sdk-Content-Sha256: UNSIGNED-PAYLOAD``, so that it need not be read twice.
_SIGNED_CONTENT_TYPES = ("application/json", "application/bson")

_AUTHORIZATION = re.compile(
    r"SDK-HMAC-SHA256 Access=(?P<access>[^\s,]+), *"
    r"SignedHeaders=(?P<names>[^\s,]+), *Signature=(?P<mac>[0-9a-f]{64})"
)
_VISIBLE = re.compile(r"[!-~]+")
_DATE = re.compile(r"\d{8}T\d{6}Z")


@dataclass(frozen=True)
class Credentials:
    """
    An access key pair, permanent or temporary.

    :param access_key: the AK; it is sent in clear.
    :param secret_key: the SK; it is never sent.
    :param security_token: the token that belongs to a temporary pair, sent as ``X-Security-Token``.
    :raises ValueError: if a part is empty or holds anything but visible ASCII characters.
    """

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("access_key", "secret_key", "security_token"):
            value = getattr(self, name)
            if value is not None and not _VISIBLE.fullmatch(value):
                # A pasted line break is the usual cause, and would end up inside a header.
                raise ValueError(f"{name} must be visible ASCII characters without blanks, and not empty.")
        if "," in self.access_key:
            raise ValueError("access_key must not contain a comma: it would end it inside Authorization.")


class SignatureProblem(StrEnum):
    """Why a signature was refused."""

    MISSING = "missing"
    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown access key"
    CLOCK = "clock too far off"
    MISMATCH = "signature mismatch"


class SignatureError(ValueError):
    """
    A request is not signed as it must be.

    :ivar reason: what is wrong.
    :ivar canonical_request: on a mismatch, what the verifier signed (Huawei's gateway shows it to the
        caller). It may hold a security token and is not part of the message.
    """

    def __init__(self, reason: SignatureProblem, detail: str, canonical_request: str | None = None) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.canonical_request = canonical_request


def sign(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    credentials: Credentials,
    now: datetime,
) -> dict[str, str]:
    """
    Return the headers to add to a request so that Huawei's gateway accepts it.

    Every given header is signed, except those with ``_`` in the name, which gateways drop. The result holds
    X-Sdk-Date, Authorization, Host (unless given), X-Security-Token (if the credentials have one) and, for
    a body that is neither JSON nor BSON, X-Sdk-Content-Sha256.

    :param method: the HTTP method, in any case.
    :param url: the URL exactly as it goes on the wire.
    :param headers: the headers that are known already; their values are text, sent as UTF-8.
    :param body: the exact bytes of the body; empty if there is none.
    :param credentials: the key pair.
    :param now: an aware datetime.
    :raises ValueError: if ``now`` is naive, a header holds a line break, or a name occurs twice.
    """
    date = _date(int(_aware(now).timestamp()))
    added = {"X-Sdk-Date": date}
    known = _by_lower_name(headers)
    known["x-sdk-date"] = date
    if credentials.security_token is not None:
        added["X-Security-Token"] = known["x-security-token"] = credentials.security_token
    if "host" not in known:
        added["Host"] = known["host"] = _host(url)
    content_type = known.get("content-type")
    if content_type and not content_type.startswith(_SIGNED_CONTENT_TYPES):
        added["X-Sdk-Content-Sha256"] = known["x-sdk-content-sha256"] = UNSIGNED_PAYLOAD
    known.pop("authorization", None)  # from an earlier attempt
    signed_names = sorted([name for name in known if "_" not in name])
    canonical = _canonical(method, url, known, body, signed_names)
    mac = _mac(credentials.secret_key, string_to_sign(canonical, date))
    names = ";".join(signed_names)
    added["Authorization"] = (
        f"{ALGORITHM} Access={credentials.access_key}, SignedHeaders={names}, Signature={mac}"
    )
    return added


def verify(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    secret_key_for: Callable[[str], str | None],
    now: datetime,
) -> str:
    """
    Check a signed request as the gateway does and return the access key that signed it.

    The canonical request is rebuilt from the request's own SignedHeaders, as signers differ in what they
    cover.

    :param method: the HTTP method.
    :param url: the URL as it came: path and query still encoded.
    :param headers: all headers of the request, names in any case.
    :param body: the bytes of the body.
    :param secret_key_for: returns the secret key of an access key, or None if there is no such key.
    :param now: an aware datetime.
    :raises SignatureError: with the reason.
    """
    try:
        known = _by_lower_name(headers)
        match, date = _authorization(known)
        signed_names = match["names"].split(";")
        _check_signed_names(signed_names, known)
        canonical = _canonical(method, url, known, body, signed_names)
    except SignatureError:
        raise
    except ValueError as error:  # a header given twice, half a character, an unclosed bracket in the host
        raise SignatureError(SignatureProblem.MALFORMED, str(error)) from None
    secret_key = secret_key_for(match["access"])
    if secret_key is None:
        raise SignatureError(SignatureProblem.UNKNOWN_KEY, "no such access key")
    if abs(_aware(now) - _parse_date(date)) > CLOCK_WINDOW:
        raise SignatureError(SignatureProblem.CLOCK, "X-Sdk-Date is more than 15 minutes off")
    declared = known.get("x-sdk-content-sha256", UNSIGNED_PAYLOAD)
    body_matches = declared == UNSIGNED_PAYLOAD or declared == hashlib.sha256(body).hexdigest()
    expected = _mac(secret_key, string_to_sign(canonical, date))
    if not hmac.compare_digest(expected, match["mac"]) or not body_matches:
        raise SignatureError(SignatureProblem.MISMATCH, "the signature does not fit the request", canonical)
    return match["access"]


def canonical_request(
    method: str, url: str, headers: Mapping[str, str], body: bytes, signed_names: Iterable[str]
) -> str:
    """
    Return the text whose hash is signed.

    :param method: the HTTP method.
    :param url: the URL as on the wire; ``+`` in its query means a space, as web servers read it.
    :param headers: names in any case.
    :param body: the bytes of the body.
    :param signed_names: lower-case names of the signed headers, sorted.
    """
    return _canonical(method, url, _by_lower_name(headers), body, list(signed_names))


def _canonical(method: str, url: str, known: Mapping[str, str], body: bytes, names: list[str]) -> str:
    payload = hashlib.sha256(body).hexdigest()
    if body:
        payload = known.get("x-sdk-content-sha256", payload)
    headers = "".join([f"{name}:{known[name]}\n" for name in names])
    return f"{method.upper()}\n{_canonical_target(url)}\n{headers}\n{';'.join(names)}\n{payload}"


def string_to_sign(canonical: str, date: str) -> str:
    """
    Return the text that is signed.

    :param canonical: the canonical request.
    :param date: the value of X-Sdk-Date.
    """
    return f"{ALGORITHM}\n{date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"


# Addresses repeat, and to take one apart and quote it takes longer than all of the hashing.
@lru_cache(maxsize=256)
def _canonical_target(url: str) -> str:
    """Return path and query as they are signed, a line each."""
    parts = urlsplit(url)
    # Decoded as a whole before it is split, as the SDK does: a %2F inside an id is signed as a plain slash.
    path = "/".join(quote(segment, safe="~") for segment in unquote(parts.path).split("/"))
    # Sorted by what the names and values mean, then encoded; sorting encoded text would order non-ASCII names
    # differently from the SDK.
    pairs = sorted(parse_qsl(parts.query, keep_blank_values=True))
    query = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs)
    return f"{path if path.endswith('/') else path + '/'}\n{query}"


def _by_lower_name(headers: Mapping[str, str]) -> dict[str, str]:
    known: dict[str, str] = {}
    for name, value in headers.items():
        lower = name.lower()
        if lower in known:
            raise ValueError(f"Header {name!r} is given twice.")
        if "\n" in value or "\r" in value:
            raise ValueError(f"Header {name!r} contains a line break.")
        known[lower] = value.strip()
    return known


def _authorization(known: Mapping[str, str]) -> tuple[re.Match[str], str]:
    """Return the parsed Authorization header and the text of X-Sdk-Date."""
    for name in ("Authorization", "X-Sdk-Date"):
        if not known.get(name.lower()):
            raise SignatureError(SignatureProblem.MISSING, f"header {name} is not there")
    match = _AUTHORIZATION.fullmatch(known["authorization"])
    if match is None:
        raise SignatureError(SignatureProblem.MALFORMED, "header Authorization cannot be read")
    return match, known["x-sdk-date"]


def _check_signed_names(names: list[str], known: Mapping[str, str]) -> None:
    if names != sorted(set(names)) or any(name != name.lower() for name in names):
        raise SignatureError(
            SignatureProblem.MALFORMED, "SignedHeaders must be lower case, sorted, without repeats"
        )
    absent = [name for name in names if name not in known]
    if absent:
        raise SignatureError(SignatureProblem.MALFORMED, f"signed headers are not there: {', '.join(absent)}")
    required = {"x-sdk-date", "x-sdk-content-sha256"} & known.keys()
    if not required.issubset(names):
        raise SignatureError(SignatureProblem.MALFORMED, f"must be signed: {', '.join(sorted(required))}")


def _parse_date(text: str) -> datetime:
    try:
        if _DATE.fullmatch(text):
            return datetime.strptime(text, DATE_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        pass  # digits in the right places that are no date
    raise SignatureError(SignatureProblem.MALFORMED, "X-Sdk-Date must look like 20261122T120000Z")


def _aware(now: datetime) -> datetime:
    if now.tzinfo is None:
        raise ValueError("now must be an aware datetime.")
    return now


# Requests come in bursts, and strftime takes longer than a hash.
@lru_cache(maxsize=4)
def _date(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime(DATE_FORMAT)


@lru_cache(maxsize=256)
def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _mac(secret_key: str, text: str) -> str:
    return hmac.digest(secret_key.encode(), text.encode(), "sha256").hex()
