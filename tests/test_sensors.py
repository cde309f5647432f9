"""The sensor in its three modes: the same results, the same errors."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)

from airflow_provider_smartlive.callbacks.messages import (
    XCOM_TABLE_KEY,
    ResumeEvent,
    WaiterRegistration,
    starter_waiter_key,
)
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.client.lookup import find_connection
from airflow_provider_smartlive.livestream.starter import OWN_XCOMS_AFTER
from airflow_provider_smartlive.metastudio.errors import AuthenticationError
from airflow_provider_smartlive.sensors import STREAM_STATES, SmartLiveStreamStateSensor
from tests.support.fake_airflow import DAG, RUN, TASK, api_error
from tests.support.fake_callbacks import called_back
from tests.support.fake_metastudio import ROOM, unreachable
from tests.support.sensor_simulation import ALL_MODES, WAIT, SensorSimulation
from tests.support.simulation import LIVE

pytestmark = pytest.mark.usefixtures("in_virtual_time")


@pytest.fixture(params=list(ALL_MODES))
def watch(request: pytest.FixtureRequest, idle: SensorSimulation) -> SensorSimulation:
    """Every test with this fixture holds for all modes."""
    idle.mode = ALL_MODES[request.param]
    idle.has_job()
    return idle


@pytest.fixture
def deferred(idle: SensorSimulation) -> SensorSimulation:
    """For what only happens while a task is deferred."""
    idle.has_job()
    return idle


class TestReached:
    @pytest.mark.parametrize("state", STREAM_STATES)
    def test_by_callback(self, watch: SensorSimulation, state: str) -> None:
        over = [watch.ends()] if state == "END" else []
        watch.at(601, *over, watch.calls_back(*LIVE, "DISCONNECTED", "RECONNECTING", "END"))
        result = ResumeEvent.load(watch.sense(state))
        assert (result.source, result.state, result.job_id) == ("callback", state, watch.job.job_id)
        assert result.confirmed == (state == "END")
        assert 601 <= watch.clock.seconds <= 661

    @pytest.mark.parametrize("state", STREAM_STATES)
    def test_before_the_sensor_came(self, watch: SensorSimulation, state: str) -> None:
        watch.calls_back(*LIVE, "DISCONNECTED", "RECONNECTING", "END")()
        if state == "END":
            watch.ends()()
        assert ResumeEvent.load(watch.sense(state)).state == state
        assert watch.clock.seconds == 0
        assert watch.deferrals == []

    def test_whatever_came_after_it(self, watch: SensorSimulation) -> None:
        watch.calls_back(*LIVE, "DISCONNECTED")()
        assert ResumeEvent.load(watch.sense("CONNECTED")).state == "CONNECTED"

    def test_the_end_of_every_known_output_counts(self, watch: SensorSimulation) -> None:
        watch.at(101, watch.calls_back(*LIVE, output="one"), watch.calls_back(*LIVE, output="two"))
        watch.at(201, watch.calls_back("END", output="one"))
        watch.at(1001, watch.ends(), watch.calls_back("END", output="two"))
        watch.sense(reconcile_interval=3600)
        assert watch.clock.seconds >= 1001

    def test_with_every_callback_lost_metastudio_tells_the_end(self, watch: SensorSimulation) -> None:
        watch.at(1001, watch.ends())
        result = ResumeEvent.load(watch.sense())
        assert (result.source, result.state) == ("reconciliation", "END")
        assert 1001 <= watch.clock.seconds <= 1001 + 300

    @pytest.mark.parametrize("state", LIVE)
    def test_and_that_the_stream_was_up(self, watch: SensorSimulation, state: str) -> None:
        watch.at(101, lambda: setattr(watch.job, "stream_duration", 5))
        assert ResumeEvent.load(watch.sense(state)).source == "reconciliation"

    def test_the_starter_may_have_no_job_yet(self, idle: SensorSimulation, watch: SensorSimulation) -> None:
        watch.metastudio.jobs.clear()
        watch.supervisor.xcoms.clear()
        watch.becomes("queued")()
        watch.at(301, watch.has_job)
        watch.at(601, watch.ends(), watch.calls_back(*LIVE, "END"))
        assert ResumeEvent.load(watch.sense()).state == "END"
        assert 601 <= watch.clock.seconds <= 601 + 300

    def test_a_job_can_be_named_by_its_id(self, watch: SensorSimulation) -> None:
        watch.at(301, watch.ends())
        result = watch.sense(starter_task_id=None, job_id=watch.job.job_id, room_id=ROOM)
        assert ResumeEvent.load(result).job_id == watch.job.job_id

    def test_the_events_of_another_job_are_not_ours(self, watch: SensorSimulation) -> None:
        table = called_back("00000000000000000000000000000bad", *LIVE, "END")
        watch.supervisor.xcoms[TASK, -1, XCOM_TABLE_KEY] = table.dump()
        watch.at(1001, watch.ends())
        watch.sense()
        assert watch.clock.seconds >= 1001


class TestAnotherProject:
    """The connection is edited while the job runs, and leads to a project that knows no such job."""

    @pytest.fixture(autouse=True)
    def _edited(self, watch: SensorSimulation) -> None:
        watch.announces()
        back = watch.metastudio.endpoint
        elsewhere = "https://elsewhere.example.com"
        watch.at(600, lambda: setattr(watch.metastudio, "endpoint", elsewhere))
        watch.at(4 * 3600, lambda: setattr(watch.metastudio, "endpoint", back))

    def test_the_sensor_waits_on(self, watch: SensorSimulation) -> None:
        watch.at(5 * 3600, watch.ends())
        assert watch.sense()["source"] == "reconciliation"
        assert watch.clock.seconds >= 5 * 3600

    def test_a_callback_counts(self, watch: SensorSimulation) -> None:
        watch.at(3600, watch.calls_back(*LIVE, "END"))
        assert watch.sense()["state"] == "END"
        assert watch.clock.seconds < 4000


class TestNotReached:
    @pytest.mark.parametrize("state", [*LIVE, "DISCONNECTED"])
    def test_a_job_that_is_over_will_not_reach_it_any_more(self, watch: SensorSimulation, state: str) -> None:
        watch.at(301, watch.fails())
        with pytest.raises(AirflowFailException, match=f"FAILED.*never {state}"):
            watch.sense(state)

    def test_a_stream_that_never_was_up_never_ended(self, watch: SensorSimulation) -> None:
        watch.at(301, watch.fails())
        with pytest.raises(AirflowFailException, match="never END"):
            watch.sense()

    def test_its_time_may_be_over(self, watch: SensorSimulation) -> None:
        with pytest.raises(AirflowSensorTimeout):
            watch.sense("DISCONNECTED", timeout=timedelta(seconds=500))
        assert 500 <= watch.clock.seconds <= 600

    def test_before_the_starter_has_a_job_too(self, watch: SensorSimulation) -> None:
        watch.supervisor.xcoms.clear()
        watch.becomes("queued")()
        with pytest.raises(AirflowSensorTimeout, match=f"not started.*task {TASK} .* is queued"):
            watch.sense(timeout=500)

    @pytest.mark.parametrize("how", ["soft_fail", "never_fail"])
    def test_it_can_be_a_skip(self, watch: SensorSimulation, how: str) -> None:
        watch.at(301, watch.fails())
        with pytest.raises(AirflowSkipException):
            watch.sense("CONNECTED", **{how: True})

    @pytest.mark.parametrize("how", ["soft_fail", "never_fail"])
    def test_at_the_first_look_too(self, watch: SensorSimulation, how: str) -> None:
        watch.fails()()
        with pytest.raises(AirflowSkipException):
            watch.sense("CONNECTED", **{how: True})

    def test_a_time_out_can_be_a_skip(self, watch: SensorSimulation) -> None:
        with pytest.raises(AirflowSkipException):
            watch.sense("DISCONNECTED", timeout=500, soft_fail=True)

    def test_a_passing_fault_of_metastudio_changes_nothing(self, watch: SensorSimulation) -> None:
        watch.at(100, watch.is_down(unreachable()))
        watch.at(2000, watch.is_down(None))
        watch.at(5001, watch.ends())
        assert ResumeEvent.load(watch.sense()).state == "END"

    def test_a_metastudio_that_stays_away_ends_the_wait(self, watch: SensorSimulation) -> None:
        watch.at(100, watch.is_down(unreachable()))
        text = r"MetaStudio was unreachable for 3600 s \(\[smartlive\] failure_budget\)\. .*did not answer in time"
        with pytest.raises(AirflowFailException, match=f"^{text}$"):
            watch.sense()
        assert 3600 <= watch.clock.seconds <= 100 + 3600 + 2 * 300

    @pytest.mark.parametrize("leads_elsewhere", [False, True])
    def test_one_that_answers_again_when_the_budget_is_over_ends_nothing(
        self, idle: SensorSimulation, leads_elsewhere: bool
    ) -> None:
        idle.has_job()
        there = idle.metastudio.endpoint
        if leads_elsewhere:  # where its key is refused
            idle.at(400, lambda: setattr(idle.metastudio, "endpoint", "https://elsewhere.example.com"))
        idle.at(500, idle.wakes("budget-over", idle.job.job_id))
        idle.at(3000, lambda: setattr(idle.metastudio, "endpoint", there))
        idle.at(5001, idle.ends())
        assert ResumeEvent.load(idle.sense()).state == "END"

    def test_a_wrong_key_is_said_at_once_and_at_the_end(
        self, watch: SensorSimulation, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """It is not the end: the callback that is waited for needs no key."""
        wrong = AuthenticationError("signature fail", http_status=401, error_code="APIGW.0301")
        watch.is_down(wrong)()
        with pytest.raises(AirflowFailException, match=r"APIGW\.0301.*Check login and password"):
            watch.sense(retries=3)
        assert "MetaStudio gives no clear answer: refused (APIGW.0301" in capsys.readouterr().out

    def test_a_budget_that_an_earlier_try_has_used_up_is_not_that_of_this_one(
        self, idle: SensorSimulation
    ) -> None:
        idle.mode = ALL_MODES["reschedule"]
        idle.has_job()
        long_ago = {"unclear": "2025-01-01T00:00:00+00:00"}
        idle.supervisor.store["smartlive_sensor"] = {"version": 1, "try_number": 0, "since": long_ago}
        idle.at(0, idle.is_down(unreachable()))
        idle.at(301, idle.is_down(None), idle.ends())
        assert ResumeEvent.load(idle.sense()).state == "END"

    @pytest.mark.parametrize("more", [{}, {"soft_fail": True}, {"never_fail": True}], ids=str)
    def test_a_time_out_names_the_starter(self, watch: SensorSimulation, more: dict[str, Any]) -> None:
        error = AirflowSkipException if more else AirflowSensorTimeout
        text = (
            ".*"
            if more
            else f"did not reach DISCONNECTED within 500 s. The task {TASK} of DAG nightly.* is deferred"
        )
        with pytest.raises(error, match=text):
            watch.sense("DISCONNECTED", timeout=500, **more)

    def test_nobody_is_named(self, watch: SensorSimulation) -> None:
        with pytest.raises(AirflowFailException, match="job_id"):
            watch.sense(starter_task_id=None)

    def test_without_a_room_only_a_deferred_sensor_finds_the_job(self, watch: SensorSimulation) -> None:
        watch.at(301, watch.ends())
        if watch.mode["deferrable"]:
            watch.sense(starter_task_id=None, job_id=watch.job.job_id)
            return
        with pytest.raises(AirflowFailException, match="room_id"):
            watch.sense(starter_task_id=None, job_id=watch.job.job_id)

    def test_a_job_without_a_room_that_fails_ends_the_wait(self, deferred: SensorSimulation) -> None:
        deferred.at(301, deferred.ends("FAILED"))
        with pytest.raises(AirflowFailException, match="never END"):
            deferred.sense(starter_task_id=None, job_id=deferred.job.job_id)
        assert len(deferred.deferrals) == 1


class TestFollowing:
    """The starter has a new try or a new life: what is left of the old one is not what is waited for."""

    def starts_anew(self, watch: SensorSimulation, at: float) -> None:
        """Let a worker take the starter: it reads the DAG file, then Airflow deletes the old XComs, then it starts."""
        watch.at(at, watch.becomes("running"))
        watch.at(at + 20, watch.forgets)
        watch.at(at + 25, watch.has_job)

    @pytest.mark.parametrize("state", [None, "scheduled", "queued", "restarting", "up_for_retry"])
    @pytest.mark.parametrize("target", ["CONNECTED", "END"])
    def test_an_idle_starter_has_no_job(
        self, watch: SensorSimulation, state: str | None, target: str
    ) -> None:
        watch.calls_back(*LIVE, "END")()
        watch.ends(stream_duration=60.0)()
        watch.becomes(state)()
        self.starts_anew(watch, 301)
        watch.at(701, watch.calls_back(*LIVE, "END"), watch.ends(stream_duration=60.0))
        result = ResumeEvent.load(watch.sense(target))
        assert result.job_id == watch.metastudio.jobs[1].job_id
        assert 701 <= watch.clock.seconds <= 701 + 60

    def test_nor_has_one_whose_worker_still_reads_the_dag(self, watch: SensorSimulation) -> None:
        watch.calls_back(*LIVE, "END")()
        watch.ends()()
        watch.becomes("running")()
        self.starts_anew(watch, 1)
        watch.at(701, watch.calls_back(*LIVE, "END"), watch.ends())
        assert ResumeEvent.load(watch.sense()).job_id == watch.metastudio.jobs[1].job_id

    @pytest.mark.parametrize("target", ["CONNECTED", "END"])
    def test_a_job_that_failed_before_it_connected_is_not_the_last_one(
        self, watch: SensorSimulation, target: str
    ) -> None:
        watch.at(101, watch.ends("FAILED"))
        watch.at(400, watch.becomes("up_for_retry"))
        self.starts_anew(watch, 501)
        watch.at(801, watch.calls_back(*LIVE, "END"), watch.ends())
        assert ResumeEvent.load(watch.sense(target)).job_id == watch.metastudio.jobs[1].job_id

    def test_a_cleared_starter_takes_the_wait_along(self, watch: SensorSimulation) -> None:
        """The old job is stopped while its stream is up; without callbacks MetaStudio alone says that it is over."""
        watch.at(101, watch.ends(stream_duration=60.0), watch.becomes("queued"))
        self.starts_anew(watch, 501)
        watch.at(901, watch.ends(stream_duration=60.0))
        assert ResumeEvent.load(watch.sense()).job_id == watch.metastudio.jobs[1].job_id

    def test_a_starter_that_waits_on_a_worker_has_its_job_in_time(
        self, idle: SensorSimulation, watch: SensorSimulation
    ) -> None:
        watch.becomes("running")()
        watch.calls_back(*LIVE)()
        assert ResumeEvent.load(watch.sense("CONNECTED")).job_id == watch.job.job_id
        assert OWN_XCOMS_AFTER <= watch.clock.seconds <= OWN_XCOMS_AFTER + 90

    def test_what_it_has_is_not_forgotten_between_two_pokes(self, idle: SensorSimulation) -> None:
        """Each poke has a process of its own; a retry of the sensor begins to count anew."""
        idle.mode = ALL_MODES["reschedule"]
        idle.has_job()
        idle.becomes("running")()
        idle.at(500, idle.ends("FAILED"), idle.becomes("failed"))
        with pytest.raises(AirflowFailException):
            idle.sense()
        assert idle.supervisor.store["smartlive_sensor"] == {"version": 1, "try_number": 1, "since": {}}

    def test_a_starter_that_was_skipped_skips_the_sensor(
        self, idle: SensorSimulation, watch: SensorSimulation
    ) -> None:
        watch.supervisor.xcoms.clear()
        watch.becomes("queued")()
        watch.at(101, watch.becomes("skipped"))
        with pytest.raises(AirflowSkipException, match=f"task {TASK} .* was skipped"):
            watch.sense("CONNECTED", timeout=300)
        assert watch.clock.seconds <= 101 + 64

    @pytest.mark.parametrize("state", ["failed", "upstream_failed", "success", "removed"])
    def test_one_that_is_over_without_a_job_fails_it(self, watch: SensorSimulation, state: str) -> None:
        watch.supervisor.xcoms.clear()
        watch.becomes("queued")()
        watch.at(101, watch.becomes(state))
        with pytest.raises(AirflowFailException, match=rf"task {TASK} .* is over \({state}\) and has no job"):
            watch.sense()
        assert watch.clock.seconds <= 101 + 64

    def test_one_that_did_not_run_again_has_no_job_of_its_own(self, watch: SensorSimulation) -> None:
        watch.calls_back(*LIVE, "END")()
        watch.becomes("upstream_failed")()
        with pytest.raises(AirflowFailException, match="has no job"):
            watch.sense()

    def test_it_is_asked_for_no_xcom_while_it_has_none(self, deferred: SensorSimulation) -> None:
        """Airflow's triggerer writes an error into its log for each XCom that is not there."""
        deferred.supervisor.xcoms.clear()
        deferred.becomes("queued")()
        deferred.at(101, deferred.becomes("running"))
        deferred.at(121, deferred.has_job)
        deferred.at(601, deferred.calls_back(*LIVE, "END"))
        deferred.sense()
        asked = [message for message in deferred.supervisor.messages if message.type == "GetXCom"]
        assert {message.key for message in asked} == {"job_id", "room_id", "smartlive_job", XCOM_TABLE_KEY}
        assert all((TASK, -1, message.key) in deferred.supervisor.xcoms for message in asked)

    def test_whoever_waits_is_not_asked_about_again_and_again(self, deferred: SensorSimulation) -> None:
        deferred.at(36_001, deferred.ends())
        deferred.sense(timeout=40_000)
        asked = [message for message in deferred.supervisor.messages if message.type == "GetTaskStates"]
        assert len(asked) <= 4


