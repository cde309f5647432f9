"""The trigger of a task that waits for a state of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any

from airflow.sdk.timezone import utcnow
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from airflow_provider_smartlive.callbacks.messages import ResumeEvent
from airflow_provider_smartlive.decisions import JobStatus, Progress, WakeSource, progress
from airflow_provider_smartlive.livestream.airflow_async import (
    LONGEST_PAUSE,
    push_result,
    retry_api,
    starter_status,
)
from airflow_provider_smartlive.livestream.end_check import EndCheck
from airflow_provider_smartlive.livestream.snapshot import JobSnapshot
from airflow_provider_smartlive.livestream.starter import OWN_XCOMS_AFTER, Starter
from airflow_provider_smartlive.livestream.stop import look_async
from airflow_provider_smartlive.livestream.wait_state import ENDING_INTERVAL, WaitLimits
from airflow_provider_smartlive.metastudio.ids import same_id
from airflow_provider_smartlive.triggers.timing import first_read, head_start

if TYPE_CHECKING:
    from airflow_provider_smartlive.callbacks.table import JobCallbacks
    from airflow_provider_smartlive.reconciler.watch import Watch

#: Seconds until the first look of a task that is ended without a worker, and for a starter's job.
EARLY_READ = 2.0

#: Seconds until the first question about a stream that somebody waits to come up: its callbacks may be lost.
EARLY_QUESTION = 20.0


class SmartLiveStreamTrigger(BaseTrigger):
    """
    Wait until the stream of a job has reached a state.

    Its task has registered as a waiter, so that the receiver ends or resumes the task when the state is called back;
    the trigger by itself sees what was called back before, and what MetaStudio's own answers tell. With each answer it
    reads the callback table again: the receiver passes over a task whose row somebody else has locked.

    Without a job it follows the starter: to its next job while the starter goes on, and to the end of the starter.

    Its arguments are texts and numbers only, for the same reason as those of :class:`SmartLiveJobTrigger`.

    :param smartlive_conn_id: the connection to MetaStudio.
    :param target_state: the state.
    :param job_id: the job; None: whatever job the starter has.
    :param room_id: its room, if it is known.
    :param starter: the task instance that starts the job (fields of :class:`~.livestream.starter.Starter`).
    :param limits: the limits of the wait (:meth:`~.livestream.wait_state.WaitLimits.dump`).
    :param timeout_at: when the sensor's time is over (ISO 8601, UTC).
    :param needs_worker: whether the task has to be resumed on a worker.
    :param confirm: whether MetaStudio has to confirm an END that was called back.
    :param end_check: an END that is being confirmed (:meth:`~.livestream.end_check.EndCheck.dump`); None: none is.
    """

    def __init__(
        self,
        *,
        smartlive_conn_id: str,
        target_state: str,
        job_id: str | None,
        room_id: str | None,
        starter: dict[str, Any] | None,
        limits: dict[str, Any],
        timeout_at: str,
        needs_worker: bool = False,
        confirm: bool = False,
        end_check: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.smartlive_conn_id = smartlive_conn_id
        self.target_state = target_state
        self.job_id = job_id
        self.room_id = room_id
        self.starter = starter
        self.limits = limits
        self.timeout_at = timeout_at
        self.needs_worker = needs_worker
        self.confirm = confirm
        self.end_check = end_check
        self._limits = WaitLimits.load(limits)
        self._starter = Starter(**starter) if starter else None
        #: The job that is waited for at the moment, and its room.
        self._job_id, self._room_id = job_id or "", room_id
        #: Whether the receiver has known of the waiting task since before the first event of the job.
        self._is_known = False
        self._began = utcnow()
        #: Until when MetaStudio may not show the job, and since when it has given no clear answer.
        self._shown_by = self._began
        self._lost_since: datetime | None = None
        #: How many links of the job had ended when the callback table was read last; None: there was no table.
        self._ended_links: int | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and the arguments; none of them is a secret."""
        names = list(signature(type(self).__init__).parameters)[1:]
        return f"{__package__}.{type(self).__name__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: the task's success, or a :class:`~.callbacks.messages.ResumeEvent` for the worker."""
        left = datetime.fromisoformat(self.timeout_at) - utcnow()
        try:
            async with asyncio.timeout(max(0.0, left.total_seconds())):
                wake = await self._wait()
        except TimeoutError:
            wake = self._wake(WakeSource.TIMEOUT)
        if wake.state == self.target_state and not self.needs_worker:
            await retry_api(self, lambda: push_result(self, wake), budget=self._limits.failure_budget)
            yield TaskSuccessEvent()
        else:
            yield TriggerEvent(wake.dump())

    async def _wait(self) -> ResumeEvent:
        check = EndCheck.load(self.end_check) if self.end_check else None
        if self._starter is None or self.job_id is not None:
            return await self._wait_for(self._job_id, check) or self._wake(WakeSource.RECONCILIATION)
        missed: str | None = None
        if check is not None:
            if wake := await self._wait_for(check.job_id, check):
                return wake
            missed = check.job_id
        while job_id := await self._next_job(self._starter, after=missed):
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
            status = await retry_api(
                self, partial(starter_status, starter), budget=self._limits.failure_budget
            )
            if status.problem is not None:
                return None
            self._is_known = self._is_known or not (status.has_own_xcoms or status.is_running)
            if status.state != state:
                state, since, pause = status.state, utcnow(), EARLY_READ
            has_run = status.is_running and utcnow() - since >= timedelta(seconds=OWN_XCOMS_AFTER)
            # Whoever asks for an XCom that is not there leaves an error in the triggerer's log.
            if status.has_own_xcoms or has_run:
                job_id = await retry_api(self, starter.job_id_async, budget=self._limits.failure_budget)
                if job_id is not None and not (after is not None and same_id(job_id, after)):
                    room_id = await retry_api(self, starter.room_id_async, budget=self._limits.failure_budget)
                    self._room_id = room_id or self.room_id
                    return job_id
            if status.is_over:
                return None
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE, max(self._limits.interval, EARLY_READ))

    async def _wait_for(self, job_id: str, check: EndCheck | None = None) -> ResumeEvent | None:
        """
        Wait for the state of one job.

        :param check: an END of it that is being confirmed.
        :return: what wakes the task; None if the job is over without the state, or is the starter's no longer.
        """
        self._job_id, self._lost_since = job_id, None
        # It was started before it was named here; how long before is not known.
        self._shown_by = utcnow() + timedelta(seconds=self._limits.look_again_window)
        if check is not None:
            await asyncio.sleep(head_start(ENDING_INTERVAL) if self.needs_worker else 0.0)
        elif await self._was_called_back(job_id):
            if not self.confirm:
                return self._wake(WakeSource.FIRST_READ, self.target_state)
            check = EndCheck(job_id, WakeSource.FIRST_READ, ended_links=self._ended_links)
        while True:
            found = await self._watch(job_id) if check is None else await self._confirm(job_id, check)
            if isinstance(found, ResumeEvent):
                return found
            if found is None and check is None:
                return None
            check = found

    async def _watch(self, job_id: str) -> ResumeEvent | EndCheck | None:
        """
        Ask MetaStudio from time to time, and look whether something was called back that nobody was woken by.

        :return: what wakes the task; an END that has to be confirmed; None as :meth:`_wait_for`.
        """
        intervals = self._intervals()
        async with self._watching(job_id, next(intervals)) as watch:
            while True:
                # The poller fixes the time of the next question when it answers this one.
                watch.interval = next(intervals)
                snapshot = await self._look(watch)
                if self._budget_is_over():
                    return self._wake(WakeSource.BUDGET_OVER)
                found = progress(self.target_state, snapshot.status, streamed=snapshot.streamed)
                source = WakeSource.RECONCILIATION
                if found is not Progress.REACHED and await self._is_called_back(job_id):
                    if self.confirm and not snapshot.status.is_over:
                        check = EndCheck(job_id, WakeSource.FIRST_READ, ended_links=self._ended_links)
                        return check.begun(snapshot, utcnow())
                    found, source = Progress.REACHED, WakeSource.FIRST_READ
                if found is Progress.REACHED:
                    confirmed = source is WakeSource.RECONCILIATION or snapshot.status.is_over
                    wake = self._wake(source, self.target_state, confirmed=confirmed)
                    return await self._if_current(job_id, wake)
                if found is Progress.MISSED:
                    return None

    async def _confirm(self, job_id: str, check: EndCheck) -> ResumeEvent | None:
        """
        Ask MetaStudio whether an END is true.

        :return: what wakes the task; None if the END is not true, or not one of the starter's job any more.
        """
        async with self._watching(job_id, ENDING_INTERVAL) as watch:
            while True:
                snapshot = await self._look(watch)
                if self._budget_is_over():
                    return self._wake(WakeSource.BUDGET_OVER)
                check = check.begun(snapshot, utcnow())
                is_true = check.judge(snapshot, utcnow(), grace=self._limits.end_grace)
                if is_true and not snapshot.status.is_over:
                    is_true = await self._is_called_back(job_id, if_unknown=True)
                    if is_true and check.ended_links != self._ended_links:
                        check = check.at(self._ended_links)
                        continue
                wake = self._wake(WakeSource(check.source), self.target_state, confirmed=True)
                if is_true and (wakes := await self._if_current(job_id, wake)):
                    return wakes
                if is_true is not None:
                    self.log.info("END of job %s was called back, but it is not that of the show.", job_id)
                    return None

    def _watching(self, job_id: str, interval: float) -> AbstractAsyncContextManager[Watch]:
        from airflow_provider_smartlive.reconciler.registry import watching

        return watching(self.smartlive_conn_id, job_id=job_id, room_id=self._room_id, interval=interval)

    async def _look(self, watch: Watch) -> JobSnapshot:
        """Wait for the next answer of MetaStudio."""
        snapshot = await self._checked(watch, await watch.next())
        snapshot = snapshot.believed(may_lag=utcnow() < self._shown_by)
        self._room_id = watch.room_id or self._room_id
        self._lost_since = self._lost_since or utcnow() if snapshot.is_lost else None
        return snapshot

    def _budget_is_over(self) -> bool:
        return self._limits.budget_is_over(self._lost_since, utcnow())

    async def _checked(self, watch: Watch, snapshot: JobSnapshot) -> JobSnapshot:
        """Look once more for a job that was not found: in a wrong room or project, that is no end."""
        job_ref = watch.job_ref
        if snapshot.status is not JobStatus.NOT_FOUND or job_ref is None:
            return snapshot
        starter = self._starter
        try:
            address = await starter.address_async(watch.job_id) if starter else None
            snapshot = await look_async(self.smartlive_conn_id, job_ref, address=address)
        except Exception as error:  # such as a connection that cannot be read at the moment
            return JobSnapshot(JobStatus.UNKNOWN, error=error)
        if snapshot.status is JobStatus.OTHER_PROJECT:
            self.log.error("The state of job %s is not known: %s", watch.job_id, snapshot.error)
        if snapshot.job is not None and snapshot.job.room_id:
            watch.room_id = snapshot.job.room_id
        return snapshot

    async def _was_called_back(self, job_id: str) -> bool:
        """Read what was called back before the task was deferred, or was left to this trigger by the receiver."""
        pause = first_read() if self.needs_worker or self.confirm else EARLY_READ
        left = pause - (utcnow() - self._began).total_seconds()
        await asyncio.sleep(max(0.0, left))
        starter = self._starter
        if starter is None or (self._is_known and left < 0):
            return False
        self._is_known = True
        callbacks = await retry_api(
            self, lambda: starter.callbacks_async(job_id), budget=self._limits.failure_budget
        )
        return self._has_reached(callbacks)

    async def _is_called_back(self, job_id: str, *, if_unknown: bool = False) -> bool | None:
        """
        Read whether the state was called back by now; None if the table cannot be read at the moment.

        :param if_unknown: what counts without a table.
        """
        if self._starter is None:
            return if_unknown
        try:
            callbacks = await self._starter.callbacks_async(job_id)
        except Exception as error:
            self.log.warning("The callback table cannot be read at the moment: %s", error)
            return None
        has_reached = self._has_reached(callbacks)
        return if_unknown if callbacks is None else has_reached

    def _has_reached(self, callbacks: JobCallbacks | None) -> bool:
        self._ended_links = callbacks.ended_links() if callbacks else None
        return callbacks is not None and callbacks.has_reached(self.target_state)

    async def _if_current(self, job_id: str, wake: ResumeEvent) -> ResumeEvent | None:
        """
        Return what wakes the task if a job is still that of the starter: it may have been cleared, or tries again.

        One that waits for a worker may also have been resumed, to go on with the job. Airflow tells these apart on a
        worker only: a triggerer cannot read the answer. So the task looks there.

        :param wake: what wakes the task if it is.
        """
        starter = self._starter
        if starter is None or self.job_id is not None:
            return wake
        status = await retry_api(self, partial(starter_status, starter), budget=self._limits.failure_budget)
        ask_on_worker = partial(starter.may_go_on_async, status.state)
        if await retry_api(self, ask_on_worker, budget=self._limits.failure_budget):
            return self._wake(WakeSource.RECONCILIATION)
        if not (status.has_own_xcoms or status.is_running):
            return None
        current = await retry_api(self, starter.job_id_async, budget=self._limits.failure_budget)
        return wake if current is None or same_id(current, job_id) else None

    def _intervals(self) -> Iterator[float]:
        """Return the seconds between questions; a stream that comes up is asked for early, and then ever less often."""
        if self.target_state in ("CONNECTING", "CONNECTED"):
            early = EARLY_QUESTION
            while early < self._limits.interval:
                yield early
                early *= 2
        while True:
            yield self._limits.interval

    def _wake(self, source: WakeSource, state: str | None = None, *, confirmed: bool = False) -> ResumeEvent:
        return ResumeEvent(source=source, job_id=self._job_id, state=state, confirmed=confirmed, at=utcnow())
