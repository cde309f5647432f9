"""The own task instance of an operator: who it is, what it remembers, what was called back to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_smartlive.callbacks.route import Identity, Route
from airflow_provider_smartlive.callbacks.waiter import JOB_ID_KEY, ROOM_ID_KEY
from airflow_provider_smartlive.lifecycle import Signal, signal_of_cancel
from airflow_provider_smartlive.links import SmartLiveRoomLink
from airflow_provider_smartlive.livestream.record import JobRecord
from airflow_provider_smartlive.livestream.starter import Starter
from airflow_provider_smartlive.metastudio.ids import same_id

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_smartlive.callbacks.table import JobCallbacks

#: Key in Airflow's task state store, which outlives a try and a clear.
STORE_KEY = "smartlive_job"


class OwnTask:
    """
    One task instance, seen from its own code on a worker.

    :param context: Airflow's task context.
    :param resumed: whether this process goes on after a deferral.
    """

    def __init__(self, context: Context, *, resumed: bool = False) -> None:
        self._resumed = resumed
        self._ti = context["ti"]
        self._store = context["task_state_store"]
        self._run = context["dag_run"]

    @property
    def route(self) -> Route:
        """Identity and generation: a clear of a finished task raises ``max_tries``, a retry does not."""
        ti = self._ti
        map_index = -1 if ti.map_index is None else ti.map_index
        return Route(
            Identity(ti.dag_id, ti.run_id, ti.task_id, map_index),
            generation=str(ti.max_tries),
            max_tries=ti.max_tries,
        )

    @property
    def due_at(self) -> datetime:
        """When the run was to start."""
        due_at: datetime = self._run.run_after
        return due_at

    @property
    def is_backfill(self) -> bool:
        """Whether the run makes up for the past."""
        return str(getattr(self._run.run_type, "value", self._run.run_type)) == "backfill"

    def record(self) -> JobRecord | None:
        """Return what the task remembers of its job."""
        return JobRecord.load(self._store.get(STORE_KEY))

    def save(self, record: JobRecord) -> None:
        """Remember the job."""
        self._store.set(STORE_KEY, record.dump())

    def may_have_job(self) -> bool:
        """Whether a start was sent that made a job, or may have made one."""
        record = self.record()
        return record is not None and record.sent_at is not None

    def forswear(self, job_id: str) -> None:
        """Remember that we stop a job ourselves, so that no retry takes up its end as a result."""
        if record := self.record():
            self.save(record.with_stopped(job_id))

    def note_end(self, job_id: str) -> None:
        """Remember that the stream of our job has ended, for a try that will not hear of it."""
        record = self.record()
        if record and record.job_id and same_id(record.job_id, job_id) and not record.ended:
            self.save(replace(record, ended=True))

    def callbacks(self, job_id: str) -> JobCallbacks | None:
        """Return what was called back about a job; None if nothing was, in this try."""
        return Starter(**vars(self.route.identity)).callbacks(job_id)

    def publish(self, job_id: str, room_id: str, link: str) -> None:
        """Make the job known before the task waits: to sensors, to tear-downs, to people."""
        for key, value in (
            (JOB_ID_KEY, job_id),
            (ROOM_ID_KEY, room_id),
            (SmartLiveRoomLink().xcom_key, link),
        ):
            self._ti.xcom_push(key=key, value=value)

    def is_ended_meanwhile(self) -> bool:
        """Tell, in a process that was told nothing, whether its task was ended, cleared or deleted meanwhile."""
        return _is_ended(own_state(self.route.identity))

    def is_ended_from_outside(self) -> bool:
        """
        Tell, in a process that is told to end, whether its task was ended or only the process.

        A worker that shuts down leaves the job to the retry; without a retry left nobody would own it.

        A deferred task can be resumed twice. Airflow then refuses the heartbeat of the older process, and ends
        it: the task is ``running``, elsewhere. So a resumed process leaves the job alone even without a retry; if it
        was its worker that shut down, in the second or two of its life, the backstops are left.
        """
        state = own_state(self.route.identity)
        if state == "running":
            return not self._resumed and self._ti.try_number > self._ti.max_tries
        return _is_ended(state)


def _is_ended(state: str | None) -> bool:
    """A task that is cleared while it runs is ``restarting``: it wants to start anew."""
    return state == "restarting" or signal_of_cancel(state) is Signal.KILL


def own_state(task: Identity) -> str | None:
    """Return the state of a task instance; None if it is cleared or gone."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    mapped: dict[str, Any] = {"map_index": task.map_index} if task.map_index >= 0 else {}
    states = RuntimeTaskInstance.get_task_states(
        dag_id=task.dag_id, task_ids=[task.task_id], run_ids=[task.run_id], **mapped
    )
    of_run = states.get(task.run_id, {})
    state = of_run.get(f"{task.task_id}_{task.map_index}" if mapped else task.task_id)
    return str(getattr(state, "value", state)) if state is not None else None