class TestWrongStarter:
    def test_a_task_that_is_not_there(self, watch: SensorSimulation) -> None:
        with pytest.raises(
            AirflowFailException, match=r"starter_task_id is 'go_liv': run .* of DAG nightly has no such"
        ):
            watch.sense(starter_task_id="go_liv")
        assert watch.clock.seconds <= 60

    def test_a_task_group_is_missing(self, watch: SensorSimulation) -> None:
        watch.supervisor.states |= {"evening.start": "deferred", "morning.start_0": "deferred"}
        with pytest.raises(AirflowFailException, match=r"its full id.*'evening\.start' or 'morning\.start'"):
            watch.sense(starter_task_id="start")

    def test_a_mapped_one_needs_its_index(self, watch: SensorSimulation) -> None:
        watch.supervisor.states |= {"each_0": "deferred", "each_1": "deferred"}
        with pytest.raises(
            AirflowFailException, match=r"'each', which is mapped \(2 instances\).*starter_map_index"
        ):
            watch.sense(starter_task_id="each")
        with pytest.raises(AirflowFailException, match="starter_map_index is 2: each has the indexes 0 to 1"):
            watch.sense(starter_task_id="each", starter_map_index=2)
        with pytest.raises(AirflowFailException, match=r"not mapped.*starter_map_index=-1"):
            watch.sense(starter_map_index=2)

    def test_one_that_is_not_expanded_yet_is_waited_for(self, watch: SensorSimulation) -> None:
        watch.supervisor.states["each"] = None

        def expands() -> None:
            watch.supervisor.states["each_0"] = "skipped"
            del watch.supervisor.states["each"]

        watch.at(101, expands)
        with pytest.raises(AirflowSkipException):
            watch.sense(starter_task_id="each", starter_map_index=0)
        assert watch.clock.seconds >= 101

    def test_a_run_that_is_not_there_yet_may_come(self, watch: SensorSimulation) -> None:
        with pytest.raises(AirflowSensorTimeout, match="in no run that is there"):
            watch.sense(starter_run_id="tomorrow", timeout=200)


