"""The whole way of a stop by plan or by a limit: the trigger stops, MetaStudio calls END back, the task judges."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow_stage import LIVE, Show
from fake_metastudio import not_found

from airflow_provider_smartlive.exceptions import SmartLiveJobFailedError, SmartLiveTimeoutError


@pytest.fixture(params=["confirmed first", "END first"])
def stopping(request: pytest.FixtureRequest, show: Show, monkeypatch: pytest.MonkeyPatch) -> Show:
    """A stop that is confirmed before its END is called back, or after it: the END then resumes a deferred task."""
    stop_job: Callable[..., None] = show.metastudio.stop_job

    def stop(room_id: str, job_id: str) -> None:
        stop_job(room_id, job_id)
        if request.param == "END first":
            show.calls_back("END")()

    monkeypatch.setattr(show.metastudio, "stop_job", stop)
    show.at(30, show.calls_back(*LIVE))
    return show


def test_a_planned_end_is_a_success(stopping: Show) -> None:
    result = stopping.go_live(max_duration=timedelta(hours=1))
    assert (result["outcome"], result["state"]) == ("stopped as planned", "SUCCEED")
    assert 3600 <= stopping.clock.seconds <= 3615
    assert stopping.metastudio.stopped == [stopping.job.job_id]


def test_the_end_of_a_job_that_was_stopped_at_a_time_out_is_no_result(stopping: Show) -> None:
    stopping.deferrable = True
    with pytest.raises(SmartLiveTimeoutError):
        stopping.go_live(execution_timeout=timedelta(hours=1))
    assert stopping.metastudio.stopped == [stopping.job.job_id]


def test_nor_is_that_of_one_that_was_interrupted_for_too_long(stopping: Show) -> None:
    stopping.at(1000, stopping.calls_back("DISCONNECTED"))
    with pytest.raises(SmartLiveJobFailedError, match="interrupted for too long"):
        stopping.go_live(fail_on_disconnect_longer_than=timedelta(seconds=60))
    assert stopping.metastudio.running == []


def test_a_stream_that_never_connected_is_stopped_and_fails(show: Show) -> None:
    with pytest.raises(SmartLiveJobFailedError, match="interrupted for too long"):
        show.go_live(fail_on_disconnect_longer_than=timedelta(seconds=600))
    assert show.metastudio.running == []
    assert 600 <= show.clock.seconds <= 600 + 310


def test_one_whose_callbacks_do_not_arrive_goes_on(show: Show) -> None:
    show.at(60, lambda: setattr(show.job, "stream_duration", 20.0))
    show.at(5000, show.ends())
    assert show.go_live(fail_on_disconnect_longer_than=timedelta(seconds=600))["state"] == "SUCCEED"


@pytest.mark.parametrize("faults", [2, 3, 4])
def test_a_job_that_is_not_found_for_a_moment_goes_on(show: Show, faults: int) -> None:
    missed: list[Any] = [not_found() for _ in range(faults)]
    show.at(40, lambda: show.metastudio.show_outcomes.extend(missed))
    show.at(3600, show.ends())
    assert show.go_live(reconcile_interval=30)["state"] == "SUCCEED"
    assert show.clock.seconds >= 3600
