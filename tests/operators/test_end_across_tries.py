"""END was called back, and then the try died: the next one must not wait for an END that never comes again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_smartlive.exceptions import SmartLiveJobFailedError
from airflow_provider_smartlive.operators import StartSmartLiveJobOperator
from tests.support.fake_airflow import TASK, FakeSupervisor
from tests.support.fake_callbacks import STREAM_KEY
from tests.support.fake_metastudio import ROOM, FakeMetaStudio
from tests.support.simulation import LIVE, Simulation, set_up
from tests.support.virtual_time import Clock

#: Seconds.
END_AT, END_GRACE, STOP_GRACE = 600, 120, 120


@pytest.fixture(params=[True, False], ids=["deferred", "on a worker"])
def stage(
    request: pytest.FixtureRequest,
    clock: Clock,
    metastudio: FakeMetaStudio,
    supervisor: FakeSupervisor,
    monkeypatch: pytest.MonkeyPatch,
) -> Simulation:
    output = {"conn_type": "rtmp", "host": "rtmp://push.example.com/live/main", "password": STREAM_KEY}
    monkeypatch.setenv("AIRFLOW_CONN_RTMP_MAIN", json.dumps(output))
    stage = Simulation(clock, metastudio, supervisor)
    stage.deferrable = request.param  # type: ignore[attr-defined]  # for go_live below
    return set_up(stage, monkeypatch)


def go_live(stage: Simulation, *, try_number: int = 1, max_tries: int = 3) -> Any:
    if try_number > 1:
        stage.supervisor.xcoms.clear()  # as Airflow does when a new try begins
    operator = StartSmartLiveJobOperator(
        task_id=TASK,
        room_id=ROOM,
        output_conn_ids=["rtmp_main"],
        deferrable=stage.deferrable,  # type: ignore[attr-defined]
    )
    return stage.run(operator, try_number=try_number, max_tries=max_tries)


@pytest.fixture
def unstoppable(stage: Simulation) -> Simulation:
    """A job that goes on after END, and whose first stop is not obeyed: the first try fails."""
    stage.at(END_AT, stage.calls_back(*LIVE, "END"))
    stage.at(1, lambda: setattr(stage.metastudio.jobs[0], "looks_until_stopped", None))
    with pytest.raises(SmartLiveJobFailedError, match="A retry will stop it again"):
        go_live(stage)
    assert stage.metastudio.running
    stage.metastudio.jobs[0].stopping = False
    return stage


def test_a_retry_stops_it_again(unstoppable: Simulation) -> None:
    unstoppable.metastudio.jobs[0].looks_until_stopped = 0
    began = unstoppable.clock.seconds
    result = go_live(unstoppable, try_number=2)
    assert result["origin"] == "adopted"
    assert unstoppable.metastudio.running == []
    assert len(unstoppable.metastudio.jobs) == 1
    assert unstoppable.clock.seconds - began <= END_GRACE + STOP_GRACE


def test_the_end_of_an_older_life_says_nothing_about_the_new_job(unstoppable: Simulation) -> None:
    unstoppable.metastudio.jobs[0].state = "FAILED"
    unstoppable.at(unstoppable.clock.seconds + 3000, unstoppable.ends())
    result = go_live(unstoppable, try_number=2, max_tries=4)  # as a clear does
    assert (result["origin"], len(unstoppable.metastudio.jobs)) == ("started", 2)
    assert result["outcome"] == "the job succeeded; END was not seen"


def test_a_job_that_failed_when_it_was_stopped_after_its_end_is_not_begun_again(
    unstoppable: Simulation,
) -> None:
    unstoppable.metastudio.jobs[0].state = "FAILED"
    result = go_live(unstoppable, try_number=2)
    assert (result["origin"], len(unstoppable.metastudio.jobs)) == ("finished", 1)
    assert result["outcome"] == "the stream ended, the job did not finish by itself"


def test_a_stream_that_came_back_is_not_stopped(unstoppable: Simulation) -> None:
    """Outputs that are live in this try count for more than an END of the last one."""
    now = unstoppable.clock.seconds
    unstoppable.at(now + 10, unstoppable.calls_back(*LIVE))
    unstoppable.at(now + 3000, unstoppable.ends())
    stops = len(unstoppable.metastudio.stopped)
    assert go_live(unstoppable, try_number=2)["state"] == "SUCCEED"
    assert len(unstoppable.metastudio.stopped) == stops
