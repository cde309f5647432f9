"""Stop a job from the trigger of its task: when its time is over, or when the task was ended from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from weakref import WeakKeyDictionary

from airflow.sdk.timezone import utcnow
from airflow.triggers.base import BaseTrigger

from airflow_provider_smartlive.callbacks.messages import ResumeEvent, stop_key
from airflow_provider_smartlive.client.project import OtherProjectError
from airflow_provider_smartlive.decisions import KillSeenBy, WakeSource, decide_kill, may_end_with_task
from airflow_provider_smartlive.livestream import own_xcoms
from airflow_provider_smartlive.livestream.airflow_async import (
    LONGEST_PAUSE,
    push,
    retry_api,
    shielded,
    task_ref_of,
    task_state_async,
    withdraw,
)
from airflow_provider_smartlive.livestream.snapshot import REFUSED_PAUSE
from airflow_provider_smartlive.livestream.stop import stop_and_confirm_async
from airflow_provider_smartlive.livestream.wait_state import WaitLimits, WaitState
from airflow_provider_smartlive.metastudio.errors import AuthenticationError

#: Seconds between the first two tries to stop a job whose time is over.
FIRST_STOP_PAUSE = 5.0

#: How many jobs whose time is over one triggerer stops at once: a thousand that end by the same clock must neither use
#: up its sockets nor have MetaStudio refuse them all for their number.
STOPS_AT_ONCE = 50

#: Most seconds that a stop waits for Airflow to take the note of why.
NOTE_TIMEOUT = 10.0

#: Seconds for which a killed task's trigger tries to learn what became of its task; it has 30 for everything.
KILL_BUDGET = 8.0

#: What ends a job by plan or by a limit, so that it is stopped without waiting for a worker, in words.
STOP_REASONS = {
    WakeSource.DEADLINE: "its planned end has come",
    WakeSource.TIMEOUT: "the task's execution_timeout is over",
    WakeSource.DISCONNECTED: "its stream has not been connected for longer than fail_on_disconnect_longer_than",
    WakeSource.NOT_CONNECTED: "its stream was not CONNECTED within connected_within",
    WakeSource.RECONNECTS: "its stream was interrupted more often than max_reconnects",
}


class StopNote:
    """
    The note of why a job is stopped, an XCom of its task (:func:`~.callbacks.messages.stop_key`).

    A stop does not wait for an Airflow that does not answer.

    :ivar is_written: whether this process has written it.
    :param trigger: the trigger that stops the job.
    :param source: what is due.
    :param job_id: the job.
    """

    def __init__(self, trigger: BaseTrigger, source: WakeSource, job_id: str) -> None:
        self.is_written = False
        self._trigger = trigger
        self._key = stop_key(source, job_id)
        self._source = source
        self._job_id = job_id

    async def write(self) -> None:
        """Write it, once."""
        if not self.is_written:
            self.is_written = True
            event = ResumeEvent(source=self._source, job_id=self._job_id, at=utcnow())
            await self._change(push(self._trigger, self._key, event))

    async def withdraw(self) -> None:
        """Delete it: the job was not stopped for that."""
        await self._change(withdraw(self._trigger, self._key))

    async def is_there(self) -> bool:
        """Tell whether any trigger of the task has written it; an Airflow that does not answer says no."""
        try:
            async with asyncio.timeout(NOTE_TIMEOUT):
                return await own_xcoms.pull_async(task_ref_of(self._trigger), self._key) is not None
        except Exception as error:
            self._trigger.log.warning("It is not known whether the job was to be stopped before: %s", error)
            return False

    async def _change(self, change: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(NOTE_TIMEOUT):
                await change
        except Exception as error:
            self._trigger.log.warning("The note of why the job is stopped cannot be changed: %s", error)


class JobStop:
    """
    Stops the job of a trigger.

    :param trigger: the trigger; it names the task, and has the log.
    :param wait: the job and how its wait stands.
    :param limits: the limits of the wait.
    """

    def __init__(self, trigger: BaseTrigger, wait: WaitState, limits: WaitLimits) -> None:
        self.trigger = trigger
        self.wait = wait
        self.limits = limits

    async def stop(self, source: WakeSource) -> bool:
        """
        Stop the job whose time is over, again and again until MetaStudio confirms it or ``failure_budget`` is over.

        A worker may never come: the DAG is paused or its file gone, the pool full, the task marked meanwhile.

        :param source: what is due, one of :data:`STOP_REASONS`.
        :return: whether the job is over, by our doing.
        """
        wait, limits, log = self.wait, self.limits, self.trigger.log
        log.info("Job %s: %s.", wait.job_id, STOP_REASONS[source])
        note = StopNote(self.trigger, source, wait.job_id)
        until = utcnow() + timedelta(seconds=limits.failure_budget)
        stopped, pause = False, FIRST_STOP_PAUSE
        while True:
            try:
                async with _stop_slot():
                    snapshot = await stop_and_confirm_async(
                        wait.smartlive_conn_id,
                        wait.job_ref,
                        address=wait.address,
                        grace=limits.stop_grace,
                        lag=wait.lag(limits, utcnow()),
                        note=note.write,
                    )
                stopped = stopped or snapshot.stopped
                if snapshot.status.is_over:
                    return stopped or await _was_to_be_stopped(note)
            except OtherProjectError as error:
                # No fault that passes: the task fails with it at once, so that somebody gets to know of it.
                log.error("Job %s cannot be stopped: %s", wait.job_id, error)
                return False
            except AuthenticationError as error:
                log.error("Job %s cannot be stopped at the moment: %s", wait.job_id, error)
                pause = REFUSED_PAUSE
            except Exception as error:
                log.error("Job %s cannot be stopped at the moment: %s", wait.job_id, error)
            if utcnow() + timedelta(seconds=pause) > until:
                return False
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def handle_kill(self) -> None:
        """Stop the job if the task was ended from outside, unless its author wants it to go on."""
        moment = self.wait.next_moment()
        terms = {
            "cancel_on_kill": self.limits.cancel_on_kill,
            "time_is_over": moment is not None and moment[0] <= utcnow() and moment[1] in STOP_REASONS,
        }
        if may_end_with_task(**terms):
            await shielded(self._stop_if_ended(**terms))

    async def _stop_if_ended(self, *, cancel_on_kill: bool, time_is_over: bool) -> None:
        trigger, wait = self.trigger, self.wait
        state = await retry_api(trigger, lambda: task_state_async(task_ref_of(trigger)), budget=KILL_BUDGET)
        verdict = decide_kill(
            KillSeenBy.TRIGGER, state, cancel_on_kill=cancel_on_kill, time_is_over=time_is_over
        )
        if not verdict.stops:
            # Airflow has just written that a user cancelled the trigger, whatever the reason was.
            trigger.log.info("The task goes on (it is %s): job %s is left alone.", state, wait.job_id)
            return
        trigger.log.info(
            "The task is %s: making sure that job %s does not run on.",
            state or "cleared or gone",
            wait.job_id,
        )
        try:
            await stop_and_confirm_async(
                wait.smartlive_conn_id,
                wait.job_ref,
                address=wait.address,
                lag=wait.lag(self.limits, utcnow()),
            )
        except OtherProjectError as error:
            trigger.log.error("Job %s is not stopped although its task is over: %s", wait.job_id, error)


async def _was_to_be_stopped(note: StopNote) -> bool:
    """Tell whether a job that is over, and not by a stop of this process, was stopped by an earlier triggerer."""
    if not note.is_written:
        return await note.is_there()
    await note.withdraw()
    return False


_stop_slots: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


def _stop_slot() -> asyncio.Semaphore:
    """Return what bounds the stops of this event loop (a semaphore belongs to one)."""
    return _stop_slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(STOPS_AT_ONCE))
