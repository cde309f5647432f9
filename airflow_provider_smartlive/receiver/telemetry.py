"""What the receiver tells those who run it: metrics through Airflow's stats, and log lines. Never a token or key."""

from __future__ import annotations

from datetime import datetime

import structlog
from airflow.observability import stats

from airflow_provider_smartlive.callbacks.apply import OutcomeKind
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.receiver.limits import LogThrottle
from airflow_provider_smartlive.receiver.store import Receipt
from airflow_provider_smartlive.receiver.verify import VerificationError

log = structlog.get_logger(__name__)

_PREFIX = "smartlive.callbacks"


class Telemetry:
    """
    Counts and logs.

    :param throttle: Bounds the lines that strangers can cause.
    """

    def __init__(self, throttle: LogThrottle | None = None) -> None:
        self._throttle = throttle or LogThrottle()

    def received(self) -> None:
        """Count a request for the callback path, whoever sent it."""
        stats.incr(f"{_PREFIX}.received")

    def refused(self, refused: VerificationError) -> None:
        """Count a refusal and log its reason, once per minute and reason."""
        stats.incr(f"{_PREFIX}.refused.{refused.reason}")
        held_back = self._throttle.lets_through(refused.reason)
        if held_back is not None:
            names = vars(refused.target.task_ref) if refused.target else {}
            log.warning(
                "smartlive: callback refused",
                reason=refused.reason.value,
                hint=refused.hint,
                same_reason_since_last_line=held_back,
                **names,
            )

    def rejected(self, reason: str, task_ref: TaskRef) -> None:
        """Count and log an event that is really MetaStudio's and is not taken all the same."""
        stats.incr(f"{_PREFIX}.rejected.{reason}")
        held_back = self._throttle.lets_through(f"rejected.{reason}")
        if held_back is not None:
            log.warning(
                "smartlive: callback rejected",
                reason=reason,
                same_reason_since_last_line=held_back,
                **vars(task_ref),
            )

    def failed(self, reason: str, task_ref: TaskRef, error: Exception) -> None:
        """Count and log that we could not store an event, with the error."""
        stats.incr(f"{_PREFIX}.failed.{reason}")
        if self._throttle.lets_through(f"failed.{reason}") is not None:
            log.error("smartlive: callback not stored", reason=reason, exc_info=error, **vars(task_ref))

    def stored(
        self,
        receipt: Receipt,
        event_type: str,
        task_ref: TaskRef,
        *,
        signed_at: datetime | None,
        now: datetime,
    ) -> None:
        """
        Count and log an event that was committed.

        A line for what is news: a state that the job had not reached before, a task that was woken, an event that
        could not be read. A link that flaps for hours and every switch of the script are for the debug level.
        """
        outcome = receipt.outcome
        stats.incr(f"{_PREFIX}.{outcome.kind}")
        if receipt.owner_resumed:
            stats.incr(f"{_PREFIX}.resumed")
        if receipt.waiters_woken:
            stats.incr(f"{_PREFIX}.woken", receipt.waiters_woken)
        lag = None if signed_at is None else (now - signed_at).total_seconds()
        if lag is not None:
            stats.timing(f"{_PREFIX}.lag", lag * 1000)
        is_news = outcome.reached or receipt.owner_resumed or receipt.waiters_woken
        write = log.info if is_news or outcome.kind is OutcomeKind.UNRECOGNISED else log.debug
        write(
            "smartlive: callback stored",
            outcome=outcome.kind.value,
            event_type=event_type,
            job_id=outcome.job_id,
            stream_state=outcome.state,
            owner_resumed=receipt.owner_resumed,
            waiters_woken=receipt.waiters_woken,
            lag_seconds=lag,
            **vars(task_ref),
        )
