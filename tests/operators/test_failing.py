"""A task that fails leaves no job behind, unless a retry will take it up; and a failed livestream is never a skip."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from airflow.sdk import RetryDecision, RetryPolicy
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowRuntimeError,
    AirflowTaskTimeout,
    TaskDeferralError,
)
from airflow.sdk.execution_time import comms

from airflow_provider_smartlive.callbacks.messages import JOB_KEY, XCOM_TABLE_KEY
from airflow_provider_smartlive.callbacks.table import CallbackTable
from airflow_provider_smartlive.client.connection import InvalidConnectionError
from airflow_provider_smartlive.exceptions import SmartLiveJobFailedError, SmartLiveTimeoutError
from airflow_provider_smartlive.livestream.current_task import STORE_KEY
from airflow_provider_smartlive.livestream.record import JobRecord
from airflow_provider_smartlive.metastudio.errors import QuotaExceeded
from airflow_provider_smartlive.metastudio.ids import JobRef
from tests.support.fake_airflow import FakeSupervisor, api_error
from tests.support.fake_metastudio import ROOM, After, Crash, ambiguous, unreachable
from tests.support.simulation import LIVE, StartSimulation
from tests.support.virtual_time import NOON

OTHER_ROOM = "24bad716-87b1-45e5-8912-00000000000b"

FAULTS = {
    "the id is stored": comms.SetTaskStateStore,
    "the job is published": comms.SetXCom,
    "the own state is asked for": comms.GetTaskStates,
}


def break_airflow(show: StartSimulation, kind: type, until: float | None = None) -> None:
    """Let Airflow's API refuse a kind of request as soon as there is a job."""

    def refuse(message: Any) -> None:
        over = until is not None and show.clock.seconds >= until
        if isinstance(message, kind) and show.metastudio.jobs and not over:
            raise api_error()

    show.supervisor.on_message = refuse


class TestTheLastTry:
    @pytest.mark.parametrize("fault", FAULTS)
    def test_stops_its_job_before_an_error_of_airflow_leaves(
        self, deferred: StartSimulation, fault: str
    ) -> None:
        break_airflow(deferred, FAULTS[fault])
        with pytest.raises(AirflowRuntimeError):
            deferred.go_live()
        assert len(deferred.metastudio.jobs) == 1
        assert deferred.metastudio.running == []

    @pytest.mark.parametrize("fault", FAULTS)
    def test_outlasts_an_error_that_passes(self, deferred: StartSimulation, fault: str) -> None:
        break_airflow(deferred, FAULTS[fault], until=10)
        deferred.at(600, deferred.ends())
        assert deferred.go_live(reconcile_interval=30)["state"] == "SUCCEED"
        assert deferred.metastudio.stopped == []

    def test_goes_on_without_a_callback_table_that_cannot_be_read(self, deferred: StartSimulation) -> None:
        break_airflow(deferred, comms.GetXCom)
        deferred.at(600, deferred.ends())
        result = deferred.go_live(reconcile_interval=30)
        assert (result["state"], result["woken_by"]) == ("SUCCEED", "reconciliation")

    def test_stops_the_job_of_an_earlier_try_although_its_arguments_are_wrong_now(
        self, show: StartSimulation
    ) -> None:
        with pytest.raises(Crash):
            crash_while_live(show)
        with pytest.raises(ValueError, match="max_duration"):
            show.go_live(max_duration="soon", ti={"try_number": 2, "max_tries": 1})
        assert show.metastudio.running == []

    def test_stops_the_job_when_metastudio_was_unreachable_for_too_long(self, show: StartSimulation) -> None:
        show.at(60, lambda: setattr(show.metastudio, "show_outcomes", [unreachable()] * 500))
        with pytest.raises(SmartLiveJobFailedError, match="unreachable"):
            show.go_live(reconcile_interval=30)
        assert show.metastudio.stopped == [show.job.job_id]

    def test_stops_its_job_if_its_trigger_cannot_run(self, deferred: StartSimulation) -> None:
        with pytest.raises(TaskDeferralError):
            resume_from_a_failed_trigger(deferred)
        assert deferred.metastudio.running == []

    def test_stops_its_job_although_airflow_takes_no_note_of_it(self, show: StartSimulation) -> None:
        show.metastudio.warnings = ["TOO_SHORT_SCRIPT_TIME"]
        stored: list[Any] = []

        def refuse(message: Any) -> None:
            if isinstance(message, comms.SetTaskStateStore):
                stored.append(message)
                if len(stored) > 2:
                    raise api_error()

        show.supervisor.on_message = refuse
        with pytest.raises((AirflowRuntimeError, AirflowFailException)):
            show.go_live(warnings_as_errors=True)
        assert show.metastudio.running == []

    def test_stops_its_job_although_its_time_is_over_meanwhile(self, show: StartSimulation) -> None:
        """Airflow's alarm rings while the failing task looks at its job."""
        break_airflow(show, comms.SetXCom)
        look = show.metastudio.show_job

        def alarm_once(job_ref: JobRef) -> Any:
            show.metastudio.show_job = look  # type: ignore[method-assign]  # it rings once
            raise AirflowTaskTimeout("Timeout")

        show.metastudio.show_job = alarm_once  # type: ignore[method-assign]
        with pytest.raises(AirflowRuntimeError):
            show.go_live()
        assert show.metastudio.running == []

    def test_is_also_one_that_the_retry_policy_ends(self, show: StartSimulation) -> None:
        class Never(RetryPolicy):
            def evaluate(self, *args: Any, **kwargs: Any) -> RetryDecision:
                return RetryDecision.fail("never")

        break_airflow(show, comms.SetXCom)
        with pytest.raises(AirflowRuntimeError):
            show.go_live(retry_policy=Never(), ti={"max_tries": 5})
        assert show.metastudio.running == []


