"""What is watched: a job that somebody waits for, and those that are asked for next."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING

from airflow_provider_smartlive.decisions import JobStatus
from airflow_provider_smartlive.livestream.snapshot import JobSnapshot
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.reconciler.clock import loop_time

if TYPE_CHECKING:
    from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob

#: Least seconds between two questions about a job, whatever its interval is.
SHORTEST_INTERVAL = 5.0

#: Seconds without any snapshot, beyond twice the interval, after which a watch reports that nothing is known.
OVERDUE = 60.0


@dataclass(eq=False)
class Watch:
    """
    One job that somebody waits for.

    :param job_id: the job.
    :param room_id: its room; None while it is not known. What a listing says counts more.
    :param interval: seconds between two sightings; at least :data:`SHORTEST_INTERVAL`.
    :ivar due: when it is to be asked for, by the event loop's clock; infinite while that is going on.
    :ivar shows: how often in a row it was shown in vain.
    :ivar show_at: not before then it is shown once more, by the event loop's clock.
    :ivar listed: whether the job was on the list of active jobs when that was read last.
    :ivar created_at: when the job was made, once a listing has told.
    """

    job_id: str
    room_id: str | None
    interval: float
    due: float = 0.0
    shows: int = 0
    show_at: float = -inf
    listed: bool = False
    created_at: datetime | None = None
    _sightings: asyncio.Queue[JobSnapshot] = field(default_factory=lambda: asyncio.Queue(maxsize=1))
    _last: JobSnapshot | None = None
    _heard_at: float | None = None

    @property
    def job_ref(self) -> JobRef | None:
        """The job with its room; None while that is not known."""
        return None if self.room_id is None else JobRef(self.room_id, self.job_id)

    @property
    def seconds(self) -> float:
        """The interval, bounded below."""
        return max(SHORTEST_INTERVAL, self.interval)

    def tell(self, snapshot: JobSnapshot) -> None:
        """Hand over what was seen; only the newest snapshot is kept."""
        if self._sightings.full():
            self._sightings.get_nowait()
        self._sightings.put_nowait(snapshot)

    async def next(self) -> JobSnapshot:
        """
        Wait for the next snapshot.

        If none comes for too long, what was heard last counts again if it was no clear answer; else nothing is known.
        """
        if self._heard_at is None:
            self._heard_at = loop_time()
        patience = 2 * self.seconds + OVERDUE
        try:
            async with asyncio.timeout_at(self._heard_at + patience):
                self._last = await self._sightings.get()
        except TimeoutError:
            if self._last is None or self._last.is_clear:
                nothing = TimeoutError(f"no answer about the job for {patience:.0f} s")
                self._last = JobSnapshot(JobStatus.UNKNOWN, error=nothing)
        self._heard_at = loop_time()
        return self._last

    def learn(self, job: SmartLiveJob) -> None:
        """Keep what a listing says about the job."""
        self.room_id = job.room_id or self.room_id
        self.created_at = job.create_time


class WatchQueue:
    """Watches in the order in which they came; each may leave from any place."""

    def __init__(self) -> None:
        self._watches: dict[Watch, None] = {}
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._watches)

    def __iter__(self) -> Iterator[Watch]:
        return iter(self._watches)

    def __contains__(self, watch: Watch) -> bool:
        return watch in self._watches

    def add(self, watch: Watch) -> None:
        """Add a watch at the end."""
        self._watches[watch] = None
        self._filled.set()

    def discard(self, watch: Watch) -> None:
        """Take a watch out, if it is in."""
        self._watches.pop(watch, None)

    async def filled(self) -> None:
        """Wait until there is a watch."""
        while not self._watches:
            self._filled.clear()
            await self._filled.wait()
