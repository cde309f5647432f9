"""
The statements on Airflow's database, inside a transaction that the store opened. Nowhere else is SQL.

Statements are built once and bound to their values at each use: to build one takes longer than to run it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger, handle_event_submit
from airflow.triggers.base import TriggerEvent
from airflow.utils.state import TaskInstanceState
from sqlalchemy import Executable, Row, and_, bindparam, func, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from airflow_provider_smartlive.callbacks.messages import OutputRefresh, ResumeEvent, refresh_key
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.task_status import has_own_xcoms
from airflow_provider_smartlive.receiver.shapes import INSERTS, shape, table

#: Milliseconds that one statement waits for a row that somebody else has locked. A row that stays locked must not hold
#: a thread of the API server: the event waits without one, and is tried again.
LOCK_TIMEOUT = 50

#: The same for SQLite, where it is the one writer of the database that is waited for, and each wait is tried again.
BUSY_TIMEOUT = 1000

#: By how much the clock of an API server may be behind that of a worker.
CLOCKS_DIFFER = timedelta(hours=1)

#: PostgreSQL's code for a lock timeout.
_LOCK_NOT_AVAILABLE = "55P03"


@dataclass(frozen=True)
class LockedTask:
    """The columns of a task instance whose row this transaction has locked."""

    id: UUID
    state: str | None
    next_method: str | None
    max_tries: int
    trigger_id: int | None
    dag_run_id: int

    @property
    def is_begun(self) -> bool:
        """Whether the try that its state is about has begun, and has XComs of its own."""
        if self.state in (TaskInstanceState.RUNNING, TaskInstanceState.RESTARTING):
            return True
        return has_own_xcoms(self.state, resumes=self.next_method is not None)


@dataclass(frozen=True)
class SeenTask(LockedTask):
    """The columns of a task instance and its DAG run, read without a lock."""

    try_number: int
    last_try_ended: bool
    run_state: str
    clear_number: int


class Refreshes(NamedTuple):
    """
    Marks of the commands that exchange the outputs of a job, each different from any other one's.

    :param sent: of those that were sent.
    :param refused: of those that MetaStudio has refused.
    """

    sent: list[str]
    refused: list[str]


def lock(session: Session, task_ref: TaskRef) -> LockedTask | None:
    """Lock the row of a task instance by a write that changes nothing, and return what it holds."""
    # A try that ended while its row was waited for has a successor, where every try has a row of its own. A statement
    # does not see it that began before: it finds nothing, and the next one finds the successor.
    for _ in range(2):
        found = session.execute(_locking(_dialect(session)), _bound(task_ref)).all()
        if found:
            return LockedTask(*_newest(found))
    return None


def look(session: Session, task_ref: TaskRef) -> SeenTask | None:
    """Return what the rows of a task instance and its DAG run hold, without a lock."""
    found = session.execute(_looking(), _bound(task_ref)).all()
    return SeenTask(*_newest(found)) if found else None


def load(session: Session, task: LockedTask, task_ref: TaskRef) -> dict[str, Any]:
    """
    Read the table and the job's id, raw as the Execution API stores them.

    Those of the last try stay until the next one begins.
    """
    values = {**_bound(task_ref), "the_task": task.id, "the_run": task.dag_run_id}
    found = {row.key: row.value for row in session.execute(shape().xcoms, values)}
    earlier = shape().earlier_xcoms
    if earlier is None or task.is_begun:
        return found
    return {row.key: row.value for row in session.execute(earlier, values)} | found


def save(
    session: Session, task: LockedTask, task_ref: TaskRef, key: str, value: dict[str, Any], at: datetime
) -> None:
    """Write an XCom as the Execution API stores it, replacing the old value."""
    save_all(session, [(task.id, task.dag_run_id, task_ref, key, value)], at)


def save_all(
    session: Session, xcoms: Sequence[tuple[UUID, int, TaskRef, str, dict[str, Any]]], at: datetime
) -> None:
    """
    Write XComs, replacing the old values.

    :param xcoms: For each the id of the task instance and of its DAG run, the task instance, key and value.
    :param at: When they are written.
    """
    values = [
        {
            **_bound(task_ref),
            "the_task": task,
            "the_run": run,
            "the_key": key,
            "the_value": value,
            "the_time": at,
        }
        for task, run, task_ref, key, value in xcoms
    ]
    session.execute(_upserting(_dialect(session)), values[0] if len(values) == 1 else values)


def resume(session: Session, task_instance: TaskInstance, wake: ResumeEvent) -> None:
    """Send a deferred task back to a worker."""
    handle_event_submit(TriggerEvent(wake.dump()), task_instance=task_instance, session=session)


def task_instances(session: Session, ids: Sequence[UUID]) -> dict[UUID, TaskInstance]:
    """Return the rows of task instances, by their ids, as the objects that :func:`resume` takes."""
    return {ti.id: ti for ti in session.scalars(select(TaskInstance).where(TaskInstance.id.in_(ids)))}


def lock_deferred(session: Session, ids: Sequence[UUID]) -> set[UUID]:
    """
    Lock rows of task instances in the order of their names, and return the ids of those that are still deferred.

    A row that somebody else holds for too long is left out: its task has a trigger, the others need not wait for it.
    """
    statement = (
        select(TaskInstance.id)
        .where(TaskInstance.id.in_(ids), TaskInstance.state == TaskInstanceState.DEFERRED)
        .order_by(TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id, TaskInstance.map_index)
    )
    try:
        with session.begin_nested():
            return set(session.scalars(statement.with_for_update()))
    except OperationalError as error:
        if not is_lock_timeout(error):
            raise
        return set(session.scalars(statement.with_for_update(skip_locked=True)))


def succeed(session: Session, ids: Sequence[UUID], at: datetime) -> None:
    """
    End task instances as successes, and part them from their triggers.

    :param at: when they end.
    """
    begun = select(TaskInstance.id, TaskInstance.start_date).where(TaskInstance.id.in_(ids))
    ends = [
        {"the_id": id_, "start_date": began or at, "end_date": at, "duration": _seconds(began, at)}
        for id_, began in session.execute(begun)
    ]
    instances = table(TaskInstance)
    over = update(instances).where(instances.c.id == bindparam("the_id"))
    session.execute(over.values(state=TaskInstanceState.SUCCESS, trigger_id=None), ends)


def _seconds(began: datetime | None, at: datetime) -> float:
    return max(0.0, (at - began).total_seconds()) if began else 0.0


def trigger_of(session: Session, task: LockedTask) -> tuple[datetime, str] | None:
    """Return when the trigger of a deferred task was created, and its class; None if it is gone."""
    row = session.execute(
        select(Trigger.created_date, Trigger.classpath).where(Trigger.id == task.trigger_id)
    ).one_or_none()
    return (row[0], row[1]) if row else None


def refreshes(session: Session, job_id: str, since: datetime) -> Refreshes:
    """
    Return the commands that exchange the outputs of a job.

    :param since: When the life of the task began that started the job. No command is older.
    """
    values = {"the_key": refresh_key(job_id), "the_oldest": _first_id(since - CLOCKS_DIFFER)}
    is_refused: dict[str, bool] = {}
    for *task_ref, value in session.execute(shape().with_key, values):
        try:
            refresh = OutputRefresh.load(value)
        except ValueError:
            continue  # somebody else's
        mark = hashlib.sha256(json.dumps([*task_ref, refresh.sending]).encode()).hexdigest()[:12]
        is_refused[mark] = refresh.refused  # what the latest try says
    return Refreshes(
        sent=[mark for mark, refused in is_refused.items() if not refused],
        refused=[mark for mark, refused in is_refused.items() if refused],
    )


def _first_id(moment: datetime) -> UUID:
    """Return the lowest UUID of version 7 that is made at a moment: it begins with the milliseconds, in 48 bits."""
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)


def waiters(session: Session, keys: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Yield what :meth:`~.shapes.Shape.waiters` says, for deferred tasks that registered under one of the keys."""
    for row in session.execute(shape().waiters, {"the_keys": list(keys)}):
        yield tuple(row)