def resume_from_a_failed_trigger(show: StartSimulation, **ti: Any) -> None:
    """Go live, and let Airflow say that the trigger failed."""
    call = show._call

    def failing(method: str, context: Any, kwargs: Any) -> Any:
        return call(method if method == "execute" else "__fail__", context, kwargs)

    show._call = failing  # type: ignore[method-assign]  # Airflow's way to fail a deferred task
    show.at(show.clock.seconds + 100, lambda: show.wakes("callback", show.job.job_id)())
    show.go_live(ti=ti)


class TestATryBeforeTheLast:
    def test_leaves_its_job_to_the_retry_if_its_trigger_cannot_run(self, deferred: StartSimulation) -> None:
        with pytest.raises(TaskDeferralError):
            resume_from_a_failed_trigger(deferred, max_tries=1)
        assert deferred.metastudio.running != []

    def test_leaves_its_job_to_the_retry(self, show: StartSimulation) -> None:
        break_airflow(show, comms.SetXCom)
        with pytest.raises(AirflowRuntimeError):
            show.go_live(ti={"max_tries": 1})
        assert show.metastudio.running != []
        show.supervisor.on_message = lambda message: None
        show.at(show.clock.seconds + 60, show.ends())
        assert (
            show.go_live(reconcile_interval=30, ti={"try_number": 2, "max_tries": 1})["origin"] == "adopted"
        )


def crash_while_live(show: StartSimulation, **arguments: Any) -> None:
    """Let the process of a first try die while its job runs."""

    def crash() -> None:
        raise Crash

    show.at(show.clock.seconds + 100, crash)
    show.go_live(ti={"try_number": 1, "max_tries": 3}, **arguments)


