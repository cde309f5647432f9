"""Which running jobs nobody wants any more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.task_status import (
    TaskStatus,
    timeout_while_waiting,
    was_cleared_while_waiting,
)
from airflow_provider_smartlive.callbacks.url import CallbackTarget, JobTerms, issue
from airflow_provider_smartlive.livestream.sweep import unwanted
from airflow_provider_smartlive.metastudio.callback_auth import AuthType
from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob

SECRET = "fake-callback-secret-for-tests-only-0001"
TASK_REF = TaskRef("nightly", "scheduled__2026-01-01", "go_live")
JOB_ID = "1a2b3c4d1a2b3c4d1a2b3c4d1a2b3c4d"
WAITING = TaskStatus("deferred", run_goes_on=True, max_tries=2, job_id=JOB_ID)


NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
OURS = "this deployment"
KILLED = ["failed", "upstream_failed", "skipped", "removed"]
ALIVE = ["scheduled", "queued", "running", "restarting", "up_for_retry", "up_for_reschedule", "deferred"]


def job(
    *,
    generation: int = 2,
    secret: str | None = SECRET,
    state: str = "PROCESSING",
    deployment: str = OURS,
    **terms: Any,
) -> SmartLiveJob:
    """Make a running job as MetaStudio lists it; without a secret it carries no callback URL."""
    config: dict[str, Any] | None = None
    if secret:
        issued = issue(
            CallbackTarget(TASK_REF, str(generation), generation, deployment, JobTerms(**terms)),
            base_url="https://airflow.example.com",
            secrets=[secret],
            auth_type=AuthType.MSS_A_HEAD,
        )
        config = {"live_event_type_callback_url": issued.url}
    return SmartLiveJob.model_validate(
        {
            "job_id": JOB_ID,
            "room_id": "room",
            "state": state,
            "create_time": datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
            "live_event_callback_config": config,
        }
    )


def reason(found: SmartLiveJob, task: TaskStatus | None) -> str | None:
    swept = list(
        unwanted([found], secrets=[SECRET], find_task=lambda _: task, deployment=OURS, now=lambda: NOW)
    )
    return swept[0][1] if swept else None


def test_a_job_whose_task_waits_is_wanted() -> None:
    assert reason(job(), WAITING) is None


@pytest.mark.parametrize("state", ALIVE)
def test_a_job_whose_task_will_look_is_wanted(state: str) -> None:
    assert reason(job(), TaskStatus(state, run_goes_on=True, max_tries=2)) is None


@pytest.mark.parametrize("state", [*KILLED, "success"])
def test_a_job_whose_task_is_over_is_not(state: str) -> None:
    assert reason(job(), TaskStatus(state, run_goes_on=False, max_tries=2)) == f"its task is {state}"


def test_a_job_whose_run_was_deleted_is_not() -> None:
    assert reason(job(), None) == "its task instance is gone"


def test_a_job_of_an_older_life_is_not() -> None:
    assert reason(job(generation=0), WAITING) == "its task was cleared and lives on without it"


def test_a_job_beside_the_one_that_the_task_has_is_not() -> None:
    other = TaskStatus("deferred", run_goes_on=True, max_tries=2, job_id="f" * 32)
    assert reason(job(), other) == "its task has another job"


@pytest.mark.parametrize(
    ("generation", "found"),
    [(None, None), ("1", None), ("2", None), ("3", "its task was cleared and has begun anew")],
)
def test_a_job_of_a_life_before_that_of_the_callback_table_is_not(
    generation: str | None, found: str | None
) -> None:
    """Workers cannot ask for ``max_tries``, and a clear need not change it."""
    task = TaskStatus("deferred", run_goes_on=True, generation=generation)
    assert reason(job(), task) == found


def test_ids_are_compared_without_dashes_and_case() -> None:
    spelt = TaskStatus(
        "deferred", run_goes_on=True, max_tries=2, job_id="1A2B3C4D-1A2B-3C4D-1A2B-3C4D1A2B3C4D"
    )
    assert reason(job(), spelt) is None


@pytest.mark.parametrize("run_goes_on", [True, False])
def test_a_starter_that_does_not_wait_leaves_the_end_to_somebody_else(run_goes_on: bool) -> None:
    """To a tear-down of its run, or to a stop in another DAG: neither is known here."""
    done = TaskStatus("success", run_goes_on=run_goes_on, max_tries=2)
    assert reason(job(waits=False), done) is None
    assert reason(job(waits=True), done) == "its task is success"


def test_a_starter_that_does_not_wait_and_was_ended_has_no_such_somebody() -> None:
    assert reason(job(waits=False), TaskStatus("failed", run_goes_on=True)) == "its task is failed"
    assert reason(job(waits=False), None) == "its task instance is gone"


@pytest.mark.parametrize("state", [*KILLED, "success", None])
def test_a_job_that_is_to_outlive_its_task_is_left(state: str | None) -> None:
    assert reason(job(cancel_on_kill=False), TaskStatus(state, run_goes_on=False, max_tries=2)) is None
    assert reason(job(cancel_on_kill=False), None) is None


def test_but_not_beside_another_one() -> None:
    other = TaskStatus("deferred", run_goes_on=True, max_tries=2, job_id="f" * 32)
    assert reason(job(cancel_on_kill=False), other) == "its task has another job"
    cleared = TaskStatus("deferred", run_goes_on=True, max_tries=3)
    assert reason(job(cancel_on_kill=False), cleared) == "its task was cleared and lives on without it"


@pytest.mark.parametrize("terms", [{}, {"waits": False}, {"cancel_on_kill": False}])
@pytest.mark.parametrize("state", [*ALIVE, *KILLED, "success", None])
def test_a_job_whose_planned_end_is_long_past_is_unwanted_whatever_its_task_waits_for(
    state: str | None, terms: dict[str, Any]
) -> None:
    """A paused DAG, one whose file is gone, a full pool: the task may wait for ever."""
    task = TaskStatus(state, run_goes_on=True, max_tries=2, job_id=JOB_ID)
    over, on_time = NOW - timedelta(minutes=11), NOW - timedelta(minutes=9)
    assert reason(job(deadline=over, **terms), task) == "its planned end was at 2026-01-01T11:49:00+00:00"
    assert reason(job(deadline=on_time, **terms), task) == reason(job(**terms), task)


@pytest.mark.parametrize("terms", [{}, {"cancel_on_kill": False}, {"deadline": NOW + timedelta(hours=1)}])
@pytest.mark.parametrize("state", ["deferred", "scheduled", "queued"])
def test_so_is_one_whose_task_waits_on_although_its_execution_timeout_is_long_over(
    state: str, terms: dict[str, Any]
) -> None:
    task = TaskStatus(state, run_goes_on=True, max_tries=2, job_id=JOB_ID)
    over = replace(task, timeout_at=NOW - timedelta(minutes=11))
    on_time = replace(task, timeout_at=NOW - timedelta(minutes=9))
    said = "its task's execution_timeout was over at 2026-01-01T11:49:00+00:00"
    assert reason(job(**terms), over) == said
    assert reason(job(**terms), on_time) is None


@pytest.mark.parametrize(
    ("state", "said", "try_number", "is_known"),
    [
        ("deferred", {"try_number": 1}, 1, True),
        ("scheduled", {"try_number": 1}, 1, True),
        ("queued", {"try_number": 1}, 1, True),
        # The time of the next try has not begun; it takes the job up.
        ("scheduled", {"try_number": 1}, 2, False),
        ("queued", {"try_number": 1}, 2, False),
        ("up_for_retry", {"try_number": 1}, 1, False),
        # Airflow itself keeps the time of a process; until it has announced its job, this is the time of another one.
        ("running", {"try_number": 1}, 1, False),
        ("failed", {"try_number": 1}, 1, False),
        (None, {"try_number": 1}, 1, False),
        ("deferred", {"try_number": "1"}, 1, False),
    ],
)
def test_whose_time_is_over_that_a_task_announced(
    state: str | None, said: dict[str, Any], try_number: int, is_known: bool
) -> None:
    announced = {"timeout_at": NOW.isoformat()} | said
    assert timeout_while_waiting(state, announced, try_number=try_number) == (NOW if is_known else None)


@pytest.mark.parametrize("value", [None, 7, "soon", "2026-01-01T12:00:00", ["x"]])
def test_a_time_that_cannot_be_read_is_none(value: Any) -> None:
    announced = {"timeout_at": value, "try_number": 1}
    assert timeout_while_waiting("deferred", announced, try_number=1) is None
    assert timeout_while_waiting("deferred", value, try_number=1) is None


@pytest.mark.parametrize("task", [None, WAITING, TaskStatus("failed", run_goes_on=False)])
def test_a_job_of_another_deployment_is_never_touched(task: TaskStatus | None) -> None:
    """A copy of a deployment has the same secrets, the same project, and the same DAGs."""
    assert reason(job(deployment="production", deadline=NOW - timedelta(days=1)), task) is None
    assert reason(job(deployment=""), task) is None


def test_a_job_of_another_mark_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """The mark of this deployment may have changed with its base URL."""
    with caplog.at_level("INFO"):
        assert reason(job(deployment="https://old.example.com"), None) is None
    assert f"Job {JOB_ID} is left alone" in caplog.text
    assert "[smartlive] deployment" in caplog.text


def test_this_deployment_is_the_one_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__DEPLOYMENT", "ours")
    jobs = [job(deployment=settings.deployment())]
    assert list(unwanted(jobs, secrets=[SECRET], find_task=lambda _: None))
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__DEPLOYMENT", "theirs")
    assert not list(unwanted(jobs, secrets=[SECRET], find_task=lambda _: None))


def test_a_job_whose_task_cannot_be_looked_up_is_left_alone_and_saves_no_other() -> None:
    answers: list[TaskStatus | None] = [None]

    def find_task(task_ref: TaskRef) -> TaskStatus | None:
        if not answers:
            raise RuntimeError("Airflow is away")
        return answers.pop()

    swept = list(unwanted([job(), job()], secrets=[SECRET], find_task=find_task, deployment=OURS))
    assert len(swept) == 1


def test_a_task_that_its_scheduler_lost_looks_for_its_job_when_it_starts_anew() -> None:
    """A new scheduler resets what a dead one had running: no state, and the same generation."""
    assert reason(job(), TaskStatus(None, run_goes_on=True, max_tries=2)) is None


@pytest.mark.parametrize("terms", [{}, {"cancel_on_kill": False}])
def test_a_job_whose_task_was_cleared_while_it_waited_is_not(terms: dict[str, Any]) -> None:
    """It is ``scheduled`` at once, with the XComs of its last life until a worker has it, which a full pool delays."""
    cleared = TaskStatus("scheduled", run_goes_on=True, max_tries=2, job_id=JOB_ID, was_cleared=True)
    assert reason(job(**terms), cleared) == "its task was cleared and lives on without it"


SAID = {"try_number": 1, "clear_number": 0}


@pytest.mark.parametrize(
    ("state", "said", "try_number", "clear_number", "last_try_ended", "was_cleared"),
    [
        ("scheduled", SAID, 2, 1, False, True),
        ("queued", SAID, 2, 1, False, True),
        # Resumed in the same try, and another task of the run was cleared.
        ("queued", SAID, 1, 1, False, False),
        # Reset by a new scheduler.
        ("scheduled", SAID, 2, 0, False, False),
        # Ended: it waits for a retry, which takes up the job, or was cleared after it had seen to its job.
        ("scheduled", SAID, 2, 1, True, False),
        # Its new try sees to the job of the last one.
        ("running", SAID, 2, 1, False, False),
        ("deferred", SAID, 2, 1, False, False),
        # It may not be scheduled for long; its trigger has stopped its job.
        (None, SAID, 1, 1, False, False),
        # Not known.
        ("scheduled", None, 2, 1, False, False),
        ("scheduled", {"job_id": JOB_ID}, 2, 1, False, False),
        ("scheduled", {"try_number": "1", "clear_number": None}, 2, 1, False, False),
        ("scheduled", "s3://xcoms/1", 2, 1, False, False),
    ],
)
def test_what_tells_a_clear_from_a_resume_and_a_retry(
    state: str | None,
    said: object,
    try_number: int,
    clear_number: int,
    last_try_ended: bool,
    was_cleared: bool,
) -> None:
    found = was_cleared_while_waiting(
        state, said, try_number=try_number, clear_number=clear_number, last_try_ended=last_try_ended
    )
    assert found is was_cleared


def test_a_cleared_task_of_a_run_that_is_over_starts_nothing() -> None:
    assert reason(job(), TaskStatus(None, run_goes_on=False, max_tries=2)) == "its task is cleared"


@pytest.mark.parametrize("state", ["SUCCEED", "FAILED", "BLOCKED"])
def test_what_is_over_is_left_alone(state: str) -> None:
    assert reason(job(state=state), None) is None


@pytest.mark.parametrize("secret", [None, "fake-callback-secret-of-another-deployment"])
def test_jobs_of_others_are_left_alone(secret: str | None) -> None:
    assert reason(job(secret=secret), None) is None
