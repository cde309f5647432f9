"""The only reader of Airflow's configuration (section ``[smartlive]``)."""

from __future__ import annotations

import hashlib
import time

from airflow.sdk.configuration import conf

from airflow_provider_smartlive.provider_info import OPTIONS

SECTION = "smartlive"

#: Seconds for which the callback secrets are kept: the receiver needs them for every request, and a
#: ``callback_secrets_cmd`` or a secrets backend must not be asked that often.
SECRETS_TTL = 60.0

_secrets: tuple[float, tuple[str, ...]] | None = None


def callback_secrets() -> tuple[str, ...]:
    """
    Return the callback secrets, the newest first; an empty tuple if none is configured.

    The value is read again after :data:`SECRETS_TTL` seconds.
    """
    global _secrets
    now = time.monotonic()
    if _secrets is None or now - _secrets[0] > SECRETS_TTL:
        secrets = tuple(part.strip() for part in text("callback_secrets").split(",") if part.strip())
        _secrets = (now, secrets)
    return _secrets[1]


def callback_base_url() -> str:
    """Return the URL under which MetaStudio reaches the API server, without a trailing slash."""
    return (text("callback_base_url") or conf.get("api", "base_url", fallback="")).rstrip("/")


def deployment() -> str:
    """Return the mark that tells this deployment's jobs from those of another one with the same secrets."""
    mark = text("deployment").strip() or callback_base_url()
    # It travels in a URL of limited length.
    return hashlib.sha256(mark.encode()).hexdigest()[:12]


def text(option: str) -> str:
    """Return an option of the section; its default stands in the provider's metadata."""
    return str(conf.get(SECTION, option, fallback=OPTIONS[option]["default"]))


def number(option: str) -> int:
    """
    Return a whole number of the section.

    :raises ValueError: if the value is no whole number, with the option's name.
    """
    value = text(option)
    try:
        return int(value)
    except ValueError:
        raise ValueError(f"[{SECTION}] {option} must be a whole number, not {value!r}.") from None


def forget_secrets() -> None:
    """Read the callback secrets anew at the next use (after a change, and between tests)."""
    global _secrets
    _secrets = None
