"""
What waits while no worker does.

A callback resumes a waiting task from the API server, past its trigger. The triggers here are what stands
behind that: they read the callback table once, shortly after they start, ask MetaStudio now and then through the
shared reconciler, and stop the job when its time is over or the task is killed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from inspect import signature
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from airflow.sdk.timezone import utcnow
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.waiter import STOP_KEY, Wake
from airflow_provider_smartlive.lifecycle import (
    Action,
    Progress,
    Sight,
    Signal,
    WakeSource,
    decide,
    progress,
    signal_of_cancel,
)
from airflow_provider_smartlive.livestream.own_trigger import (
    LONGEST_PAUSE,
    insist,
    leave,
    leave_result,
    own_state_async,
    own_task,
    uninterrupted,
)
from airflow_provider_smartlive.livestream.sighting import REFUSED_PAUSE, Sighting
from airflow_provider_smartlive.livestream.starter import OWN_XCOMS_AFTER, Starter
from airflow_provider_smartlive.livestream.wait_state import (
    ENDING_INTERVAL,
    WaitLimits,
    WaitState,
    state_changes,
)
from airflow_provider_smartlive.metastudio.errors import AuthenticationError
from airflow_provider_smartlive.metastudio.ids import same_id

if TYPE_CHECKING:
    from airflow_provider_smartlive.callbacks.table import JobCallbacks
    from airflow_provider_smartlive.reconciler import Watch

#: Seconds after ``[smartlive] resume_delay`` that a trigger leaves its task alone as well: it reads the callback table
#: for an END that came between the operator's last look and the deferral, or was left to it by the receiver.
FIRST_READ_AFTER = 0.5

#: Seconds until the first look of a task that is ended without a worker, and for a starter's job.
EARLY_READ = 2.0

#: Seconds until the first question about a stream that somebody waits to come up: its callbacks may be lost.
EARLY_QUESTION = 20.0

#: Seconds between two questions about a stream whose callbacks do not arrive.
SILENT_INTERVAL = 60.0

#: Least seconds between two readings of the callback table.
MIN_TABLE_INTERVAL = 5.0

#: Seconds for which a trigger tries to read the callback table before it goes on without it.
TABLE_BUDGET = 60.0

#: Seconds between the first two tries to stop a job whose time is over.
FIRST_STOP_PAUSE = 5.0

#: How many jobs whose time is over one triggerer stops at once: a thousand that end by the same clock must neither use
#: up its sockets nor have MetaStudio refuse them all for their number.
STOPS_AT_ONCE = 50

#: Most seconds that a stop waits for Airflow to take the note of why.
NOTE_TIMEOUT = 10.0

#: Seconds for which a killed task's trigger tries to learn what became of its task; it has 30 for everything.
KILL_BUDGET = 8.0


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

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and the arguments; none of them is a secret."""
        arguments = {"wait": self.wait.dump(), "limits": self.limits.dump()}
        return f"{__name__}.{type(self).__name__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, whose payload is a :class:`~.callbacks.waiter.Wake`."""
        yield TriggerEvent((await self._wait()).dump())

    async def _wait(self) -> Wake:
        from airflow_provider_smartlive.reconciler import watching

        wait, ending = self.wait, self.wait.is_ending
        left = self._seconds_left()
        pause = _head_start(ENDING_INTERVAL) if ending else first_read()
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

    async def _watch(self, watch: Watch) -> Wake:
        lost_since = self.wait.lost_since
        said = ""
        self._plan_read()
        while True:
            if source := await self._due():
                return self._wake(source, stopped=source in _STOPPING and await self._stop(source))
            try:
                async with asyncio.timeout(self._seconds_to_next_look()):
                    sighting = await watch.next()
            except TimeoutError:
                continue
            sighting = await self._checked(watch, sighting)
            self._streamed = self._streamed or sighting.streamed
            if (says := f"{sighting}{', and video is pushed' if sighting.streamed else ''}") != said:
                said = says
                self.log.info("Job %s: MetaStudio says %s.", self.wait.job_id, said)
            lost_since = None if sighting.is_clear else lost_since or utcnow()
            if source := self._source(sighting, lost_since):
                return self._wake(source, state=str(sighting.sight))
            await self._mind_silence(watch, sighting)

    async def _checked(self, watch: Watch, sighting: Sighting) -> Sighting:
        """Look once more for a job that was not found: too early, or in a wrong room, that is no end."""
        if sighting.sight is not Sight.NOT_FOUND:
            return sighting
        try:
            async with asyncio.timeout(self._seconds_left()):
                sighting = await self._look()
        except Exception as error:  # such as a connection that cannot be read at the moment
            return Sighting(Sight.UNKNOWN, error=error)
        if sighting.job is not None and sighting.job.room_id:
            watch.room_id = sighting.job.room_id
        return sighting

    async def _look(self) -> Sighting:
        from airflow_provider_smartlive.livestream.stop import look_async

        wait = self.wait
        return await look_async(
            wait.smartlive_conn_id, wait.room_id, wait.job_id, may_lag=self._lag_left() > 0
        )

    def _lag_left(self) -> float:
        """Return for how many seconds MetaStudio may not show the job yet."""
        shown_by = self.wait.started_at + timedelta(seconds=self.limits.look_again_window)
        return max(0.0, (shown_by - utcnow()).total_seconds())

    async def _ended_already(self) -> bool:
        try:
            # Neither may an END that is there already be missed for a passing fault of Airflow's API, nor a deadline.
            async with asyncio.timeout(self._seconds_left()):
                callbacks = await insist(self, self._read_callbacks, budget=TABLE_BUDGET)
        except TimeoutError:
            return False
        except Exception:
            self.log.warning("The callback table cannot be read: MetaStudio is asked instead.", exc_info=True)
            return False
        return callbacks is not None and callbacks.ended()

    async def _read_callbacks(self) -> JobCallbacks | None:
        callbacks = await Starter(**vars(own_task(self))).callbacks_async(self.wait.job_id)
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
        silent = not (callbacks is not None and callbacks.streams) and not self._streamed
        source = self.wait.due(utcnow(), self.limits, callbacks, silent=silent)
        if source is not WakeSource.DISCONNECTED or not silent:
            return source
        # That nothing was called back may also mean that callbacks do not arrive: MetaStudio has the last word.
        sighting = await self._look()
        self._streamed = sighting.streamed
        return source if sighting.sight is Sight.ACTIVE and not sighting.streamed else None

    def _plan_read(self) -> None:
        """Interruptions are only seen in the callback table, so whoever limits them has it read."""
        if self.limits.disconnect_limit is not None:
            seconds = max(self.limits.disconnect_limit / 2, MIN_TABLE_INTERVAL)
            self._read_at = utcnow() + timedelta(seconds=seconds)

    async def _mind_silence(self, watch: Watch, sighting: Sighting) -> None:
        """Ask more often if a stream is up and nothing was ever called back about it."""
        if self._heard or self.limits.silence_threshold is None or watch.interval <= SILENT_INTERVAL:
            return
        started_at = sighting.job.start_time if sighting.job is not None and sighting.streamed else None
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
                "The stream is up, and no callback has arrived. Does MetaStudio reach callback_base_url? "
                "From now on it is asked every %.0f s.",
                SILENT_INTERVAL,
            )

    def _source(self, sighting: Sighting, lost_since: datetime | None) -> WakeSource | None:
        """Return why the owner is to be woken, or None to keep waiting."""
        over = lost_since is not None and utcnow() - lost_since >= timedelta(
            seconds=self.limits.failure_budget
        )
        verdict = decide(Signal.RECONCILIATION, sighting.sight, ended=self.wait.is_ending, budget_over=over)
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

    def _wake(self, source: WakeSource, state: str | None = None, *, stopped: bool = False) -> Wake:
        return Wake(source=source, job_id=self.wait.job_id, state=state, stopped=stopped, at=utcnow())

    async def _stop(self, source: WakeSource) -> bool:
        """
        Stop the job whose time is over, again and again until MetaStudio confirms it or ``failure_budget`` is over.

        A worker may never come: the DAG is paused or its file gone, the pool full, the task marked meanwhile.

        :return: whether the job is over, by our doing.
        """
        from airflow_provider_smartlive.livestream.stop import is_over, stop_and_confirm_async

        wait, limits = self.wait, self.limits
        self.log.info("Job %s: %s.", wait.job_id, _STOPPING[source])
        await self._leave_note(source)
        until = utcnow() + timedelta(seconds=limits.failure_budget)
        stopped, pause = False, FIRST_STOP_PAUSE
        while True:
            try:
                async with _stop_slot():
                    sighting = await stop_and_confirm_async(
                        wait.smartlive_conn_id,
                        wait.room_id,
                        wait.job_id,
                        grace=limits.stop_grace,
                        lag=self._lag_left(),
                    )
                stopped = stopped or sighting.stopped
                if is_over(sighting):
                    return stopped
            except AuthenticationError as error:
                self.log.error("Job %s cannot be stopped at the moment: %s", wait.job_id, error)
                pause = REFUSED_PAUSE
            except Exception as error:
                self.log.error("Job %s cannot be stopped at the moment: %s", wait.job_id, error)
            if utcnow() + timedelta(seconds=pause) > until:
                return False
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _leave_note(self, source: WakeSource) -> None:
        """
        Write down why the job is stopped, before it is: its END may be called back and resume the task before we do.

        The stop does not wait for an Airflow that does not answer.
        """
        try:
            async with asyncio.timeout(NOTE_TIMEOUT):
                await leave(self, STOP_KEY, self._wake(source))
        except Exception as error:
            self.log.warning("Why the job is stopped cannot be noted: %s", error)

    async def on_kill(self) -> None:
        """
        Stop the job if the task was ended from outside, and only then.

        Airflow also calls this for a task that a callback resumed, and on every trigger of a triggerer that
        stalled and lost them to another one: the state of the own task instance tells them apart.
        """
        # ``cancel_on_kill=False`` leaves a job until its time is over, and not longer.
        moment = self.wait.next_moment()
        is_over_time = moment is not None and moment[0] <= utcnow() and moment[1] in _STOPPING
        if self.limits.cancel_on_kill or is_over_time:
            await uninterrupted(self._honour_kill())

    async def _honour_kill(self) -> None:
        state = await insist(self, lambda: own_state_async(own_task(self)), budget=KILL_BUDGET)
        job_id = self.wait.job_id
        if signal_of_cancel(state) is Signal.HAND_OVER:
            # Airflow has just written that a user cancelled the trigger, whatever the reason was.
            self.log.info("The task goes on (it is %s): job %s is left alone.", state, job_id)
            return
        self.log.info("The task is %s: job %s must not run on.", state or "gone", job_id)
        from airflow_provider_smartlive.livestream.stop import stop_and_confirm_async

        await stop_and_confirm_async(
            self.wait.smartlive_conn_id, self.wait.room_id, job_id, lag=self._lag_left()
        )


