"""The as-run row of a show: planned, on the air, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from airflow_provider_smartlive.callbacks.table import JobCallbacks, StreamRow
    from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob

#: END was called back for every output.
BY_CALLBACK = "callback"
#: MetaStudio was asked; no END was called back.
BY_RECONCILIATION = "reconciliation"

#: The times of a row that stand in it a second time, as the clocks of the campaign show them.
_TIMES = ("planned_start", "planned_end", "on_air_start", "on_air_end")


@dataclass(frozen=True, kw_only=True)
class AsRunRow:
    """
    One row of the as-run log: one livestream, or a show that had none.

    :param campaign: the campaign, or the DAG.
    :param show: the show, or the task that starts it.
    :param dag_id: the DAG of the task that started it; likewise ``run_id``, ``task_id``, ``map_index``.
    :param try_number: which try of that task had the job last; None without a job.
    :param room_id: the room.
    :param job_id: MetaStudio's job; None if none was started.
    :param output: the RTMP output as it may be shown, without its key.
    :param timezone: the time zone of the campaign, or of the DAG.
    :param planned_start: when it was to go live.
    :param planned_end: when it was to be stopped as planned.
    :param on_air_start: when the stream was CONNECTED first; what MetaStudio calls the start of the job, if no
        callback tells that.
    :param on_air_end: when END was called back for the last output; what MetaStudio calls the end, if none was.
    :param on_air_seconds: from the one to the other, interruptions included; without callbacks, for how long
        MetaStudio says that video was pushed.
    :param interruptions: how often the stream was interrupted, as called back; None if nothing was.
    :param interrupted_seconds: for how long in all, likewise.
    :param outcome: how it ended, in a few words.
    :param evidence: how sure the end is: ``callback`` or ``reconciliation``; None without a job.
    :param woken_by: what woke the task that waited for the end.
    """

    campaign: str
    show: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int | None
    room_id: str | None
    job_id: str | None
    output: str | None
    timezone: str
    planned_start: datetime
    planned_end: datetime | None
    on_air_start: datetime | None
    on_air_end: datetime | None
    on_air_seconds: float | None
    interruptions: int | None
    interrupted_seconds: float | None
    outcome: str
    evidence: str | None
    woken_by: str | None

    @property
    def start_delay_seconds(self) -> float | None:
        """How long after the planned start it was on the air."""
        if self.on_air_start is None:
            return None
        return round((self.on_air_start - self.planned_start).total_seconds(), 3)

    def dump(self) -> dict[str, Any]:
        """Return the row as JSON-able primitives: times in UTC, and as ``..._local`` in its time zone (ISO 8601)."""
        values = {part.name: getattr(self, part.name) for part in fields(self)}
        zone = ZoneInfo(self.timezone)
        local = {
            f"{name}_local": values[name].astimezone(zone).isoformat() if values[name] else None
            for name in _TIMES
        }
        values |= {
            name: values[name].astimezone(UTC).isoformat() if values[name] else None for name in _TIMES
        }
        return {"version": 1} | values | local | {"start_delay_seconds": self.start_delay_seconds}


#: The columns, in their order.
COLUMNS = (
    "version",
    *(part.name for part in fields(AsRunRow)),
    *(f"{name}_local" for name in _TIMES),
    "start_delay_seconds",
)


class OnAir(NamedTuple):
    """
    When a livestream was on the air. See :class:`AsRunRow`.

    :param evidence: what tells of the end.
    """

    on_air_start: datetime | None = None
    on_air_end: datetime | None = None
    on_air_seconds: float | None = None
    interruptions: int | None = None
    interrupted_seconds: float | None = None
    evidence: str | None = None


class JobTimes(NamedTuple):
    """
    MetaStudio's last word on the times of a job.

    :param stream_seconds: for how long video was pushed.
    """

    start: datetime | None = None
    end: datetime | None = None
    stream_seconds: float | None = None

    @classmethod
    def of(cls, job: SmartLiveJob | None) -> Self:
        """Return those of an answer; None if there was none."""
        return cls(job.start_time, job.end_time, job.stream_duration) if job is not None else cls()

    @classmethod
    def of_result(cls, result: Mapping[str, Any]) -> Self:
        """Return those in the result of a task that has waited for the end."""
        start, end = (result.get(name) for name in ("start_time", "end_time"))
        return cls(
            datetime.fromisoformat(start) if start else None,
            datetime.fromisoformat(end) if end else None,
            result.get("stream_duration"),
        )


def on_air(callbacks: JobCallbacks | None, job: JobTimes) -> OnAir:
    """
    Return when a livestream was on the air: by what was called back, and by MetaStudio's word where nothing was.

    :param callbacks: what was called back about the job, if anything was.
    :param job: MetaStudio's last word.
    """
    streams = callbacks.streams if callbacks is not None else []
    is_told = callbacks is not None and callbacks.ended()
    end = callbacks.ended_at if callbacks is not None and is_told else job.end
    connected = min((at for stream in streams if (at := _connected_at(stream)) is not None), default=None)
    start = connected or job.start
    if connected is not None and end is not None:
        seconds: float | None = round((end - connected).total_seconds(), 3)
    else:
        seconds = job.stream_seconds
    return OnAir(
        start,
        end,
        seconds,
        sum(_interruptions(stream) for stream in streams) if streams else None,
        round(sum(_interrupted_seconds(stream, end) for stream in streams), 3) if streams else None,
        BY_CALLBACK if is_told else BY_RECONCILIATION,
    )


def _connected_at(stream: StreamRow) -> datetime | None:
    """
    Return when a link was up first. Of a long list of changes only the latest are kept: then, when it was seen.

    None if END overtook all that came before it.
    """
    if not stream.counts.get("CONNECTED") or ("END", stream.first_at) in stream.transitions:
        return None
    at = next((at for state, at in stream.transitions if state == "CONNECTED"), None)
    return at if at is not None and _is_complete(stream) else stream.first_at


def _is_complete(stream: StreamRow) -> bool:
    """Whether all changes of a link are still there."""
    return len(stream.transitions) >= sum(stream.counts.values())


def _gaps(stream: StreamRow, end: datetime | None) -> list[timedelta]:
    """Return how long a link was down each time that it was up before, without the way to its END."""
    gaps: list[timedelta] = []
    down_since: datetime | None = None
    was_up = reconnects = False
    for state, at in stream.transitions:
        if state == "CONNECTED":
            if down_since is not None:
                gaps.append(at - down_since)
            was_up, reconnects, down_since = True, False, None
        elif state in ("DISCONNECTED", "RECONNECTING") and was_up:
            down_since = down_since or at
            reconnects = reconnects or state == "RECONNECTING"
        elif state == "END":
            if down_since is not None and reconnects:
                gaps.append(at - down_since)
            down_since = None
    if down_since is not None and reconnects and end is not None:
        gaps.append(max(end - down_since, timedelta(0)))
    return gaps


def _interruptions(stream: StreamRow) -> int:
    # Where changes were dropped, the counts still know how often it came back.
    return max(len(_gaps(stream, None)), stream.counts.get("CONNECTED", 0) - 1, 0)


def _interrupted_seconds(stream: StreamRow, end: datetime | None) -> float:
    return sum(gap.total_seconds() for gap in _gaps(stream, end))
