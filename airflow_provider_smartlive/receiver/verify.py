"""Verify a request before anything is read or looked up for it: its token, signature and time. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.url import (
    CallbackTarget,
    CallbackUrlError,
    InvalidToken,
    OpenedUrl,
    open_token,
)
from airflow_provider_smartlive.metastudio.callback_auth import (
    CallbackAuthError,
    CallbackAuthProblem,
    SignedForm,
    verify,
)


class Refusal(StrEnum):
    """Why a request was refused. For the log and the metrics; the caller does not learn it."""

    NOT_CONFIGURED = "not_configured"
    MISCONFIGURED = "misconfigured"
    TOKEN = "token"  # noqa: S105 - a reason, not a token
    SIGNATURE_MISSING = "signature_missing"
    SIGNATURE_TIME = "signature_malformed_time"
    SIGNATURE_EXPIRED = "signature_expired"
    SIGNATURE_FUTURE = "signature_from_the_future"
    SIGNATURE_MISMATCH = "signature_mismatch"


_BY_SIGNATURE = {
    CallbackAuthProblem.MISSING: Refusal.SIGNATURE_MISSING,
    CallbackAuthProblem.MALFORMED_TIME: Refusal.SIGNATURE_TIME,
    CallbackAuthProblem.EXPIRED: Refusal.SIGNATURE_EXPIRED,
    CallbackAuthProblem.FROM_THE_FUTURE: Refusal.SIGNATURE_FUTURE,
    CallbackAuthProblem.MISMATCH: Refusal.SIGNATURE_MISMATCH,
}


class VerificationError(Exception):
    """
    A request cannot be verified, and is refused.

    :param reason: For the log and the metrics.
    :param target: Where the request was for, if its token could be opened.
    :param hint: What to do about it, if it is for us to do.
    """

    def __init__(self, reason: Refusal, *, target: CallbackTarget | None = None, hint: str = "") -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.target = target
        self.hint = hint


@dataclass(frozen=True)
class ReceiverSettings:
    """
    What ``[smartlive]`` says about callbacks.

    :param window: How far the signed time may be from ours, both ways.
    :param forms: The accepted forms of the signed URL.
    :param max_body: The largest body that is read, in bytes.
    :param rate_limit: Verified events per minute and task instance.
    """

    window: timedelta
    forms: tuple[SignedForm, ...]
    max_body: int
    rate_limit: int

    @classmethod
    def read(cls) -> Self:
        """Read the configuration. Where an option has no usable value, the log says so and its default counts."""
        return cls(
            window=timedelta(seconds=settings.usable_number("callback_auth_window")),
            forms=tuple(SignedForm(form) for form in settings.usable_choices("callback_auth_forms")),
            max_body=settings.usable_number("callback_max_body"),
            rate_limit=settings.usable_number("callback_rate_limit"),
        )


@dataclass(frozen=True)
class VerifiedRequest:
    """
    A request that MetaStudio sent.

    :param signed_at: The time that MetaStudio signed; None if it was asked not to sign.
    """

    opened: OpenedUrl
    signed_at: datetime | None


def verify_request(
    token: str,
    *,
    query: str,
    headers: Mapping[str, str],
    secrets: Sequence[str],
    config: ReceiverSettings,
    now: datetime,
) -> VerifiedRequest:
    """
    Verify that MetaStudio sent a request, by its URL and headers alone.

    :param token: The last segment of the path.
    :param query: The query, as it came.
    :param secrets: ``[smartlive] callback_secrets``.
    :param now: An aware datetime.
    :raises VerificationError: with the reason.
    """
    if not secrets:
        raise VerificationError(
            Refusal.NOT_CONFIGURED,
            hint="[smartlive] callback_secrets is empty here. API servers need the same value as workers.",
        )
    try:
        opened = open_token(token, secrets=secrets)
    except InvalidToken:
        raise VerificationError(Refusal.TOKEN) from None
    except CallbackUrlError as error:
        raise VerificationError(Refusal.MISCONFIGURED, hint=str(error)) from None
    try:
        signed_at = verify(
            opened.url,
            auth_type=opened.auth_type,
            key=opened.key,
            query=query,
            headers=headers,
            now=now,
            window=config.window,
            forms=config.forms,
        )
    except CallbackAuthError as error:
        raise VerificationError(_BY_SIGNATURE[error.reason], target=opened.target) from None
    return VerifiedRequest(opened, signed_at)
