"""Which running jobs nobody wants any more."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_smartlive.callbacks.facts import TaskFacts
from airflow_provider_smartlive.callbacks.route import Identity, Route, issue
from airflow_provider_smartlive.livestream.sweep import unwanted
from airflow_provider_smartlive.metastudio.callback_auth import AuthType
from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob

SECRET = "fake-callback-secret-for-tests-only-0001"
IDENTITY = Identity("nightly", "scheduled__2026-01-01", "go_live")
JOB_ID = "1a2b3c4d1a2b3c4d1a2b3c4d1a2b3c4d"
WAITING = TaskFacts("deferred", run_goes_on=True, max_tries=2, job_id=JOB_ID)


def job(*, generation: int = 2, secret: str | None = SECRET, state: str = "PROCESSING") -> SmartLiveJob:
    """Make a running job as MetaStudio lists it; without a secret it carries no callback URL."""
    config: dict[str, Any] | None = None
    if secret:
        issued = issue(
            Route(IDENTITY, str(generation), generation),
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


def reason(found: SmartLiveJob, task: TaskFacts | None) -> str | None:
    swept = list(unwanted([found], secrets=[SECRET], find_task=lambda _: task))
    return swept[0][1] if swept else None


def test_a_job_whose_task_waits_is_wanted() -> None:
    assert reason(job(), WAITING) is None


@pytest.mark.parametrize(
    "state", ["scheduled", "queued", "running", "restarting", "up_for_retry", "up_for_reschedule"]
)
def test_a_job_whose_task_will_look_is_wanted(state: str) -> None:
    assert reason(job(), TaskFacts(state, run_goes_on=True, max_tries=2)) is None


@pytest.mark.parametrize("state", ["success", "failed", "upstream_failed", "skipped", "removed"])
def test_a_job_whose_task_is_over_is_not(state: str) -> None:
    assert reason(job(), TaskFacts(state, run_goes_on=False, max_tries=2)) == f"its task is {state}"


def test_a_job_whose_run_was_deleted_is_not() -> None:
    assert reason(job(), None) == "its task instance is gone"


def test_a_job_of_an_older_life_is_not() -> None:
    assert reason(job(generation=0), WAITING) == "its task was cleared and lives on without it"


def test_a_job_beside_the_one_that_the_task_has_is_not() -> None:
    other = TaskFacts("deferred", run_goes_on=True, max_tries=2, job_id="f" * 32)
    assert reason(job(), other) == "its task has another job"


def test_ids_are_compared_without_dashes_and_case() -> None:
    spelt = TaskFacts(
        "deferred", run_goes_on=True, max_tries=2, job_id="1A2B3C4D-1A2B-3C4D-1A2B-3C4D1A2B3C4D"
    )
    assert reason(job(), spelt) is None


def test_a_starter_that_does_not_wait_leaves_its_job_to_the_tear_down_of_its_run() -> None:
    assert reason(job(), TaskFacts("success", run_goes_on=True, max_tries=2)) is None
    assert reason(job(), TaskFacts("success", run_goes_on=False, max_tries=2)) == "its task is success"


def test_a_task_that_its_scheduler_lost_looks_for_its_job_when_it_starts_anew() -> None:
    """A new scheduler resets what a dead one had running: no state, and the same generation."""
    assert reason(job(), TaskFacts(None, run_goes_on=True, max_tries=2)) is None


def test_a_cleared_task_of_a_run_that_is_over_starts_nothing() -> None:
    assert reason(job(), TaskFacts(None, run_goes_on=False, max_tries=2)) == "its task is cleared"


@pytest.mark.parametrize("state", ["SUCCEED", "FAILED", "BLOCKED"])
def test_what_is_over_is_left_alone(state: str) -> None:
    assert reason(job(state=state), None) is None


@pytest.mark.parametrize("secret", [None, "fake-callback-secret-of-another-deployment"])
def test_jobs_of_others_are_left_alone(secret: str | None) -> None:
    assert reason(job(secret=secret), None) is None
