"""A stop by plan or by a limit that is interrupted: its answer is lost, or its triggerer goes away."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_smartlive.exceptions import SmartLiveJobFailedError, SmartLiveTimeoutError
from airflow_provider_smartlive.livestream.current_task import CurrentTask
from airflow_provider_smartlive.metastudio.errors import Conflict
from airflow_provider_smartlive.metastudio.ids import JobRef
from tests.support.fake_metastudio import Crash, unreachable
from tests.support.simulation import LIVE, StartSimulation

HOUR = timedelta(hours=1)
LIMITS: list[tuple[dict[str, Any], type[Exception]]] = [
    ({"execution_timeout": HOUR}, SmartLiveTimeoutError),
    ({"fail_on_disconnect_longer_than": timedelta(seconds=60)}, SmartLiveJobFailedError),
]


@pytest.fixture
def live(deferred: StartSimulation) -> StartSimulation:
    """A stream that is up, and is interrupted after a while."""
    deferred.at(30, deferred.calls_back(*LIVE))
    deferred.at(1000, deferred.calls_back("DISCONNECTED"))
    return deferred


def stops(
    show: StartSimulation, monkeypatch: pytest.MonkeyPatch, *, state: str, then: Callable[[], object]
) -> None:
    """Let the first stop take effect at once, whatever MetaStudio calls the end, and let something happen then."""
    stop_job: Callable[..., None] = show.metastudio.stop_job

    def stop(job_ref: JobRef) -> None:
        monkeypatch.setattr(show.metastudio, "stop_job", stop_job)
        stop_job(job_ref)
        show.job.state, show.job.stopping = state, False
        then()

    monkeypatch.setattr(show.metastudio, "stop_job", stop)


def raises(error: BaseException) -> Callable[[], object]:
    def action() -> None:
        raise error

    return action


def interruptions(show: StartSimulation) -> dict[str, Callable[[], object]]:
    return {
        "its answer is lost": raises(unreachable()),
        "its repetition is refused": raises(Conflict("the job is over", http_status=400)),
        "the triggerer goes away": show.moves_to_another_triggerer,
    }


HOW = ["its answer is lost", "its repetition is refused", "the triggerer goes away"]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("state", ["SUCCEED", "FAILED"])
def test_a_planned_end_is_one(
    live: StartSimulation, monkeypatch: pytest.MonkeyPatch, state: str, how: str
) -> None:
    stops(live, monkeypatch, state=state, then=interruptions(live)[how])
    result = live.go_live(max_duration=HOUR)
    assert (result["outcome"], result["state"]) == ("stopped as planned", state)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(("limit", "error"), LIMITS, ids=["timeout", "disconnected"])
def test_a_limit_is_a_failure(
    live: StartSimulation,
    monkeypatch: pytest.MonkeyPatch,
    limit: dict[str, Any],
    error: type[Exception],
    how: str,
) -> None:
    stops(live, monkeypatch, state="SUCCEED", then=interruptions(live)[how])
    with pytest.raises(error):
        live.go_live(**limit)


def test_the_next_triggerer_may_find_the_end_called_back(
    live: StartSimulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def goes_away() -> None:
        live.moves_to_another_triggerer()
        live.calls_back("END")()

    stops(live, monkeypatch, state="SUCCEED", then=goes_away)
    with pytest.raises(SmartLiveJobFailedError, match="interrupted for too long"):
        live.go_live(fail_on_disconnect_longer_than=timedelta(seconds=60))


def test_a_stream_that_came_back_before_the_next_triggerer_had_it_is_judged_by_its_own_end(
    live: StartSimulation,
) -> None:
    """The first one could not stop it, and noted why it wanted to."""
    live.at(1001, lambda: live.metastudio.stop_outcomes.extend(unreachable() for _ in range(50)))
    live.at(1150, live.calls_back("CONNECTED"), live.moves_to_another_triggerer)
    live.at(3000, live.ends(), live.calls_back("END"))
    result = live.go_live(fail_on_disconnect_longer_than=timedelta(seconds=60))
    assert (result["state"], result["woken_by"]) == ("SUCCEED", "callback")


def test_a_job_that_ended_by_itself_is_judged_by_its_own_end(live: StartSimulation) -> None:
    live.at(3599, live.ends("FAILED"))
    with pytest.raises(SmartLiveJobFailedError, match="the job failed"):
        live.go_live(max_duration=HOUR)


@pytest.mark.parametrize("state", ["SUCCEED", "FAILED"])
def test_a_job_that_does_not_finish_by_itself_is_stopped_once_and_for_all(
    show: StartSimulation, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """The process dies as soon as it has stopped it: whatever MetaStudio calls that end, the show is over."""
    show.at(30, show.calls_back(*LIVE))
    show.at(600, show.calls_back("END"))
    stops(show, monkeypatch, state=state, then=raises(Crash()))
    with pytest.raises(Crash):
        show.go_live(ti={"max_tries": 3}, start_window=None)
    ti = {"try_number": 2, "max_tries": 3, "deleted_xcoms": show.supervisor.clear_xcoms()}
    show.go_live(ti=ti, start_window=None)
    assert show.metastudio.asked["start"] == 1


def test_an_end_that_the_try_before_could_not_note_is_known_to_the_next_one(
    show: StartSimulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came while nobody had the task, or its process died over it; MetaStudio does not finish the job by itself."""
    show.at(30, show.calls_back(*LIVE))
    show.at(600, show.calls_back("END"))
    show.at(7200, show.ends())
    with monkeypatch.context() as patch:
        patch.setattr(CurrentTask, "note_end", lambda *_: raises(Crash())())
        with pytest.raises(Crash):
            show.go_live(ti={"max_tries": 3}, start_window=None)
    ti = {"try_number": 2, "max_tries": 3, "deleted_xcoms": show.supervisor.clear_xcoms()}
    assert show.go_live(ti=ti, start_window=None)["state"] == "SUCCEED"
    assert show.clock.seconds < 1200
    assert show.metastudio.asked["start"] == 1
