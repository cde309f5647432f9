"""What waits for a state of a stream, while no worker does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from inspect import signature
from typing import TYPE_CHECKING, Any

from airflow.sdk.timezone import utcnow
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from airflow_provider_smartlive.callbacks.waiter import Wake
from airflow_provider_smartlive.lifecycle import (
    Progress,
    Sight,
    WakeSource,
    progress,
)
from airflow_provider_smartlive.livestream.own_trigger import (
    LONGEST_PAUSE,
    insist,
    leave_result,
)
from airflow_provider_smartlive.livestream.sighting import Sighting
from airflow_provider_smartlive.livestream.starter import OWN_XCOMS_AFTER, Starter
from airflow_provider_smartlive.metastudio.ids import same_id
from airflow_provider_smartlive.triggers.timing import first_read, head_start

if TYPE_CHECKING:
    from airflow_provider_smartlive.reconciler.watch import Watch

#: Seconds until the first look of a task that is ended without a worker, and for a starter's job.
EARLY_READ = 2.0

#: Seconds until the first question about a stream that somebody waits to come up: its callbacks may be lost.
EARLY_QUESTION = 20.0


class SmartLiveStreamTrigger(BaseTrigger):
    """
    Wait until the stream of a job has reached a state.

    Its task has registered as a waiter, so that the receiver ends or resumes the task when the state is called back;
    the trigger by itself sees what was called back before, and what MetaStudio's own answers tell.

    Without a job it follows the starter: to its next job while the starter goes on, and to the end of the starter.

    Its arguments are texts and numbers only, for the same reason as those of :class:`SmartLiveJobTrigger`.

    :param smartlive_conn_id: the connection to MetaStudio.
    :param target_state: the state.
    :param job_id: the job; None: whatever job the starter has.
    :param room_id: its room, if it is known.
    :param starter: the task instance that starts the job (fields of :class:`~.livestream.starter.Starter`).
    :param interval: seconds between two questions to MetaStudio.
    :param timeout_at: when the sensor's time is over (ISO 8601, UTC).
    :param failure_budget: seconds for which MetaStudio may be unreachable.
    :param needs_worker: whether the task has to be resumed on a worker.
    :param believe_callbacks: whether a callback is enough; if not, only MetaStudio's own word counts.
    """

    def __init__(
        self,
        *,
        smartlive_conn_id: str,
        target_state: str,
        job_id: str | None,
        room_id: str | None,
        starter: dict[str, Any] | None,
        interval: float,
        timeout_at: str,
        failure_budget: float = 3600,
        needs_worker: bool = False,
        believe_callbacks: bool = True,
    ) -> None:
        super().__init__()
        self.smartlive_conn_id = smartlive_conn_id
        self.target_state = target_state
        self.job_id = job_id
        self.room_id = room_id
        self.starter = starter
        self.interval = interval
        self.timeout_at = timeout_at
        self.failure_budget = failure_budget
        self.needs_worker = needs_worker
        self.believe_callbacks = believe_callbacks
        self._starter = Starter(**starter) if starter else None
        #: The job that is waited for at the moment, and its room.
        self._job_id, self._room_id = job_id or "", room_id
        #: Whether the receiver has known of the waiting task since before the first event of the job.
        self._is_known = False
        self._began = utcnow()

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and the arguments; none of them is a secret."""
        names = list(signature(type(self).__init__).parameters)[1:]
        return f"{__package__}.{type(self).__name__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: the task's success, or a :class:`~.callbacks.waiter.Wake` for the worker."""
        left = datetime.fromisoformat(self.timeout_at) - utcnow()
        try:
            async with asyncio.timeout(max(0.0, left.total_seconds())):
                wake = await self._wait()
        except TimeoutError:
            wake = self._wake(WakeSource.TIMEOUT)
        if wake.state == self.target_state and not self.needs_worker:
            await insist(self, lambda: leave_result(self, wake), budget=self.failure_budget)
            yield TaskSuccessEvent()
        else:
            yield TriggerEvent(wake.dump())

    async def _wait(self) -> Wake:
        if self._starter is None or self.job_id is not None:
            return await self._wait_for(self._job_id) or self._wake(WakeSource.RECONCILIATION)
        missed: str | None = None
        while job_id := await self._next_job(self._starter, after=missed):
            self._job_id = job_id
            if wake := await self._wait_for(job_id):
                return wake
            missed = job_id
        # The starter is over. What that means is said on a worker.
        return self._wake(WakeSource.RECONCILIATION)

    async def _next_job(self, starter: Starter, *, after: str | None) -> str | None:
        """
        Wait until the starter has a job, asking ever less often, but as often as MetaStudio would be asked.

        :param after: a job of it that is over without the state.
        :return: the job; None if there will be none.
        """
        pause = EARLY_READ
        state: str | None = None
        since = utcnow()
        while True:
            status = await insist(self, starter.status_async, budget=self.failure_budget)
            if status.problem is not None:
                return None
            self._is_known = self._is_known or not (status.has_own_xcoms or status.is_running)
            if status.state != state:
                state, since, pause = status.state, utcnow(), EARLY_READ
            has_run = status.is_running and utcnow() - since >= timedelta(seconds=OWN_XCOMS_AFTER)
            # Whoever asks for an XCom that is not there leaves an error in the triggerer's log.
            if status.has_own_xcoms or has_run:
                job_id = await insist(self, starter.job_id_async, budget=self.failure_budget)
                if job_id is not None and not (after is not None and same_id(job_id, after)):
                    room_id = await insist(self, starter.room_id_async, budget=self.failure_budget)
                    self._room_id = room_id or self.room_id
                    return job_id
            if status.is_over:
                return None
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE, max(self.interval, EARLY_READ))

    async def _wait_for(self, job_id: str) -> Wake | None:
        """
        Wait for the state of one job.

        :return: what wakes the task; None if the job is over without the state, or is the starter's no longer.
        """
        from airflow_provider_smartlive.reconciler.registry import watching

        if not self.believe_callbacks:
            await asyncio.sleep(head_start(self.interval))
        elif await self._was_called_back(job_id):
            return self._wake(WakeSource.FIRST_READ, self.target_state)
        lost_since: datetime | None = None
        intervals = self._intervals()
        async with watching(
            self.smartlive_conn_id, job_id=job_id, room_id=self._room_id, interval=next(intervals)
        ) as watch:
            while True:
                # The poller fixes the time of the next question when it answers this one.
                watch.interval = next(intervals)
                sighting = await self._checked(watch, await watch.next())
                lost_since = lost_since or utcnow() if sighting.is_lost else None
                if lost_since is not None and utcnow() - lost_since >= timedelta(seconds=self.failure_budget):
                    return self._wake(WakeSource.BUDGET_OVER)
                found = progress(self.target_state, sighting.sight, seen=False, streamed=sighting.streamed)
                if found is Progress.REACHED and await self._is_current(job_id):
                    return self._wake(WakeSource.RECONCILIATION, self.target_state)
                if found is not Progress.WAITING:
                    return None

    async def _checked(self, watch: Watch, sighting: Sighting) -> Sighting:
        """Look once more for a job that was not found: in a wrong room or project, that is no end."""
        if sighting.sight is not Sight.NOT_FOUND or watch.room_id is None:
            return sighting
        from airflow_provider_smartlive.livestream.stop import look_async

        starter = self._starter
        try:
            address = await starter.address_async(watch.job_id) if starter else None
            sighting = await look_async(self.smartlive_conn_id, watch.room_id, watch.job_id, address=address)
        except Exception as error:  # such as a connection that cannot be read at the moment
            return Sighting(Sight.UNKNOWN, error=error)
        if sighting.sight is Sight.OTHER_PROJECT:
            self.log.error("The state of job %s is not known: %s", watch.job_id, sighting.error)
        if sighting.job is not None and sighting.job.room_id:
            watch.room_id = sighting.job.room_id
        return sighting

    async def _was_called_back(self, job_id: str) -> bool:
        """Read what was called back before the task was deferred, or was left to this trigger by the receiver."""
        left = (first_read() if self.needs_worker else EARLY_READ) - (utcnow() - self._began).total_seconds()
        await asyncio.sleep(max(0.0, left))
        starter = self._starter
        if starter is None or (self._is_known and left < 0):
            return False
        self._is_known = True
        callbacks = await insist(self, lambda: starter.callbacks_async(job_id), budget=self.failure_budget)
        return callbacks is not None and callbacks.has_reached(self.target_state)

    async def _is_current(self, job_id: str) -> bool:
        """Tell whether a job is still that of the starter: it may have been cleared, or tries again."""
        starter = self._starter
        if starter is None or self.job_id is not None:
            return True
        status = await insist(self, starter.status_async, budget=self.failure_budget)
        if not (status.has_own_xcoms or status.is_running):
            return False
        current = await insist(self, starter.job_id_async, budget=self.failure_budget)
        return current is None or same_id(current, job_id)

    def _intervals(self) -> Iterator[float]:
        """Return the seconds between questions; a stream that comes up is asked for early, and then ever less often."""
        if self.target_state in ("CONNECTING", "CONNECTED"):
            early = EARLY_QUESTION
            while early < self.interval:
                yield early
                early *= 2
        while True:
            yield self.interval

    def _wake(self, source: WakeSource, state: str | None = None) -> Wake:
        return Wake(source=source, job_id=self._job_id, state=state, at=utcnow())
