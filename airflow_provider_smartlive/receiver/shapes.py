"""
The shapes of Airflow's tables that the receiver knows: where a task instance and its XComs are kept.

Airflow 3.3 has one row for a task instance and one table of XComs. Airflow 3.4 has a row for every attempt, of which
one is live (``working_set``), XComs that belong to an attempt, and those of before 3.4 in a table of their own.

Values are bound by these names: ``the_dag_id``, ``the_run_id``, ``the_task_id`` and ``the_map_index`` for a task
instance as people name it, ``the_task`` and ``the_run`` for the ids of its row and of its DAG run, ``the_key`` or
``the_keys``, ``the_value`` and ``the_time`` for XComs, ``the_oldest`` for the lowest id that one may have.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from importlib import import_module
from importlib.metadata import version
from typing import Any

from airflow.models import xcom as airflow_xcom
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.utils.state import TaskInstanceState
from sqlalchemy import (
    CTE,
    ColumnElement,
    Executable,
    Select,
    Table,
    and_,
    bindparam,
    exists,
    func,
    or_,
    select,
    union_all,
)
from sqlalchemy.dialects import postgresql, sqlite

from airflow_provider_smartlive.callbacks.messages import JOB_ID_KEY, JOB_KEY, XCOM_TABLE_KEY

#: What an INSERT is made with that may replace a row, by dialect.
INSERTS: Mapping[str, Callable[[Table], Any]] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}

_NAMES = ("dag_id", "run_id", "task_id")

_OWN_KEYS = (XCOM_TABLE_KEY, JOB_ID_KEY, JOB_KEY)


class UnsupportedDatabase(RuntimeError):  # noqa: N818 - names the thing, as Gone and Unavailable do
    """The metadata database is one that nobody has tested: another system, or tables of another shape."""


class Shape(ABC):
    """Where one version of Airflow keeps task instances and XComs; each statement is built once."""

    @property
    @abstractmethod
    def map_index(self) -> Any:
        """The column of a task instance that holds its map index."""

    @abstractmethod
    def is_task(self) -> ColumnElement[bool]:
        """Return the condition for the row of a task instance, for statements on the table."""

    @property
    @abstractmethod
    def last_try_ended(self) -> ColumnElement[bool]:
        """Whether the last try of a task that waits to run ended; it did not if it was cleared while it waited."""

    @property
    @abstractmethod
    def xcoms(self) -> Select[Any]:
        """A query for ``key`` and ``value`` of the callback table and the job's id of ``the_task``."""

    @property
    @abstractmethod
    def earlier_xcoms(self) -> Select[Any] | None:
        """
        The same query for the attempt before ``the_task``.

        None where it is not needed: there they are kept until the next attempt begins.
        """

    @abstractmethod
    def upsert(self, insert: Callable[[Table], Any]) -> Any:
        """Return the statement that writes an XCom, replacing an older one."""

    @property
    @abstractmethod
    def waiters(self) -> Executable:
        """
        A query for deferred tasks that have an XCom under one of ``the_keys``.

        Its columns: DAG, run, task, map index; id of the DAG run; value of the XCom; id of the task instance; when its
        trigger was created, and its class. Ordered by the first four.
        """

    @property
    @abstractmethod
    def with_key(self) -> Executable:
        """
        A query for DAG, run, task, map index and value of the XComs under ``the_key``, oldest first.

        Those with an id below ``the_oldest`` may be left out, where an XCom has an id that grows with time.
        """


class OneXComTable(Shape):
    """Airflow 3.3."""

    earlier_xcoms = None

    def __init__(self) -> None:
        self._xcom = table(airflow_xcom.XComModel)
        self._history = table(_model("taskinstancehistory", "TaskInstanceHistory"))

    @property
    def map_index(self) -> Any:
        return table(TaskInstance).c.map_index

    def is_task(self) -> ColumnElement[bool]:
        return and_(_is_named(), self.map_index == bindparam("the_map_index"))

    @property
    def last_try_ended(self) -> ColumnElement[bool]:
        # Airflow gives an end to every try that it puts away. One that was cleared while it was deferred has a trigger.
        task, before = table(TaskInstance), self._history
        return ~exists().where(
            *(before.c[name] == task.c[name] for name in (*_NAMES, "map_index")),
            before.c.try_number == task.c.try_number - 1,
            before.c.trigger_id.is_not(None),
        )

    @cached_property
    def xcoms(self) -> Select[Any]:
        xcom = self._xcom
        return select(xcom.c.key, xcom.c.value).where(
            xcom.c.dag_run_id == bindparam("the_run"),
            xcom.c.task_id == bindparam("the_task_id"),
            xcom.c.map_index == bindparam("the_map_index"),
            xcom.c.key.in_(_OWN_KEYS),
        )

    def upsert(self, insert: Callable[[Table], Any]) -> Any:
        names = (*_NAMES, "map_index", "key", "value")
        given: dict[str, Any] = {name: bindparam(f"the_{name}") for name in names}
        statement = insert(self._xcom).values(
            **given, dag_run_id=bindparam("the_run"), timestamp=bindparam("the_time")
        )
        return _replacing(statement, [column.name for column in self._xcom.primary_key])

    @cached_property
    def waiters(self) -> Select[Any]:
        xcom, task, trigger = self._xcom, table(TaskInstance), table(Trigger)
        names = [xcom.c[name] for name in (*_NAMES, "map_index")]
        return (
            select(
                *names,
                xcom.c.dag_run_id,
                xcom.c.value,
                task.c.id,
                trigger.c.created_date,
                trigger.c.classpath,
            )
            .join(task, and_(*(task.c[name.name] == name for name in names)))
            .join(trigger, trigger.c.id == task.c.trigger_id)
            .where(_has_key(xcom), task.c.state == TaskInstanceState.DEFERRED)
            .order_by(*names)
        )

    @cached_property
    def with_key(self) -> Select[Any]:
        xcom = self._xcom
        names = [xcom.c[name] for name in (*_NAMES, "map_index")]
        return (
            select(*names, xcom.c.value).where(xcom.c.key == bindparam("the_key")).order_by(xcom.c.timestamp)
        )


