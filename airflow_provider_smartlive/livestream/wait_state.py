"""What a waiting task has to remember: its job, the state of the wait, its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_smartlive.decisions import WakeSource, went_on
from airflow_provider_smartlive.livestream.snapshot import REFUSED_PAUSE
from airflow_provider_smartlive.metastudio.ids import JobRef

if TYPE_CHECKING:
    from airflow_provider_smartlive.callbacks.table import JobCallbacks
    from airflow_provider_smartlive.livestream.snapshot import JobSnapshot

#: Seconds between two questions while a job that has ended its stream is finishing.
ENDING_INTERVAL = 5.0


#: How long after its planned end, or its task's ``execution_timeout``, a job is left to whoever stops it in time. Then
#: the sweep stops it.
SWEEP_MARGIN = timedelta(minutes=10)


class StoredByOtherRelease(ValueError):  # noqa: N818 - says what happened
    """What travels with a wait has a format of another release."""


@dataclass(frozen=True)
class WaitLimits:
    """
    The limits of a wait, all read and checked before the job is started.

    :param interval: seconds between two questions to MetaStudio.
    :param end_grace: seconds that MetaStudio gets to finish the job after END.
    :param stop_grace: seconds that the job gets to end after a stop.
    :param failure_budget: seconds for which MetaStudio may give no clear answer.
    :param look_again_window: seconds after a start for which MetaStudio may not show the job yet.
    :param disconnect_limit: seconds for which the stream may not be connected, be it interrupted or never up; None:
        for ever.
    :param connected_limit: seconds after the start within which the stream has to be CONNECTED; None: however long.
    :param max_reconnects: how often the stream may be interrupted; None: however often.
    :param min_on_air: seconds for which the livestream has to be on the air unless it is stopped as planned.
    :param silence_threshold: seconds after the start of a stream without a single callback before MetaStudio is
        asked more often; None: no callbacks are expected.
    :param stop_after_end: whether the job is stopped if it does not finish by itself after END.
    :param cancel_on_kill: whether the job is stopped when the task is ended from outside.
    :param version: of this format.
    """

    interval: float
    end_grace: float = 120
    stop_grace: float = 120
    failure_budget: float = 3600
    look_again_window: float = 30
    disconnect_limit: float | None = None
    connected_limit: float | None = None
    max_reconnects: int | None = None
    min_on_air: float | None = None
    silence_threshold: float | None = None
    stop_after_end: bool = True
    cancel_on_kill: bool = True
    version: int = 1

    @property
    def of_link(self) -> list[WakeSource]:
        """Return the limits of the link that are set, by what is due when they are reached."""
        limits = {
            WakeSource.DISCONNECTED: self.disconnect_limit,
            WakeSource.NOT_CONNECTED: self.connected_limit,
            WakeSource.RECONNECTS: self.max_reconnects,
        }
        return [source for source, limit in limits.items() if limit is not None]

    def budget_is_over(self, lost_since: datetime | None, now: datetime) -> bool:
        """
        Whether MetaStudio has given no clear answer for longer than ``failure_budget``.

        :param lost_since: since when it has given none; None: it has answered.
        """
        return lost_since is not None and now - lost_since >= timedelta(seconds=self.failure_budget)

    def dump(self) -> dict[str, Any]:
        """Return the limits as JSON-able primitives."""
        return asdict(self)

    @classmethod
    def load(cls, value: Mapping[str, Any]) -> Self:
        """
        Read what :meth:`dump` wrote; fields of a later release are left out.

        :raises StoredByOtherRelease: if its format is another one.
        """
        return cls(**_known(cls, value))


@dataclass(frozen=True)
class WaitState:
    """
    How a wait stands; it travels through Airflow's database, as texts and numbers, while the task is deferred.

    :param smartlive_conn_id: the connection over which the job was started.
    :param room_id: the room in which it was started.
    :param job_id: the job.
    :param expected_outputs: how many RTMP outputs it was started with.
    :param started_at: when it was started.
    :param address: where ``smartlive_conn_id`` led then: MetaStudio's endpoint and the project.
    :param deadline: when it is to be stopped as planned.
    :param timeout_at: when the task's ``execution_timeout`` is over.
    :param grace_until: END was seen; how long MetaStudio may take to finish the job.
    :param grace_since: when that time began.
    :param streamed: seconds that the stream had lasted then, as MetaStudio counts them; None if it did not answer.
    :param end_source: what told of END, while MetaStudio finishes the job (a :class:`~.decisions.WakeSource`).
    :param lost_since: since when MetaStudio has given no clear answer; the failure budget counts from here.
    :param start_info: what the start has to add to the result: its origin, time, request id and warnings.
    :param ended: whether an earlier try was told that the stream has ended.
    :param logged_until: the latest state change of a stream that stands in the task's log already.
    :param version: of this format.
    """

    smartlive_conn_id: str
    room_id: str
    job_id: str
    expected_outputs: int
    started_at: datetime
    address: str | None = None
    deadline: datetime | None = None
    timeout_at: datetime | None = None
    grace_until: datetime | None = None
    grace_since: datetime | None = None
    streamed: float | None = None
    end_source: str | None = None
    lost_since: datetime | None = None
    start_info: dict[str, Any] = field(default_factory=dict)
    ended: bool = False
    logged_until: datetime | None = None
    version: int = 3

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON-able primitives; points in time as ISO 8601 text."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def load(cls, value: Mapping[str, Any]) -> Self:
        """
        Read what :meth:`dump` wrote; fields of a later release are left out.

        :raises StoredByOtherRelease: if its format is another one.
        """
        known = _known(cls, value)
        for name in _TIMES & known.keys():
            known[name] = datetime.fromisoformat(known[name]) if known[name] else None
        return cls(**known)

    @property
    def job_ref(self) -> JobRef:
        """Return the job, and the room in which it was started."""
        return JobRef(self.room_id, self.job_id)

    @property
    def is_ending(self) -> bool:
        """Whether END was seen and MetaStudio is finishing the job."""
        return self.grace_until is not None

    def in_grace(self, limits: WaitLimits, snapshot: JobSnapshot, now: datetime) -> Self:
        """
        Return the state after END: MetaStudio has its time to finish the job.

        :param snapshot: what was seen of the job; without a clear answer it has so long that it may be asked again.
        """
        seconds = limits.end_grace if snapshot.is_clear else max(limits.end_grace, REFUSED_PAUSE)
        return replace(
            self,
            grace_since=now,
            grace_until=now + timedelta(seconds=seconds),
            streamed=snapshot.stream_seconds if snapshot.is_clear else None,
        )

    def still_streams(self, snapshot: JobSnapshot, now: datetime) -> bool:
        """Whether the stream has gone on since END was called back. It takes two clear looks to deny it."""
        if self.grace_since is None:
            return False
        if self.streamed is None:
            return snapshot.streamed
        return went_on(self.streamed, snapshot.stream_seconds, (now - self.grace_since).total_seconds())

    def next_moment(self) -> tuple[datetime, WakeSource] | None:
        """Return the next time at which something is due without anybody's signal, and what it is then."""
        moments = (
            (self.timeout_at, WakeSource.TIMEOUT),
            (self.deadline, WakeSource.DEADLINE),
            (self.grace_until, WakeSource.GRACE_OVER),
        )
        return min(((at, source) for at, source in moments if at is not None), default=None)

    def due(
        self,
        now: datetime,
        limits: WaitLimits,
        callbacks: JobCallbacks | None,
        *,
        silent: bool = False,
        idle: bool = False,
    ) -> WakeSource | None:
        """
        Return what is due by now although nobody gave a signal; None to wait on.

        :param callbacks: what was called back about the job, for the limit of interruptions; None if nothing was, or
            if it cannot be read at the moment.
        :param silent: whether it is sure that no stream state was called back, and MetaStudio knows of no video that
            was pushed: a stream that never connected. If it does, only the callbacks are missing.
        :param idle: whether MetaStudio says that the job runs and no video was pushed.
        """
        moment = self.next_moment()
        if moment is not None and moment[0] <= now:
            return moment[1]
        reconnects = callbacks.reconnects() if callbacks is not None else 0
        if limits.max_reconnects is not None and reconnects > limits.max_reconnects:
            return WakeSource.RECONNECTS
        connect_by = self.connect_by(limits)
        was_up = callbacks is not None and callbacks.has_reached("CONNECTED")
        if connect_by is not None and not was_up and (idle or now < connect_by):
            return WakeSource.NOT_CONNECTED if connect_by <= now else None
        if limits.disconnect_limit is None:
            return None
        since = self._interrupted_since(limits, callbacks, silent)
        too_long = since is not None and now - since > timedelta(seconds=limits.disconnect_limit)
        return WakeSource.DISCONNECTED if too_long else None

    def connect_by(self, limits: WaitLimits) -> datetime | None:
        """Return when the stream has to be CONNECTED; None: however late."""
        if limits.connected_limit is None:
            return None
        return self.started_at + timedelta(seconds=limits.connected_limit)

    def _interrupted_since(
        self, limits: WaitLimits, callbacks: JobCallbacks | None, silent: bool
    ) -> datetime | None:
        if callbacks is not None and callbacks.streams:
            return callbacks.interrupted_since(self.expected_outputs)
        expects_reports = limits.silence_threshold is not None and self.expected_outputs > 0
        return self.started_at if silent and expects_reports else None

    def ended_by_sweep(self, ended_at: datetime | None) -> bool:
        """
        Tell whether a job ended so long after ``execution_timeout`` that the sweep may have stopped it for that.

        :param ended_at: when the job ended; None if MetaStudio does not say.
        """
        if self.timeout_at is None or ended_at is None:
            return False
        was_planned = self.deadline is not None and self.deadline < self.timeout_at
        return not was_planned and ended_at >= self.timeout_at + SWEEP_MARGIN

    def lag(self, limits: WaitLimits, now: datetime) -> float:
        """Return for how many more seconds MetaStudio may not show the job."""
        shown_by = self.started_at + timedelta(seconds=limits.look_again_window)
        return max(0.0, (shown_by - now).total_seconds())

    def interval(self, limits: WaitLimits) -> float:
        """Return the seconds between two questions to MetaStudio."""
        return ENDING_INTERVAL if self.is_ending else limits.interval


def state_changes(
    callbacks: JobCallbacks | None, *, after: datetime | None
) -> list[tuple[datetime, str, str]]:
    """
    Return the state changes of a job's streams in order of time: when it was, which output, the new state.

    :param after: only changes later than this; None for all.
    """
    streams = callbacks.streams if callbacks is not None else []
    return sorted(
        (at, stream.label, state)
        for stream in streams
        for state, at in stream.transitions
        if after is None or at > after
    )


_TIMES = {"started_at", "deadline", "timeout_at", "grace_until", "grace_since", "lost_since", "logged_until"}


def _known(cls: type[Any], value: Mapping[str, Any]) -> dict[str, Any]:
    version = value.get("version", cls.version)
    if version != cls.version:
        raise StoredByOtherRelease(
            f"A waiting livestream was stored by another release of airflow-provider-smartlive ({cls.__name__} "
            f"{version}, this one reads {cls.version}). Install that release again until the livestream is over."
        )
    names = {part.name for part in fields(cls)}
    return {name: part for name, part in value.items() if name in names}
