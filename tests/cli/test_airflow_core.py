"""What commands read from Airflow's metadata database, on both of its kinds."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import pytest

from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.cli import airflow_core
from tests.cli.command_line import Studio
from tests.support.database import Database


@pytest.fixture(autouse=True)
def _sessions(monkeypatch: pytest.MonkeyPatch, database: Database) -> None:
    def sessions(*, scoped: bool) -> AbstractContextManager[Any]:
        return database.sessions()

    monkeypatch.setattr(airflow_core, "create_session", sessions)


def test_tables_of_many_tasks_in_few_queries(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow_core, "_BATCH", 2)
    first = database.task(map_index=0)
    tasks = [first, *(database.task(like=first, map_index=index) for index in range(1, 5))]
    for number, task in enumerate(tasks):
        database.push(task, "smartlive_callbacks", Studio.table(f"job{number}", "CONNECTED").dump())
    without = database.task()
    gone = TaskRef("no such dag", "run", "go_live")

    tables = airflow_core.callback_tables([*tasks, *tasks, without, gone])

    jobs = {task: table.jobs[0].job_id for task, table in tables.items()}
    assert jobs == {task: f"job{number}" for number, task in enumerate(tasks)}


def test_no_task_no_table() -> None:
    assert airflow_core.callback_tables([]) == {}


def test_the_kind_of_the_database(database: Database) -> None:
    assert airflow_core.database_kind() == database.name


def test_no_triggerer_has_ever_run(database: Database) -> None:
    assert airflow_core.live_triggerers() == []