class TestEarly:
    """Somebody waits for the stream to come up, and its callbacks are lost."""

    def test_metastudio_is_asked_soon_after_the_start(self, deferred: SensorSimulation) -> None:
        deferred.at(31, lambda: setattr(deferred.job, "stream_duration", 1))
        assert ResumeEvent.load(deferred.sense("CONNECTED")).source == "reconciliation"
        assert deferred.clock.seconds <= 63

    def test_and_then_ever_less_often(self, deferred: SensorSimulation) -> None:
        deferred.at(3601, lambda: setattr(deferred.job, "stream_duration", 1))
        deferred.sense("CONNECTED")
        asked = [seconds for seconds, operation in deferred.metastudio.log if operation == "show"][1:]
        assert [round(at / 10) * 10 for at in asked[:5]] == [20, 60, 140, 300, 600]

    def test_no_other_state_is(self, deferred: SensorSimulation) -> None:
        deferred.at(601, deferred.ends())
        deferred.sense()
        assert deferred.metastudio.asked["show"] <= 4


class TestPassingFaults:
    @pytest.mark.parametrize("passing", range(12))
    @pytest.mark.parametrize("state", ["CONNECTED", "END"])
    def test_one_of_airflows_api_costs_seconds(
        self, watch: SensorSimulation, passing: int, state: str
    ) -> None:
        """Whichever question meets it; on a worker it is asked again as in a trigger."""
        watch.supervisor.faults = [*[None] * passing, api_error(), api_error()]
        watch.at(301, watch.ends(), watch.calls_back(*LIVE, "END"))
        assert ResumeEvent.load(watch.sense(state)).state == state
        assert watch.clock.seconds <= 301 + 60 + 10

    @pytest.mark.parametrize("state", [*LIVE, "END"])
    @pytest.mark.parametrize("is_named", [False, True], ids=["by its starter", "by its id"])
    def test_a_job_that_metastudio_does_not_show_yet_is_not_over(
        self, watch: SensorSimulation, state: str, is_named: bool
    ) -> None:
        shown = list(watch.metastudio.jobs)
        job_id = watch.job.job_id
        watch.metastudio.jobs.clear()
        watch.at(25, lambda: watch.metastudio.jobs.extend(shown))
        watch.at(601, watch.ends(stream_duration=60.0))
        name = {"job_id": job_id, "room_id": ROOM, "starter_task_id": None} if is_named else {}
        assert ResumeEvent.load(watch.sense(state, **name)).job_id == job_id
        assert 601 <= watch.clock.seconds <= 601 + 300

    def test_one_that_is_not_there_later_either_is_over(self, watch: SensorSimulation) -> None:
        with pytest.raises(AirflowFailException, match="never END"):
            watch.sense(job_id="1" * 32, room_id=ROOM, starter_task_id=None)
        assert 30 <= watch.clock.seconds <= 700

    @pytest.mark.parametrize("state", [*LIVE, "DISCONNECTED"])
    def test_a_receiver_that_passed_over_the_task_is_made_up_for(
        self, deferred: SensorSimulation, state: str
    ) -> None:
        def is_locked() -> None:
            resume, deferred.resume = deferred.resume, None
            deferred.calls_back(*LIVE, "DISCONNECTED")()
            deferred.resume = resume

        deferred.at(101, is_locked)
        assert ResumeEvent.load(deferred.sense(state)).source == "first-read"
        assert deferred.clock.seconds <= 101 + 300


