"""The sensor in its three modes: the same results, the same errors."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout, AirflowSkipException
from airflow_stage import LIVE, Stage, set_up
from fake_airflow import TASK, FakeSupervisor
from fake_callbacks import called_back
from fake_metastudio import ROOM, FakeMetaStudio, unreachable
from virtual_time import Clock

from airflow_provider_smartlive.callbacks.waiter import XCOM_TABLE_KEY, Wake
from airflow_provider_smartlive.sensors import STREAM_STATES, SmartLiveStreamStateSensor

WAIT = "wait_for_it"
ALL_MODES = {
    "deferred": {"deferrable": True},
    "poke": {"deferrable": False, "mode": "poke", "poke_interval": 10},
    "reschedule": {"deferrable": False, "mode": "reschedule", "poke_interval": 60},
}


class Watch(Stage):
    """A sensor beside a task that has started a job."""

    mode: dict[str, Any]

    def sense(self, target_state: str = "END", **arguments: Any) -> Any:
        defaults: dict[str, Any] = {"starter_task_id": TASK, **self.mode}
        if target_state != "END":
            defaults["timeout"] = 6 * 3600
        sensor = SmartLiveStreamStateSensor(task_id=WAIT, target_state=target_state, **defaults | arguments)
        return self.run(sensor)

    def has_job(self) -> None:
        """The starter has its job, and has said so."""
        job = self.metastudio.add()
        self.supervisor.xcoms |= {(TASK, -1, "job_id"): job.job_id, (TASK, -1, "room_id"): ROOM}

    @property
    def job(self) -> Any:
        return self.metastudio.jobs[-1]


@pytest.fixture
def idle(
    clock: Clock, metastudio: FakeMetaStudio, supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch
) -> Watch:
    """The sensor's task, before its starter has a job; deferred."""
    watch = Watch(clock, metastudio, supervisor, task_id=WAIT)
    watch.mode = ALL_MODES["deferred"]
    set_up(watch, monkeypatch)
    sensor = "airflow.sdk.bases.sensor"
    monkeypatch.setattr(f"{sensor}.timezone", SimpleNamespace(utcnow=clock))
    sleeping = SimpleNamespace(sleep=clock.sleep, monotonic=lambda: clock.seconds)
    monkeypatch.setattr(f"{sensor}.time", sleeping)
    return watch


@pytest.fixture(params=list(ALL_MODES))
def watch(request: pytest.FixtureRequest, idle: Watch) -> Watch:
    """Every test with this fixture holds for all modes."""
    idle.mode = ALL_MODES[request.param]
    idle.has_job()
    return idle


@pytest.fixture
def deferred(idle: Watch) -> Watch:
    """For what only happens while a task is deferred."""
    idle.has_job()
    return idle


class TestReached:
    @pytest.mark.parametrize("state", STREAM_STATES)
    def test_by_callback(self, watch: Watch, state: str) -> None:
        watch.at(601, watch.calls_back(*LIVE, "DISCONNECTED", "RECONNECTING", "END"))
        result = Wake.load(watch.sense(state))
        assert (result.source, result.state, result.job_id) == ("callback", state, watch.job.job_id)
        assert 601 <= watch.clock.seconds <= 661

    @pytest.mark.parametrize("state", STREAM_STATES)
    def test_before_the_sensor_came(self, watch: Watch, state: str) -> None:
        watch.calls_back(*LIVE, "DISCONNECTED", "RECONNECTING", "END")()
        assert Wake.load(watch.sense(state)).state == state
        assert watch.clock.seconds == 0
        assert watch.deferrals == []

    def test_whatever_came_after_it(self, watch: Watch) -> None:
        watch.calls_back(*LIVE, "DISCONNECTED")()
        assert Wake.load(watch.sense("CONNECTED")).state == "CONNECTED"

    def test_the_end_of_every_known_output_counts(self, watch: Watch) -> None:
        watch.at(101, watch.calls_back(*LIVE, output="one"), watch.calls_back(*LIVE, output="two"))
        watch.at(201, watch.calls_back("END", output="one"))
        watch.at(1001, watch.ends(), watch.calls_back("END", output="two"))
        watch.sense(reconcile_interval=3600)
        assert watch.clock.seconds >= 1001

    def test_with_every_callback_lost_metastudio_tells_the_end(self, watch: Watch) -> None:
        watch.at(1001, watch.ends())
        result = Wake.load(watch.sense())
        assert (result.source, result.state) == ("reconciliation", "END")
        assert 1001 <= watch.clock.seconds <= 1001 + 300

    @pytest.mark.parametrize("state", LIVE)
    def test_and_that_the_stream_was_up(self, watch: Watch, state: str) -> None:
        watch.at(101, lambda: setattr(watch.job, "stream_duration", 5))
        assert Wake.load(watch.sense(state)).source == "reconciliation"

    def test_the_starter_may_have_no_job_yet(self, idle: Watch, watch: Watch) -> None:
        watch.metastudio.jobs.clear()
        watch.supervisor.xcoms.clear()
        watch.at(301, watch.has_job)
        watch.at(601, watch.ends(), watch.calls_back(*LIVE, "END"))
        assert Wake.load(watch.sense()).state == "END"
        assert 601 <= watch.clock.seconds <= 601 + 300

    def test_a_job_can_be_named_by_its_id(self, watch: Watch) -> None:
        watch.at(301, watch.ends())
        result = watch.sense(starter_task_id=None, job_id=watch.job.job_id, room_id=ROOM)
        assert Wake.load(result).job_id == watch.job.job_id

    def test_the_events_of_another_job_are_not_ours(self, watch: Watch) -> None:
        table = called_back("00000000000000000000000000000bad", *LIVE, "END")
        watch.supervisor.xcoms[TASK, -1, XCOM_TABLE_KEY] = table.dump()
        watch.at(1001, watch.ends())
        watch.sense()
        assert watch.clock.seconds >= 1001


