"""Whether a task may go live in its standby: only if the primary certainly has no job. Pure."""

from __future__ import annotations

from enum import StrEnum

from airflow_provider_smartlive.client.flow import was_not_carried_out
from airflow_provider_smartlive.metastudio.errors import (
    AuthenticationError,
    Blocked,
    Conflict,
    InvalidRequest,
    MetaStudioError,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    is_own_code,
)


class StartOutcome(StrEnum):
    """What the error of a start means."""

    #: MetaStudio has refused it by an error code of its own: room, state, output, request or quota are not accepted.
    REFUSED = "refused"
    #: It was throttled, did not get through, or the credentials were not accepted.
    NOT_CARRIED_OUT = "not carried out"
    #: All else: it may have made a job.
    UNKNOWN = "unknown"


#: What is clear, and stays so until somebody changes something.
_REFUSALS = (Blocked, Conflict, InvalidRequest, NotFound, PermissionDenied, QuotaExceeded)


def start_outcome(error: MetaStudioError) -> StartOutcome:
    """Return what the error of a start means. An answer without one of MetaStudio's error codes is some proxy's."""
    if isinstance(error, AuthenticationError) or was_not_carried_out(error):
        return StartOutcome.NOT_CARRIED_OUT
    is_refusal = isinstance(error, _REFUSALS) and is_own_code(error.error_code)
    return StartOutcome.REFUSED if is_refusal else StartOutcome.UNKNOWN


def reason_against(outcome: StartOutcome, *, unclear_start: bool) -> str | None:
    """
    Return why the standby is not started; None if it is. What is not certain is no: two jobs are paid for twice.

    :param outcome: what became of the start in the primary.
    :param unclear_start: whether an earlier start of the task had an unknown outcome, and its job was not found.
    """
    if outcome is StartOutcome.UNKNOWN:
        return "the start may have made a job"
    if outcome is StartOutcome.NOT_CARRIED_OUT:
        return "the start was not refused, and the standby would meet the same"
    return "an earlier start may have made a job" if unclear_start else None