class TestConfirm:
    """END was called back: what MetaStudio has to say to it."""

    GRACE = 120

    def streams(self, watch: SensorSimulation, since: int, until: int) -> None:
        """Let MetaStudio's figure grow as video is pushed."""

        def grows(seconds: int) -> Any:
            return lambda: setattr(watch.job, "stream_duration", float(seconds))

        for second in range(since, until, 5):
            watch.at(second, grows(second - since))

    def test_a_callback_alone_is_enough_if_that_is_wanted(self, watch: SensorSimulation) -> None:
        watch.at(101, watch.calls_back(*LIVE, "END"))
        result = ResumeEvent.load(watch.sense(confirm=False))
        assert (result.source, result.confirmed) == ("callback", False)
        assert watch.clock.seconds <= 101 + 60

    def test_a_stream_that_goes_on_has_not_ended(self, watch: SensorSimulation) -> None:
        self.streams(watch, 1, 2001)
        watch.at(101, watch.calls_back(*LIVE, "END"))
        watch.at(2001, watch.ends())
        assert ResumeEvent.load(watch.sense()).confirmed
        assert 2001 <= watch.clock.seconds <= 2001 + 300

    def test_a_job_that_nobody_finishes_has_ended_all_the_same(self, watch: SensorSimulation) -> None:
        """Of a starter that does not wait, by a MetaStudio that leaves the end of a job to others."""
        self.streams(watch, 1, 101)
        watch.at(101, watch.calls_back(*LIVE, "END"))
        assert ResumeEvent.load(watch.sense()).source == "callback"
        assert 101 + self.GRACE <= watch.clock.seconds <= 101 + self.GRACE + 2 * 60 + 5

    @pytest.mark.parametrize("counts", [False, True])
    @pytest.mark.parametrize("gap", [0, 3, 100])
    def test_a_link_that_is_exchanged_in_the_console_ends_nothing(
        self, watch: SensorSimulation, gap: int, counts: bool
    ) -> None:
        """END of the old one comes first; MetaStudio may count how long video was pushed, or not before the end."""
        if counts:
            self.streams(watch, 1, 3001)
        watch.at(2, watch.calls_back(*LIVE, outputs=("main",)))
        watch.at(901, watch.calls_back("END", outputs=("main",)))
        watch.at(901 + gap, watch.calls_back(*LIVE, output="new", outputs=("main",)))
        watch.at(3001, watch.ends(), watch.calls_back("END", output="new", outputs=("main",)))
        result = ResumeEvent.load(watch.sense())
        assert (result.state, result.confirmed) == ("END", True)
        assert 3001 <= watch.clock.seconds <= 3001 + 60

    def test_whoever_comes_after_the_exchange_waits_for_the_end_of_the_new_link(
        self, watch: SensorSimulation
    ) -> None:
        for output in ("main", "new"):
            watch.calls_back(*LIVE, output=output, outputs=("main",))()
        watch.calls_back("END", outputs=("main",))()
        watch.at(901, watch.ends(), watch.calls_back("END", output="new", outputs=("main",)))
        watch.sense()
        assert 901 <= watch.clock.seconds <= 901 + 60

    @pytest.mark.parametrize("state", ["FAILED", "BLOCKED"])
    def test_a_job_that_is_over_has_ended_however_it_did(self, watch: SensorSimulation, state: str) -> None:
        watch.at(101, watch.ends(state), watch.calls_back(*LIVE, "END"))
        assert ResumeEvent.load(watch.sense()).confirmed

    def test_while_metastudio_cannot_be_asked_it_waits(self, watch: SensorSimulation) -> None:
        watch.at(100, watch.is_down(unreachable()))
        watch.at(101, watch.calls_back(*LIVE, "END"))
        watch.at(1501, watch.is_down(None), watch.ends())
        assert ResumeEvent.load(watch.sense()).source in ("callback", "first-read")
        assert 1501 <= watch.clock.seconds <= 1501 + 60

    def test_and_in_the_end_it_fails(self, watch: SensorSimulation) -> None:
        watch.at(100, watch.is_down(unreachable()))
        watch.at(101, watch.calls_back(*LIVE, "END"))
        with pytest.raises(AirflowFailException, match="MetaStudio was unreachable for 3600 s"):
            watch.sense()
        assert 3600 <= watch.clock.seconds <= 100 + 3600 + 2 * 300

    def test_it_is_asked_for_often_after_the_callback(self, deferred: SensorSimulation) -> None:
        deferred.at(101, deferred.calls_back(*LIVE, "END"))
        deferred.at(131, deferred.ends())
        deferred.sense()
        assert deferred.clock.seconds <= 140
        assert len(deferred.deferrals) == 2

    def test_a_starter_that_waits_on_a_worker_makes_it_no_slower(self, deferred: SensorSimulation) -> None:
        deferred.becomes("running")()
        deferred.at(601, deferred.calls_back(*LIVE, "END"))
        deferred.at(604, deferred.ends())
        deferred.sense()
        assert deferred.clock.seconds <= 610

    def test_a_starter_that_is_cleared_meanwhile_takes_the_wait_along(
        self, deferred: SensorSimulation
    ) -> None:
        deferred.at(101, deferred.calls_back(*LIVE, "END"))
        deferred.at(111, deferred.becomes("queued"), deferred.ends())
        deferred.at(131, deferred.becomes("running"), deferred.forgets)
        deferred.at(132, deferred.has_job)
        deferred.at(901, deferred.calls_back(*LIVE, "END"), deferred.ends())
        assert ResumeEvent.load(deferred.sense()).job_id == deferred.metastudio.jobs[1].job_id

    @pytest.mark.parametrize("begins", [1, 121])
    def test_a_starter_that_goes_on_as_soon_as_there_is_a_worker_keeps_its_job(
        self, watch: SensorSimulation, begins: float
    ) -> None:
        """The same END has resumed it, and its pool is full: hours may pass until it is over."""
        watch.supervisor.xcoms[TASK, -1, "smartlive_job"] |= {"try_number": 2}
        watch.supervisor.task = {"try_number": 2, "state": "queued"}
        watch.at(101, watch.calls_back(*LIVE, "END"))
        watch.at(111, watch.becomes("queued"), watch.ends())
        watch.clock.sleep(begins)
        assert ResumeEvent.load(watch.sense()).job_id == watch.job.job_id
        assert watch.clock.seconds <= 180

    @pytest.mark.parametrize("task", [{"try_number": 3}, {"try_number": 2, "run_id": "another"}], ids=str)
    def test_one_that_begins_another_try_does_not(
        self, deferred: SensorSimulation, task: dict[str, Any]
    ) -> None:
        """Or of which that is not known."""
        deferred.supervisor.xcoms[TASK, -1, "smartlive_job"] |= {"try_number": 2}
        deferred.supervisor.task = {"state": "queued"} | task
        deferred.at(101, deferred.calls_back(*LIVE, "END"))
        deferred.at(111, deferred.becomes("queued"), deferred.ends())
        deferred.at(1131, deferred.becomes("running"), deferred.forgets)
        deferred.at(1132, deferred.has_job)
        deferred.at(1901, deferred.calls_back(*LIVE, "END"), deferred.ends())
        assert ResumeEvent.load(deferred.sense()).job_id == deferred.metastudio.jobs[1].job_id

    def test_how_far_it_is_is_kept_between_two_pokes(self, idle: SensorSimulation) -> None:
        idle.mode = ALL_MODES["reschedule"]
        idle.has_job()
        idle.at(101, idle.calls_back(*LIVE, "END"))
        idle.at(200, lambda: checks.append(idle.supervisor.store["smartlive_sensor"]["end_check"]))
        checks: list[dict[str, Any]] = []
        idle.sense()
        assert [check["source"] for check in checks] == ["callback"]
        assert "end_check" not in idle.supervisor.store["smartlive_sensor"]

    def test_its_time_goes_on(self, deferred: SensorSimulation) -> None:
        self.streams(deferred, 1, 600)
        deferred.at(101, deferred.calls_back(*LIVE, "END"))
        with pytest.raises(AirflowSensorTimeout):
            deferred.sense(timeout=500)
        assert 500 <= deferred.clock.seconds <= 510

    def test_without_a_room_metastudios_listing_confirms(self, deferred: SensorSimulation) -> None:
        deferred.at(101, deferred.wakes("callback", "00000000000000000000000000000001", "END"))
        deferred.at(131, deferred.ends())
        deferred.sense(starter_task_id=None, job_id=deferred.job.job_id)
        assert deferred.clock.seconds <= 140