class TestNotReached:
    @pytest.mark.parametrize("state", [*LIVE, "DISCONNECTED"])
    def test_a_job_that_is_over_will_not_reach_it_any_more(self, watch: Watch, state: str) -> None:
        watch.at(301, watch.ends("FAILED"))
        with pytest.raises(AirflowFailException, match=f"FAILED.*never {state}"):
            watch.sense(state)

    def test_a_stream_that_never_was_up_never_ended(self, watch: Watch) -> None:
        watch.at(301, watch.ends("FAILED"))
        with pytest.raises(AirflowFailException, match="never END"):
            watch.sense()

    def test_its_time_may_be_over(self, watch: Watch) -> None:
        with pytest.raises(AirflowSensorTimeout):
            watch.sense("DISCONNECTED", timeout=timedelta(seconds=500))
        assert 500 <= watch.clock.seconds <= 600

    def test_before_the_starter_has_a_job_too(self, watch: Watch) -> None:
        watch.supervisor.xcoms.clear()
        with pytest.raises(AirflowSensorTimeout):
            watch.sense(timeout=500)

    @pytest.mark.parametrize("how", ["soft_fail", "never_fail"])
    def test_it_can_be_a_skip(self, watch: Watch, how: str) -> None:
        watch.at(301, watch.ends("FAILED"))
        with pytest.raises(AirflowSkipException):
            watch.sense("CONNECTED", **{how: True})

    @pytest.mark.parametrize("how", ["soft_fail", "never_fail"])
    def test_at_the_first_look_too(self, watch: Watch, how: str) -> None:
        watch.ends("FAILED")()
        with pytest.raises(AirflowSkipException):
            watch.sense("CONNECTED", **{how: True})

    def test_a_time_out_can_be_a_skip(self, watch: Watch) -> None:
        with pytest.raises(AirflowSkipException):
            watch.sense("DISCONNECTED", timeout=500, soft_fail=True)

    def test_a_passing_fault_of_metastudio_changes_nothing(self, watch: Watch) -> None:
        watch.at(100, watch.is_down(unreachable()))
        watch.at(2000, watch.is_down(None))
        watch.at(5001, watch.ends())
        assert Wake.load(watch.sense()).state == "END"

    def test_nobody_is_named(self, watch: Watch) -> None:
        with pytest.raises(AirflowFailException, match="job_id"):
            watch.sense(starter_task_id=None)

    def test_without_a_room_only_a_deferred_sensor_finds_the_job(self, watch: Watch) -> None:
        watch.at(301, watch.ends())
        if watch.mode["deferrable"]:
            watch.sense(starter_task_id=None, job_id=watch.job.job_id)
            return
        with pytest.raises(AirflowFailException, match="room_id"):
            watch.sense(starter_task_id=None, job_id=watch.job.job_id)

    def test_a_job_without_a_room_that_fails_ends_the_wait(self, deferred: Watch) -> None:
        deferred.at(301, deferred.ends("FAILED"))
        with pytest.raises(AirflowFailException, match="never END"):
            deferred.sense(starter_task_id=None, job_id=deferred.job.job_id)
        assert len(deferred.deferrals) == 1


