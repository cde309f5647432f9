"""The task that started a job, as another task sees it: its state, and its job."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import TaskInstanceState
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import GetDagRun, GetPreviousTI

from airflow_provider_smartlive.callbacks.messages import JOB_ID_KEY, JOB_KEY, ROOM_ID_KEY, XCOM_TABLE_KEY
from airflow_provider_smartlive.callbacks.table import CallbackTable, JobCallbacks
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.task_status import (
    did_not_run,
    has_own_xcoms,
    is_over,
    timeout_while_waiting,
    waits_for_a_worker,
)
from airflow_provider_smartlive.livestream import own_xcoms
from airflow_provider_smartlive.metastudio.ids import same_id

if TYPE_CHECKING:
    from airflow.sdk import Context

#: Seconds after which the XComs of a running task are its own. Airflow deletes those of an earlier try only when the
#: worker has read the DAG file, for which it has 30 seconds (``[core] dagbag_import_timeout``).
OWN_XCOMS_AFTER = 35.0


@dataclass(frozen=True)
class StarterStatus:
    """
    How a starter stands.

    :param state: the state of its task instance; None if it is not scheduled yet, was cleared, or is not there.
    :param problem: why there is no such task instance and will not be one; None otherwise.
    :param run_is_missing: whether the DAG run is not there; it may still come.
    """

    state: str | None = None
    problem: str | None = None
    run_is_missing: bool = False

    @property
    def is_running(self) -> bool:
        """Whether a worker has it: its XComs may still be those of an earlier try (:data:`OWN_XCOMS_AFTER`)."""
        return self.state == "running"

    @property
    def is_over(self) -> bool:
        """Whether it will start no further job."""
        return is_over(self.state)

    @property
    def was_skipped(self) -> bool:
        """Whether it was skipped, and so never was to have a job."""
        return self.state == "skipped"

    @property
    def has_own_xcoms(self) -> bool:
        """
        Whether its XComs are of the try or life that the state is about.

        What Airflow tells a worker does not tell a task that resumes from one that waits to run: neither has.
        """
        return has_own_xcoms(self.state)

    def __str__(self) -> str:
        """Return the state, for messages."""
        return "in no run that is there" if self.run_is_missing else self.state or "not scheduled"


class Starter(TaskRef):
    """
    A task instance that started a job, or will.

    That it is not there yet, or has no job yet, are normal states.
    """

    @classmethod
    def named(
        cls,
        context: Context,
        task_id: str,
        *,
        dag_id: str | None = None,
        run_id: str | None = None,
        map_index: int | None = None,
    ) -> Starter:
        """Fill in what was left out from the naming task: same DAG run, same map index."""
        ti = context["ti"]
        if map_index is None:
            map_index = TaskRef.of(ti).map_index
        return cls(dag_id or ti.dag_id, run_id or ti.run_id, task_id, map_index)

    @property
    def task_ref(self) -> TaskRef:
        """Return its name alone, as callback URLs carry it."""
        return TaskRef(**vars(self))

    # -- how it stands

    def status(self) -> StarterStatus:
        """Return how it stands, on a worker."""
        return self.listed() or self._absent()

    def listed(self) -> StarterStatus | None:
        """Return how it stands, on a worker; None if Airflow knows no such task instance, for whatever reason."""
        found = self._states(self.map_index)
        key = f"{self.task_id}_{self.map_index}" if self.map_index >= 0 else self.task_id
        return StarterStatus(found[key]) if key in found else None

    def instances(self) -> dict[Starter, StarterStatus]:
        """Return itself, or its mapped instances if it is named as a whole although it is mapped, with their status."""
        found = self._states() if self.map_index < 0 else {}
        mapped = {
            Starter(self.dag_id, self.run_id, self.task_id, index): StarterStatus(state)
            for name, state in found.items()
            if (index := self._index_in(name)) is not None
        }
        return mapped or {self: self.status()}

    def _absent(self) -> StarterStatus:
        """Say why there is no such task instance."""
        found = self._states()
        if self.map_index >= 0 and self.task_id in found:
            return self._unmapped(found[self.task_id])
        indexes = [index for name in found if (index := self._index_in(name)) is not None]
        if indexes and self.map_index < 0:
            return StarterStatus(
                problem=f"starter_task_id is {self.task_id!r}, which is mapped ({len(indexes)} instances). "
                "Pass starter_map_index, or map this task as well."
            )
        if indexes:
            return StarterStatus(
                problem=f"starter_map_index is {self.map_index}: {self.task_id} has the indexes 0 to {max(indexes)}. "
                "Pass one of them."
            )
        names = self._names_in_run()
        return StarterStatus(problem=self._unknown(names)) if names else StarterStatus(run_is_missing=True)

    def _unmapped(self, state: str | None) -> StarterStatus:
        """Tell a mapped task that is not expanded, yet or ever, from one that is not mapped at all."""
        if state is None or did_not_run(state):
            return StarterStatus(state)
        return StarterStatus(
            problem=f"starter_task_id is {self.task_id!r}, which is not mapped: it has no map index "
            f"{self.map_index}. Pass starter_map_index=-1."
        )

    def _unknown(self, names: Iterable[str]) -> str:
        full = sorted({name for name in names if name.endswith(f".{self.task_id}")})
        fix = (
            f"Pass its full id, with that of its task group: {' or '.join(map(repr, full))}."
            if full
            else "Pass the id of the task that starts the job."
        )
        return f"starter_task_id is {self.task_id!r}: run {self.run_id} of DAG {self.dag_id} has no such task. {fix}"

    def _names_in_run(self) -> list[str]:
        """Return the ids of the tasks of its run, without their map indexes; none if there is no such run."""
        found = _ask_for_states(dag_id=self.dag_id, run_ids=[self.run_id])
        return [re.sub(r"_\d+$", "", name) for name in found.get(self.run_id, {})]

    def _states(self, map_index: int = -1) -> dict[str, str | None]:
        """Return the states of its instances, by the names that Airflow gives them: with the index at their end."""
        mapped: dict[str, Any] = {"map_index": map_index} if map_index >= 0 else {}
        found = _ask_for_states(dag_id=self.dag_id, task_ids=[self.task_id], run_ids=[self.run_id], **mapped)
        return {
            name: str(getattr(state, "value", state)) if state is not None else None
            for name, state in found.get(self.run_id, {}).items()
        }

    def _index_in(self, name: str) -> int | None:
        prefix, _, index = name.rpartition("_")
        return int(index) if prefix == self.task_id and index.isdecimal() else None

    # -- which job it has

    def job_id(self) -> str | None:
        """Return the id of its job, on a worker."""
        return _text(self._pull(JOB_ID_KEY))

    def own_job_id(self, status: StarterStatus, *, running_for: float) -> str | None:
        """
        Return the id of its job, on a worker; None if it has none, or may still show that of an earlier try or life.

        :param status: how it stands.
        :param running_for: for how many seconds it was seen running.
        """
        is_own = status.has_own_xcoms or (status.is_running and running_for >= OWN_XCOMS_AFTER)
        return self.job_id() if is_own or self.goes_on(status.state) else None

    def room_id(self) -> str | None:
        """Return the room of its job, on a worker."""
        return _text(self._pull(ROOM_ID_KEY))

    def goes_on(self, state: str | None) -> bool:
        """
        Tell, on a worker, whether it waits for one itself to go on with its announced job, not to begin another try.

        :param state: its state; Airflow is asked for the number of the try only if it waits for a worker and has
            announced a job. If that is not known, the answer is no.
        :raises AirflowRuntimeError: if Airflow cannot tell at the moment.
        """
        said_try = _try_number(self._pull(JOB_KEY)) if waits_for_a_worker(state) else None
        return said_try is not None and self._current_try(state) == said_try

    async def may_go_on_async(self, state: str | None) -> bool:
        """Tell, in a trigger, whether :meth:`goes_on` has to be asked."""
        return waits_for_a_worker(state) and _try_number(await self._apull(JOB_KEY)) is not None

    def timeout_while_waiting(self, state: str | None) -> datetime | None:
        """
        Return, on a worker, when the ``execution_timeout`` of its try is over, if it waits.

        :param state: its state; Airflow is asked for the number of the try only if it waits for a worker and has such a
            limit. If that is not known, nor is the limit.
        :raises AirflowRuntimeError: if Airflow cannot tell at the moment.
        """
        announced = self._pull(JOB_KEY)
        timeout_at = timeout_while_waiting(state, announced)
        if timeout_at is None or not waits_for_a_worker(state):
            return timeout_at
        number = self._current_try(state)
        return None if number is None else timeout_while_waiting(state, announced, try_number=number)

    def _current_try(self, state: str | None) -> int | None:
        """
        Return the number of its try, on a worker: a triggerer cannot read what Airflow answers.

        Airflow tells it only of the last task instance before a logical date. In a run without a logical date that is
        another one, and the number not known, unless no other run of the DAG has the task in this state.
        """
        comms: Any = task_runner.SUPERVISOR_COMMS
        run = comms.send(GetDagRun(dag_id=self.dag_id, run_id=self.run_id))
        later = run.logical_date and run.logical_date + timedelta(microseconds=1)
        task = comms.send(
            GetPreviousTI(
                dag_id=self.dag_id,
                task_id=self.task_id,
                map_index=self.map_index,
                logical_date=later,
                state=None if later else TaskInstanceState(state),
            )
        ).task_instance
        return task.try_number if task is not None and task.run_id == self.run_id else None

    def generation(self) -> str | None:
        """Return which life of it its callback table belongs to, on a worker; None if there is no table."""
        return CallbackTable.load(self._pull(XCOM_TABLE_KEY)).generation or None

    def sent_to(self) -> str | None:
        """Return where its start was sent (endpoint and project), on a worker; None if it has not said so."""
        return CallbackTable.load(self._pull(XCOM_TABLE_KEY)).address

    def address(self, job_id: str) -> str | None:
        """Return where a job of it was started (endpoint and project), on a worker; None if it has not said so."""
        return _address(self._pull(JOB_KEY), job_id)

    def announcement(self) -> dict[str, Any] | None:
        """Return what it says of its job, on a worker; None if it has said nothing."""
        found = self._pull(JOB_KEY)
        return found if isinstance(found, dict) else None

    def result(self) -> dict[str, Any] | None:
        """Return its result, on a worker; None if it has none."""
        found = self._pull("return_value")
        return found if isinstance(found, dict) else None

    def callbacks(self, job_id: str) -> JobCallbacks | None:
        """Return what was called back about a job of it, on a worker."""
        return CallbackTable.load(self._pull(XCOM_TABLE_KEY)).job(job_id)

    async def job_id_async(self) -> str | None:
        """Return the id of its job, in a trigger."""
        return _text(await self._apull(JOB_ID_KEY))

    async def room_id_async(self) -> str | None:
        """Return the room of its job, in a trigger."""
        return _text(await self._apull(ROOM_ID_KEY))

    async def address_async(self, job_id: str) -> str | None:
        """Return where a job of it was started (endpoint and project), in a trigger; None if it has not said so."""
        return _address(await self._apull(JOB_KEY), job_id)

    async def callbacks_async(self, job_id: str) -> JobCallbacks | None:
        """Return what was called back about a job of it, in a trigger."""
        return CallbackTable.load(await self._apull(XCOM_TABLE_KEY)).job(job_id)

    def _pull(self, key: str) -> Any:
        return own_xcoms.pull(self, key)

    async def _apull(self, key: str) -> Any:
        return await own_xcoms.pull_async(self, key)


def _ask_for_states(**which: Any) -> dict[str, dict[str, Any]]:
    states: dict[str, dict[str, Any]] = task_runner.RuntimeTaskInstance.get_task_states(**which)
    return states


def _address(announcement: Any, job_id: str) -> str | None:
    """Read what a starter says of its job; it may be another one by now."""
    if not isinstance(announcement, dict) or not same_id(_text(announcement.get("job_id")) or "", job_id):
        return None
    return _text(announcement.get("address"))


def _try_number(announcement: Any) -> int | None:
    number = announcement.get("try_number") if isinstance(announcement, dict) else None
    return number if isinstance(number, int) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
