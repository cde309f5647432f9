"""What a search finds, and what it cannot tell. What becomes of it: ``test_start.py``."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_smartlive.callbacks.url import CallbackTarget, issue
from airflow_provider_smartlive.client.project import OtherProjectError
from airflow_provider_smartlive.decisions import JobStatus
from airflow_provider_smartlive.livestream.job_search import JobSearch
from airflow_provider_smartlive.livestream.record import JobRecord
from airflow_provider_smartlive.metastudio.callback_auth import AuthType
from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob
from tests.support.current_task import FIRST, TASK_REF
from tests.support.fake_metastudio import ROOM, FakeMetaStudio, unreachable
from tests.support.virtual_time import NOON, Clock

SECRET = "fake-callback-secret-for-tests-only-0001"
THROWN_AWAY = "fake-callback-secret-for-tests-only-0002"
WINDOW = 30.0
RECORD = JobRecord("0", FIRST, "smartlive_default", ROOM, sent_at=NOON)


@pytest.fixture
def search(metastudio: FakeMetaStudio, clock: Clock) -> JobSearch:
    return JobSearch(
        lambda conn_id: metastudio,
        task_ref=TASK_REF,
        secrets=(SECRET,),
        look_again_window=WINDOW,
        now=clock,
        sleep=clock.sleep,
    )


def a_job(job_id: str, *, generation: str = "0", secret: str | None = SECRET, **of_task: Any) -> SmartLiveJob:
    """Return a job whose callback URL names a task; without one if there is no secret."""
    fields: dict[str, Any] = {"job_id": job_id, "room_id": ROOM, "state": "PROCESSING"}
    if secret is not None:
        target = CallbackTarget(replace(TASK_REF, **of_task), generation, 0, "this-one")
        url = issue(
            target, base_url="https://airflow.example.com", secrets=(secret,), auth_type=AuthType.MSS_A_HEAD
        ).url
        fields["live_event_callback_config"] = {"live_event_type_callback_url": url}
    return SmartLiveJob.model_validate(fields)


def test_of_a_start_are_the_jobs_of_its_task_and_life_that_were_not_discarded(search: JobSearch) -> None:
    jobs = [
        a_job("1"),
        a_job("2", generation="1"),
        a_job("3", map_index=7),
        a_job("4", secret=None),
        a_job("5", secret=THROWN_AWAY),
        a_job("6"),
    ]
    assert [job.job_id for job in search.of_start(RECORD.without("6"), jobs)] == ["1"]


@pytest.mark.parametrize(
    ("jobs", "calls_back", "doubt"),
    [
        ([], True, None),
        ([a_job("1", generation="1")], True, None),
        ([a_job("1", secret=None)], True, "carries no callback URL"),
        ([a_job("1", generation="1"), a_job("2", secret=None)], True, None),
        ([a_job("1", secret=THROWN_AWAY)], True, "no secret of"),
        ([], False, None),
        ([a_job("1", secret=None)], False, "carries no callback URL"),
    ],
    ids=[
        "none",
        "another life",
        "no echo",
        "an echo of others",
        "unreadable",
        "none, no callbacks",
        "no callbacks",
    ],
)
def test_a_job_that_cannot_be_told_leaves_a_doubt(
    search: JobSearch, jobs: list[SmartLiveJob], calls_back: bool, doubt: str | None
) -> None:
    found = search.doubt(replace(RECORD, calls_back=calls_back), jobs, jobs)
    assert found is None if doubt is None else doubt in str(found)


def test_a_listing_is_asked_for_until_it_must_show_the_job(search: JobSearch, clock: Clock) -> None:
    listings = list(search.listings(RECORD))
    assert len(listings) > 1
    assert NOON + timedelta(seconds=WINDOW) <= clock.now < NOON + timedelta(seconds=2 * WINDOW)


def test_a_job_is_not_found_only_when_metastudio_must_show_it(search: JobSearch, clock: Clock) -> None:
    record = replace(RECORD, job_id="1" * 32, started_at=NOON)
    assert search.lag(record) == WINDOW
    assert search.look(record, "1" * 32).status is JobStatus.NOT_FOUND
    assert NOON + timedelta(seconds=WINDOW) <= clock.now < NOON + timedelta(seconds=2 * WINDOW)
    assert search.lag(record) == 0


def test_a_question_without_an_answer_is_an_error(search: JobSearch, metastudio: FakeMetaStudio) -> None:
    metastudio.show_outcomes = [fault := unreachable()]
    with pytest.raises(type(fault)):
        search.look(RECORD, metastudio.add().job_id)


def test_a_job_is_not_looked_for_in_another_project(search: JobSearch) -> None:
    elsewhere = replace(RECORD, address="https://metastudio.example.com/v1/another-project")
    with pytest.raises(OtherProjectError, match="delete the task's state `smartlive_job`"):
        search.check_connection(elsewhere)
    search.check_connection(replace(elsewhere, is_over=True))