#: What ends a job by plan or by a limit: the trigger stops it without waiting for a worker.
_STOPPING = {
    WakeSource.DEADLINE: "its planned end has come",
    WakeSource.TIMEOUT: "the task's execution_timeout is over",
    WakeSource.DISCONNECTED: "its stream has not been connected for longer than fail_on_disconnect_longer_than",
}


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
        return f"{__name__}.{type(self).__name__}", {name: getattr(self, name) for name in names}

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
        from airflow_provider_smartlive.reconciler import watching

        if not self.believe_callbacks:
            await asyncio.sleep(_head_start(self.interval))
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
                sighting = await watch.next()
                lost_since = None if sighting.is_clear else lost_since or utcnow()
                if lost_since is not None and utcnow() - lost_since >= timedelta(seconds=self.failure_budget):
                    return self._wake(WakeSource.BUDGET_OVER)
                found = progress(self.target_state, sighting.sight, seen=False, streamed=sighting.streamed)
                if found is Progress.REACHED and await self._is_current(job_id):
                    return self._wake(WakeSource.RECONCILIATION, self.target_state)
                if found is not Progress.WAITING:
                    return None

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


def first_read() -> float:
    """Return the seconds after which a trigger may send its task back to a worker; only deadlines come earlier."""
    return settings.usable_number("resume_delay") + FIRST_READ_AFTER


_stop_slots: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


def _stop_slot() -> asyncio.Semaphore:
    """Return what bounds the stops of this event loop (a semaphore belongs to one)."""
    return _stop_slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(STOPS_AT_ONCE))


def _head_start(interval: float) -> float:
    """Return the seconds before questions begin whose first answer may already resume the task, an interval later."""
    return max(0.0, first_read() - interval)
