"""
The rows of Airflow's database that the receiver touches, inside a transaction that the store opened.

Statements are built once and bound to their values at each use: to build one takes longer than to run it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import handle_event_submit
from airflow.models.xcom import XCOM_RETURN_KEY, XComModel
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent
from sqlalchemy import Executable, Table, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from airflow_provider_smartlive.callbacks.route import Identity
from airflow_provider_smartlive.callbacks.waiter import JOB_ID_KEY, XCOM_TABLE_KEY, Wake


@dataclass(frozen=True)
class LockedTask:
    """The columns of a task instance whose row this transaction has locked."""

    id: UUID
    state: str | None
    max_tries: int
    trigger_id: int | None
    dag_run_id: int


def lock(session: Session, identity: Identity) -> LockedTask | None:
    """Lock the row of a task instance by a write that changes nothing, and return what it holds."""
    row = session.execute(_locking(), _bound(identity)).one_or_none()
    return LockedTask(*row) if row else None


def load(session: Session, task: LockedTask, identity: Identity) -> dict[str, Any]:
    """Read the table and the job's id, raw as the Execution API stores them."""
    rows = session.execute(_loading(), {**_bound(identity), "the_run": task.dag_run_id})
    return {row.key: row.value for row in rows}


def save(
    session: Session, task: LockedTask, identity: Identity, key: str, value: dict[str, Any], at: datetime
) -> None:
    """Write an XCom as the Execution API stores it, replacing the old value."""
    values = {"dag_run_id": task.dag_run_id, "key": key, "value": value, "timestamp": at, **vars(identity)}
    session.execute(_upserting(session.get_bind().dialect.name), values)


def resume(session: Session, task: LockedTask, wake: Wake) -> None:
    """Send a deferred task back to a worker."""
    handle_event_submit(
        TriggerEvent(wake.dump()), task_instance=session.get_one(TaskInstance, task.id), session=session
    )


def succeed(session: Session, task: LockedTask, identity: Identity, wake: Wake) -> None:
    """End a deferred task without a worker. Not by the event's ``xcoms``: those commit before the rest."""
    save(session, task, identity, XCOM_RETURN_KEY, wake.dump(), wake.at)
    handle_event_submit(
        TaskSuccessEvent(), task_instance=session.get_one(TaskInstance, task.id), session=session
    )


def _bound(identity: Identity) -> dict[str, Any]:
    return {f"the_{name}": value for name, value in vars(identity).items()}


@cache
def _locking() -> Executable:
    task, run = _table(TaskInstance), _table(DagRun)
    same_run = (run.c.dag_id == bindparam("the_dag_id"), run.c.run_id == bindparam("the_run_id"))
    return (
        update(task)
        .where(
            *(
                task.c[name] == bindparam(f"the_{name}")
                for name in ("dag_id", "run_id", "task_id", "map_index")
            )
        )
        .values(updated_at=task.c.updated_at)
        # What the lock protects must not come from a subquery here: PostgreSQL evaluates it on the snapshot
        # from before the wait for the lock. The id of the run never changes.
        .returning(
            task.c.id,
            task.c.state,
            task.c.max_tries,
            task.c.trigger_id,
            select(run.c.id).where(*same_run).scalar_subquery(),
        )
    )


@cache
def _loading() -> Executable:
    xcom = _table(XComModel)
    return select(xcom.c.key, xcom.c.value).where(
        xcom.c.dag_run_id == bindparam("the_run"),
        xcom.c.task_id == bindparam("the_task_id"),
        xcom.c.map_index == bindparam("the_map_index"),
        xcom.c.key.in_([XCOM_TABLE_KEY, JOB_ID_KEY]),
    )


@cache
def _upserting(dialect: str) -> Executable:
    xcom = _table(XComModel)
    statement = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(xcom)
    return statement.on_conflict_do_update(
        index_elements=[column.name for column in xcom.primary_key],
        set_={"value": statement.excluded.value, "timestamp": statement.excluded.timestamp},
    )


def _table(model: type[Any]) -> Table:
    table = model.__table__
    assert isinstance(table, Table)  # noqa: S101 - what SQLAlchemy maps a class to
    return table