class TestARoomThatChanges:
    def test_the_job_is_taken_up_where_it_runs_and_stopped_there(self, show: StartSimulation) -> None:
        with pytest.raises(Crash):
            crash_while_live(show, max_duration=timedelta(minutes=30))
        show.resume = None
        result = show.go_live(
            room_id=OTHER_ROOM, max_duration=timedelta(minutes=30), ti={"try_number": 2, "max_tries": 3}
        )
        assert (result["room_id"], result["outcome"]) == (ROOM, "stopped as planned")
        assert show.metastudio.running == []
        assert show.metastudio.asked["start"] == 1
        assert show.supervisor.xcom("room_id") == ROOM

    def test_after_a_clear_it_is_stopped_where_it_runs(self, show: StartSimulation) -> None:
        with pytest.raises(Crash):
            crash_while_live(show)
        show.resume = None
        show.at(show.clock.seconds + 60, show.ends())
        result = show.go_live(
            room_id=OTHER_ROOM, reconcile_interval=30, ti={"try_number": 2, "max_tries": 4, "clear_number": 1}
        )
        assert (result["room_id"], result["origin"]) == (OTHER_ROOM, "started")
        assert len(show.metastudio.stopped) == 1


class TestLives:
    def test_a_clear_with_fewer_retries_streams_again(self, show: StartSimulation) -> None:
        show.at(100, show.ends())
        first = show.go_live(retries=2, reconcile_interval=30, ti={"try_number": 1, "max_tries": 2})
        show.at(show.clock.seconds + 100, show.ends())
        again = show.go_live(
            retries=1, reconcile_interval=30, ti={"try_number": 2, "max_tries": 2, "clear_number": 1}
        )
        assert again["origin"] == "started"
        assert again["job_id"] != first["job_id"]

    def test_the_end_of_a_job_that_a_kill_stopped_is_no_result_of_the_life_after_it(
        self, show: StartSimulation
    ) -> None:
        with pytest.raises(Crash):
            crash_while_live(show, retries=3)
        show.ends()()  # its trigger stopped it, after somebody marked the task
        show.resume = None
        show.at(show.clock.seconds + 60, show.ends())
        again = show.go_live(
            retries=2, reconcile_interval=30, ti={"try_number": 2, "max_tries": 3, "clear_number": 1}
        )
        assert again["origin"] == "started"

    @pytest.mark.parametrize(
        ("ended", "planned", "origin"),
        [(3590, None, "finished"), (3610, None, "started"), (3610, 3500, "finished")],
    )
    def test_a_job_that_execution_timeout_stopped_is_no_result_of_a_retry(
        self, deferred: StartSimulation, ended: int, planned: int | None, origin: str
    ) -> None:
        """The trigger stopped it, and the process that was resumed died before it could write that down."""
        timeout = {"execution_timeout": timedelta(hours=1), "reconcile_interval": 30, "start_window": None}
        timeout |= {"max_duration": timedelta(seconds=planned)} if planned else {}
        with pytest.raises(Crash):
            crash_while_live(deferred, **timeout)
        deferred.resume = None
        end_time = deferred.job.created_at + timedelta(seconds=ended)
        deferred.ends(end_time=end_time.isoformat())()
        deferred.clock.sleep(3700)
        deferred.at(deferred.clock.seconds + 60, deferred.ends())
        result = deferred.go_live(**timeout, ti={"try_number": 2, "max_tries": 3})
        assert result["origin"] == origin

    def test_execution_timeout_counts_anew_for_a_retry_and_that_is_announced(
        self, deferred: StartSimulation
    ) -> None:
        timeout = {"execution_timeout": timedelta(hours=1), "reconcile_interval": 30}

        def announced() -> Any:
            return datetime.fromisoformat(deferred.supervisor.xcom(JOB_KEY)["timeout_at"])

        with pytest.raises(Crash):
            crash_while_live(deferred, **timeout)
        assert timedelta() <= announced() - NOON - timedelta(hours=1) < timedelta(seconds=10)
        deferred.resume = None
        deferred.clock.sleep(1800)
        began = deferred.clock.now
        deferred.at(deferred.clock.seconds + 60, deferred.ends())
        deferred.go_live(**timeout, ti={"try_number": 2, "max_tries": 3})
        assert timedelta() <= announced() - began - timedelta(hours=1) < timedelta(seconds=10)

    def test_nobody_keeps_the_time_of_a_task_that_does_not_wait(self, show: StartSimulation) -> None:
        show.go_live(execution_timeout=timedelta(hours=1), wait_for_termination=False)
        assert show.supervisor.xcom(JOB_KEY)["timeout_at"] is None

    def test_a_livestream_that_is_over_does_not_tie_its_connection_down(self, show: StartSimulation) -> None:
        show.at(100, show.ends())
        show.go_live(reconcile_interval=30)
        show.metastudio.endpoint = "https://elsewhere.example.com"
        show.at(show.clock.seconds + 60, show.ends("FAILED"))
        with pytest.raises(SmartLiveJobFailedError):
            show.go_live(reconcile_interval=30, ti={"clear_number": 1})
        show.metastudio.endpoint = "https://again-elsewhere.example.com"
        show.go_live(wait_for_termination=False, ti={"clear_number": 2})
        assert len(show.metastudio.jobs) == 3

    def test_one_that_runs_does(self, show: StartSimulation) -> None:
        show.go_live(wait_for_termination=False)
        show.metastudio.endpoint = "https://elsewhere.example.com"
        for _ in range(2):
            with pytest.raises(InvalidConnectionError, match="leads to https://elsewhere"):
                show.go_live(ti={"max_tries": 1, "clear_number": 1})
        assert len(show.metastudio.jobs) == 1

    def test_a_process_of_an_earlier_life_leaves_the_later_one_alone(self, show: StartSimulation) -> None:
        show.go_live(wait_for_termination=False, ti={"max_tries": 1, "clear_number": 1})
        with pytest.raises(AirflowFailException, match="was cleared"):
            show.go_live(ti={"max_tries": 0, "clear_number": 0})
        assert len(show.metastudio.running) == 1

    def test_a_run_that_was_deleted_and_triggered_again_stops_what_still_runs(
        self, show: StartSimulation, supervisor: FakeSupervisor
    ) -> None:
        """Its task state store went with the old run; DAG id, run id, task id and max_tries are the same."""
        with pytest.raises(Crash):
            crash_while_live(show)
        supervisor.store.clear()
        supervisor.xcoms.clear()
        show.resume = None
        show.at(show.clock.seconds + 60, show.ends())
        again = show.go_live(reconcile_interval=30, ti={"try_number": 1, "max_tries": 3})
        assert again["origin"] == "started"
        assert len(show.metastudio.stopped) == 1