class TestWhoEndsIt:
    """Deferred: the receiver by itself, or a worker."""

    def test_by_default_no_worker_is_needed(self, deferred: SensorSimulation) -> None:
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
    def test_what_would_be_left_out_needs_one(
        self, deferred: SensorSimulation, arguments: dict[str, Any]
    ) -> None:
        deferred.at(601, deferred.calls_back(*LIVE))
        result = deferred.sense("CONNECTED", **arguments)
        assert deferred.deferrals[0].trigger.needs_worker
        assert ResumeEvent.load(result).source == "callback"

    @pytest.mark.parametrize("confirm", [True, False])
    def test_confirming_begins_on_one_and_ends_without(
        self, deferred: SensorSimulation, confirm: bool
    ) -> None:
        deferred.at(601, deferred.calls_back(*LIVE, "END"))
        deferred.at(611, deferred.ends())
        deferred.sense(confirm=confirm)
        registered = deferred.supervisor.xcom(starter_waiter_key(TaskRef(DAG, RUN, TASK)), WAIT)
        assert WaiterRegistration.load(registered).needs_worker == confirm
        assert {deferral.trigger.needs_worker for deferral in deferred.deferrals} == {False}

    def test_airflows_own_deferral_timeout_is_not_used(self, deferred: SensorSimulation) -> None:
        deferred.at(601, deferred.ends(), deferred.calls_back(*LIVE, "END"))
        deferred.sense(timeout=5000)
        assert [deferral.timeout for deferral in deferred.deferrals] == [None]


