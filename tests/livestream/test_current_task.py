"""The own task instance: who it is, what it remembers, and whether somebody ended it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow import sdk
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import comms
from airflow.utils.types import DagRunType

from airflow_provider_smartlive.callbacks.messages import XCOM_TABLE_KEY
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.task_status import TaskStatus
from airflow_provider_smartlive.livestream.current_task import CurrentTask, own_facts
from airflow_provider_smartlive.livestream.record import Attempt, JobRecord
from airflow_provider_smartlive.livestream.starter import Starter, StarterStatus
from tests.support.fake_airflow import DAG, RUN, TASK, FakeSupervisor, a_context, api_error
from tests.support.fake_callbacks import called_back
from tests.support.fake_metastudio import ROOM
from tests.support.virtual_time import NOON

JOB = "26f065244f754b3aa853b649a21aaf66"


def a_record(**more: Any) -> JobRecord:
    return JobRecord("1", Attempt(0, 0, 0), "smartlive_default", ROOM, **more)


@pytest.mark.parametrize(("map_index", "expected"), [(None, -1), (-1, -1), (0, 0), (7, 7)])
def test_identity(supervisor: FakeSupervisor, map_index: int | None, expected: int) -> None:
    task = CurrentTask(a_context(supervisor, map_index=map_index))
    assert task.task_ref == TaskRef(DAG, RUN, TASK, expected)


def test_what_airflow_says_of_a_try(supervisor: FakeSupervisor) -> None:
    task = CurrentTask(a_context(supervisor, max_tries=3, try_number=4, clear_number=2), retries=1)
    assert task.attempt == Attempt(max_tries=3, retries=1, clear_number=2)
    assert task.is_last_try


@pytest.mark.parametrize(
    ("run_type", "expected"),
    [(DagRunType.BACKFILL_JOB, True), ("backfill", True), (DagRunType.SCHEDULED, False), ("manual", False)],
)
def test_a_backfill_is_known(supervisor: FakeSupervisor, run_type: Any, expected: bool) -> None:
    assert CurrentTask(a_context(supervisor, run_type=run_type)).is_backfill is expected


BERLIN, SHANGHAI = "Europe/Berlin", "Asia/Shanghai"


@pytest.mark.parametrize(
    ("schedule", "start_zone", "expected"),
    [
        (sdk.CronTriggerTimetable("0 22 * * *", timezone=SHANGHAI), None, SHANGHAI),
        (sdk.CronTriggerTimetable("0 22 * * *", timezone=SHANGHAI), BERLIN, SHANGHAI),
        ("0 22 * * *", BERLIN, BERLIN),
        (timedelta(days=1), BERLIN, BERLIN),
        (None, BERLIN, BERLIN),
        (None, None, "UTC"),
    ],
)
def test_its_time_zone_is_that_of_its_schedule(
    supervisor: FakeSupervisor, schedule: Any, start_zone: str | None, expected: str
) -> None:
    start = datetime(2026, 1, 1, tzinfo=ZoneInfo(start_zone)) if start_zone else None
    context = a_context(supervisor) | {"dag": sdk.DAG("nightly", schedule=schedule, start_date=start)}
    summer = datetime(2026, 7, 1)
    assert CurrentTask(context).zone.utcoffset(summer) == ZoneInfo(expected).utcoffset(summer)


def test_what_it_remembers_outlives_the_try(supervisor: FakeSupervisor) -> None:
    record = a_record(sent_at=NOON, job_id=JOB)
    CurrentTask(a_context(supervisor)).save(record)
    assert CurrentTask(a_context(supervisor, try_number=2)).record() == record


@pytest.mark.parametrize("days", ["0", "1", "365"])
def test_its_memory_outlives_a_livestream_whatever_airflow_keeps(
    supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch, days: str
) -> None:
    """A week is the longest livestream; Airflow may be set up to delete task states after a day."""
    monkeypatch.setenv("AIRFLOW__STATE_STORE__DEFAULT_RETENTION_DAYS", days)
    CurrentTask(a_context(supervisor)).save(a_record(sent_at=NOON, job_id=JOB))
    kept_until = supervisor.messages[-1].expires_at
    assert kept_until - datetime.now(UTC) > timedelta(days=29)


def test_discarding_remembers_the_job(supervisor: FakeSupervisor) -> None:
    task = CurrentTask(a_context(supervisor))
    task.save(a_record(sent_at=NOON, job_id=JOB))
    task.mark_stopped(JOB)
    task.mark_stopped(JOB)
    assert task.record() == a_record(sent_at=NOON, job_id=JOB, discarded=(JOB,))


def test_discarding_without_a_store_is_no_error(supervisor: FakeSupervisor) -> None:
    """After a clear while running the store is out of reach: the task instance has another id."""
    CurrentTask(a_context(supervisor)).mark_stopped(JOB)
    assert supervisor.store == {}


def test_the_job_is_published_for_others(supervisor: FakeSupervisor) -> None:
    announcement = {"job_id": JOB, "room_id": ROOM, "planned_end": None}
    context = a_context(supervisor, map_index=2, try_number=3, clear_number=1)
    CurrentTask(context).publish(announcement, "https://console.example.com")
    starter = Starter(DAG, RUN, TASK, 2)
    assert (starter.job_id(), starter.room_id()) == (JOB, ROOM)
    told = {"try_number": 3, "clear_number": 1}
    assert supervisor.xcom("smartlive_job", map_index=2) == announcement | told
    assert supervisor.xcom("smartlive_room_link", map_index=2) == "https://console.example.com"


def test_callbacks_are_read_from_the_own_table(supervisor: FakeSupervisor) -> None:
    task = CurrentTask(a_context(supervisor))
    assert task.callbacks(JOB) is None
    supervisor.xcoms[TASK, -1, XCOM_TABLE_KEY] = called_back(JOB, "CONNECTING", "END").dump()
    callbacks = task.callbacks(JOB.upper())
    assert callbacks is not None
    assert callbacks.ended()


# -- ended from outside?


@pytest.mark.parametrize(
    ("state", "try_number", "max_tries", "ended"),
    [
        pytest.param("running", 1, 2, False, id="worker shuts down, a retry will adopt the job"),
        pytest.param("running", 2, 2, False, id="the last retry is still to come"),
        pytest.param("running", 3, 2, True, id="worker shuts down, no retry is left"),
        pytest.param("running", 1, 0, True, id="worker shuts down, there are no retries"),
        pytest.param("restarting", 1, 2, True, id="cleared while running"),
        pytest.param("failed", 1, 2, True, id="marked failed"),
        pytest.param("success", 1, 2, True, id="marked success"),
        pytest.param("skipped", 1, 2, True, id="skipped by a branch"),
        pytest.param(None, 1, 0, False, id="reset by a new scheduler"),
        pytest.param("deferred", 1, 2, False, id="it has deferred already"),
        pytest.param("up_for_retry", 1, 2, False, id="it has failed, a retry comes"),
        pytest.param("queued", 1, 2, False, id="its next life has begun"),
    ],
)
def test_ended_from_outside(
    supervisor: FakeSupervisor, state: str | None, try_number: int, max_tries: int, ended: bool
) -> None:
    supervisor.states = {TASK: state}
    task = CurrentTask(a_context(supervisor, try_number=try_number, max_tries=max_tries))
    assert task.is_ended_from_outside() is ended


@pytest.mark.parametrize(
    ("state", "ended"),
    [("running", False), ("queued", False), ("deferred", False), ("restarting", True), ("failed", True)],
)
def test_a_resumed_process_may_have_a_double(supervisor: FakeSupervisor, state: str, ended: bool) -> None:
    """Airflow can resume a task twice; the older process is ended while the younger one runs."""
    supervisor.states = {TASK: state}
    task = CurrentTask(a_context(supervisor, try_number=1, max_tries=0), resumed=True)
    assert task.is_ended_from_outside() is ended


@pytest.mark.parametrize(
    ("state", "ended"),
    [("running", False), ("restarting", True), ("failed", True), (None, False), ("deferred", False)],
)
def test_a_resumed_task_may_run_elsewhere_too(
    supervisor: FakeSupervisor, state: str | None, ended: bool
) -> None:
    """Airflow can resume it twice, and ends the older process of a task that goes on."""
    supervisor.states = {TASK: state}
    assert CurrentTask(a_context(supervisor), resumed=True).is_ended_from_outside() is ended


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (None, False),
        (a_record(), False),
        (a_record(sent_at=NOON), True),
        (a_record(sent_at=NOON, job_id=JOB), True),
    ],
)
def test_whether_there_may_be_a_job(
    supervisor: FakeSupervisor, record: JobRecord | None, expected: bool
) -> None:
    task = CurrentTask(a_context(supervisor))
    if record is not None:
        task.save(record)
    assert task.may_have_job() is expected


def test_a_task_that_is_gone_was_ended(supervisor: FakeSupervisor) -> None:
    assert CurrentTask(a_context(supervisor)).is_ended_from_outside()


@pytest.mark.parametrize("run_state", ["success", "failed"])
def test_one_without_a_state_in_a_run_that_is_over_will_not_run(
    supervisor: FakeSupervisor, run_state: str
) -> None:
    supervisor.states, supervisor.run_state = {TASK: None}, run_state
    assert CurrentTask(a_context(supervisor)).is_ended_from_outside()
    assert CurrentTask(a_context(supervisor)).is_ended_meanwhile()
    assert not CurrentTask(a_context(supervisor)).is_reset()


def test_one_whose_run_was_deleted_meanwhile_will_not_run(supervisor: FakeSupervisor) -> None:
    def is_gone(message: Any) -> None:
        if isinstance(message, comms.GetDagRunState):
            detail = {"status_code": 404}
            raise AirflowRuntimeError(comms.ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail))

    supervisor.states, supervisor.on_message = {TASK: None}, is_gone
    assert CurrentTask(a_context(supervisor)).is_ended_meanwhile()


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({f"{TASK}_3": None}, TaskStatus(None, run_goes_on=True)),
        ({f"{TASK}_3": "deferred"}, TaskStatus("deferred", run_goes_on=True)),
        ({TASK: None}, None),
        ({f"{TASK}_4": "running"}, None),
    ],
    ids=str,
)
def test_a_task_without_a_state_is_not_one_that_is_gone(
    supervisor: FakeSupervisor, states: dict[str, str | None], expected: TaskStatus | None
) -> None:
    supervisor.states = states
    assert own_facts(TaskRef(DAG, RUN, TASK, 3)) == expected


def test_its_run_is_asked_for_only_then(supervisor: FakeSupervisor) -> None:
    """Every task that defers asks for its state."""
    CurrentTask(a_context(supervisor)).is_ended_meanwhile()
    assert [type(message) for message in supervisor.messages] == [comms.GetTaskStates]


def test_an_answer_that_does_not_come_is_no_answer(supervisor: FakeSupervisor) -> None:
    supervisor.faults = [api_error()] * 9
    with pytest.raises(AirflowRuntimeError):
        CurrentTask(a_context(supervisor), sleep=lambda seconds: None).is_ended_from_outside()


def test_a_passing_fault_of_airflow_is_outlasted(supervisor: FakeSupervisor) -> None:
    pauses: list[float] = []
    supervisor.faults = [api_error()] * 3
    CurrentTask(a_context(supervisor), sleep=pauses.append).save(a_record())
    assert CurrentTask(a_context(supervisor)).record() == a_record()
    assert pauses == [1, 2, 4]


def test_one_that_does_not_pass_is_raised(supervisor: FakeSupervisor) -> None:
    supervisor.faults = [api_error()] * 9
    with pytest.raises(AirflowRuntimeError):
        CurrentTask(a_context(supervisor), sleep=lambda seconds: None).save(a_record())


# -- a retry belongs to the life of the first try; a clear begins another one


@pytest.mark.parametrize(
    ("attempt", "finished", "expected"),
    [
        pytest.param(Attempt(2, 2, 0), False, True, id="retry"),
        pytest.param(Attempt(2, 2, 0), True, True, id="retry although the result was there: Airflow lost it"),
        pytest.param(Attempt(3, 2, 1), False, False, id="clear"),
        pytest.param(Attempt(2, 2, 1), False, True, id="another task of the run was cleared"),
        pytest.param(Attempt(2, 1, 1), False, False, id="retries lowered, then marked and cleared"),
        pytest.param(Attempt(2, 1, 1), True, False, id="retries lowered, then a clear of the success"),
        pytest.param(Attempt(2, 1, 0), False, True, id="retries lowered, then a retry"),
    ],
)
def test_which_tries_belong_to_a_life(attempt: Attempt, finished: bool, expected: bool) -> None:
    record = replace(a_record(), attempt=Attempt(2, 2, 0), finished=finished)
    assert record.continues_in(attempt) is expected


def test_a_record_travels_as_text(supervisor: FakeSupervisor) -> None:
    record = a_record(
        sent_at=NOON, started_at=NOON, deadline=NOON, outputs=("rtmp://x/***",), discarded=(JOB,), ended=True
    )
    assert JobRecord.load(json.loads(json.dumps(record.dump()))) == record


def test_the_state_of_a_mapped_task_instance_has_its_own_key(supervisor: FakeSupervisor) -> None:
    supervisor.states = {TASK: "failed", f"{TASK}_3": "deferred"}
    assert Starter(DAG, RUN, TASK, 3).listed() == StarterStatus("deferred")
    assert supervisor.messages[-1].map_index == 3
    assert Starter(DAG, RUN, TASK).listed() == StarterStatus("failed")
    assert supervisor.messages[-1].map_index is None


# -- naming a starter


def test_a_starter_is_by_default_in_the_same_run_with_the_same_map_index(supervisor: FakeSupervisor) -> None:
    context = a_context(supervisor, task_id="wait", map_index=4)
    assert Starter.named(context, TASK) == Starter(DAG, RUN, TASK, 4)
    assert Starter.named(context, TASK, map_index=-1) == Starter(DAG, RUN, TASK, -1)
    assert Starter.named(context, TASK, dag_id="d", run_id="r") == Starter("d", "r", TASK, 4)


def test_a_starter_without_a_job_is_normal(supervisor: FakeSupervisor) -> None:
    starter = Starter(DAG, RUN, TASK)
    assert starter.job_id() is None
    assert starter.room_id() is None
    assert starter.callbacks(JOB) is None


@pytest.mark.parametrize("value", ["", 7, ["x"], {"job_id": "x"}])
def test_what_is_no_id_is_no_job(supervisor: FakeSupervisor, value: object) -> None:
    supervisor.xcoms[TASK, -1, "job_id"] = value
    assert Starter(DAG, RUN, TASK).job_id() is None
