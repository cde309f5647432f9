"""Stopping a livestream by its id, or by whoever started it."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from fake_airflow import DAG, RUN, FakeSupervisor, a_context
from fake_metastudio import ROOM, FakeJob, FakeMetaStudio

from airflow_provider_smartlive.callbacks.route import Identity, Route, issue
from airflow_provider_smartlive.exceptions import SmartLiveJobFailedError
from airflow_provider_smartlive.metastudio.callback_auth import AuthType
from airflow_provider_smartlive.metastudio.start import StartJobRequest
from airflow_provider_smartlive.operators import StopSmartLiveJobOperator

SECRET = "fake-callback-secret-for-tests-only-0001"
STARTER = "go_live"


def started(
    metastudio: FakeMetaStudio, *, generation: int = 0, task_id: str = STARTER, **more: Any
) -> FakeJob:
    """Make a running job that carries the callback URL of a task."""
    issued = issue(
        Route(Identity(DAG, RUN, task_id), str(generation), generation),
        base_url="https://airflow.example.com",
        secrets=[SECRET],
        auth_type=AuthType.MSS_A_HEAD,
    )
    config = {
        "live_event_callback_config": {
            "live_event_type_callback_url": issued.url,
            "auth_type": "MSS_A_HEAD",
            "key": issued.key,
        }
    }
    return metastudio.add(request=StartJobRequest.model_validate(config), **more)


def stop(supervisor: FakeSupervisor, **arguments: Any) -> list[str]:
    operator = StopSmartLiveJobOperator(task_id="stop", stop_grace=0, **arguments)
    context: Any = a_context(supervisor, task_id="stop")
    return operator.execute(context)


def test_a_job_is_stopped_by_its_id(metastudio: FakeMetaStudio, supervisor: FakeSupervisor) -> None:
    job, other = metastudio.add(), metastudio.add()
    assert stop(supervisor, job_id=job.job_id, room_id=ROOM) == [job.job_id]
    assert metastudio.running == [other.job_id]


def test_a_job_that_is_over_is_a_success(metastudio: FakeMetaStudio, supervisor: FakeSupervisor) -> None:
    job = metastudio.add(state="SUCCEED")
    assert stop(supervisor, job_id=job.job_id, room_id=ROOM) == [job.job_id]
    assert metastudio.stopped == []


def test_the_job_of_a_starter_is_found_by_what_it_has_reported(
    metastudio: FakeMetaStudio, supervisor: FakeSupervisor
) -> None:
    job = metastudio.add()
    supervisor.xcoms |= {(STARTER, -1, "job_id"): job.job_id, (STARTER, -1, "room_id"): ROOM}
    assert stop(supervisor, starter_task_id=STARTER) == [job.job_id]
    assert metastudio.running == []


@pytest.mark.parametrize("generation", [0, 3])
def test_a_job_that_its_starter_could_not_report_is_found_in_the_room(
    metastudio: FakeMetaStudio, supervisor: FakeSupervisor, generation: int
) -> None:
    """The starter was killed between the start and its report: only MetaStudio knows."""
    job, other = started(metastudio, generation=generation), started(metastudio, task_id="another")
    assert stop(supervisor, starter_task_id=STARTER, room_id=ROOM) == [job.job_id]
    assert metastudio.running == [other.job_id]


def test_a_job_that_was_reported_and_is_in_the_room_is_one_job(
    metastudio: FakeMetaStudio, supervisor: FakeSupervisor
) -> None:
    job = started(metastudio)
    metastudio.dashes = True
    supervisor.xcoms |= {(STARTER, -1, "job_id"): job.job_id, (STARTER, -1, "room_id"): ROOM}
    assert stop(supervisor, starter_task_id=STARTER) == [job.job_id]
    assert metastudio.stopped == [job.job_id]


def test_a_starter_that_has_started_nothing_leaves_nothing_to_stop(
    metastudio: FakeMetaStudio, supervisor: FakeSupervisor
) -> None:
    assert stop(supervisor, starter_task_id=STARTER) == []
    assert metastudio.asked == {}


def test_a_stop_that_does_not_work_fails(metastudio: FakeMetaStudio, supervisor: FakeSupervisor) -> None:
    job = metastudio.add(looks_until_stopped=None)
    with pytest.raises(SmartLiveJobFailedError, match="still running"):
        stop(supervisor, job_id=job.job_id, room_id=ROOM)


def test_a_job_without_its_room_cannot_be_found(
    metastudio: FakeMetaStudio, supervisor: FakeSupervisor
) -> None:
    with pytest.raises(AirflowFailException, match="room_id is missing"):
        stop(supervisor, job_id=metastudio.add().job_id)


def test_a_job_has_to_be_named(metastudio: FakeMetaStudio, supervisor: FakeSupervisor) -> None:
    with pytest.raises(AirflowFailException, match="Name the job"):
        stop(supervisor, room_id=ROOM)
