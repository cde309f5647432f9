"""Issue the callback URL of a task instance, and recognise it again."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets as randomness
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

from cryptography.fernet import Fernet
from cryptography.fernet import InvalidToken as FernetInvalidToken

from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.metastudio.addresses import is_loopback
from airflow_provider_smartlive.metastudio.callback_auth import AuthType
from airflow_provider_smartlive.metastudio.outputs import describe_output

#: Path below the base URL. The plugin mounts the receiver at the first segment.
MOUNT_PATH = "/smartlive"
CALLBACK_PATH = "/callbacks/"

#: Longest callback URL that MetaStudio's schema takes (``live_event_type_callback_url``).
MAX_URL_LENGTH = 2048

#: Longest ``key`` of the callback configuration (schema). We use all of it.
MSS_KEY_LENGTH = 32

#: Below this many characters a secret is taken for a mistake rather than for a secret.
MIN_SECRET_LENGTH = 32

_TOKEN_VERSION = 2

#: Hexadecimal digits of the milliseconds with which a generation begins.
_TIME_DIGITS = 12
_TOKEN = re.compile(rf"[A-Za-z0-9_-]{{100,{MAX_URL_LENGTH}}}")
_CALLBACK_URL = re.compile(
    rf"https?://[^?#]*{MOUNT_PATH}{CALLBACK_PATH}(?P<token>[A-Za-z0-9_-]+)(?:[?#].*)?", re.DOTALL
)
_VISIBLE_ASCII = re.compile(r"[!-~]+")
_SUPPORTED_AUTH_TYPES = (AuthType.MSS_A_HEAD, AuthType.MSS_A, AuthType.NONE)


class CallbackUrlError(ValueError):
    """A callback URL cannot be issued. The text names the setting and the fix, never a secret."""


class InvalidToken(ValueError):  # noqa: N818 - the word that cryptography uses for the same thing
    """A token that none of our secrets opens, or whose content no release of ours wrote."""


@dataclass(frozen=True)
class JobTerms:
    """
    What a task agreed for its job before it was started: what receiver, sweep and stop have to know of it.

    :param outputs: Fingerprints of the RTMP outputs that were asked for; empty if the room's own setting counts.
    :param deadline: When the job is to be stopped as planned; None if nothing limits it.
    :param waits: Whether the starting task sees to the job's end. If not, a success of the task leaves it running.
    :param cancel_on_kill: Whether the job is stopped when the task is ended from outside.
    """

    outputs: tuple[str, ...] = ()
    deadline: datetime | None = None
    waits: bool = True
    cancel_on_kill: bool = True

    def dump(self) -> dict[str, Any]:
        """Return the terms as JSON-able primitives, in few characters: they travel in a URL."""
        return {
            "o": list(self.outputs),
            "e": self.deadline.timestamp() if self.deadline else None,
            "w": self.waits,
            "k": self.cancel_on_kill,
        }

    @classmethod
    def load(cls, value: Mapping[str, Any]) -> Self:
        """Read what :meth:`dump` wrote."""
        deadline = value["e"]
        return cls(
            outputs=tuple(value["o"]),
            deadline=datetime.fromtimestamp(deadline, UTC) if deadline is not None else None,
            waits=value["w"],
            cancel_on_kill=value["k"],
        )


@dataclass(frozen=True)
class CallbackTarget:
    """
    Where an event is to go: a task instance, which of its lives, and what that life agreed for its job.

    :param generation: Names one life of the task, from its start or a clear to the next clear. A greater one is a
        later one. Retries belong to the life that they continue.
    :param max_tries: The task instance's ``max_tries`` in that life. A clear of a finished task usually raises it.
    :param deployment: The mark of the Airflow deployment that started the job (``settings.deployment()``).
    """

    task_ref: TaskRef
    generation: str
    max_tries: int = 0
    deployment: str = ""
    terms: JobTerms = JobTerms()


def new_generation(now: datetime, *, after: str | None = None) -> str:
    """
    Return a name for a new life of a task, unlike any other one's.

    :param after: The generation before it; this one is greater, although the clocks of two workers differ.
    """
    milliseconds = int(now.timestamp() * 1000)
    if after is not None:
        milliseconds = max(milliseconds, int(after[:_TIME_DIGITS], 16) + 1)
    return f"{milliseconds:0{_TIME_DIGITS}x}{randomness.token_hex(4)}"


def began(generation: str) -> datetime:
    """Return when a life began, by the clock of the worker that named it; long ago if its name does not say."""
    try:
        milliseconds = int(generation[:_TIME_DIGITS], 16)
    except ValueError:
        milliseconds = 0
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


@dataclass(frozen=True)
class IssuedUrl:
    """
    What goes into ``live_event_callback_config``, and what is kept to compare with.

    :param fingerprint_key: The key under which outputs appear in the callback table.
    """

    url: str = field(repr=False)
    key: str = field(repr=False)
    auth_type: AuthType
    target: CallbackTarget
    fingerprint_key: bytes = field(repr=False)


@dataclass(frozen=True)
class OpenedUrl:
    """
    What the token of a callback URL says. Only a holder of our secrets can have written it.

    :param url: The URL as it was issued: what MetaStudio signs, whatever the request's ``Host`` says.
    :param key: The key with which MetaStudio signs (``live_event_callback_config.key``).
    :param auth_type: How MetaStudio was asked to sign. It comes from the token, so no caller can choose less.
    """

    target: CallbackTarget
    url: str = field(repr=False)
    key: str = field(repr=False)
    auth_type: AuthType
    fingerprint_key: bytes = field(repr=False)


def generate_secret() -> str:
    """Return a new value for ``[smartlive] callback_secrets``: 32 random bytes, URL-safe."""
    return randomness.token_urlsafe(32)


def is_usable_secret(secret: str) -> bool:
    """Tell whether a secret is long enough, and has characters that can be encoded."""
    return len(secret) >= MIN_SECRET_LENGTH and _is_unicode(secret)


def issue(
    target: CallbackTarget,
    *,
    base_url: str,
    secrets: Sequence[str],
    auth_type: AuthType,
    outputs: Sequence[tuple[str, str | None]] = (),
) -> IssuedUrl:
    """
    Make the callback URL and key of a task instance.

    :param target: The task instance, its generation and the terms of its job. Their ``outputs`` are filled in here.
    :param base_url: Where MetaStudio reaches the API server, with a path prefix if there is one. It goes into
        the token, so that a later change of the setting breaks no stream that is already live.
    :param secrets: ``[smartlive] callback_secrets``; the first one issues.
    :param auth_type: How MetaStudio shall sign its callbacks.
    :param outputs: URL and stream key of each RTMP output of the job. Only their fingerprints go into the token.
    :raises CallbackUrlError: if there is no usable secret, if the base URL is not https (except for a loopback
        host) or not a plain base URL, if the authentication type is not ours to use, or if the URL would
        exceed the 2,048 characters that MetaStudio takes.
    """
    if not secrets:
        raise CallbackUrlError(
            "[smartlive] callback_secrets is empty. Make one with `airflow smartlive generate-secret` for "
            "workers and API servers alike, or start the job with use_callbacks=False."
        )
    if auth_type not in _SUPPORTED_AUTH_TYPES:
        raise CallbackUrlError(
            f"[smartlive] callback_auth_type {auth_type.value} is not supported here; "
            f"use one of {', '.join(supported.value for supported in _SUPPORTED_AUTH_TYPES)}."
        )
    base_url = _checked_base_url(base_url)
    keys = _keys(secrets[0])
    fingerprints = tuple(
        describe_output(url, stream_key, key=keys.fingerprint).fingerprint for url, stream_key in outputs
    )
    target = replace(target, terms=replace(target.terms, outputs=fingerprints))
    token = _unpadded(keys.token.encrypt(_payload(target, base_url, auth_type)))
    url = _callback_url(base_url, token)
    if len(url) > MAX_URL_LENGTH:
        raise CallbackUrlError(
            f"The callback URL would have {len(url)} characters and MetaStudio takes {MAX_URL_LENGTH}. "
            "Shorten callback_base_url, or the dag id, run id or task id, all of which it carries."
        )
    return IssuedUrl(
        url=url,
        key=keys.mss_key(token),
        auth_type=auth_type,
        target=target,
        fingerprint_key=keys.fingerprint,
    )


def open_token(token: str, *, secrets: Sequence[str]) -> OpenedUrl:
    """
    Read a token back.

    :param token: The last path segment of a callback URL.
    :param secrets: ``[smartlive] callback_secrets``; each one is tried, so that a rotation breaks no stream.
    :raises InvalidToken: if no secret opens it.
    """
    if not _TOKEN.fullmatch(token):
        raise InvalidToken("not a token")
    return _open(token, tuple(secrets))


def open_url(url: str, *, secrets: Sequence[str]) -> OpenedUrl | None:
    """
    Recognise one of our jobs by its callback URL.

    :param url: ``live_event_type_callback_url`` as MetaStudio's listing gives it.
    :param secrets: ``[smartlive] callback_secrets``.
    :return: What its token says, or None for a URL that is not ours.
    """
    match = _CALLBACK_URL.fullmatch(url)
    if match is None:
        return None
    try:
        return open_token(match["token"], secrets=secrets)
    except InvalidToken:
        return None


def is_callback_url(url: str) -> bool:
    """Tell whether a URL has the form of those that :func:`issue` makes, here or in another deployment."""
    return _CALLBACK_URL.fullmatch(url) is not None


@dataclass(frozen=True)
class _Keys:
    """What is derived from one callback secret: one key per purpose."""

    token: Fernet = field(repr=False)
    mss: bytes = field(repr=False)
    fingerprint: bytes = field(repr=False)

    def mss_key(self, token: str) -> str:
        # Hexadecimal, because MetaStudio does not say which characters a key may have and its own sample is
        # alphanumeric. 32 of them are 128 bits.
        return hmac.new(self.mss, token.encode(), hashlib.sha256).hexdigest()[:MSS_KEY_LENGTH]


# Deriving costs more than verifying. The bound only guards against a list of secrets that keeps changing.
@lru_cache(maxsize=32)
def _keys(secret: str) -> _Keys:
    if not is_usable_secret(secret):
        raise CallbackUrlError(
            f"[smartlive] callback_secrets has a secret of fewer than {MIN_SECRET_LENGTH} characters, or one that is "
            "no Unicode. Generate one with `airflow smartlive generate-secret`."
        )

    def derive(purpose: str) -> bytes:
        return hmac.new(secret.encode(), f"airflow-provider-smartlive {purpose}".encode(), "sha256").digest()

    return _Keys(
        token=Fernet(base64.urlsafe_b64encode(derive("callback token"))),
        mss=derive("callback key"),
        fingerprint=derive("output fingerprint"),
    )


# A stream that is live calls back again and again. What cannot be opened is not kept: strangers push nothing out.
@lru_cache(maxsize=1024)
def _open(token: str, secrets: tuple[str, ...]) -> OpenedUrl:
    padded = token + "=" * (-len(token) % 4)
    # One that cannot be used has made no token, and locks nobody out whose token another one made.
    usable = [secret for secret in secrets if is_usable_secret(secret)]
    for secret in usable or secrets:
        keys = _keys(secret)
        try:
            payload = keys.token.decrypt(padded)
        except FernetInvalidToken:
            continue
        return _opened(payload, token, keys)
    raise InvalidToken("no callback secret opens the token")


def _payload(target: CallbackTarget, base_url: str, auth_type: AuthType) -> bytes:
    task_ref = target.task_ref
    content = {
        "v": _TOKEN_VERSION,
        "d": task_ref.dag_id,
        "r": task_ref.run_id,
        "t": task_ref.task_id,
        "m": task_ref.map_index,
        "g": target.generation,
        "x": target.max_tries,
        "p": target.deployment,
        "b": base_url,
        "a": auth_type.value,
        **target.terms.dump(),
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _opened(payload: bytes, token: str, keys: _Keys) -> OpenedUrl:
    try:
        content = json.loads(payload)
        if content["v"] != _TOKEN_VERSION:
            raise InvalidToken("the token was written by another release")
        task_ref = TaskRef(content["d"], content["r"], content["t"], content["m"])
        target = CallbackTarget(task_ref, content["g"], content["x"], content["p"], JobTerms.load(content))
        return OpenedUrl(
            target=target,
            url=_callback_url(content["b"], token),
            key=keys.mss_key(token),
            auth_type=AuthType(content["a"]),
            fingerprint_key=keys.fingerprint,
        )
    except (KeyError, TypeError) as error:
        raise InvalidToken("the token's content is not complete") from error


def _callback_url(base_url: str, token: str) -> str:
    return f"{base_url}{MOUNT_PATH}{CALLBACK_PATH}{token}"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of an environment variable that are no UTF-8
        return False
    return True


def _unpadded(token: bytes) -> str:
    # "=" in a path may arrive as "%3D", and would then not match what was signed.
    return token.decode("ascii").rstrip("=")


def _checked_base_url(base_url: str) -> str:
    if not base_url:
        raise _base_url_error(
            "is empty, and so is [api] base_url. Set it to where MetaStudio reaches the API server; with a sandbox "
            "that is http://localhost:8080 by default."
        )
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise _base_url_error("is not an http(s) URL. Write it like https://airflow.example.com/prefix.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise _base_url_error("may have scheme, host, port and path only. Remove user, query and fragment.")
    if not _VISIBLE_ASCII.fullmatch(base_url):
        raise _base_url_error(
            "may have visible ASCII characters only. Percent-encode others, punycode the host."
        )
    if parts.scheme != "https" and not is_loopback(host):
        raise _base_url_error("must be https: events carry stream keys. Only a loopback host may be http.")
    # What MetaStudio signs and what we verify must be spelled alike, so the host is lower case.
    return urlunsplit((parts.scheme, parts.netloc.lower(), parts.path.rstrip("/"), "", ""))


def _base_url_error(problem: str) -> CallbackUrlError:
    return CallbackUrlError(f"callback_base_url (of the connection, or of [smartlive]) {problem}")
