"""The sweep as a task: it stops all that is unwanted, whatever one job of them does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import comms

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.task_status import TaskStatus
from airflow_provider_smartlive.callbacks.url import CallbackTarget, issue
from airflow_provider_smartlive.client.connection import MissingConnectionError
from airflow_provider_smartlive.exceptions import SmartLiveJobFailedError
from airflow_provider_smartlive.livestream.starter import Starter
from airflow_provider_smartlive.metastudio.callback_auth import AuthType
from airflow_provider_smartlive.metastudio.errors import AuthenticationError, PermissionDenied
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.metastudio.start import StartJobRequest
from airflow_provider_smartlive.operators import SmartLiveSweepOperator
from tests.support.fake_airflow import DAG, RUN, TASK, FakeSupervisor, a_context, api_error
from tests.support.fake_metastudio import ROOM, FakeJob, FakeMetaStudio
from tests.support.virtual_time import NOON

pytestmark = pytest.mark.usefixtures("hooked")

GONE, WAITS = None, TaskStatus("deferred", run_goes_on=True)


def started(metastudio: FakeMetaStudio, *, task_id: str, **more: Any) -> FakeJob:
    """Make a running job that carries the callback URL of a task of this deployment."""
    issued = issue(
        CallbackTarget(TaskRef(DAG, RUN, task_id), "0", 0, settings.deployment()),
        base_url="https://airflow.example.com",
        secrets=settings.callback_secrets(),
        auth_type=AuthType.MSS_A_HEAD,
    )
    config = {"live_event_type_callback_url": issued.url, "auth_type": "MSS_A_HEAD", "key": issued.key}
    request = StartJobRequest.model_validate({"live_event_callback_config": config})
    return metastudio.add(request=request, **more)


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> dict[str, TaskStatus | None]:
    """What Airflow knows, by task id."""
    tasks: dict[str, TaskStatus | None] = {}
    monkeypatch.setattr(
        "airflow_provider_smartlive.livestream.sweeper._find_task", lambda task_ref: tasks[task_ref.task_id]
    )
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__STOP_GRACE", "0")
    return tasks


def sweep(supervisor: FakeSupervisor, **arguments: Any) -> list[dict[str, str]]:
    context: Any = a_context(supervisor, task_id="sweep")
    return SmartLiveSweepOperator(task_id="sweep", **arguments).execute(context)


def test_what_is_unwanted_is_stopped_and_told(
    metastudio: FakeMetaStudio, supervisor: FakeSupervisor, tasks: dict[str, TaskStatus | None]
) -> None:
    tasks.update(gone=GONE, waits=WAITS)
    unwanted, wanted = started(metastudio, task_id="gone"), started(metastudio, task_id="waits")
    assert sweep(supervisor) == [
        {"job_id": unwanted.job_id, "room_id": ROOM, "reason": "its task instance is gone"}
    ]
    assert metastudio.running == [wanted.job_id]


def test_a_report_stops_nothing(
    metastudio: FakeMetaStudio, supervisor: FakeSupervisor, tasks: dict[str, TaskStatus | None]
) -> None:
    tasks.update(gone=GONE)
    job = started(metastudio, task_id="gone")
    assert [found["job_id"] for found in sweep(supervisor, only_report=True)] == [job.job_id]
    assert metastudio.running == [job.job_id]


def test_one_job_that_does_not_stop_does_not_save_the_others(
    metastudio: FakeMetaStudio, supervisor: FakeSupervisor, tasks: dict[str, TaskStatus | None]
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
    tasks: dict[str, TaskStatus | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tasks.update(gone=GONE)
    other, refused = started(metastudio, task_id="gone"), started(metastudio, task_id="gone")
    stop_job = metastudio.stop_job

    def refusing(job_ref: JobRef) -> None:
        if job_ref.job_id == refused.job_id:
            raise PermissionDenied("not yours", http_status=403, error_code="MSS.403")
        stop_job(job_ref)

    monkeypatch.setattr(metastudio, "stop_job", refusing)
    with pytest.raises(SmartLiveJobFailedError, match=refused.job_id):
        sweep(supervisor)
    assert not other.is_active


@pytest.mark.parametrize(("status", "is_stopped"), [(404, True), (500, False), (403, False), (None, False)])
def test_only_a_run_that_airflow_does_not_know_is_gone(
    metastudio: FakeMetaStudio, supervisor: FakeSupervisor, status: int | None, is_stopped: bool
) -> None:
    """An Airflow that does not answer says nothing about a run, and a healthy livestream goes on."""
    started(metastudio, task_id=TASK)
    supervisor.states[TASK] = None
    detail = {"status_code": status} if status else {"message": "away"}

    def fail(message: Any) -> None:
        if isinstance(message, comms.GetDagRunState):
            raise AirflowRuntimeError(comms.ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail))

    supervisor.on_message = fail
    sweep(supervisor)
    assert (metastudio.running == []) is is_stopped


@pytest.mark.parametrize(
    ("states", "run_state", "is_stopped"),
    [({}, "running", True), ({TASK: None}, "running", False), ({TASK: None}, "success", True)],
    ids=["deleted", "reset", "cleared without its run"],
)
def test_a_task_without_a_state_is_told_from_one_that_is_gone(
    metastudio: FakeMetaStudio,
    supervisor: FakeSupervisor,
    states: dict[str, str | None],
    run_state: str,
    is_stopped: bool,
) -> None:
    started(metastudio, task_id=TASK)
    supervisor.states, supervisor.run_state = states, run_state
    sweep(supervisor)
    assert (metastudio.running == []) is is_stopped


def test_a_connection_that_is_missing_fails_for_good(
    metastudio: FakeMetaStudio, supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def profile() -> None:
        raise MissingConnectionError("smartlive_conn_id: there is no connection 'x'.")

    monkeypatch.setattr(metastudio, "profile", profile)
    with pytest.raises(AirflowFailException, match="there is no connection"):
        sweep(supervisor)
    assert metastudio.asked == {}


def test_a_wrong_key_fails_for_good(metastudio: FakeMetaStudio, supervisor: FakeSupervisor) -> None:
    metastudio.down = AuthenticationError("Verify aksk signature fail", error_code="APIGW.0301")
    with pytest.raises(AirflowFailException, match="Check login and password"):
        sweep(supervisor)


# -- waiting for a worker, in a full pool


@pytest.mark.parametrize("state", ["scheduled", "queued"])
def test_a_task_that_was_cleared_and_waits_for_a_worker(
    metastudio: FakeMetaStudio, supervisor: FakeSupervisor, state: str
) -> None:
    """It looks like one that was resumed, or that tries again: Airflow tells no task more. The command knows it."""
    job = started(metastudio, task_id=TASK)
    supervisor.states = {TASK: state}
    supervisor.xcoms[TASK, -1, "smartlive_job"] = {"try_number": 1, "clear_number": 0}
    assert sweep(supervisor) == []
    assert metastudio.running == [job.job_id]


@pytest.mark.parametrize(
    ("state", "try_number", "minutes", "is_stopped"),
    [
        ("deferred", 1, 11, True),
        ("deferred", 1, 9, False),
        ("scheduled", 1, 11, True),
        ("queued", 1, 11, True),
        ("scheduled", 2, 11, False),
        ("running", 1, 11, False),
    ],
)
def test_a_task_whose_execution_timeout_is_long_over(
    metastudio: FakeMetaStudio,
    supervisor: FakeSupervisor,
    state: str,
    try_number: int,
    minutes: int,
    is_stopped: bool,
) -> None:
    """The triggerer was away at that time, and the DAG is paused, its file gone or the pool full."""
    job = started(metastudio, task_id=TASK)
    over = datetime.now(UTC) - timedelta(minutes=minutes)
    supervisor.states = {TASK: state}
    supervisor.xcoms[TASK, -1, "smartlive_job"] = {
        "try_number": 1,
        "clear_number": 0,
        "timeout_at": over.isoformat(),
    }
    supervisor.run = {"logical_date": NOON, "clear_number": 0}
    supervisor.task = {"state": state, "logical_date": NOON, "try_number": try_number}
    assert bool(sweep(supervisor)) is is_stopped
    assert metastudio.running == ([] if is_stopped else [job.job_id])


@pytest.mark.parametrize(
    "task",
    [
        {"state": "scheduled", "logical_date": NOON - timedelta(days=1)},  # of the run before it
        {"state": "running", "logical_date": None},
    ],
)
def test_another_run_says_nothing_of_a_task(supervisor: FakeSupervisor, task: dict[str, Any]) -> None:
    supervisor.xcoms[TASK, -1, "smartlive_job"] = {"try_number": 1, "timeout_at": NOON.isoformat()}
    supervisor.run = {"logical_date": task["logical_date"] and NOON}
    supervisor.task = {"try_number": 1, "run_id": "another"} | task
    assert not Starter(DAG, RUN, TASK).goes_on("scheduled")
    assert Starter(DAG, RUN, TASK).timeout_while_waiting("scheduled") is None


@pytest.mark.parametrize("state", [None, "running", "deferred", "up_for_retry", "success", "failed"])
def test_airflow_is_asked_for_more_only_of_tasks_that_wait_for_a_worker(
    supervisor: FakeSupervisor, state: str | None
) -> None:
    supervisor.xcoms[TASK, -1, "smartlive_job"] = {"try_number": 1, "timeout_at": NOON.isoformat()}
    assert not Starter(DAG, RUN, TASK).goes_on(state)
    assert Starter(DAG, RUN, TASK).timeout_while_waiting(state) == (NOON if state == "deferred" else None)
    assert {type(message) for message in supervisor.messages} <= {comms.GetXCom}


def test_while_airflow_cannot_tell_the_job_goes_on(
    metastudio: FakeMetaStudio, supervisor: FakeSupervisor
) -> None:
    job = started(metastudio, task_id=TASK)
    supervisor.states = {TASK: "scheduled"}
    supervisor.xcoms[TASK, -1, "smartlive_job"] = {"try_number": 1, "timeout_at": NOON.isoformat()}

    def fail(message: Any) -> None:
        if isinstance(message, comms.GetDagRun):
            raise api_error()

    supervisor.on_message = fail
    assert sweep(supervisor) == []
    assert metastudio.running == [job.job_id]
