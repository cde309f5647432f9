"""The whole way of a stop by plan or by a limit: the trigger stops, MetaStudio calls END back, the task judges."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from airflow.sdk.api.datamodels._generated import TIRunContext
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from airflow_provider_smartlive.exceptions import SmartLiveJobFailedError, SmartLiveTimeoutError
from airflow_provider_smartlive.livestream.current_task import STORE_KEY
from airflow_provider_smartlive.metastudio.ids import JobRef
from tests.support.fake_metastudio import Crash, not_found, unreachable
from tests.support.simulation import LIVE, StartSimulation


@pytest.fixture(params=["confirmed first", "END first"])
def stopping(
    request: pytest.FixtureRequest, show: StartSimulation, monkeypatch: pytest.MonkeyPatch
) -> StartSimulation:
    """A stop that is confirmed before its END is called back, or after it: the END then resumes a deferred task."""
    stop_job: Callable[..., None] = show.metastudio.stop_job

    def stop(job_ref: JobRef) -> None:
        stop_job(job_ref)
        if request.param == "END first":
            show.calls_back("END")()

    monkeypatch.setattr(show.metastudio, "stop_job", stop)
    show.at(30, show.calls_back(*LIVE))
    return show


def test_a_planned_end_is_a_success(stopping: StartSimulation) -> None:
    result = stopping.go_live(max_duration=timedelta(hours=1))
    assert (result["outcome"], result["state"]) == ("stopped as planned", "SUCCEED")
    assert 3600 <= stopping.clock.seconds <= 3615
    assert stopping.metastudio.stopped == [stopping.job.job_id]


def test_the_end_of_a_job_that_was_stopped_at_a_time_out_is_no_result(stopping: StartSimulation) -> None:
    stopping.deferrable = True
    with pytest.raises(SmartLiveTimeoutError):
        stopping.go_live(execution_timeout=timedelta(hours=1))
    assert stopping.metastudio.stopped == [stopping.job.job_id]


def test_nor_is_that_of_one_that_was_interrupted_for_too_long(stopping: StartSimulation) -> None:
    stopping.at(1000, stopping.calls_back("DISCONNECTED"))
    with pytest.raises(SmartLiveJobFailedError, match="interrupted for too long"):
        stopping.go_live(fail_on_disconnect_longer_than=timedelta(seconds=60))
    assert stopping.metastudio.running == []


def test_a_stream_that_never_connected_is_stopped_and_fails(show: StartSimulation) -> None:
    with pytest.raises(SmartLiveJobFailedError, match="interrupted for too long"):
        show.go_live(fail_on_disconnect_longer_than=timedelta(seconds=600))
    assert show.metastudio.running == []
    assert 600 <= show.clock.seconds <= 600 + 310


def test_one_whose_callbacks_do_not_arrive_goes_on(show: StartSimulation) -> None:
    show.at(60, lambda: setattr(show.job, "stream_duration", 20.0))
    show.at(5000, show.ends())
    assert show.go_live(fail_on_disconnect_longer_than=timedelta(seconds=600))["state"] == "SUCCEED"


@pytest.mark.parametrize("faults", [2, 3, 4])
def test_a_job_that_is_not_found_for_a_moment_goes_on(show: StartSimulation, faults: int) -> None:
    missed: list[Any] = [not_found() for _ in range(faults)]
    show.at(40, lambda: show.metastudio.show_outcomes.extend(missed))
    show.at(3600, show.ends())
    assert show.go_live(reconcile_interval=30)["state"] == "SUCCEED"
    assert show.clock.seconds >= 3600


class TestARetryAfterTheStop:
    """The trigger has stopped the job, and the process that it resumed died before it could write anything down."""

    INTERRUPTED: ClassVar[dict[str, Any]] = {"fail_on_disconnect_longer_than": timedelta(seconds=60)}
    TIMED: ClassVar[dict[str, Any]] = {"execution_timeout": timedelta(hours=1)}
    PLANNED: ClassVar[dict[str, Any]] = {"max_duration": timedelta(hours=1)}

    @pytest.fixture(autouse=True)
    def _interrupted(self, deferred: StartSimulation) -> None:
        deferred.at(30, deferred.calls_back(*LIVE))
        deferred.at(1000, deferred.calls_back("DISCONNECTED"))

    def dies(self, show: StartSimulation, **arguments: Any) -> None:
        """Run the first try until it is resumed, and let it die there."""
        call = show._call

        def die(method: str, context: Any, kwargs: Any) -> Any:
            if method != "execute":
                raise Crash
            return call(method, context, kwargs)

        monkeypatch = pytest.MonkeyPatch()
        monkeypatch.setattr(show, "_call", die)
        with pytest.raises(Crash):
            show.go_live(ti={"max_tries": 3}, **{"start_window": None} | arguments)

        monkeypatch.undo()

    def retries(self, show: StartSimulation, *, try_number: int = 2, **arguments: Any) -> Any:
        """Run a later try, whose livestream, if it starts one, ends well."""
        started = show.metastudio.asked["start"]
        ends = show.ends()
        show.at(show.clock.seconds + 40, lambda: show.metastudio.asked["start"] > started and ends())
        ti = {"try_number": try_number, "max_tries": 3, "deleted_xcoms": show.supervisor.clear_xcoms()}
        return show.go_live(ti=ti, **{"start_window": None, "reconcile_interval": 15} | arguments)

    @pytest.mark.parametrize("limit", ["INTERRUPTED", "TIMED"])
    def test_streams_again_if_it_was_a_failure(self, deferred: StartSimulation, limit: str) -> None:
        arguments = getattr(self, limit)
        self.dies(deferred, **arguments)
        first = deferred.job
        assert not first.is_active
        result = self.retries(deferred, **arguments)
        assert (result["origin"], len(deferred.metastudio.jobs)) == ("started", 2)
        assert deferred.metastudio.stopped == [first.job_id]

    @pytest.mark.parametrize(
        ("limit", "reason"), [("INTERRUPTED", "interrupted for too long"), ("TIMED", "execution_timeout")]
    )
    def test_fails_for_that_reason_if_it_is_too_late_to_stream_again(
        self, deferred: StartSimulation, limit: str, reason: str
    ) -> None:
        arguments = {"start_window": timedelta(minutes=1)} | getattr(self, limit)
        self.dies(deferred, **arguments)
        with pytest.raises(AirflowFailException, match=reason) as failure:
            self.retries(deferred, **arguments)
        assert "too late for another one" in str(failure.value)

    @pytest.mark.parametrize("state", ["SUCCEED", "FAILED", "unknown to MetaStudio"])
    def test_succeeds_if_it_was_planned_whatever_metastudio_calls_it(
        self, deferred: StartSimulation, state: str
    ) -> None:
        self.dies(deferred, **self.PLANNED)
        if state in ("SUCCEED", "FAILED"):
            deferred.job.state = state
        else:
            deferred.metastudio.jobs.clear()
        result = self.retries(deferred, **self.PLANNED)
        assert (result["origin"], result["outcome"]) == ("finished", "stopped as planned")
        assert deferred.metastudio.asked["start"] == 1

    @pytest.mark.parametrize("state", ["SUCCEED", "FAILED"])
    def test_on_a_worker_too(self, show: StartSimulation, state: str) -> None:
        stop_job: Callable[..., None] = show.metastudio.stop_job

        def stop(job_ref: JobRef) -> None:
            stop_job(job_ref)
            raise Crash

        show.deferrable = False
        monkeypatch = pytest.MonkeyPatch()
        monkeypatch.setattr(show.metastudio, "stop_job", stop)
        with pytest.raises(Crash):
            show.go_live(ti={"max_tries": 3}, **self.PLANNED)
        monkeypatch.undo()
        show.job.state = state
        assert self.retries(show, **self.PLANNED)["outcome"] == "stopped as planned"
        assert show.metastudio.asked["start"] == 1

    @pytest.mark.parametrize(("limit", "jobs"), [("INTERRUPTED", 2), ("TIMED", 2), ("PLANNED", 1)])
    def test_stops_a_job_that_was_told_to_stop_and_goes_on(
        self, deferred: StartSimulation, monkeypatch: pytest.MonkeyPatch, limit: str, jobs: int
    ) -> None:
        arguments = getattr(self, limit)
        deferred.at(20, lambda: setattr(deferred.job, "looks_until_stopped", None))
        monkeypatch.setenv("AIRFLOW__SMARTLIVE__FAILURE_BUDGET", "60")
        self.dies(deferred, **arguments)
        assert deferred.job.is_active
        deferred.job.looks_until_stopped = 1
        result = self.retries(deferred, **arguments)
        assert len(deferred.metastudio.jobs) == jobs
        assert (result["outcome"] == "stopped as planned") == (limit == "PLANNED")
        assert deferred.metastudio.running == []

    def test_remembers_it_for_the_next_retry(self, deferred: StartSimulation) -> None:
        self.dies(deferred, **self.INTERRUPTED)
        with pytest.raises(ValueError, match="max_duration"):
            self.retries(deferred, max_duration="soon")
        result = self.retries(deferred, try_number=3, **self.INTERRUPTED)
        assert result["origin"] == "started"

    def test_takes_no_note_of_another_job(self, deferred: StartSimulation) -> None:
        self.dies(deferred, **self.INTERRUPTED)
        deferred.job.job_id = "f" * 32
        record = deferred.supervisor.store[STORE_KEY]
        deferred.supervisor.store[STORE_KEY] = record | {"job_id": deferred.job.job_id}
        assert self.retries(deferred, **self.INTERRUPTED)["origin"] == "finished"

    def test_asks_airflow_nothing_without_a_note(self, deferred: StartSimulation) -> None:
        deferred.at(600, deferred.ends())
        deferred.go_live(reconcile_interval=30)
        first = next(message for message in deferred.supervisor.messages if "Store" in message.type)
        assert deferred.supervisor.messages.index(first) == 0
        assert [message.type for message in deferred.supervisor.messages].count("GetTaskStateStore") <= 3


def test_a_stream_that_came_back_before_it_was_stopped_is_judged_by_its_own_end(
    deferred: StartSimulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trigger could not stop it for as long as it tried, and noted why it wanted to."""
    deferred.at(30, deferred.calls_back(*LIVE))
    deferred.at(1000, deferred.calls_back("DISCONNECTED"))
    deferred.at(1001, lambda: deferred.metastudio.stop_outcomes.extend(unreachable() for _ in range(50)))
    deferred.at(1065, deferred.calls_back("CONNECTED"))
    deferred.at(3000, deferred.ends(), deferred.calls_back("END"))
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__FAILURE_BUDGET", "60")
    result = deferred.go_live(fail_on_disconnect_longer_than=timedelta(seconds=60))
    assert (result["state"], result["woken_by"]) == ("SUCCEED", "callback")


def test_airflow_tells_a_try_which_xcoms_it_deleted() -> None:
    assert "_ti_context_from_server" in RuntimeTaskInstance.__private_attributes__
    assert "xcom_keys_to_clear" in TIRunContext.model_fields
