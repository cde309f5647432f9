"""A DAG run from its start to its end, in one process and without Airflow's daemons."""

from __future__ import annotations

import copy
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.sdk import BaseOperator
from airflow.sdk.api.datamodels._generated import TaskInstance as TaskToRun
from airflow.sdk.execution_time.supervisor import run_task_in_process
from airflow.sdk.serde import deserialize
from airflow.sdk.timezone import utcnow
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import DagSerialization, LazyDeserializedDAG
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, State, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from airflow_provider_smartlive.testing.database import connected
from airflow_provider_smartlive.testing.receiver import receiving
from airflow_provider_smartlive.testing.triggerer import Triggerer

if TYPE_CHECKING:
    from airflow.sdk import DAG

#: Seconds that a run may take. The first one of a session waits some for Airflow to make its API.
TIMEOUT = 120.0

#: Seconds after the limit of a run at which whatever still hangs is interrupted.
GRACE = 1.0

#: Seconds for which triggers run between two looks at what is to be done.
SLICE = 0.1

_BUNDLE = "tests"

#: What the fixture ``smartlive_run_dag`` gives: :func:`run_dag`.
RunDag: TypeAlias = "Callable[..., FinishedRun]"


@dataclass(frozen=True)
class FinishedRun:
    """
    What became of a DAG run. Tasks go by their id, mapped ones by ``task_id[0]``, ``task_id[1]``, ...

    :param state: ``success`` or ``failed``.
    :param tasks: the state of every task.
    :param errors: why tasks failed, for each of them its last failed try.
    """

    dag_id: str
    run_id: str
    state: str
    tasks: Mapping[str, str | None]
    errors: Mapping[str, BaseException]
    xcoms: Mapping[str, Mapping[str, Any]] = field(repr=False)

    def result(self, task: str) -> Any:
        """Return what a task returned; None if it returned nothing."""
        return self.xcom(task, "return_value")

    def xcom(self, task: str, key: str) -> Any:
        """Return what a task pushed under a key; None if it pushed nothing."""
        return self.xcoms.get(task, {}).get(key)


@contextmanager
def ready(metadata: Path) -> Iterator[None]:
    """
    Let this process run DAGs: with the metadata database in a folder, and a receiver of callbacks.

    :param metadata: the folder.
    """
    with connected(metadata), receiving():
        yield


def run_dag(dag: DAG, *, conf: Mapping[str, Any] | None = None, timeout: float = TIMEOUT) -> FinishedRun:
    """
    Run a DAG to its end: deferrals, callbacks, retries and mapped tasks included.

    Tasks run one after the other, as on a single worker; deferred ones wait side by side. A retry does not wait
    for its ``retry_delay``. Airflow's limits of parallelism, pools, deadline alerts and the ``timeout`` of a deferral
    do not count.

    It brings its own event loop, so it cannot be called from a coroutine.

    :param dag: the DAG.
    :param conf: the configuration of the run.
    :param timeout: seconds that it may take. A task that hangs is interrupted, if this is the main thread.
    :raises TimeoutError: if it takes longer, with the tasks that are not finished.
    """
    return _Run(dag, dict(conf or {})).finish(timeout)