class TestTooLateForAnotherTry:
    @pytest.fixture
    def late(self) -> dict[str, Any]:
        return {"start_window": timedelta(seconds=10), "reconcile_interval": 30}

    def retry_fails(self, show: StartSimulation, late: dict[str, Any], match: str) -> None:
        with pytest.raises(AirflowFailException, match=match) as failure:
            show.go_live(**late, ti={"try_number": 2, "max_tries": 2})
        assert "too late for another one" in str(failure.value)
        assert "start_window" in str(failure.value)

    def test_a_failed_livestream_fails_the_task(self, show: StartSimulation, late: dict[str, Any]) -> None:
        show.at(60, show.ends("FAILED", error_info={"error_code": "MSS.45000009", "error_msg": "bad output"}))
        with pytest.raises(SmartLiveJobFailedError):
            show.go_live(**late, ti={"max_tries": 2})
        self.retry_fails(show, late, r"the job failed\. MSS\.45000009: bad output")

    def test_a_timeout_fails_the_task(self, show: StartSimulation, late: dict[str, Any]) -> None:
        with pytest.raises(SmartLiveTimeoutError):
            show.go_live(**late, execution_timeout=timedelta(seconds=60), ti={"max_tries": 2})
        self.retry_fails(show, late, "execution_timeout was reached")

    def test_a_stop_at_that_is_over_fails_the_task(self, show: StartSimulation) -> None:
        show.at(60, show.ends("FAILED"))
        arguments = {"stop_at": "2026-01-01T12:01:00+00:00", "reconcile_interval": 30}
        show.at(59, lambda: None)
        with pytest.raises(AirflowException):
            show.go_live(**(arguments | {"stop_at": "2026-01-01T12:05:00+00:00"}), ti={"max_tries": 2})
        show.clock.sleep(600)
        with pytest.raises(AirflowFailException, match="stop_at"):
            show.go_live(**arguments, ti={"try_number": 2, "max_tries": 2})

    def test_a_start_that_was_refused_fails_the_task(
        self, show: StartSimulation, late: dict[str, Any]
    ) -> None:
        show.metastudio.start_outcomes = [QuotaExceeded("running jobs at the limit", http_status=400)]
        with pytest.raises(QuotaExceeded):
            show.go_live(**late, ti={"max_tries": 2})
        show.clock.sleep(60)
        self.retry_fails(show, late, "running jobs at the limit")

    def test_starts_without_an_answer_fail_the_task(
        self, show: StartSimulation, late: dict[str, Any]
    ) -> None:
        show.metastudio.start_outcomes = [ambiguous() for _ in range(3)]
        with pytest.raises(AirflowException, match="no clear answer"):
            show.go_live(**(late | {"start_window": None}), ti={"max_tries": 2})
        self.retry_fails(show, late, "An earlier try failed with AirflowException")


