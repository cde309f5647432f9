"""The sweep as a task: it stops all that is unwanted, whatever one job of them does."""

from __future__ import annotations

from typing import Any

import pytest
from fake_airflow import FakeSupervisor, a_context
from fake_metastudio import ROOM, FakeMetaStudio
from test_stop_operator import started

from airflow_provider_smartlive.callbacks.facts import TaskFacts
from airflow_provider_smartlive.exceptions import SmartLiveJobFailedError
from airflow_provider_smartlive.metastudio.errors import PermissionDenied
from airflow_provider_smartlive.operators import SmartLiveSweepOperator

GONE, WAITS = None, TaskFacts("deferred", run_goes_on=True)


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> dict[str, TaskFacts | None]:
    """What Airflow knows, by task id."""
    tasks: dict[str, TaskFacts | None] = {}
    monkeypatch.setattr(
        "airflow_provider_smartlive.operators.sweep._find_task", lambda identity: tasks[identity.task_id]
    )
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__STOP_GRACE", "0")
    return tasks


def sweep(supervisor: FakeSupervisor, **arguments: Any) -> list[dict[str, str]]:
    context: Any = a_context(supervisor, task_id="sweep")
    return SmartLiveSweepOperator(task_id="sweep", **arguments).execute(context)


def test_what_is_unwanted_is_stopped_and_told(
    metastudio: FakeMetaStudio, supervisor: FakeSupervisor, tasks: dict[str, TaskFacts | None]
) -> None:
    tasks.update(gone=GONE, waits=WAITS)
    unwanted, wanted = started(metastudio, task_id="gone"), started(metastudio, task_id="waits")
    assert sweep(supervisor) == [
        {"job_id": unwanted.job_id, "room_id": ROOM, "reason": "its task instance is gone"}
    ]
    assert metastudio.running == [wanted.job_id]


def test_a_report_stops_nothing(
    metastudio: FakeMetaStudio, supervisor: FakeSupervisor, tasks: dict[str, TaskFacts | None]
) -> None:
    tasks.update(gone=GONE)
    job = started(metastudio, task_id="gone")
    assert [found["job_id"] for found in sweep(supervisor, only_report=True)] == [job.job_id]
    assert metastudio.running == [job.job_id]


def test_one_job_that_does_not_stop_does_not_save_the_others(
    metastudio: FakeMetaStudio, supervisor: FakeSupervisor, tasks: dict[str, TaskFacts | None]
) -> None:
    tasks.update(gone=GONE)
    other, stubborn = (
        started(metastudio, task_id="gone"),
        started(metastudio, task_id="gone", looks_until_stopped=None),
    )
    with pytest.raises(SmartLiveJobFailedError, match=stubborn.job_id):
        sweep(supervisor)
    assert not other.is_active


def test_one_job_whose_stop_is_refused_does_not_save_the_others(
    metastudio: FakeMetaStudio,
    supervisor: FakeSupervisor,
    tasks: dict[str, TaskFacts | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tasks.update(gone=GONE)
    other, refused = started(metastudio, task_id="gone"), started(metastudio, task_id="gone")
    stop_job = metastudio.stop_job

    def refusing(room_id: str, job_id: str) -> None:
        if job_id == refused.job_id:
            raise PermissionDenied("not yours", http_status=403, error_code="MSS.403")
        stop_job(room_id, job_id)

    monkeypatch.setattr(metastudio, "stop_job", refusing)
    with pytest.raises(SmartLiveJobFailedError, match=refused.job_id):
        sweep(supervisor)
    assert not other.is_active
