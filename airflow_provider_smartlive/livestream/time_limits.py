"""When a livestream may begin, and when it has to end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow.sdk.exceptions import AirflowRescheduleException, AirflowSkipException

from airflow_provider_smartlive.livestream.arguments import ArgumentError


@dataclass(frozen=True)
class TimeLimits:
    """
    The times of one livestream.

    :param due_at: when it is to go live: ``start_at``, or the time of its DAG run.
    :param is_backfill: whether the run makes up for the past.
    :param start_window: how late it may still go live; None: however late.
    :param allow_backfill: whether a backfill may go live.
    :param waits_for_start: whether it waits for that time.
    :param stop_at: when it is to be stopped as planned.
    :param max_duration: how long after its start it is to be stopped as planned.
    :param execution_timeout: how long the task may take.
    """

    due_at: datetime
    is_backfill: bool = False
    start_window: timedelta | None = None
    allow_backfill: bool = False
    waits_for_start: bool = False
    stop_at: datetime | None = None
    max_duration: timedelta | None = None
    execution_timeout: timedelta | None = None

    def check(self, now: datetime) -> None:
        """
        Refuse to go live when it is not the time.

        :raises AirflowSkipException: with what to change to go live all the same.
        """
        if self.is_backfill and not self.allow_backfill:
            raise AirflowSkipException("This run is a backfill; pass allow_backfill=True to go live in one.")
        late = now - self.due_at
        if self.start_window is not None and late > self.start_window:
            raise AirflowSkipException(
                f"It was due at {self.due_at.isoformat()}, {late} ago; start_window is {self.start_window}. "
                "Pass a longer start_window, or None, to go live however late."
            )
        if self.stop_at is not None and self.stop_at <= now:
            raise AirflowSkipException(
                f"stop_at ({self.stop_at.isoformat()}) is over: there is nothing to go live for."
            )

    def wait_for_start(self, now: datetime) -> None:
        """
        Give the worker back until it is time to go live.

        The task is rescheduled, not deferred: what a trigger wakes can be woken twice, and would start twice.

        :raises AirflowRescheduleException: if it is too early.
        :raises ArgumentError: if it would be stopped before it starts; once both are over, it is too late instead.
        """
        if self.waits_for_start and now < self.due_at:
            if self.stop_at is not None and self.stop_at <= self.due_at:
                problem = f"is {self.due_at.isoformat()}, not before stop_at ({self.stop_at.isoformat()})"
                raise ArgumentError("start_at", problem, "Pass an earlier time, or a later stop_at.")
            raise AirflowRescheduleException(self.due_at)  # type: ignore[no-untyped-call]  # Airflow's

    def longest(self, now: datetime) -> timedelta | None:
        """Return how long a livestream that starts now can last at most; None if nothing limits it."""
        until_stop = self.stop_at - now if self.stop_at else None
        limits = (self.max_duration, self.execution_timeout, until_stop)
        return min((limit for limit in limits if limit is not None), default=None)

    def deadline(self, started_at: datetime) -> datetime | None:
        """Return when a livestream is to be stopped as planned."""
        by_duration = started_at + self.max_duration if self.max_duration is not None else None
        return min((at for at in (self.stop_at, by_duration) if at is not None), default=None)

    def timeout_at(self, now: datetime) -> datetime | None:
        """Return when the time of a task is over that begins now."""
        return now + self.execution_timeout if self.execution_timeout is not None else None
