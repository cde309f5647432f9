"""The job of a task, and how the wait for its end begins."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_smartlive.livestream.acquired_job import AcquiredJob, Origin
from airflow_provider_smartlive.livestream.record import JobRecord
from airflow_provider_smartlive.metastudio.jobs import StartJobResponse
from tests.support.current_task import FIRST
from tests.support.virtual_time import NOON

RECORD = JobRecord(
    "0",
    FIRST,
    "one",
    "the room",
    outputs=("rtmp://push.example.com/***",),
    address="https://metastudio.example.com/v1/project",
    job_id="the job",
    started_at=NOON,
    deadline=NOON + timedelta(hours=1),
    timeout_at=NOON + timedelta(hours=2),
    ended=True,
)


def test_the_wait_begins_with_what_the_record_says() -> None:
    wait = AcquiredJob.remembered(RECORD).first_wait()
    assert (wait.smartlive_conn_id, wait.room_id, wait.job_id) == ("one", "the room", "the job")
    assert (wait.address, wait.expected_outputs, wait.ended) == (RECORD.address, 1, True)
    assert (wait.started_at, wait.deadline, wait.timeout_at) == (NOON, RECORD.deadline, RECORD.timeout_at)


def test_what_the_start_was_told_goes_into_the_result() -> None:
    response = StartJobResponse.model_validate(
        {"job_id": "the job", "live_warning_info": [{"warning_type": "TOO_SHORT_SCRIPT_TIME"}]}
    )
    acquired = AcquiredJob(replace(RECORD, standby=True), "the job", NOON, Origin.STARTED, response)
    assert acquired.first_wait().start_info == {
        "origin": "started",
        "standby": True,
        "started_at": NOON.isoformat(),
        "request_id": response.request_id,
        "warnings": ["TOO_SHORT_SCRIPT_TIME"],
    }


def test_a_job_of_an_earlier_try_has_no_answer_to_tell_of() -> None:
    info = AcquiredJob(RECORD, "the job", NOON, Origin.ADOPTED).first_wait().start_info
    assert (info["origin"], info["request_id"], info["warnings"]) == ("adopted", None, [])


@pytest.mark.parametrize("lacks", [{"job_id": None}, {"started_at": None}, None], ids=str)
def test_a_task_that_remembers_no_job_cannot_go_on(lacks: dict[str, Any] | None) -> None:
    record = None if lacks is None else replace(RECORD, **lacks)
    with pytest.raises(AirflowFailException, match="knows of no job"):
        AcquiredJob.remembered(record)
