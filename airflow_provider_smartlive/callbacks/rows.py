"""
The rows of Airflow's database that the receiver touches, inside a transaction that the store opened.

Statements are built once and bound to their values at each use: to build one takes longer than to run it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger, handle_event_submit
from airflow.models.xcom import XComModel
from airflow.triggers.base import TriggerEvent
from sqlalchemy import Executable, Table, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from airflow_provider_smartlive.callbacks.route import Identity
from airflow_provider_smartlive.callbacks.waiter import (
    JOB_ID_KEY,
    XCOM_TABLE_KEY,
    OutputRefresh,
    Wake,
    refresh_key,
)

#: Milliseconds that one statement waits for a row that somebody else has locked. A row that stays locked must not hold
#: a thread of the API server: the event waits without one, and is tried again.
LOCK_TIMEOUT = 50

#: The same for SQLite, where it is the one writer of the database that is waited for, and each wait is tried again.
BUSY_TIMEOUT = 1000

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


def lock(session: Session, identity: Identity) -> LockedTask | None:
    """Lock the row of a task instance by a write that changes nothing, and return what it holds."""
    row = session.execute(_locking(_dialect(session)), _bound(identity)).one_or_none()
    return LockedTask(*row) if row else None


def load(session: Session, task: LockedTask, identity: Identity) -> dict[str, Any]:
    """Read the table and the job's id, raw as the Execution API stores them."""
    rows = session.execute(_loading(), {**_bound(identity), "the_run": task.dag_run_id})
    return {row.key: row.value for row in rows}


def save(
    session: Session, task: LockedTask, identity: Identity, key: str, value: dict[str, Any], at: datetime
) -> None:
    """Write an XCom as the Execution API stores it, replacing the old value."""
    save_all(session, [(task.dag_run_id, identity, key, value)], at)


def save_all(
    session: Session, xcoms: Sequence[tuple[int, Identity, str, dict[str, Any]]], at: datetime
) -> None:
    """Write XComs, each given by DAG run, task instance, key and value, replacing the old values."""
    values = [
        {"dag_run_id": run, "key": key, "value": value, "timestamp": at, **vars(identity)}
        for run, identity, key, value in xcoms
    ]
    session.execute(_upserting(_dialect(session)), values[0] if len(values) == 1 else values)


def resume(session: Session, task_instance: TaskInstance, wake: Wake) -> None:
    """Send a deferred task back to a worker."""
    handle_event_submit(TriggerEvent(wake.dump()), task_instance=task_instance, session=session)


def trigger_of(session: Session, task: LockedTask) -> tuple[datetime, str] | None:
    """Return when the trigger of a deferred task was created, and its class; None if it is gone."""
    row = session.execute(
        select(Trigger.created_date, Trigger.classpath).where(Trigger.id == task.trigger_id)
    ).one_or_none()
    return (row[0], row[1]) if row else None


def refreshes(session: Session, job_id: str, *, refused: bool = False) -> list[str]:
    """
    Return marks of the commands that exchange the outputs of a job, each different from any other one's.

    :param refused: return those that MetaStudio has refused, and not the others.
    """
    names = (XComModel.dag_id, XComModel.run_id, XComModel.task_id, XComModel.map_index)
    found = session.execute(select(*names, XComModel.value).where(XComModel.key == refresh_key(job_id)))
    marks = []
    for *identity, value in found:
        try:
            refresh = OutputRefresh.load(value)
        except ValueError:
            continue  # somebody else's
        if refresh.refused is refused:
            mark = json.dumps([*identity, refresh.sending]).encode()
            marks.append(hashlib.sha256(mark).hexdigest()[:12])
    return marks


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


def _bound(identity: Identity) -> dict[str, Any]:
    return {f"the_{name}": value for name, value in vars(identity).items()}


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
            *(
                task.c[name] == bindparam(f"the_{name}")
                for name in ("dag_id", "run_id", "task_id", "map_index")
            ),
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
def _loading() -> Executable:
    xcom = table(XComModel)
    return select(xcom.c.key, xcom.c.value).where(
        xcom.c.dag_run_id == bindparam("the_run"),
        xcom.c.task_id == bindparam("the_task_id"),
        xcom.c.map_index == bindparam("the_map_index"),
        xcom.c.key.in_([XCOM_TABLE_KEY, JOB_ID_KEY]),
    )


@cache
def _upserting(dialect: str) -> Executable:
    xcom = table(XComModel)
    statement = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(xcom)
    return statement.on_conflict_do_update(
        index_elements=[column.name for column in xcom.primary_key],
        set_={"value": statement.excluded.value, "timestamp": statement.excluded.timestamp},
    )


def table(model: type[Any]) -> Table:
    """Return the table of a model of Airflow's."""
    found = model.__table__
    assert isinstance(found, Table)  # noqa: S101 - what SQLAlchemy maps a class to
    return found
