"""The task instance of this process: its name, record and callbacks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk.definitions.retry_policy import RetryAction
from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from airflow_provider_smartlive.callbacks.messages import (
    JOB_ID_KEY,
    JOB_KEY,
    ROOM_ID_KEY,
    XCOM_TABLE_KEY,
    read_end_key,
    read_stop_key,
    stop_key,
)
from airflow_provider_smartlive.callbacks.table import CallbackTable
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.task_status import TaskStatus
from airflow_provider_smartlive.decisions import KillSeenBy, WakeSource, decide_kill
from airflow_provider_smartlive.links import SmartLiveRoomLink
from airflow_provider_smartlive.livestream import arguments, own_xcoms
from airflow_provider_smartlive.livestream.airflow_api import API_PAUSES, ask
from airflow_provider_smartlive.livestream.record import Attempt, JobRecord
from airflow_provider_smartlive.livestream.starter import Starter
from airflow_provider_smartlive.metastudio.ids import same_id

if TYPE_CHECKING:
    from airflow.sdk import Context, RetryPolicy

    from airflow_provider_smartlive.callbacks.table import JobCallbacks

#: Key in Airflow's task state store, which outlives a try and a clear.
STORE_KEY = "smartlive_job"

#: How long Airflow keeps the record after it was last written, whatever ``[state_store] default_retention_days`` says:
#: a livestream lasts a week at most, and whoever clears its task then must not start beside it.
RECORD_RETENTION = timedelta(days=30)

#: Seconds between the tries to reach Airflow's API in a process that is told to end: Airflow gives it five.
KILL_PAUSES = (0.5,) * 6

T = TypeVar("T")


class CurrentTask:
    """
    One task instance, seen from its own code on a worker.

    :param context: Airflow's task context.
    :param retries: the operator's ``retries``.
    :param retry_policy: the operator's ``retry_policy``.
    :param resumed: whether this process goes on after a deferral.
    :param sleep: waits between two tries to reach Airflow's API, in seconds.
    """

    def __init__(
        self,
        context: Context,
        *,
        retries: int = 0,
        retry_policy: RetryPolicy | None = None,
        resumed: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._resumed = resumed
        self._retries = retries
        self._retry_policy = retry_policy
        self._context = context
        self._sleep = sleep
        self._ti = context["ti"]
        self._store = context["task_state_store"]
        self._run = context["dag_run"]
        self._dag = context["dag"]

    @property
    def task_ref(self) -> TaskRef:
        """Name the task instance."""
        return TaskRef.of(self._ti)

    @property
    def attempt(self) -> Attempt:
        """Return what Airflow says of this try."""
        return Attempt(self._ti.max_tries, self._retries, self._run.clear_number or 0)

    @property
    def is_last_try(self) -> bool:
        """Whether no retry is left after this try."""
        return bool(self._ti.try_number > self._ti.max_tries)

    def fails_for_good(self, error: Exception) -> bool:
        """Whether Airflow will not try again after an error: by its kind, by the task's policy, or by their number."""
        if self.is_last_try or isinstance(error, AirflowFailException):
            return True
        if self._retry_policy is None:
            return False
        try:
            decision = self._retry_policy.evaluate(
                error, self._ti.try_number, self._ti.max_tries, self._context
            )
        except Exception:
            return False  # as Airflow takes it
        return decision.action is RetryAction.FAIL

    @property
    def due_at(self) -> datetime:
        """When the run was to start."""
        due_at: datetime = self._run.run_after
        return due_at

    @property
    def zone(self) -> tzinfo:
        """The time zone of the DAG's schedule; of its ``start_date``, or Airflow's default, if that has none."""
        return arguments.zone_of(self._dag)

    @property
    def is_in_loop(self) -> bool:
        """Whether it is one iteration of a loop, which Airflow 3.4 has."""
        return self._context.get("loop") is not None

    @property
    def is_backfill(self) -> bool:
        """Whether the run makes up for the past."""
        return str(getattr(self._run.run_type, "value", self._run.run_type)) == "backfill"

    def record(self) -> JobRecord | None:
        """
        Return what the task remembers of its job, of whatever life.

        :raises ValueError: if another release wrote it.
        """
        return JobRecord.load(self._ask(lambda: self._store.get(STORE_KEY)))

    def save(self, record: JobRecord) -> None:
        """Remember the job."""
        self._ask(lambda: self._store.set(STORE_KEY, record.dump(), retention=RECORD_RETENTION))

    def may_have_job(self) -> bool:
        """Whether a start was sent that made a job, or may have made one."""
        record = self.record()
        return record is not None and record.sent_at is not None

    def mark_stopped(self, job_id: str) -> None:
        """Remember that we stop a job ourselves, so that no retry takes up its end as a result."""
        if record := self.record():
            self.save(record.without(job_id))

    def note_end(self, job_id: str) -> None:
        """Remember that the stream of our job has ended, for a try that will not hear of it."""
        record = self.record()
        if record and record.job_id and same_id(record.job_id, job_id) and not record.ended:
            self.save(replace(record, ended=True))

    def note_stop(self, job_id: str, source: WakeSource) -> None:
        """
        Remember that the job was stopped, or is about to be, and what that makes of its end.

        :param source: what was due.
        """
        record = self.record()
        if record and record.job_id and same_id(record.job_id, job_id):
            self.save(record.stopped_by(source))

    def note_earlier_end(self) -> None:
        """
        Remember that END came, or why the trigger of an earlier try stopped the job, if that try could not.

        The process that was resumed for it may have died, or nobody had the task. Airflow deletes the XComs of a task
        as a try begins, and what is left of such a note is its key. To be called first in a new try: a later one is not
        told any more.
        """
        told = getattr(self._ti, "_ti_context_from_server", None)
        for key in (told and told.xcom_keys_to_clear) or ():
            if (job_id := read_end_key(key)) is not None:
                self.note_end(job_id)
            if (note := read_stop_key(key)) and note[0] in set(WakeSource):
                self.note_stop(note[1], WakeSource(note[0]))

    def note_result(self, *, is_over: bool) -> None:
        """
        Remember that this life has its result: what comes after a clear is another one.

        :param is_over: whether MetaStudio has said that the job is over.
        """
        if record := self.record():
            self.save(replace(record, finished=True, is_over=is_over or record.is_over))

    def note_failure(self, reason: str, *, is_over: bool) -> None:
        """
        Remember why this try fails, for a later one that finds it is too late to start again.

        :param is_over: whether MetaStudio has said that the job is over.
        """
        record = self.record()
        if record is not None and record.continues_in(self.attempt):
            self.save(replace(record, failure=reason, is_over=is_over or record.is_over))

    def begin_table(self, generation: str, *, address: str) -> None:
        """
        Begin the callback table of this life, before anything can be called back.

        Events of an earlier life are refused from here on, and whoever reads the table finds one: Airflow writes an
        error into the triggerer's log for each XCom that is not there.

        :param address: where the start is about to be sent, for a tear-down of a job that was never reported.
        """
        table = CallbackTable(generation=generation, address=address).dump()
        self._ask(partial(own_xcoms.push, self._ti, XCOM_TABLE_KEY, table))

    def callbacks(self, job_id: str) -> JobCallbacks | None:
        """Return what was called back about a job; None if nothing was, in this try."""
        return self._ask(lambda: Starter.of(self._ti).callbacks(job_id))

    def why_stopped(self, job_id: str, sources: Iterable[WakeSource]) -> WakeSource | None:
        """
        Return why the trigger of this try began to stop the job; None if it did not.

        :param sources: what it may have been.
        """
        for source in sources:
            look = partial(own_xcoms.pull, self.task_ref, stop_key(source, job_id))
            if self._ask(look) is not None:
                return source
        return None

    def withdraw_stop(self, job_id: str, source: WakeSource) -> None:
        """Take back the trigger's note of why it stops the job: it could not, and the job goes on."""
        self._ask(partial(own_xcoms.delete, self.task_ref, stop_key(source, job_id)))

    def publish(self, announcement: dict[str, Any], link: str) -> None:
        """
        Make the job known before the task waits: to sensors, to tear-downs, to people.

        The try and the number of clears are told with it: by them the sweep knows a task that was cleared since.

        :param announcement: what :func:`~airflow_provider_smartlive.livestream.summary.announce` returned.
        :param link: its page in MetaStudio's console.
        """
        attempt = {"try_number": self._ti.try_number, "clear_number": self.attempt.clear_number}
        for key, value in (
            (JOB_KEY, announcement | attempt),
            (ROOM_ID_KEY, announcement["room_id"]),
            (SmartLiveRoomLink().xcom_key, link),
            # Whoever sees this one finds the others as well.
            (JOB_ID_KEY, announcement["job_id"]),
        ):
            self._ask(partial(own_xcoms.push, self._ti, key, value))

    def is_ended_meanwhile(self) -> bool:
        """
        Tell, in a process that was told nothing, whether its task was ended, cleared or deleted meanwhile.

        One that a new scheduler has reset runs again, and takes up the job.
        """
        task = self._ask(lambda: own_facts(self.task_ref))
        return decide_kill(
            KillSeenBy.LEAVING, task.state if task else None, run_goes_on=_will_run(task)
        ).stops

    def is_ended_from_outside(self) -> bool:
        """
        Tell, in a process that is told to end, whether its task was ended or only the process.

        A worker that shuts down leaves the job to the retry; without a retry left nobody would own it.

        A deferred task can be resumed twice. Airflow then refuses the heartbeat of the older process, and ends
        it: the task is ``running``, elsewhere. So a resumed process leaves the job alone even without a retry; if it
        was its worker that shut down, in the second or two of its life, the backstops are left.
        """
        task = self._ask(lambda: own_facts(self.task_ref), pauses=KILL_PAUSES)
        return decide_kill(
            KillSeenBy.WORKER,
            task.state if task else None,
            resumed=self._resumed,
            is_last_try=self.is_last_try,
            run_goes_on=_will_run(task),
        ).stops

    def is_reset(self) -> bool:
        """Whether a new scheduler has taken the task from this process: it will run again, however this one ends."""
        task = self._ask(lambda: own_facts(self.task_ref), pauses=KILL_PAUSES)
        return task is not None and task.state is None and task.run_goes_on

    def _ask(self, action: Callable[[], T], *, pauses: Sequence[float] = API_PAUSES) -> T:
        """Do something by way of Airflow's API, whose passing faults must not end a livestream."""
        return ask(action, sleep=self._sleep, pauses=pauses)


def own_facts(task: TaskRef) -> TaskStatus | None:
    """
    Return how a task instance stands; None if it is gone.

    Its run is asked for only if that matters: for a task without a state.
    """
    listed = Starter.of(task).listed()
    if listed is None:
        return None
    if listed.state is not None:
        return TaskStatus(listed.state, run_goes_on=True)
    try:
        run_state = RuntimeTaskInstance.get_dagrun_state(task.dag_id, task.run_id)
    except AirflowRuntimeError as error:
        # Only "not found" says that the run is gone; an Airflow that does not answer says nothing.
        if (error.error.detail or {}).get("status_code") == HTTPStatus.NOT_FOUND:
            return None
        raise
    return TaskStatus(None, run_goes_on=str(getattr(run_state, "value", run_state)) in ("queued", "running"))


def _will_run(task: TaskStatus | None) -> bool:
    return task is not None and task.run_goes_on