def now(session: Session) -> datetime | None:
    """Return the database's own time, the same for all API servers; None on SQLite, which is on one machine."""
    if _dialect(session) != "postgresql":
        return None
    moment: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
    return moment


@contextmanager
def bounded_waits(session: Session) -> Iterator[None]:
    """Wait on SQLite for :data:`BUSY_TIMEOUT` only. On PostgreSQL the first statement brings its own bound."""
    if _dialect(session) != "sqlite":
        yield
        return
    connection = session.connection().connection.driver_connection
    assert connection is not None  # noqa: S101 - the session has just opened it
    (before,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA busy_timeout = {before}")


def is_lock_timeout(error: Exception) -> bool:
    """Tell whether a statement gave up because somebody else held a row for too long."""
    return sqlstate(error) == _LOCK_NOT_AVAILABLE


def sqlstate(error: Exception) -> str | None:
    """Return PostgreSQL's code of an error, whichever driver raised it."""
    cause = getattr(error, "orig", None)
    return getattr(cause, "pgcode", None) or getattr(cause, "sqlstate", None)


def _dialect(session: Session) -> str:
    return session.get_bind().dialect.name


def _bound(task_ref: TaskRef) -> dict[str, Any]:
    return {f"the_{name}": value for name, value in vars(task_ref).items()}


@cache
def _locking(dialect: str) -> Executable:
    task, run = table(TaskInstance), table(DagRun)
    same_run = (run.c.dag_id == bindparam("the_dag_id"), run.c.run_id == bindparam("the_run_id"))
    # Uncorrelated, so that PostgreSQL evaluates it once, before it looks at a row: the bound holds for this statement
    # already, and costs no round trip of its own.
    bound = select(func.set_config("lock_timeout", str(LOCK_TIMEOUT), True)).scalar_subquery()
    return (
        update(task)
        .where(
            *((bound.is_not(None),) if dialect == "postgresql" else ()),
            shape().is_task(),
        )
        .values(updated_at=task.c.updated_at)
        # What the lock protects must not come from a subquery here: PostgreSQL evaluates it on the snapshot
        # from before the wait for the lock. The id of the run never changes.
        .returning(
            task.c.id,
            task.c.state,
            task.c.next_method,
            task.c.max_tries,
            task.c.trigger_id,
            select(run.c.id).where(*same_run).scalar_subquery(),
        )
    )


@cache
def _looking() -> Executable:
    task, run = table(TaskInstance), table(DagRun)
    locked = (task.c.id, task.c.state, task.c.next_method, task.c.max_tries, task.c.trigger_id)
    of_run = (run.c.state.label("run_state"), run.c.clear_number)
    same_run = and_(run.c.dag_id == task.c.dag_id, run.c.run_id == task.c.run_id)
    return (
        select(*locked, run.c.id.label("dag_run_id"), task.c.try_number, shape().last_try_ended, *of_run)
        .join_from(task, run, same_run)
        .where(shape().is_task())
    )


@cache
def _upserting(dialect: str) -> Executable:
    upsert: Executable = shape().upsert(INSERTS[dialect])
    return upsert


def _newest(found: Sequence[Row[Any]]) -> Any:
    """Return the row with the greatest id, which grows with time: of two that go by one name, the later one."""
    return max(found, key=lambda row: row.id)
