"""A migrated metadata database with task instances in it, on SQLite and on PostgreSQL."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import create_engine, delete, insert, select, update
from sqlalchemy.orm import Session, sessionmaker

from airflow_provider_smartlive.callbacks.task_ref import TaskRef

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Database:
    """
    Airflow's metadata database, and the few rows that the receiver deals with.

    :param url: For other processes.
    :param sessions: What the store opens its sessions with.
    """

    url: str
    sessions: Callable[[], AbstractContextManager[Session]] = field(repr=False)

    @property
    def name(self) -> str:
        """The kind of database, for counts and messages."""
        return self.url.partition(":")[0].partition("+")[0]

    def task(
        self,
        task_id: str = "go_live",
        *,
        state: str | None = "deferred",
        max_tries: int = 0,
        deferred_for: timedelta = timedelta(minutes=5),
        like: TaskRef | None = None,
        map_index: int = -1,
        xcoms: dict[str, Any] | None = None,
        next_kwargs: dict[str, Any] | None = None,
        next_method: str | None = "execute_complete",
        trigger_class: str = "airflow_provider_smartlive.triggers.SmartLiveStreamTrigger",
    ) -> TaskRef:
        """Create a task instance in a run of its own, or in the run of another one."""
        from airflow.models.dag_version import DagVersion
        from airflow.models.taskinstance import TaskInstance
        from airflow.models.trigger import Trigger
        from airflow.sdk.timezone import utcnow

        with self.sessions() as session:
            dag_id, run_id = (like.dag_id, like.run_id) if like else self._run(session)
            trigger = None
            if state == "deferred":
                trigger = Trigger(classpath=trigger_class, kwargs={}, created_date=utcnow() - deferred_for)
                session.add(trigger)
                session.flush()
            session.execute(
                insert(TaskInstance).values(
                    dag_id=dag_id,
                    run_id=run_id,
                    task_id=task_id,
                    map_index=map_index,
                    state=state,
                    max_tries=max_tries,
                    try_number=1,
                    pool="default_pool",
                    operator="Fake",
                    start_date=utcnow() - timedelta(minutes=6),
                    trigger_id=trigger.id if trigger else None,
                    next_method=next_method,
                    next_kwargs=next_kwargs or {},
                    queue="default",
                    dag_version_id=session.scalar(select(DagVersion.id).where(DagVersion.dag_id == dag_id)),
                )
            )
        task_ref = TaskRef(dag_id, run_id, task_id, map_index)
        for key, value in (xcoms or {}).items():
            self.push(task_ref, key, value)
        return task_ref

    def _run(self, session: Session) -> tuple[str, str]:
        from airflow.models.dag import DagModel
        from airflow.models.dag_version import DagVersion
        from airflow.models.dagbundle import DagBundleModel
        from airflow.models.dagrun import DagRun
        from airflow.sdk.timezone import utcnow

        number = next(_numbers)
        dag_id, run_id = f"nightly_{os.getpid()}_{number}", f"scheduled__{number}"
        if not session.get(DagBundleModel, "fake-bundle"):
            session.add(DagBundleModel(name="fake-bundle"))
            session.flush()
        session.execute(
            insert(DagModel).values(
                dag_id=dag_id,
                bundle_name="fake-bundle",
                fileloc="/fake/dag.py",
                relative_fileloc="dag.py",
                is_paused=False,
                max_active_tasks=16,
                max_consecutive_failed_dag_runs=0,
                has_task_concurrency_limits=False,
            )
        )
        session.execute(insert(DagVersion).values(dag_id=dag_id, bundle_name="fake-bundle"))
        session.execute(
            insert(DagRun).values(dag_id=dag_id, run_id=run_id, run_type="scheduled", run_after=utcnow())
        )
        return dag_id, run_id

    def fail_try(self, task_ref: TaskRef, *, begins: bool = False) -> None:
        """
        Let a try fail, and the next one wait, as Airflow does.

        :param begins: whether the next try begins, too, and so has no XComs.
        """
        from airflow.models.taskinstance import TaskInstance
        from airflow.models.xcom import XComModel
        from airflow.sdk.timezone import utcnow

        with self.sessions() as session:
            task = session.scalars(select(TaskInstance).where(*self._is(task_ref))).one()
            task.state, task.trigger_id, task.end_date = "up_for_retry", None, utcnow()
            task.clear_next_method_args()
            task.prepare_db_for_next_try(session)
            session.flush()
            if begins:
                XComModel.clear(**vars(task_ref), session=session)

    def clear(self, task_ref: TaskRef) -> None:
        """Clear a task as a user does."""
        from airflow.models.taskinstance import TaskInstance, clear_task_instances

        with self.sessions() as session:
            task = session.scalars(select(TaskInstance).where(*self._is(task_ref))).one()
            clear_task_instances([task], session)

    def forget(self) -> None:
        """Delete all that :meth:`task` has made, and the XComs with it."""
        from airflow.models.dag import DagModel
        from airflow.models.dag_version import DagVersion
        from airflow.models.dagrun import DagRun
        from airflow.models.taskinstance import TaskInstance
        from airflow.models.trigger import Trigger

        with self.sessions() as session:
            # In Core, so that no attempt is left out where a task instance has several; XComs go with them.
            for model in (TaskInstance, DagRun, DagVersion, DagModel, Trigger):
                session.execute(delete(model.__table__))

    def push(self, task_ref: TaskRef, key: str, value: Any) -> None:
        """Push an XCom as the Execution API does."""
        from airflow.models.xcom import XComModel

        with self.sessions() as session:
            XComModel.set(key, value, serialize=False, session=session, **vars(task_ref))

    def xcom(self, task_ref: TaskRef, key: str) -> Any:
        """
        Return an XCom's raw value, or None.

        Airflow 3.4 keeps those of every try: that of the latest try which has it is returned.
        """
        from airflow.models.xcom import XComModel

        with self.sessions() as session:
            statement = select(XComModel.value).where(
                *(getattr(XComModel, name) == value for name, value in vars(task_ref).items()),
                XComModel.key == key,
            )
            everything = statement.order_by(XComModel.timestamp.desc()).execution_options(
                include_all_attempts=True
            )
            return session.scalars(everything).first()

    def row(self, task_ref: TaskRef) -> Any:
        """Return the task instance."""
        from airflow.models.taskinstance import TaskInstance

        with self.sessions() as session:
            return session.scalars(select(TaskInstance).where(*self._is(task_ref))).one()

    def change(self, task_ref: TaskRef, **columns: Any) -> None:
        """Change the task instance as Airflow or a user would."""
        from airflow.models.taskinstance import TaskInstance

        with self.sessions() as session:
            session.execute(update(TaskInstance).where(*self._is(task_ref)).values(**columns))

    def remove_run(self, task_ref: TaskRef) -> None:
        """Delete the whole run."""
        from airflow.models.dagrun import DagRun

        with self.sessions() as session:
            session.execute(delete(DagRun).where(DagRun.dag_id == task_ref.dag_id))

    @staticmethod
    def _is(task_ref: TaskRef) -> list[Any]:
        from airflow.models.taskinstance import TaskInstance

        return [getattr(TaskInstance, name) == value for name, value in vars(task_ref).items()]


@contextmanager
def _own_sessions(factory: sessionmaker[Session]) -> Iterator[Session]:
    with factory.begin() as session:
        yield session


@pytest.fixture(scope="session")
def sqlite() -> Database:
    """Airflow's own database of this test process."""
    from airflow import settings
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session

    initdb()
    return Database(str(settings.engine.url), partial(create_session, scoped=False))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Database]:
    """A PostgreSQL of its own; this process' Airflow stays on SQLite."""
    from dev.postgres import Postgres

    with Postgres() as server:
        env = os.environ | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": server.url}
        migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
        subprocess.run(migrate, env=env, check=True, capture_output=True, timeout=300)
        engine = create_engine(server.url, pool_size=40)
        factory = sessionmaker(engine, autoflush=False, expire_on_commit=False)
        yield Database(server.url, partial(_own_sessions, factory))
        engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.processes)])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """The same tests for both databases; a waiter that one test leaves behind is no business of the next."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Database)
    yield found
    found.forget()