class XComsOfAttempts(Shape):
    """Airflow 3.4. Only live attempts count, and no task in a loop: four names do not tell its iterations apart."""

    def __init__(self) -> None:
        self._new: Table = table(airflow_xcom.XComModelV2)
        self._old: Table = table(airflow_xcom.XComModelV1)
        self._owner: Table = table(_model("taskinstance", "LegacyTaskDataOwner"))
        self._region: Table = table(_model("dynamic_region", "DynamicRegion"))
        self._top: Any = _model("dynamic_region", "SENTINEL_REGION_ID")
        # A query over old and new ones; of live attempts, unless a statement has the option include_all_attempts.
        self._both: Any = airflow_xcom.XComModel.__table__

    @property
    def map_index(self) -> Any:
        return table(TaskInstance).c.region_index

    def is_task(self) -> ColumnElement[bool]:
        is_at = self.map_index == bindparam("the_map_index")
        return and_(_is_named(), is_at, self._is_live(), self._is_public())

    def _is_live(self) -> ColumnElement[bool]:
        return table(TaskInstance).c.working_set.is_(True)

    def _is_public(self) -> ColumnElement[bool]:
        """A mapped task has a region of its own, others the one that all share."""
        task, region = table(TaskInstance), self._region
        own = exists().where(
            region.c.id == task.c.region_id,
            region.c.node_id == task.c.task_id,
            region.c.parent_region_id.is_(None),
        )
        return or_(task.c.region_id == self._top, own)

    @property
    def last_try_ended(self) -> ColumnElement[bool]:
        # Airflow gives an end to every attempt that it archives. One that ended by itself has nothing to go on with.
        task, before = table(TaskInstance), table(TaskInstance).alias()
        return ~exists().where(
            *(before.c[name] == task.c[name] for name in (*_NAMES, "region_id", "region_index")),
            before.c.try_number == task.c.try_number - 1,
            before.c.next_method.is_not(None),
        )

    @cached_property
    def xcoms(self) -> Select[Any]:
        return self._of_attempt(bindparam("the_task"))

    @cached_property
    def earlier_xcoms(self) -> Select[Any]:
        live, earlier = table(TaskInstance).alias(), table(TaskInstance).alias()
        same = (*_NAMES, "region_id", "region_index")
        before = (
            select(earlier.c.id)
            .join(live, and_(*(live.c[name] == earlier.c[name] for name in same)))
            .where(live.c.id == bindparam("the_task"), earlier.c.working_set.is_(None))
            .order_by(earlier.c.try_number.desc())
            .limit(1)
        )
        return self._of_attempt(before.scalar_subquery())

    def _of_attempt(self, task_id: Any) -> Select[Any]:
        xcom = self._both
        wanted = select(xcom.c.key, xcom.c.value).where(
            xcom.c.task_instance_id == task_id, xcom.c.key.in_(_OWN_KEYS)
        )
        return wanted.execution_options(include_all_attempts=True)

    def upsert(self, insert: Callable[[Table], Any]) -> Any:
        """
        Return the statement that writes an XCom, replacing an older one.

        As ``XComModel.set_for_attempt`` does. That takes one XCom at a time, flushes the session and builds its
        statement anew for each, and a thousand waiters are ended by one END, in one transaction.
        """
        statement = insert(self._new).values(
            task_instance_id=bindparam("the_task"),
            key=bindparam("the_key"),
            value=bindparam("the_value"),
            timestamp=bindparam("the_time"),
        )
        return _replacing(statement, ["task_instance_id", "key"])

    @cached_property
    def waiters(self) -> Select[Any]:
        # XComs have no index by key here. Deferred tasks are few, and each is asked for its registration: in a join,
        # PostgreSQL would read all XComs.
        new, old, owner, task = self._new, self._old, self._owner, self._deferred
        names = (*_NAMES, "map_index")
        of_new = select(new.c.value).where(new.c.task_instance_id == task.c.id, _has_key(new))
        of_old = (
            select(old.c.value)
            .join(owner, and_(*(old.c[name] == owner.c[name] for name in names)))
            .where(owner.c.task_instance_id == task.c.id, _has_key(old))
        )
        latest = [
            found.order_by(xcom.c.timestamp.desc()).limit(1).correlate(task).scalar_subquery()
            for found, xcom in ((of_new, new), (of_old, old))
        ]
        asked = select(task, func.coalesce(*latest).label("value")).subquery()
        trigger, run = table(Trigger), table(DagRun)
        by_name = [asked.c[name] for name in names]
        return (
            select(
                *by_name,
                run.c.id.label("run"),
                asked.c.value,
                asked.c.id,
                trigger.c.created_date,
                trigger.c.classpath,
            )
            .join_from(asked, trigger, trigger.c.id == asked.c.trigger_id)
            .join(run, and_(run.c.dag_id == asked.c.dag_id, run.c.run_id == asked.c.run_id))
            .where(asked.c.value.is_not(None))
            .order_by(*by_name)
        )

    @property
    def _deferred(self) -> CTE:
        task = table(TaskInstance)
        names = (*(task.c[name] for name in _NAMES), self.map_index.label("map_index"))
        # Materialized: joined to the triggers at once, all tasks would be read that ever had one.
        deferred = select(*names, task.c.id, task.c.trigger_id).where(
            task.c.state == TaskInstanceState.DEFERRED, self._is_live()
        )
        return deferred.cte("deferred").prefix_with("MATERIALIZED", dialect="postgresql")

    @cached_property
    def with_key(self) -> Executable:
        # New XComs have no index by key, and the others have. Their ids are made by ``uuid7``: the index on them finds
        # what was written lately. Whatever attempt wrote one: a later one has not begun yet, or says it again.
        new, old, task = self._new, self._old, table(TaskInstance)
        names = (*_NAMES, "map_index")
        of_new = (
            select(
                *(task.c[name] for name in _NAMES),
                self.map_index.label("map_index"),
                new.c.value,
                new.c.timestamp,
            )
            .join_from(new, task, task.c.id == new.c.task_instance_id)
            .where(new.c.key == bindparam("the_key"), new.c.id >= bindparam("the_oldest"))
        )
        of_old = select(*(old.c[name] for name in names), old.c.value, old.c.timestamp).where(
            old.c.key == bindparam("the_key")
        )
        found = union_all(of_new, of_old).subquery()
        return select(*(found.c[name] for name in (*names, "value"))).order_by(found.c.timestamp)