class TestArguments:
    @pytest.mark.parametrize("state", ["connected", " Connected ", "END", "end"])
    def test_a_state_may_be_spelt_in_any_case(self, state: str) -> None:
        sensor = SmartLiveStreamStateSensor(task_id=WAIT, starter_task_id=TASK, target_state=state, timeout=1)
        assert sensor.target_state == state.strip().upper()

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ({"starter_task_id": "None"}, "starter_task_id was rendered to nothing"),
            ({"starter_run_id": "None"}, "starter_run_id was rendered to nothing"),
            ({"job_id": "None", "room_id": ROOM}, "job_id was rendered to nothing"),
            ({"room_id": "a/b"}, "room_id is 'a/b'"),
            ({"starter_map_index": "1"}, "starter_map_index is '1'"),
            ({"smartlive_conn_id": None}, "smartlive_conn_id is None"),
            ({"smartlive_conn_id": "missing"}, "smartlive_conn_id: there is no connection 'missing'"),
            ({"starter_task_id": None}, "Name the job"),
        ],
    )
    def test_what_no_retry_can_change_fails_for_good(
        self, watch: SensorSimulation, arguments: dict[str, Any], text: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def profile() -> None:
            if arguments.get("smartlive_conn_id") == "missing":
                find_connection("missing", argument="smartlive_conn_id")

        monkeypatch.setattr(watch.metastudio, "profile", profile)
        with pytest.raises(AirflowFailException, match=text):
            watch.sense(**arguments)
        assert watch.metastudio.asked == {}

    def test_digits_stay_texts_where_templates_render_natively(self, watch: SensorSimulation) -> None:
        watch.ends()()
        watch.metastudio.jobs[0].job_id, watch.metastudio.jobs[0].room_id = "1234", "5678"
        native: dict[str, Any] = {"job_id": 1234, "room_id": 5678}
        assert ResumeEvent.load(watch.sense(starter_task_id=None, **native)).job_id == "1234"

    @pytest.mark.parametrize("interval", [60, "60", timedelta(minutes=1)], ids=str)
    def test_seconds_and_timedeltas_are_taken_alike(self, interval: Any) -> None:
        sensor = SmartLiveStreamStateSensor(task_id=WAIT, starter_task_id=TASK, reconcile_interval=interval)
        assert sensor.reconcile_interval == 60.0

    @pytest.mark.parametrize("interval", [0, -1, "often", True])
    def test_what_is_no_interval_is_refused_when_the_dag_is_read(self, interval: Any) -> None:
        with pytest.raises(ValueError, match="reconcile_interval is"):
            SmartLiveStreamStateSensor(task_id=WAIT, starter_task_id=TASK, reconcile_interval=interval)

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