class TestTheTable:
    def test_it_is_there_before_anything_can_be_called_back(self, show: StartSimulation) -> None:
        seen: list[Any] = []
        start_job = show.metastudio.start_job

        def start(room_id: str, request: Any, **bounds: Any) -> Any:
            seen.append(show.supervisor.xcom(XCOM_TABLE_KEY))
            return start_job(room_id, request, **bounds)

        show.metastudio.start_job = start  # type: ignore[method-assign]  # to look before it is sent
        show.go_live(wait_for_termination=False)
        (table,) = map(CallbackTable.load, seen)
        assert table.generation == JobRecord.load(show.supervisor.store[STORE_KEY]).generation

    def test_a_retry_that_adopts_keeps_what_was_called_back_in_it(self, show: StartSimulation) -> None:
        show.go_live(wait_for_termination=False)
        show.calls_back(*LIVE)()
        show.at(60, show.ends())
        result = show.go_live(reconcile_interval=30, ti={"try_number": 2})
        assert [state for state, _ in result["streams"][0]["transitions"]] == list(LIVE)


class TestWhatAirflowLoses:
    def test_a_resume_without_its_wait_goes_on(
        self, deferred: StartSimulation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As ``dag.test()`` does: of what was deferred only the event comes back."""
        run = deferred._call
        keep: Callable[..., Any] = lambda method, context, kwargs: run(  # noqa: E731
            method, context, {name: value for name, value in kwargs.items() if name == "event"}
        )
        monkeypatch.setattr(deferred, "_call", keep)
        deferred.at(60, deferred.calls_back(*LIVE))
        deferred.at(600, deferred.ends(), deferred.calls_back("END"))
        result = deferred.go_live(max_duration=timedelta(hours=1))
        assert (result["state"], result["woken_by"]) == ("SUCCEED", "callback")

    def test_a_planned_stop_is_not_lost_with_it(
        self, deferred: StartSimulation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = deferred._call
        monkeypatch.setattr(
            deferred,
            "_call",
            lambda method, context, kwargs: run(
                method, context, {name: value for name, value in kwargs.items() if name == "event"}
            ),
        )
        result = deferred.go_live(max_duration=timedelta(hours=1))
        assert result["outcome"] == "stopped as planned"
        assert deferred.metastudio.running == []


def test_an_unclear_start_of_another_room_is_looked_up_there(show: StartSimulation) -> None:
    show.metastudio.start_outcomes = [After(Crash())]
    with pytest.raises(Crash):
        show.go_live(ti={"max_tries": 1})
    show.at(200, show.ends())
    result = show.go_live(room_id=OTHER_ROOM, reconcile_interval=30, ti={"try_number": 2, "max_tries": 1})
    assert (result["origin"], result["room_id"]) == ("adopted", ROOM)
