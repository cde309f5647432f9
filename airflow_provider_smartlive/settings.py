"""The only reader of Airflow's configuration (section ``[smartlive]``)."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable
from typing import TypeVar

from airflow.sdk.configuration import conf

from airflow_provider_smartlive.provider_info import OPTIONS

SECTION = "smartlive"

#: Seconds for which the callback secrets are kept: the receiver needs them for every request, and a
#: ``callback_secrets_cmd`` or a secrets backend must not be asked that often.
SECRETS_TTL = 60.0

log = logging.getLogger(__name__)

#: Characters of a wrong value that an error repeats.
_LONGEST_SHOWN = 40

_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")

#: What Airflow itself takes for a switch.
_ON, _OFF = frozenset({"true", "t", "1"}), frozenset({"false", "f", "0"})

_T = TypeVar("_T")

_secrets: tuple[float, tuple[str, ...]] | None = None


class InvalidSettingError(ValueError):
    """An option of the section has no usable value. The text names the option, and the problem without a secret."""


def callback_secrets() -> tuple[str, ...]:
    """
    Return the callback secrets, the newest first; an empty tuple if none is configured.

    The value is read again after :data:`SECRETS_TTL` seconds.
    """
    global _secrets
    now = time.monotonic()
    if _secrets is None or now - _secrets[0] > SECRETS_TTL:
        _secrets = (now, read_callback_secrets())
    return _secrets[1]


def read_callback_secrets() -> tuple[str, ...]:
    """Read the callback secrets where they are configured: that may run a program, or ask a secrets backend."""
    return tuple(part.strip() for part in text("callback_secrets").split(",") if part.strip())


def callback_base_url() -> str:
    """Return the URL under which MetaStudio reaches the API server, without a trailing slash."""
    return (text("callback_base_url") or conf.get("api", "base_url", fallback="")).rstrip("/")


def deployment() -> str:
    """Return the mark that tells this deployment's jobs from those of another one with the same secrets."""
    mark = text("deployment").strip() or callback_base_url()
    # It travels in a URL of limited length.
    return hashlib.sha256(mark.encode()).hexdigest()[:12]


def text(option: str) -> str:
    """
    Return an option of the section; its default stands in the provider's metadata.

    :raises InvalidSettingError: if Airflow cannot read it, such as for a wrong ``%`` or a ``_cmd`` that fails.
    """
    try:
        return str(conf.get(SECTION, option, fallback=OPTIONS[option]["default"]))
    except Exception as error:
        # Airflow's own text may repeat the value, or what a program has printed.
        raise InvalidSettingError(
            f"[{SECTION}] {option} cannot be read ({type(error).__name__}). A % is written %% in airflow.cfg."
        ) from None


def number(option: str) -> int:
    """
    Return a whole number of the section.

    :raises InvalidSettingError: if the value is no whole number, or not within the option's bounds.
    """
    return _number(option, text(option))


def choice(option: str) -> str:
    """
    Return an option that has few possible values.

    :raises InvalidSettingError: if the value is none of them.
    """
    return _choice(option, text(option))


def choices(option: str) -> tuple[str, ...]:
    """
    Return an option that lists some of few possible values, separated by commas.

    :raises InvalidSettingError: if the list is empty, or has something else in it.
    """
    return _choices(option, text(option))


def usable_number(option: str) -> int:
    """
    Return a whole number, or its default and an error in the log if the option is broken.

    For what serves many, such as the receiver: it must not stop for one option. A task fails instead, before it has
    started anything.
    """
    return _usable(option, _number)


def usable_choices(option: str) -> tuple[str, ...]:
    """Return a list, as :func:`usable_number` does a number."""
    return _usable(option, _choices)


def usable_flag(option: str) -> bool:
    """Return a switch, as :func:`usable_number` does a number."""
    return _usable(option, _flag)


def check() -> None:
    """
    Read every option of the section, but for the secrets.

    :raises InvalidSettingError: for the first one that is broken.
    """
    for option in OPTIONS:
        check_option(option)


def check_option(option: str) -> None:
    """
    Read one option of the section, unless it is a secret.

    :raises InvalidSettingError: if it is broken.
    """
    properties = OPTIONS[option]
    if properties["type"] == "integer":
        number(option)
    elif properties["type"] == "boolean":
        _flag(option, text(option))
    elif "choices" in properties:
        (choices if properties.get("is_list") else choice)(option)
    elif not properties.get("sensitive"):
        text(option)


def _number(option: str, value: str) -> int:
    low, high = OPTIONS[option]["minimum"], OPTIONS[option]["maximum"]
    if not _WHOLE_NUMBER.fullmatch(value.strip()) or not low <= int(value) <= high:
        raise InvalidSettingError(
            f"[{SECTION}] {option} must be a whole number from {low} to {high}, not {_shown(value)}."
        )
    return int(value)


def _flag(option: str, value: str) -> bool:
    if (word := value.strip().lower()) not in _ON | _OFF:
        raise InvalidSettingError(f"[{SECTION}] {option} must be True or False, not {_shown(value)}.")
    return word in _ON


def _choice(option: str, value: str) -> str:
    allowed = OPTIONS[option]["choices"]
    if value.strip() not in allowed:
        raise InvalidSettingError(
            f"[{SECTION}] {option} must be one of {', '.join(allowed)}, not {_shown(value)}."
        )
    return value.strip()


def _choices(option: str, value: str) -> tuple[str, ...]:
    words = [word for word in value.split(",") if word.strip()]
    return tuple(_choice(option, word) for word in words or [value])


def _usable(option: str, read: Callable[[str, str], _T]) -> _T:
    try:
        return read(option, text(option))
    except InvalidSettingError as error:
        default = OPTIONS[option]["default"]
        log.error("smartlive: %s Its default counts: %s.", error, default)
        return read(option, default)


def _shown(value: str) -> str:
    return repr(value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]}...")


def forget_secrets() -> None:
    """Read the callback secrets anew at the next use (after a change, and between tests)."""
    global _secrets
    _secrets = None
