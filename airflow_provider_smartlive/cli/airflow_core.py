"""
What commands ask Airflow itself: connections, callback tables, triggerers, plugins, its database and its logs.

Commands run where the metadata database is, and read it as Airflow's own commands do. No other module of ``cli``
uses what Airflow does not publish.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow import plugins_manager
from airflow.cli.utils import redirect_stdout_log_handlers_to_stderr
from airflow.configuration import ensure_secrets_loaded
from airflow.jobs.job import Job, JobState
from airflow.models.connection import Connection
from airflow.models.pool import Pool
from airflow.models.xcom import XCOM_RETURN_KEY, XComModel
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.execution_time import xcom
from airflow.sdk.execution_time.comms import XComResult
from airflow.utils.session import create_session
from sqlalchemy import select, tuple_
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_smartlive.callbacks.messages import CALLBACK, XCOM_TABLE_KEY
from airflow_provider_smartlive.callbacks.table import CallbackTable
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.client.lookup import of_teams
from airflow_provider_smartlive.hooks import SmartLiveHook

if TYPE_CHECKING:
    from airflow.sdk import Connection as SdkConnection

#: What is raised if the metadata database cannot be read.
DatabaseError = SQLAlchemyError

#: Task instances per query: a statement may have 32,766 values on SQLite, and each takes four.
_BATCH = 500

_HINTS = {
    "InvalidToken": " (stored under another [core] fernet_key)",
    "OperationalError": " (check [database] sql_alchemy_conn, and `airflow db migrate`)",
}


@contextmanager
def quiet_logs(level: int) -> Iterator[None]:
    """
    Put log lines where they do not mix with what a command prints.

    :param level: of our own lines, the least that is shown: the rest says once more what the command says.
    """
    redirect_stdout_log_handlers_to_stderr()
    logger = logging.getLogger("airflow_provider_smartlive")
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


class ConnectionNotFoundError(Exception):
    """A connection is defined nowhere, or what defines it cannot be read. The text says where, and the fix."""


class CommandHook(SmartLiveHook):
    """
    The hook of a command: it finds connections wherever Airflow's own commands do.

    The Task SDK, which every other hook asks, looks into the metadata database only for processes that run a
    task or a server of Airflow; for a command it would know the environment and a secrets backend.
    """

    @classmethod
    def get_connection(cls, conn_id: str) -> SdkConnection:
        """
        Return a connection from a secrets backend, the environment or the metadata database.

        :raises ConnectionNotFoundError: if there is none.
        """
        try:
            # The two classes of connections have the same fields.
            return Connection.get_connection_from_secrets(conn_id)
        except AirflowNotFoundException:
            raise ConnectionNotFoundError(_why_not(conn_id)) from None


def _why_not(conn_id: str) -> str:
    backends = ensure_secrets_loaded()
    # Airflow passes over a backend that fails, and would call its connections undefined.
    if failures := [failure for backend in backends if (failure := _failure(backend, conn_id))]:
        return f"Connection {conn_id!r} could not be read: {', '.join(failures)}."
    places = ", ".join(type(backend).__name__ for backend in backends)
    return (
        f"Connection {conn_id!r} is not defined (asked: {places}). Add it in the web interface or with "
        f"`airflow connections add {conn_id} --conn-type smartlive ...`, or name another one with --conn-id."
        f"{of_teams()}"
    )


def _failure(backend: object, conn_id: str) -> str | None:
    try:
        found = backend.get_connection(conn_id=conn_id)  # type: ignore[attr-defined]  # a secrets backend of any kind
        if found:
            found.get_uri()
    except Exception as error:
        # Its text may hold what it could not read.
        kind = type(error).__name__
        return f"{type(backend).__name__} failed with {kind}{_HINTS.get(kind, '')}"
    return None


def callback_tables(task_refs: Iterable[TaskRef]) -> dict[TaskRef, CallbackTable]:
    """
    Return the callback tables of task instances, of those that have one.

    :raises DatabaseError: if the metadata database cannot be read.
    """
    columns = (XComModel.dag_id, XComModel.run_id, XComModel.task_id, XComModel.map_index)
    tables: dict[TaskRef, CallbackTable] = {}
    with create_session(scoped=False) as session:
        for batch in _batches(list(dict.fromkeys(task_refs))):
            wanted = [tuple(vars(task_ref).values()) for task_ref in batch]
            statement = select(*columns, XComModel.value).where(
                XComModel.key == XCOM_TABLE_KEY, tuple_(*columns).in_(wanted)
            )
            for *names, value in session.execute(statement):
                tables[TaskRef(*names)] = CallbackTable.load(value)
    return tables


def _batches(task_refs: list[TaskRef]) -> Iterator[list[TaskRef]]:
    for start in range(0, len(task_refs), _BATCH):
        yield task_refs[start : start + _BATCH]


def database_kind() -> str:
    """
    Return ``postgresql``, ``sqlite`` or ``mysql``, after a query that shows that the database has Airflow's tables.

    :raises DatabaseError: if it does not answer, or was not migrated.
    """
    with create_session(scoped=False) as session:
        session.execute(select(Job.id).limit(1))
        return session.get_bind().dialect.name


@dataclass(frozen=True)
class PoolFacts:
    """
    A pool of Airflow.

    :param slots: its size; -1 without a limit.
    :param counts_deferred: whether tasks that wait deferred take a slot.
    """

    slots: int
    counts_deferred: bool


def pool(name: str) -> PoolFacts | None:
    """
    Return a pool; None if there is none of this name.

    :raises DatabaseError: if the metadata database cannot be read.
    """
    with create_session(scoped=False) as session:
        found = session.scalar(select(Pool).where(Pool.pool == name))
        return PoolFacts(found.slots, found.include_deferred) if found is not None else None


def live_triggerers() -> list[str]:
    """
    Return the hosts of the triggerers that Airflow counts as alive.

    :raises DatabaseError: if the metadata database cannot be read.
    """
    statement = select(Job).where(Job.job_type == "TriggererJob", Job.state == JobState.RUNNING)
    with create_session(scoped=False) as session:
        return [job.hostname or "unknown host" for job in session.scalars(statement) if job.is_alive()]


def xcom_backend() -> str | None:
    """Return the name of the class by which tasks write and read XComs; None for Airflow's own."""
    backend = xcom.XCom
    return None if backend is BaseXCom else f"{backend.__module__}.{backend.__qualname__}"


def reads_plain_xcoms() -> bool:
    """Tell whether that class reads what stands in the database as the receiver writes it: past the backend."""
    plain = {"source": CALLBACK, "state": "END"}
    try:
        return bool(xcom.XCom.deserialize_value(XComResult(key=XCOM_RETURN_KEY, value=plain)) == plain)
    except Exception:
        return False


def mounted_paths() -> dict[str, str]:
    """
    Return the paths at which plugins put applications into the API server, with the name of each.

    Airflow asks the plugins for them, and ours then makes its receiver.
    """
    apps, _ = plugins_manager.get_fastapi_plugins()
    return {str(app.get("url_prefix")): str(app.get("name")) for app in apps}


def plugin_errors() -> dict[str, str]:
    """Return which plugins Airflow could not load, and why."""
    return plugins_manager.get_import_errors()
