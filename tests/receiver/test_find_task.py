"""What the sweep's command learns of a task from Airflow's database."""

from __future__ import annotations

from datetime import UTC, datetime
from inspect import signature
from typing import Any

import pytest
from airflow.api_fastapi.execution_api.routes.task_instances import get_previous_task_instance
from airflow.jobs.triggerer_job_runner import ToTriggerRunner
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.sdk.execution_time import comms
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import update

from airflow_provider_smartlive.callbacks.messages import JOB_ID_KEY, JOB_KEY, XCOM_TABLE_KEY
from airflow_provider_smartlive.callbacks.table import CallbackTable
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.task_status import TaskStatus
from airflow_provider_smartlive.livestream.starter import Starter
from airflow_provider_smartlive.receiver import store
from tests.support.fake_airflow import FakeSupervisor

pytestmark = pytest.mark.usefixtures("plain_settings")

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
    assert store.find_task(task) == TaskStatus("failed", run_goes_on=True, max_tries=3, job_id=job_id)


def test_a_task_with_its_callback_table(database: Any) -> None:
    task = database.task(xcoms={XCOM_TABLE_KEY: CallbackTable(generation="2").dump()})
    found = store.find_task(task)
    assert found is not None
    assert found.generation == "2"


@pytest.mark.parametrize(("clear_number", "was_cleared"), [(0, True), (1, False)])
def test_a_task_that_was_cleared_while_it_waited(database: Any, clear_number: int, was_cleared: bool) -> None:
    """Its ``max_tries`` may be what it was: ``retries`` was lowered."""
    said = {"job_id": JOB_ID, "try_number": 1, "clear_number": clear_number}
    task = database.task(xcoms={JOB_KEY: said})
    database.clear(task)
    database.change(task, state="scheduled", try_number=2)
    found = store.find_task(task)
    assert found is not None
    assert found.was_cleared is was_cleared


@pytest.mark.parametrize("state", ["deferred", "scheduled"])
@pytest.mark.parametrize(("try_number", "is_known"), [(1, True), (2, False)])
def test_a_task_with_an_execution_timeout(database: Any, state: str, try_number: int, is_known: bool) -> None:
    at = datetime(2026, 1, 1, 13, tzinfo=UTC)
    task = database.task(state=state, xcoms={JOB_KEY: {"try_number": 1, "timeout_at": at.isoformat()}})
    with database.sessions() as session:
        session.execute(
            update(TaskInstance).where(TaskInstance.run_id == task.run_id).values(try_number=try_number)
        )
    found = store.find_task(task)
    assert found is not None
    assert found.timeout_at == (at if is_known else None)


def test_a_retry_was_not_cleared_although_another_task_of_its_run_was(database: Any) -> None:
    task = database.task(xcoms={JOB_KEY: {"job_id": JOB_ID, "try_number": 1, "clear_number": 0}})
    database.clear(database.task("other", like=task, state="failed"))
    database.fail_try(task)
    database.change(task, state="queued", try_number=2)
    found = store.find_task(task)
    assert found is not None
    assert not found.was_cleared


def test_a_task_that_waits_for_its_retry_has_the_job_of_the_try_before(database: Any) -> None:
    table = CallbackTable(generation="2").dump()
    task = database.task(xcoms={JOB_ID_KEY: JOB_ID, XCOM_TABLE_KEY: table})
    database.fail_try(task)
    expected = TaskStatus("up_for_retry", run_goes_on=True, max_tries=0, job_id=JOB_ID, generation="2")
    assert store.find_task(task) == expected


def test_a_task_that_is_gone(database: Any) -> None:
    assert store.find_task(TaskRef("dag", "a run that was deleted", "go_live")) is None


# -- what the sweep's task learns of it from Airflow's API


@pytest.mark.parametrize("logical_date", [datetime(2026, 1, 1, tzinfo=UTC), None])
@pytest.mark.parametrize(("try_number", "goes_on"), [(2, False), (1, True)])
def test_airflow_tells_a_worker_the_try_of_another_task(
    database: Any,
    supervisor: FakeSupervisor,
    logical_date: datetime | None,
    try_number: int,
    goes_on: bool,
) -> None:
    """Asked of Airflow's own route: its "previous" task instance is the task's own, just before a later date."""
    task = database.task(state="scheduled")
    with database.sessions() as session:
        ours = {"logical_date": logical_date}
        session.execute(update(DagRun).where(DagRun.run_id == task.run_id).values(**ours))
        session.execute(
            update(TaskInstance).where(TaskInstance.run_id == task.run_id).values(try_number=try_number)
        )

    # What the route asks for in Airflow 3.4, for tasks in loops.
    wanted = signature(get_previous_task_instance).parameters
    more = {name: None for name in ("dag_bag", "token") if name in wanted}

    def task_before(message: comms.GetPreviousTI) -> Any:
        asked = message.model_dump(exclude={"type"})
        with database.sessions() as session:
            found = get_previous_task_instance(**asked, **more, session=session)
        return found and found.model_dump()

    supervisor.run = ours
    supervisor.task_before = task_before
    supervisor.xcoms[task.task_id, -1, JOB_KEY] = {"try_number": 1}
    assert Starter.of(task).goes_on("scheduled") is goes_on


def test_a_trigger_is_not_told() -> None:
    """Airflow takes the question of a trigger, and cannot read its own answer: until it can, the sweep has to do."""
    answer = comms.PreviousTIResult().model_dump()
    with pytest.raises(ValidationError, match="PreviousTIResult"):
        TypeAdapter(ToTriggerRunner).validate_python(answer)