class _Run:
    """One run of a DAG, and the part of a scheduler and of a worker that it needs."""

    def __init__(self, dag: DAG, conf: dict[str, Any]) -> None:
        dag.validate()
        self._dag = _own_copy(dag)
        self._scheduled = _for_scheduler(dag)
        self._run_id = f"test__{uuid.uuid4()}"
        self._errors: dict[str, BaseException] = {}
        self._doing = ""
        self._interrupted = ""
        with create_session(scoped=False) as session:
            self._create(conf, session)

    def _create(self, conf: dict[str, Any], session: Session) -> None:
        if session.get(DagBundleModel, _BUNDLE) is None:
            session.add(DagBundleModel(name=_BUNDLE))
            session.flush()
        SerializedDAG.bulk_write_to_db(_BUNDLE, None, [self._dag], session=session)
        SerializedDagModel.write_dag(LazyDeserializedDAG.from_dag(self._dag), _BUNDLE, session=session)
        # Whoever ends a task without a worker wants to know its file, which only a DAG processor finds out.
        session.get_one(DagModel, self._dag.dag_id).relative_fileloc = Path(self._dag.fileloc).name
        session.flush()
        now = utcnow()
        self._scheduled.create_dagrun(
            run_id=self._run_id,
            logical_date=now,
            data_interval=(now, now),
            run_after=now,
            start_date=now,
            conf=conf,
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state=DagRunState.RUNNING,
            session=session,
        )

    def finish(self, timeout: float) -> FinishedRun:
        """
        Go on until the run has ended.

        :param timeout: seconds.
        """
        give_up_at = time.monotonic() + timeout
        late = f"The run is not over after {timeout:.0f} s"
        with self._interrupting(timeout, late), Triggerer(self._dag.dag_id, self._run_id) as triggerer:
            while (state := self._schedule()) not in State.finished_dr_states:
                for task in self._queue():
                    self._execute(task)
                    if self._interrupted:
                        raise TimeoutError(f"{late}: {self._interrupted} hung and was interrupted.")
                if time.monotonic() >= give_up_at:
                    raise TimeoutError(f"{late}: {self._unfinished()}.")
                triggerer.go_on(SLICE)
        return self._result(state)

    @contextmanager
    def _interrupting(self, timeout: float, late: str) -> Iterator[None]:
        """
        Interrupt this thread, if it is the main one, when the run and a grace have taken too long.

        By a signal, which ends what blocks; not SIGALRM, which ``execution_timeout`` uses. Airflow takes what is raised
        within a task for the failure of that task, so it is remembered as well.
        """
        main = threading.main_thread()
        if threading.current_thread() is not main or main.ident is None:
            yield
            return

        def interrupt(number: int, frame: FrameType | None) -> None:
            self._interrupted = self._doing or "a trigger"
            raise TimeoutError(f"{late}: {self._interrupted} hung and was interrupted.")

        before = signal.signal(signal.SIGUSR2, interrupt)
        timer = threading.Timer(timeout + GRACE, signal.pthread_kill, (main.ident, signal.SIGUSR2))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            signal.signal(signal.SIGUSR2, before)

    def _schedule(self) -> str:
        """Schedule the tasks whose time has come, and return the state of the run."""
        with create_session(scoped=False) as session:
            retries = self._tasks(TaskInstanceState.UP_FOR_RETRY)
            session.execute(update(TaskInstance).where(*retries).values(state=None))
            run = session.scalars(select(DagRun).filter_by(run_id=self._run_id)).one()
            run.dag = self._scheduled
            ready, _ = run.update_state(session=session)
            run.schedule_tis(ready, session=session)
            return str(run.state)

    def _queue(self) -> list[TaskToRun]:
        """Take what is scheduled: tasks to begin, and tasks to go on with after a wait."""
        with create_session(scoped=False) as session:
            found = session.scalars(
                select(TaskInstance)
                .where(*self._tasks(TaskInstanceState.SCHEDULED))
                .order_by(TaskInstance.scheduled_dttm, TaskInstance.task_id, TaskInstance.map_index)
            ).all()
            for row in found:
                row.state = TaskInstanceState.QUEUED
            return [TaskToRun.model_validate(row, from_attributes=True) for row in found]

    def _execute(self, task: TaskToRun) -> None:
        self._doing = _name(task.task_id, task.map_index)
        done = run_task_in_process(ti=task, task=self._dag.task_dict[task.task_id])
        self._doing = ""
        if done.error is not None:
            self._errors[_name(task.task_id, task.map_index)] = done.error

    def _unfinished(self) -> str:
        return ", ".join(
            f"{name} is {state}" for name, state in self._states().items() if state not in State.finished
        )

    def _states(self) -> dict[str, str | None]:
        columns = (TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state)
        with create_session(scoped=False) as session:
            rows = session.execute(select(*columns).where(*self._tasks()).order_by(*columns[:2]))
            return {_name(task_id, index): state and str(state) for task_id, index, state in rows}

    def _xcoms(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        with create_session(scoped=False) as session:
            for row in session.scalars(
                select(XComModel).filter_by(dag_id=self._dag.dag_id, run_id=self._run_id)
            ):
                value = deserialize(XComModel.deserialize_value(row))
                found.setdefault(_name(row.task_id, row.map_index), {})[row.key] = value
        return found

    def _result(self, state: str) -> FinishedRun:
        return FinishedRun(
            self._dag.dag_id,
            self._run_id,
            state,
            tasks=self._states(),
            errors=self._errors,
            xcoms=self._xcoms(),
        )

    def _tasks(self, state: TaskInstanceState | None = None) -> tuple[Any, ...]:
        """Return the condition for the tasks of this run, in a state or in any."""
        of_run = (TaskInstance.dag_id == self._dag.dag_id, TaskInstance.run_id == self._run_id)
        return of_run if state is None else (*of_run, TaskInstance.state == state)


def _own_copy(dag: DAG) -> DAG:
    """Return a copy, as every worker has one: a run leaves its configuration in the params."""
    own = copy.deepcopy(dag)
    for task in own.tasks:
        if isinstance(task, BaseOperator):  # whose copy shares its params with the original
            task.params = copy.deepcopy(task.params)
    return own


def _for_scheduler(dag: DAG) -> SerializedDAG:
    """Return the DAG as a scheduler has it, with the callbacks that it would leave to the DAG processor."""
    scheduled = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    for name in ("on_success_callback", "on_failure_callback"):
        setattr(scheduled, name, getattr(dag, name))
    # Only what was read from the database names its alerts in a way that Airflow finds.
    scheduled.deadline = None
    return scheduled


def _name(task_id: str, map_index: int | None) -> str:
    return task_id if map_index is None or map_index < 0 else f"{task_id}[{map_index}]"