class TestConfirm:
    def test_a_callback_alone_is_not_enough(self, watch: Watch) -> None:
        watch.at(101, watch.calls_back(*LIVE, "END"))
        watch.at(2001, watch.ends())
        result = Wake.load(watch.sense(confirm=True))
        assert result.source == "reconciliation"
        assert 2001 <= watch.clock.seconds <= 2001 + 300

    def test_it_is_asked_for_often_after_the_callback(self, deferred: Watch) -> None:
        deferred.at(101, deferred.calls_back(*LIVE, "END"))
        deferred.at(131, deferred.ends())
        deferred.sense(confirm=True)
        assert deferred.clock.seconds <= 140
        assert len(deferred.deferrals) == 2

    def test_its_time_goes_on(self, deferred: Watch) -> None:
        deferred.at(101, deferred.calls_back(*LIVE, "END"))
        with pytest.raises(AirflowSensorTimeout):
            deferred.sense(confirm=True, timeout=500)
        assert 500 <= deferred.clock.seconds <= 510

    def test_without_a_room_metastudios_listing_confirms(self, deferred: Watch) -> None:
        deferred.at(101, deferred.wakes("callback", "00000000000000000000000000000001", "END"))
        deferred.at(131, deferred.ends())
        deferred.sense(confirm=True, starter_task_id=None, job_id=deferred.job.job_id)
        assert deferred.clock.seconds <= 140


class TestWhoEndsIt:
    """Deferred: the receiver by itself, or a worker."""

    def test_by_default_no_worker_is_needed(self, deferred: Watch) -> None:
        deferred.at(601, deferred.calls_back(*LIVE))
        deferred.sense("CONNECTED")
        assert not deferred.deferrals[0].trigger.needs_worker

    @pytest.mark.parametrize(
        "arguments",
        [
            {"needs_worker": True},
            {"outlets": [Asset("stream_is_up")]},
            {"on_success_callback": lambda context: None},
            {"on_failure_callback": lambda context: None},
            {"on_execute_callback": lambda context: None},
        ],
        ids=lambda arguments: next(iter(arguments)),
    )
    def test_what_would_be_left_out_needs_one(self, deferred: Watch, arguments: dict[str, Any]) -> None:
        deferred.at(601, deferred.calls_back(*LIVE))
        result = deferred.sense("CONNECTED", **arguments)
        assert deferred.deferrals[0].trigger.needs_worker
        assert Wake.load(result).source == "callback"

    def test_confirming_needs_one(self, deferred: Watch) -> None:
        deferred.at(601, deferred.ends(), deferred.calls_back(*LIVE, "END"))
        deferred.sense(confirm=True)
        assert deferred.deferrals[0].trigger.needs_worker

    def test_a_metastudio_that_stays_away_ends_the_wait(self, deferred: Watch) -> None:
        deferred.at(100, deferred.is_down(unreachable()))
        with pytest.raises(AirflowFailException, match="failure_budget"):
            deferred.sense()

    def test_airflows_own_deferral_timeout_is_not_used(self, deferred: Watch) -> None:
        deferred.at(601, deferred.ends(), deferred.calls_back(*LIVE, "END"))
        deferred.sense(timeout=5000)
        assert [deferral.timeout for deferral in deferred.deferrals] == [None]


class TestArguments:
    def test_an_unknown_state_is_refused_when_the_dag_is_read(self) -> None:
        with pytest.raises(ValueError, match="CONNECTING, CONNECTED, DISCONNECTED, RECONNECTING, END"):
            SmartLiveStreamStateSensor(task_id=WAIT, starter_task_id=TASK, target_state="ended")

    @pytest.mark.parametrize("state", [state for state in STREAM_STATES if state != "END"])
    def test_a_state_that_may_never_be_seen_needs_a_timeout(self, state: str) -> None:
        with pytest.raises(ValueError, match="needs a timeout"):
            SmartLiveStreamStateSensor(task_id=WAIT, starter_task_id=TASK, target_state=state)

    def test_only_an_end_can_be_confirmed(self) -> None:
        with pytest.raises(ValueError, match="confirm"):
            SmartLiveStreamStateSensor(
                task_id=WAIT, starter_task_id=TASK, target_state="CONNECTED", timeout=1, confirm=True
            )

    def test_what_names_the_job_is_templated(self) -> None:
        assert {"job_id", "room_id", "starter_task_id", "starter_dag_id", "starter_run_id"} <= set(
            SmartLiveStreamStateSensor.template_fields
        )
