"""What the sweep's command learns of a task from Airflow's database."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import update

from airflow_provider_smartlive.callbacks import store
from airflow_provider_smartlive.callbacks.facts import TaskFacts
from airflow_provider_smartlive.callbacks.route import Identity
from airflow_provider_smartlive.callbacks.table import CallbackTable
from airflow_provider_smartlive.callbacks.waiter import JOB_ID_KEY, JOB_KEY, XCOM_TABLE_KEY

JOB_ID = "1a2b3c4d-1a2b-3c4d-1a2b-3c4d1a2b3c4d"


@pytest.fixture(autouse=True)
def _here(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_own_session", database.sessions)


@pytest.mark.parametrize(
    ("xcoms", "job_id"),
    [
        ({}, None),
        ({JOB_ID_KEY: JOB_ID}, JOB_ID),
        ({JOB_ID_KEY: 7}, None),
        ({JOB_ID_KEY: ["x"]}, None),
        # What Airflow's XComObjectStorageBackend leaves in the database.
        ({JOB_ID_KEY: "file:///xcoms/nightly/run/go_live/2f0c.json", XCOM_TABLE_KEY: "s3://xcoms/1"}, None),
    ],
)
def test_a_task_with_its_job(database: Any, xcoms: dict[str, Any], job_id: str | None) -> None:
    task = database.task(state="failed", max_tries=3, xcoms=xcoms)
    assert store.find_task(task) == TaskFacts("failed", run_goes_on=True, max_tries=3, job_id=job_id)


def test_a_task_with_its_callback_table(database: Any) -> None:
    task = database.task(xcoms={XCOM_TABLE_KEY: CallbackTable(generation="2").dump()})
    found = store.find_task(task)
    assert found is not None
    assert found.generation == "2"


@pytest.mark.parametrize(("clear_number", "was_cleared"), [(0, True), (1, False)])
def test_a_task_that_was_cleared_while_it_waited(database: Any, clear_number: int, was_cleared: bool) -> None:
    """Its ``max_tries`` may be what it was: ``retries`` was lowered."""
    said = {"job_id": JOB_ID, "try_number": 1, "clear_number": clear_number}
    task = database.task(state="scheduled", xcoms={JOB_KEY: said})
    with database.sessions() as session:
        session.execute(update(TaskInstance).where(TaskInstance.run_id == task.run_id).values(try_number=2))
        session.execute(update(DagRun).where(DagRun.run_id == task.run_id).values(clear_number=1))
    found = store.find_task(task)
    assert found is not None
    assert found.was_cleared is was_cleared


def test_a_task_that_is_gone(database: Any) -> None:
    assert store.find_task(Identity("dag", "a run that was deleted", "go_live")) is None