@cache
def shape() -> Shape:
    """
    Return the shape of the tables that this process' Airflow has.

    :raises UnsupportedDatabase: if it is none of those that were tested.
    """
    columns = set(table(TaskInstance).c.keys())
    has_attempts = {"working_set", "region_id", "region_index"} <= columns
    if hasattr(airflow_xcom, "XComModelV2") and has_attempts:
        return XComsOfAttempts()
    if airflow_xcom.XComModel.__tablename__ == "xcom" and "map_index" in columns and not has_attempts:
        return OneXComTable()
    raise UnsupportedDatabase(
        f"Smart live callbacks do not know the tables of Airflow {version('apache-airflow-core')}. "
        f"Install apache-airflow 3.3 or 3.4, or a release of this provider that supports yours."
    )


def check_dialect(dialect: str) -> None:
    """
    Make sure that the locking was tested on a database.

    :param dialect: its name in SQLAlchemy.
    :raises UnsupportedDatabase: if it was not, as on MySQL.
    """
    if dialect not in INSERTS:
        raise UnsupportedDatabase(
            f"Smart live callbacks are not supported on {dialect}: nobody has tested their locking there. "
            "Use PostgreSQL, or start jobs with use_callbacks=False."
        )


def table(model: type[Any]) -> Table:
    """Return the table of a model of Airflow's."""
    found = model.__table__
    assert isinstance(found, Table)  # noqa: S101 - what SQLAlchemy maps a class to
    return found


def _model(module: str, name: str) -> Any:
    """Return a model that not every version of Airflow has."""
    return getattr(import_module(f"airflow.models.{module}"), name)


def _is_named() -> ColumnElement[bool]:
    task = table(TaskInstance)
    return and_(*(task.c[name] == bindparam(f"the_{name}") for name in _NAMES))


def _has_key(xcom: Table) -> ColumnElement[bool]:
    return xcom.c.key.in_(bindparam("the_keys", expanding=True))


def _replacing(statement: Any, unique: Sequence[str]) -> Any:
    return statement.on_conflict_do_update(
        index_elements=unique,
        set_={"value": statement.excluded.value, "timestamp": statement.excluded.timestamp},
    )
