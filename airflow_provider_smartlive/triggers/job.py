"""The trigger of the task that started a job: waits until there is something to decide."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.timezone import utcnow
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_smartlive.callbacks.messages import ResumeEvent
from airflow_provider_smartlive.decisions import Action, JobStatus, WakeSource, decide
from airflow_provider_smartlive.livestream.airflow_async import retry_api, task_ref_of
from airflow_provider_smartlive.livestream.snapshot import JobSnapshot
from airflow_provider_smartlive.livestream.starter import Starter
from airflow_provider_smartlive.livestream.stop import look_async
from airflow_provider_smartlive.livestream.wait_state import (
    ENDING_INTERVAL,
    WaitLimits,
    WaitState,
    state_changes,
)
from airflow_provider_smartlive.triggers.job_stop import STOP_REASONS, JobStop, StopNote
from airflow_provider_smartlive.triggers.timing import first_read, head_start

if TYPE_CHECKING:
    from airflow_provider_smartlive.callbacks.table import JobCallbacks
    from airflow_provider_smartlive.reconciler.watch import Watch

#: Seconds between two questions about a stream whose callbacks do not arrive.
SILENT_INTERVAL = 60.0

#: Least seconds between two readings of the callback table.
MIN_TABLE_INTERVAL = 5.0

#: Seconds between two reads of the table that count interruptions, or look for a stream that is late.
TABLE_INTERVAL = 60.0

#: Seconds for which a trigger tries to read the callback table before it goes on without it.
TABLE_BUDGET = 60.0


class SmartLiveJobTrigger(BaseTrigger):
    """
    Wait until there is something for the task to decide that started a job.

    Its arguments are texts and numbers only: whatever else Airflow writes into its database with a trigger, it has to
    read back, and a single one that it cannot read ends the triggerer for all tasks of the deployment.

    :param wait: the job and how its wait stands (:meth:`~.livestream.wait_state.WaitState.dump`).
    :param limits: the limits of the wait (:meth:`~.livestream.wait_state.WaitLimits.dump`).
    """

    def __init__(self, *, wait: dict[str, Any], limits: dict[str, Any]) -> None:
        super().__init__()
        self.wait = WaitState.load(wait)
        self.limits = WaitLimits.load(limits)
        self._heard = False
        self._streamed = False
        self._logged_until = self.wait.logged_until
        self._read_at: datetime | None = None
        self._is_note_withdrawn = False

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and the arguments; none of them is a secret."""
        arguments = {"wait": self.wait.dump(), "limits": self.limits.dump()}
        return f"{__package__}.{type(self).__name__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, whose payload is a :class:`~.callbacks.messages.ResumeEvent`."""
        yield TriggerEvent((await self._wait()).dump())

    async def _wait(self) -> ResumeEvent:
        from airflow_provider_smartlive.reconciler.registry import watching

        wait, ending = self.wait, self.wait.is_ending
        left = self._seconds_left()
        pause = head_start(ENDING_INTERVAL) if ending else first_read()
        await asyncio.sleep(pause if left is None else min(pause, left))
        if not ending and await self._ended_already():
            return self._wake(WakeSource.FIRST_READ, state="END")
        async with watching(
            wait.smartlive_conn_id,
            job_id=wait.job_id,
            room_id=wait.room_id,
            interval=wait.interval(self.limits),
        ) as watch:
            return await self._watch(watch)

    async def _watch(self, watch: Watch) -> ResumeEvent:
        lost_since = self.wait.lost_since
        said = ""
        self._plan_read()
        while True:
            if source := await self._due():
                stopped = source in STOP_REASONS and await self._job_stop().stop(source)
                return self._wake(source, stopped=stopped)
            try:
                async with asyncio.timeout(self._seconds_to_next_look()):
                    snapshot = await watch.next()
            except TimeoutError:
                continue
            snapshot = await self._checked(watch, snapshot)
            self._streamed = self._streamed or snapshot.streamed
            if (says := f"{snapshot}{', and video is pushed' if snapshot.streamed else ''}") != said:
                said = says
                level = logging.ERROR if snapshot.status is JobStatus.OTHER_PROJECT else logging.INFO
                self.log.log(level, "Job %s: MetaStudio says %s.", self.wait.job_id, said)
            lost_since = lost_since or utcnow() if snapshot.is_lost else None
            if source := self._source(snapshot, lost_since):
                return self._wake(source, state=str(snapshot.status))
            await self._mind_silence(watch, snapshot)

    async def _checked(self, watch: Watch, snapshot: JobSnapshot) -> JobSnapshot:
        """Look once more for a job that was not found: too early, in a wrong room or project, that is no end."""
        if snapshot.status is not JobStatus.NOT_FOUND:
            return snapshot
        try:
            async with asyncio.timeout(self._seconds_left()):
                snapshot = await self._look()
        except Exception as error:  # such as a connection that cannot be read at the moment
            return JobSnapshot(JobStatus.UNKNOWN, error=error)
        if snapshot.job is not None and snapshot.job.room_id:
            watch.room_id = snapshot.job.room_id
        return snapshot

    async def _look(self) -> JobSnapshot:
        wait = self.wait
        return await look_async(
            wait.smartlive_conn_id,
            wait.job_ref,
            address=wait.address,
            may_lag=wait.lag(self.limits, utcnow()) > 0,
        )

    async def _ended_already(self) -> bool:
        try:
            # Neither may an END that is there already be missed for a passing fault of Airflow's API, nor a deadline.
            async with asyncio.timeout(self._seconds_left()):
                callbacks = await retry_api(self, self._read_callbacks, budget=TABLE_BUDGET)
        except TimeoutError:
            return False
        except Exception:
            self.log.warning("The callback table cannot be read: MetaStudio is asked instead.", exc_info=True)
            return False
        return callbacks is not None and callbacks.ended()

    async def _read_callbacks(self) -> JobCallbacks | None:
        callbacks = await Starter.of(task_ref_of(self)).callbacks_async(self.wait.job_id)
        self._heard = self._heard or callbacks is not None
        for at, label, state in state_changes(callbacks, after=self._logged_until):
            self.log.info("RTMP %s: %s at %s.", label, state, at.isoformat())
            self._logged_until = at
        return callbacks

    async def _due(self) -> WakeSource | None:
        """Return what is due although nothing was seen."""
        moment = self.wait.next_moment()
        if moment is not None and moment[0] <= utcnow():
            return moment[1]
        if self._read_at is None or utcnow() < self._read_at:
            return None
        self._plan_read()
        try:
            # If Airflow or MetaStudio cannot tell at the moment, the next look is soon enough.
            async with asyncio.timeout(self._seconds_left()):
                return await self._due_by_callbacks()
        except Exception:
            self.log.warning("It is not known at the moment whether the stream is up.", exc_info=True)
            return None

    async def _due_by_callbacks(self) -> WakeSource | None:
        callbacks = await self._read_callbacks()
        idle = not self._streamed
        silent = not (callbacks is not None and callbacks.streams) and idle
        source = self.wait.due(utcnow(), self.limits, callbacks, silent=silent, idle=idle)
        if source is None and callbacks is not None:
            await self._withdraw_earlier_note(callbacks)
        if source is not WakeSource.NOT_CONNECTED and (source is not WakeSource.DISCONNECTED or not silent):
            return source
        # That nothing was called back may also mean that callbacks do not arrive: MetaStudio has the last word.
        snapshot = await self._look()
        self._streamed = snapshot.streamed
        return source if snapshot.status is JobStatus.ACTIVE and not snapshot.streamed else None

    async def _withdraw_earlier_note(self, callbacks: JobCallbacks) -> None:
        """
        Withdraw, once, a note of this trigger in another triggerer that the stream was interrupted for too long.

        The stream has come back before it could be stopped, and its end is judged by itself again.
        """
        was_interrupted = any(map(callbacks.has_reached, ("DISCONNECTED", "RECONNECTING")))
        if self._is_note_withdrawn or not was_interrupted or callbacks.ended():
            return
        self._is_note_withdrawn = True
        await StopNote(self, WakeSource.DISCONNECTED, self.wait.job_id).withdraw()

    def _plan_read(self) -> None:
        """The link is only seen in the callback table, so whoever limits it has it read."""
        now, limits = utcnow(), self.limits
        intervals = [TABLE_INTERVAL] if {*limits.of_link} - {WakeSource.DISCONNECTED} else []
        if limits.disconnect_limit is not None:
            intervals.append(max(limits.disconnect_limit / 2, MIN_TABLE_INTERVAL))
        reads = [now + timedelta(seconds=seconds) for seconds in intervals]
        connect_by = self.wait.connect_by(limits)
        if connect_by is not None and (connect_by > now or self._read_at is None):
            reads.append(connect_by)  # it may have passed before the trigger began
        self._read_at = min(reads, default=None)

    async def _mind_silence(self, watch: Watch, snapshot: JobSnapshot) -> None:
        """Ask more often if a stream is up and nothing was ever called back about it."""
        if self._heard or self.limits.silence_threshold is None or watch.interval <= SILENT_INTERVAL:
            return
        started_at = snapshot.job.start_time if snapshot.job is not None and snapshot.streamed else None
        if started_at is None or utcnow() - started_at < timedelta(seconds=self.limits.silence_threshold):
            return
        try:
            callbacks = await self._read_callbacks()
        except Exception:
            self.log.warning("The callback table of this task cannot be read at the moment.", exc_info=True)
            return
        if callbacks is None:
            watch.interval = SILENT_INTERVAL
            self.log.warning(
                "The stream is up, and no callback has arrived. Does MetaStudio reach callback_base_url (of connection "
                "%r, or of [smartlive])? `airflow smartlive check --conn-id %s` tells. From now on MetaStudio is asked "
                "every %.0f s.",
                self.wait.smartlive_conn_id,
                self.wait.smartlive_conn_id,
                SILENT_INTERVAL,
            )

    def _source(self, snapshot: JobSnapshot, lost_since: datetime | None) -> WakeSource | None:
        """Return why the task is to be woken, or None to keep waiting."""
        over = self.limits.budget_is_over(lost_since, utcnow())
        verdict = decide(
            WakeSource.RECONCILIATION, snapshot.status, ended=self.wait.is_ending, budget_over=over
        )
        if verdict.action in (Action.WAIT, Action.WAIT_FOR_FINISH):
            return None
        return WakeSource.BUDGET_OVER if over else WakeSource.RECONCILIATION

    def _seconds_to_next_look(self) -> float | None:
        left = self._seconds_left()
        if self._read_at is None:
            return left
        look = max(0.0, (self._read_at - utcnow()).total_seconds())
        return look if left is None else min(left, look)

    def _seconds_left(self) -> float | None:
        moment = self.wait.next_moment()
        return max(0.0, (moment[0] - utcnow()).total_seconds()) if moment is not None else None

    def _wake(self, source: WakeSource, state: str | None = None, *, stopped: bool = False) -> ResumeEvent:
        return ResumeEvent(source=source, job_id=self.wait.job_id, state=state, stopped=stopped, at=utcnow())

    def _job_stop(self) -> JobStop:
        return JobStop(self, self.wait, self.limits)

    async def on_kill(self) -> None:
        """
        Stop the job if the task was ended from outside, and only then.

        Airflow also calls this for a task that a callback resumed, and on every trigger of a triggerer that
        stalled and lost them to another one: the state of the own task instance tells them apart.
        """
        await self._job_stop().handle_kill()
