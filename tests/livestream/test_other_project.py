"""A connection that is edited while a livestream runs, so that it leads to another project, which knows no such job."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from airflow_provider_smartlive.client.project import OtherProjectError
from airflow_provider_smartlive.decisions import JobStatus
from airflow_provider_smartlive.exceptions import SmartLiveJobFailedError
from airflow_provider_smartlive.livestream.starter import Starter
from airflow_provider_smartlive.livestream.stop import (
    look,
    look_async,
    stop_and_confirm,
    stop_and_confirm_async,
)
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.retries import SmartLiveRetryPolicy
from tests.support.fake_airflow import DAG, RUN, TASK, FakeSupervisor, FakeTaskInstance
from tests.support.fake_metastudio import ROOM, Crash, FakeAsyncHook, FakeMetaStudio
from tests.support.simulation import LIVE, StartSimulation
from tests.support.virtual_time import Clock, run

ELSEWHERE = "https://elsewhere.example.com"
#: What somebody has to know to end the job by hand.
TELLING = (
    r"'smartlive_default' leads to https://elsewhere.example.com/v1/fake-project, but job 0+1 in room "
    rf"{ROOM} was started at https://metastudio.cn-north-4.*may still run there. Set host, region and project_id back"
)


def edits(metastudio: FakeMetaStudio, endpoint: str = ELSEWHERE) -> Callable[[], None]:
    """Return an action: somebody gives the connection another endpoint."""
    return lambda: setattr(metastudio, "endpoint", endpoint)


@pytest.fixture
def edited(show: StartSimulation) -> StartSimulation:
    """A stream that is up, and whose connection leads elsewhere after ten minutes."""
    show.at(30, show.calls_back(*LIVE))
    show.at(600, edits(show.metastudio))
    return show


@pytest.fixture
def mended(edited: StartSimulation) -> StartSimulation:
    """The same; the connection is set back hours later, later than any failure budget."""
    edited.at(4 * 3600, edits(edited.metastudio, edited.metastudio.endpoint))
    return edited


# -- a look and a stop


@pytest.fixture
def address(metastudio: FakeMetaStudio, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where a job was started, before the connection was edited."""
    monkeypatch.setattr(
        "airflow_provider_smartlive.hooks.SmartLiveAsyncHook", lambda **_: FakeAsyncHook(metastudio)
    )
    address: str = metastudio.profile().base_url
    metastudio.add()
    edits(metastudio)()
    return address


@pytest.mark.parametrize("is_async", [False, True], ids=["worker", "trigger"])
def test_nobody_is_asked_there(
    metastudio: FakeMetaStudio, clock: Clock, address: str, is_async: bool
) -> None:
    job_id = metastudio.jobs[0].job_id
    seen = (
        run(clock, look_async("one", JobRef(ROOM, job_id), address=address))
        if is_async
        else look(metastudio, JobRef(ROOM, job_id), address=address)
    )
    assert seen.status is JobStatus.OTHER_PROJECT
    assert not seen.is_clear
    assert not metastudio.asked


@pytest.mark.parametrize("is_async", [False, True], ids=["worker", "trigger"])
def test_nothing_is_stopped_there(
    metastudio: FakeMetaStudio, clock: Clock, address: str, is_async: bool
) -> None:
    job_id = metastudio.jobs[0].job_id

    def stop() -> None:
        if is_async:
            run(clock, stop_and_confirm_async("one", JobRef(ROOM, job_id), address=address))
        else:
            stop_and_confirm(metastudio, JobRef(ROOM, job_id), address=address, grace=60)

    with pytest.raises(OtherProjectError, match=TELLING):
        stop()
    assert not metastudio.asked


def test_a_retry_may_find_it_mended(address: str, metastudio: FakeMetaStudio) -> None:
    with pytest.raises(OtherProjectError) as refused:
        stop_and_confirm(metastudio, JobRef(ROOM, "a"), address=address, grace=60)
    assert SmartLiveRetryPolicy().evaluate(refused.value, 1, 3).action.value == "default"


def test_whoever_names_the_starter_knows_where_its_job_is(show: StartSimulation) -> None:
    show.go_live(wait_for_termination=False)
    starter = Starter(DAG, RUN, TASK)
    assert starter.address(show.job.job_id) == show.metastudio.profile().base_url
    assert starter.address("f" * 32) is None


def test_and_where_a_start_went_whose_process_died(show: StartSimulation) -> None:
    show.metastudio.start_outcomes = [Crash()]
    with pytest.raises(Crash):
        show.go_live()
    assert Starter(DAG, RUN, TASK).sent_to() == show.metastudio.profile().base_url


# -- the task that waits


def test_the_wait_goes_on_until_the_connection_is_set_back(mended: StartSimulation) -> None:
    mended.at(5 * 3600, mended.ends())
    result = mended.go_live()
    assert result["state"] == "SUCCEED"
    assert mended.clock.seconds >= 5 * 3600


@pytest.mark.parametrize("show", ["deferred"], indirect=True)
def test_it_is_said_in_the_log(deferred: StartSimulation) -> None:
    deferred.at(600, edits(deferred.metastudio))
    deferred.at(3000, edits(deferred.metastudio, deferred.metastudio.endpoint), deferred.ends())
    with capture_logs() as logs:
        deferred.go_live()
    told = [str(line) for line in logs if line["log_level"] == "error"]
    assert len(told) == 1
    assert "leads to https://elsewhere" in told[0]


def test_an_end_that_is_called_back_meanwhile_waits_for_its_confirmation(edited: StartSimulation) -> None:
    edited.at(1000, edited.ends(), edited.calls_back("END"))
    edited.at(1100, edits(edited.metastudio, edited.metastudio.endpoint))
    result = edited.go_live()
    assert (result["state"], result["woken_by"]) == ("SUCCEED", "callback")


def test_one_that_cannot_be_confirmed_is_no_success(edited: StartSimulation) -> None:
    edited.at(1000, edited.calls_back("END"))
    with pytest.raises(SmartLiveJobFailedError, match=f"whether its job did cannot be asked.*{TELLING}"):
        edited.go_live()
    assert edited.clock.seconds < 3600


def test_a_job_that_is_left_to_metastudio_anyway_is(edited: StartSimulation) -> None:
    edited.at(1000, edited.calls_back("END"))
    assert edited.go_live(stop_after_end=False)["outcome"].endswith("the job is left to MetaStudio")


@pytest.mark.parametrize("show", ["deferred"], indirect=True)
@pytest.mark.parametrize(
    ("limit", "error", "reason"),
    [
        ({"max_duration": timedelta(hours=1)}, SmartLiveJobFailedError, "stopped as planned"),
        ({"execution_timeout": timedelta(hours=1)}, SmartLiveJobFailedError, "execution_timeout was reached"),
        (
            {"fail_on_disconnect_longer_than": timedelta(minutes=5)},
            SmartLiveJobFailedError,
            "the stream was interrupted for too long",
        ),
    ],
    ids=["deadline", "timeout", "interruption"],
)
def test_what_cannot_be_stopped_fails_the_task_at_once(
    edited: StartSimulation, limit: dict[str, Any], error: type[Exception], reason: str
) -> None:
    """The task says where to stop it by hand; to have tried for an hour would tell nobody."""
    edited.at(3000, edited.calls_back("DISCONNECTED"))
    with pytest.raises(error, match=f"{reason}, but the job cannot be stopped. Connection {TELLING}"):
        edited.go_live(**limit)
    assert edited.clock.seconds < 3700
    assert edited.metastudio.running == [edited.job.job_id]
    assert not edited.metastudio.stopped


def test_a_retry_stops_it_when_the_connection_was_set_back(edited: StartSimulation) -> None:
    back = edited.metastudio.endpoint
    tries = {"max_tries": 2}
    with pytest.raises(SmartLiveJobFailedError, match="cannot be stopped"):
        edited.go_live(max_duration=timedelta(hours=1), ti=tries | {"try_number": 1})
    with pytest.raises(OtherProjectError):
        edited.go_live(max_duration=timedelta(hours=1), ti=tries | {"try_number": 2})
    edits(edited.metastudio, back)()
    result = edited.go_live(max_duration=timedelta(hours=1), ti=tries | {"try_number": 3})
    assert result["outcome"] == "stopped as planned"
    assert edited.metastudio.running == []
    assert len(edited.metastudio.jobs) == 1


@pytest.mark.parametrize("show", ["deferred"], indirect=True)
def test_a_killed_task_says_that_its_job_runs_on(
    deferred: StartSimulation, supervisor: FakeSupervisor
) -> None:
    with capture_logs() as logs:
        deferred.at(100, edits(deferred.metastudio))
        deferred.at(200, lambda: deferred.wakes("reconciliation", deferred.job.job_id)())
        deferred.at(900, edits(deferred.metastudio, deferred.metastudio.endpoint), deferred.ends())
        deferred.go_live()
        trigger = deferred.deferrals[-1].trigger
        deferred.job.state = "PROCESSING"
        edits(deferred.metastudio)()
        trigger.task_instance = FakeTaskInstance(supervisor)
        supervisor.states[TASK] = "failed"
        run(deferred.clock, asyncio.wait_for(trigger.on_kill(), 60))
    assert "is not stopped although its task is over" in str(logs[-1])
    assert "leads to https://elsewhere" in str(logs[-1])
    assert not deferred.metastudio.stopped
