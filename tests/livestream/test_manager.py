"""The manager of a job: what it does when it is woken, and what it leaves behind."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import structlog
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.comms import SetTaskStateStore
from structlog.testing import capture_logs

from airflow_provider_smartlive.callbacks.messages import XCOM_TABLE_KEY, stop_key
from airflow_provider_smartlive.callbacks.table import CallbackTable
from airflow_provider_smartlive.decisions import Verdict, WakeSource
from airflow_provider_smartlive.exceptions import (
    SmartLiveJobBlockedError,
    SmartLiveJobFailedError,
    SmartLiveTimeoutError,
)
from airflow_provider_smartlive.livestream.manager import JobManager
from airflow_provider_smartlive.livestream.record import JobRecord
from airflow_provider_smartlive.livestream.wait_state import WaitLimits, WaitState
from airflow_provider_smartlive.metastudio.errors import AuthenticationError
from airflow_provider_smartlive.metastudio.ids import JobRef
from tests.support.current_task import FIRST, a_current_task
from tests.support.fake_airflow import TASK, FakeSupervisor, api_error
from tests.support.fake_callbacks import STREAM_KEY, called_back
from tests.support.fake_metastudio import ROOM, Crash, FakeJob, FakeMetaStudio, unreachable
from tests.support.virtual_time import NOON, Clock

LIVE = ("CONNECTING", "CONNECTED")
CONN_ID = "smartlive_default"
WAIT = WaitState(CONN_ID, ROOM, "job", 1, NOON)
REFUSED = AuthenticationError("wrong signature", http_status=401, error_code="APIGW.0301")


class ManagedJob:
    """One running job and its manager."""

    def __init__(self, clock: Clock, metastudio: FakeMetaStudio, supervisor: FakeSupervisor) -> None:
        self.clock = clock
        self.supervisor = supervisor
        self.metastudio = metastudio
        self.job: FakeJob = metastudio.add()
        self.task = a_current_task(supervisor, clock)
        self.task.save(
            JobRecord("0", FIRST, CONN_ID, ROOM, sent_at=NOON, job_id=self.job.job_id, started_at=NOON)
        )
        self.options: dict[str, Any] = {"interval": 300.0, "stop_grace": 60.0, "look_again_window": 0.0}
        self.manager = self.manager_of(
            WaitState(CONN_ID, ROOM, self.job.job_id, 1, NOON, start_info={"origin": "started"})
        )

    def manager_of(self, wait: WaitState) -> JobManager:
        limits = WaitLimits(**self.options)
        return JobManager(
            self.metastudio, wait, limits, task=self.task, log=structlog.get_logger(), now=self.clock
        )

    def calls_back(self, *states: str, **more: Any) -> None:
        self.has_table(called_back(self.job.job_id, *states, **more))

    def has_table(self, table: CallbackTable) -> None:
        self.supervisor.xcoms[TASK, -1, XCOM_TABLE_KEY] = table.dump()

    def is_killed(self) -> None:
        self.supervisor.states[TASK] = "failed"

    def check(self, source: WakeSource) -> dict[str, Any] | None:
        """Wake the owner as another process would: with nothing but what travelled through the database."""
        self.manager = self.manager_of(WaitState.load(json.loads(json.dumps(self.manager.wait.dump()))))
        return self.manager.check(source)

    @property
    def forsworn(self) -> bool:
        record = self.task.record()
        return record is not None and record.is_discarded(self.job.job_id)


@pytest.fixture
def stage(clock: Clock, metastudio: FakeMetaStudio, supervisor: FakeSupervisor) -> ManagedJob:
    return ManagedJob(clock, metastudio, supervisor)


def test_an_action_that_it_does_not_know_is_no_success(
    stage: ManagedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown: Any = "dance"
    monkeypatch.setattr(
        "airflow_provider_smartlive.livestream.manager.decide",
        lambda *_, **__: Verdict(unknown, "somebody added it"),
    )
    with pytest.raises(AssertionError, match="dance"):
        stage.check(WakeSource.CALLBACK)


# -- finish


@pytest.mark.parametrize("source", list(WakeSource))
def test_a_job_that_succeeded_is_a_success_whatever_woke_us(stage: ManagedJob, source: WakeSource) -> None:
    stage.job.state = "SUCCEED"
    stage.calls_back(*LIVE, "END")
    result = stage.check(source)
    assert result is not None
    assert (result["state"], result["outcome"], result["woken_by"]) == (
        "SUCCEED",
        "the job succeeded",
        str(source),
    )


def test_an_end_that_nobody_saw_is_noted(stage: ManagedJob) -> None:
    stage.job.state = "SUCCEED"
    result = stage.check(WakeSource.RECONCILIATION)
    assert result is not None
    assert result["outcome"] == "the job succeeded; END was not seen"


def test_a_job_that_failed_raises_metastudios_own_words(stage: ManagedJob) -> None:
    stage.job.state = "FAILED"
    stage.job.more = {"error_info": {"error_code": "MSS.45000009", "error_msg": "invalid RTMP URL"}}
    with pytest.raises(SmartLiveJobFailedError, match=r"MSS\.45000009: invalid RTMP URL"):
        stage.check(WakeSource.CALLBACK)


def test_a_job_that_was_blocked_raises_the_reason_and_is_not_retried(stage: ManagedJob) -> None:
    stage.job.state = "BLOCKED"
    stage.job.more = {"block_reason": "forbidden words"}
    with pytest.raises(SmartLiveJobBlockedError, match="forbidden words"):
        stage.check(WakeSource.RECONCILIATION)


def test_a_job_that_vanished_fails(stage: ManagedJob) -> None:
    stage.metastudio.jobs.clear()
    with pytest.raises(SmartLiveJobFailedError, match="vanished"):
        stage.check(WakeSource.RECONCILIATION)


def test_a_job_that_vanished_after_end_is_a_success(stage: ManagedJob) -> None:
    stage.metastudio.jobs.clear()
    stage.calls_back(*LIVE, "END")
    result = stage.check(WakeSource.CALLBACK)
    assert result is not None
    assert "state" not in result
    assert result["streams"][0]["state"] == "END"


# -- wait


def test_it_waits_while_the_stream_goes_on(stage: ManagedJob) -> None:
    stage.calls_back(*LIVE)
    assert stage.check(WakeSource.RECONCILIATION) is None
    assert stage.manager.wait.grace_until is None


def test_after_end_metastudio_gets_its_time_to_finish(stage: ManagedJob) -> None:
    stage.calls_back(*LIVE, "END")
    assert stage.check(WakeSource.CALLBACK) is None
    assert stage.manager.wait.grace_until == NOON + timedelta(seconds=120)
    stage.clock.sleep(60)
    assert stage.check(WakeSource.RECONCILIATION) is None
    assert stage.manager.wait.grace_until == NOON + timedelta(seconds=120), "asking does not prolong it"


def test_after_that_time_the_job_is_stopped(stage: ManagedJob) -> None:
    stage.calls_back(*LIVE, "END")
    stage.check(WakeSource.CALLBACK)
    result = stage.check(WakeSource.GRACE_OVER)
    assert result is not None
    assert result["state"] == "SUCCEED"
    assert stage.metastudio.stopped == [stage.job.job_id]


def test_it_is_left_running_where_somebody_asked_for_that(stage: ManagedJob) -> None:
    stage.options["stop_after_end"] = False
    stage.calls_back(*LIVE, "END")
    result = stage.check(WakeSource.GRACE_OVER)
    assert result is not None
    assert result["state"] == "PROCESSING"
    assert stage.metastudio.stopped == []


class TestAnEndThatIsNotTrue:
    """MetaStudio's signature does not cover the body: whoever captured a request can say END."""

    def test_a_stream_that_goes_on_is_not_stopped(self, stage: ManagedJob) -> None:
        stage.calls_back(*LIVE, "END")
        stage.job.stream_duration = 1000.0
        assert stage.check(WakeSource.CALLBACK) is None
        for _ in range(5):
            stage.clock.sleep(120)
            stage.job.stream_duration += 120
            with capture_logs() as lines:
                assert stage.check(WakeSource.GRACE_OVER) is None
            assert stage.manager.wait.grace_until == stage.clock.now + timedelta(seconds=120)
            assert [line["log_level"] for line in lines] == ["info", "warning"]
        assert stage.metastudio.stopped == []

    def test_nor_left_to_nobody(self, stage: ManagedJob) -> None:
        stage.options["stop_after_end"] = False
        self.test_a_stream_that_goes_on_is_not_stopped(stage)

    def test_it_is_stopped_once_it_has_ended_indeed(self, stage: ManagedJob) -> None:
        self.test_a_stream_that_goes_on_is_not_stopped(stage)
        stage.clock.sleep(120)
        result = stage.check(WakeSource.GRACE_OVER)
        assert result is not None
        assert result["outcome"] == "the stream ended, the job did not finish by itself"
        assert stage.metastudio.stopped == [stage.job.job_id]

    def test_a_figure_that_lagged_behind_does_not_prolong_a_job(self, stage: ManagedJob) -> None:
        stage.calls_back(*LIVE, "END")
        stage.job.stream_duration = 1000.0
        stage.check(WakeSource.CALLBACK)
        stage.clock.sleep(120)
        stage.job.stream_duration = 1059.0  # counted once a minute
        assert stage.check(WakeSource.GRACE_OVER) is not None
        assert stage.metastudio.stopped == [stage.job.job_id]

    def test_it_takes_two_looks_to_believe_it(self, stage: ManagedJob) -> None:
        stage.calls_back(*LIVE, "END")
        stage.metastudio.down = unreachable()
        stage.check(WakeSource.CALLBACK)
        stage.metastudio.down = None
        stage.job.stream_duration = 1000.0
        stage.clock.sleep(120)
        assert stage.check(WakeSource.GRACE_OVER) is None, "nothing to compare with"
        stage.clock.sleep(120)
        assert stage.check(WakeSource.GRACE_OVER) is not None

    @pytest.mark.parametrize("source", [WakeSource.CALLBACK, WakeSource.RECONCILIATION])
    def test_a_job_that_finishes_meanwhile_is_no_news(self, stage: ManagedJob, source: WakeSource) -> None:
        stage.calls_back(*LIVE, "END")
        stage.check(WakeSource.CALLBACK)
        stage.clock.sleep(5)
        stage.job.state, stage.job.stream_duration = "SUCCEED", 1000.0
        with capture_logs() as lines:
            assert stage.check(source) is not None
        assert [line["log_level"] for line in lines] == ["info"]


def test_a_new_output_does_not_take_end_back(stage: ManagedJob) -> None:
    """It may be forged. If the show goes on over it, MetaStudio's own figures tell."""
    stage.calls_back(*LIVE, "END")
    stage.check(WakeSource.CALLBACK)
    both = called_back(stage.job.job_id, *LIVE, "END")
    stage.calls_back("CONNECTING", output="second", table=both)
    result = stage.check(WakeSource.GRACE_OVER)
    assert result is not None
    assert stage.metastudio.stopped == [stage.job.job_id]


def test_the_end_of_one_of_two_outputs_is_not_the_end(stage: ManagedJob) -> None:
    stage.calls_back(*LIVE, "END", outputs=("main", "second"))
    assert stage.check(WakeSource.CALLBACK) is None
    assert stage.manager.wait.grace_until is None


def test_the_end_of_another_job_is_not_ours(stage: ManagedJob) -> None:
    table = called_back("00000000000000000000000000000bad", *LIVE, "END")
    stage.has_table(table)
    assert not stage.manager.has_ended(stage.manager.callbacks())
    assert stage.check(WakeSource.CALLBACK) is None
    assert stage.manager.wait.grace_until is None


# -- planned and forced ends


def test_a_deadline_is_a_planned_end(stage: ManagedJob) -> None:
    result = stage.check(WakeSource.DEADLINE)
    assert result is not None
    assert (result["outcome"], result["state"]) == ("stopped as planned", "SUCCEED")
    assert not stage.forsworn, "its end is the result, also for a retry"


def test_a_planned_end_is_written_down_before_it_comes(stage: ManagedJob) -> None:
    stage.metastudio.stop_outcomes = [Crash()]
    with pytest.raises(Crash):
        stage.check(WakeSource.DEADLINE)
    record = stage.task.record()
    assert record is not None
    assert record.planned_stop


def test_so_is_the_stop_of_a_job_that_does_not_finish(stage: ManagedJob) -> None:
    stage.calls_back(*LIVE, "END")
    assert stage.check(WakeSource.GRACE_OVER) is not None
    record = stage.task.record()
    assert record is not None
    assert record.stop_source(stage.clock()) is WakeSource.GRACE_OVER


@pytest.mark.parametrize("source", [WakeSource.DEADLINE, WakeSource.TIMEOUT])
def test_a_note_that_airflow_does_not_take_costs_no_stop(stage: ManagedJob, source: WakeSource) -> None:
    def refuse(message: Any) -> None:
        if isinstance(message, SetTaskStateStore):
            raise api_error()

    stage.supervisor.on_message = refuse
    with pytest.raises(AirflowRuntimeError):
        stage.check(source)
    assert stage.metastudio.running == []


def test_the_note_of_an_interruption_is_withdrawn_if_the_stream_has_come_back(stage: ManagedJob) -> None:
    stage.options["disconnect_limit"] = 60
    stage.calls_back(*LIVE)
    note = (TASK, -1, stop_key(WakeSource.DISCONNECTED, stage.job.job_id))
    stage.supervisor.xcoms[note] = NOON.isoformat()
    assert stage.check(WakeSource.DISCONNECTED) is None
    assert note not in stage.supervisor.xcoms


def test_an_execution_timeout_stops_and_fails(stage: ManagedJob) -> None:
    with pytest.raises(SmartLiveTimeoutError, match=stage.job.job_id):
        stage.check(WakeSource.TIMEOUT)
    assert stage.metastudio.running == []
    assert stage.forsworn


@pytest.mark.parametrize("source", [WakeSource.TIMEOUT, WakeSource.CALLBACK, WakeSource.RECONCILIATION])
@pytest.mark.parametrize(("minutes", "deadline"), [(9, 0), (11, 0), (11, 1), (11, -1)])
def test_a_job_that_the_sweep_stopped_after_an_execution_timeout_is_no_success(
    stage: ManagedJob, source: WakeSource, minutes: int, deadline: int
) -> None:
    """
    The triggerer was away; MetaStudio says SUCCEED, and has called END back.

    :param deadline: minutes from the time-out to the planned end; 0 if there is none.
    """
    planned = NOON + timedelta(minutes=deadline) if deadline else None
    stage.manager.wait = replace(stage.manager.wait, timeout_at=NOON, deadline=planned)
    stage.calls_back(*LIVE, "END")
    stage.job.state = "SUCCEED"
    stage.job.more = {"end_time": (NOON + timedelta(minutes=minutes)).isoformat()}
    if minutes < 10 or deadline < 0:
        assert stage.check(source) is not None
        return
    with pytest.raises(SmartLiveTimeoutError):
        stage.check(source)
    assert stage.forsworn


@pytest.mark.parametrize("source", [WakeSource.DEADLINE, WakeSource.TIMEOUT])
def test_a_stop_that_is_not_confirmed_is_no_stop(stage: ManagedJob, source: WakeSource) -> None:
    stage.options["stop_grace"] = 0.0
    stage.job.looks_until_stopped = None
    with pytest.raises(SmartLiveJobFailedError, match="still running"):
        stage.check(source)


def test_a_stop_may_take_a_while(stage: ManagedJob) -> None:
    stage.job.looks_until_stopped = 3
    assert stage.check(WakeSource.DEADLINE) is not None
    assert stage.metastudio.asked["stop"] == 1


def test_a_job_that_ends_before_the_stop_arrives_is_no_error(
    stage: ManagedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_job = FakeMetaStudio.stop_job

    def overtaken(metastudio: FakeMetaStudio, job_ref: JobRef) -> None:
        stage.job.state = "SUCCEED"
        stop_job(metastudio, job_ref)

    monkeypatch.setattr(FakeMetaStudio, "stop_job", overtaken)
    assert stage.check(WakeSource.DEADLINE) is not None
    assert stage.metastudio.asked["stop"] == 1


# -- faults


def test_a_passing_fault_does_not_end_the_wait(stage: ManagedJob) -> None:
    stage.metastudio.down = unreachable()
    assert stage.check(WakeSource.RECONCILIATION) is None
    assert stage.manager.wait.lost_since == NOON


def test_the_budget_runs_across_processes(stage: ManagedJob) -> None:
    stage.metastudio.down = unreachable()
    for _ in range(12):
        assert stage.check(WakeSource.RECONCILIATION) is None
        stage.clock.sleep(300)
    with pytest.raises(SmartLiveJobFailedError, match="did not answer in time"):
        stage.check(WakeSource.RECONCILIATION)
    assert stage.metastudio.stopped == []


def test_any_good_answer_starts_the_budget_anew(stage: ManagedJob) -> None:
    stage.metastudio.down = unreachable()
    stage.check(WakeSource.RECONCILIATION)
    stage.clock.sleep(3500)
    stage.metastudio.down = None
    assert stage.check(WakeSource.RECONCILIATION) is None
    assert stage.manager.wait.lost_since is None
    stage.metastudio.down = unreachable()
    stage.clock.sleep(200)
    assert stage.check(WakeSource.RECONCILIATION) is None


def test_a_trigger_whose_budget_is_over_is_believed_only_if_metastudio_is_still_away(
    stage: ManagedJob,
) -> None:
    assert stage.check(WakeSource.BUDGET_OVER) is None
    stage.metastudio.down = unreachable()
    with pytest.raises(SmartLiveJobFailedError, match="failure_budget"):
        stage.check(WakeSource.BUDGET_OVER)


@pytest.mark.parametrize("fault", [unreachable(), REFUSED], ids=repr)
def test_an_ending_outlasts_a_fault(stage: ManagedJob, fault: Exception) -> None:
    """Else END would be found again by the next trigger's first read, and the task would spin."""
    stage.calls_back(*LIVE, "END")
    stage.metastudio.down = fault
    assert stage.check(WakeSource.CALLBACK) is None
    grace_until = stage.manager.wait.grace_until
    assert grace_until is not None
    stage.clock.now = grace_until
    assert stage.check(WakeSource.GRACE_OVER) is None
    assert stage.manager.wait.grace_until is not None
    assert stage.manager.wait.grace_until >= grace_until + timedelta(seconds=120), "and not at once again"


def test_an_ending_without_answers_ends_with_the_budget(stage: ManagedJob) -> None:
    stage.calls_back(*LIVE, "END")
    stage.metastudio.down = unreachable()
    stage.check(WakeSource.CALLBACK)
    wakes = 1

    def until_it_gives_up() -> None:
        nonlocal wakes
        while stage.manager.wait.grace_until is not None:
            stage.clock.now = stage.manager.wait.grace_until
            wakes += 1
            stage.check(WakeSource.GRACE_OVER)

    with pytest.raises(SmartLiveJobFailedError):
        until_it_gives_up()
    assert stage.clock.now - NOON >= timedelta(seconds=3600)
    assert wakes < 15, "each wake costs a worker slot"


def test_refused_credentials_are_read_again_once(stage: ManagedJob) -> None:
    stage.metastudio.down = REFUSED
    stage.metastudio.reload_helps = True
    stage.job.state = "SUCCEED"
    assert stage.check(WakeSource.RECONCILIATION) is not None
    assert stage.metastudio.reloads == 1


def test_credentials_that_stay_refused_are_not_tried_again_soon(stage: ManagedJob) -> None:
    stage.metastudio.down = REFUSED
    assert stage.check(WakeSource.RECONCILIATION) is None
    assert stage.metastudio.asked["show"] == 1, "the same key would be refused again"
    assert stage.manager.pause > 300
    stage.metastudio.down = None
    stage.manager.check(WakeSource.RECONCILIATION)
    assert stage.manager.pause == 0


def test_credentials_that_stay_refused_fail_the_task_for_good(stage: ManagedJob) -> None:
    stage.metastudio.down = REFUSED
    stage.check(WakeSource.RECONCILIATION)
    stage.clock.sleep(3600)
    with pytest.raises(SmartLiveJobBlockedError, match=r"refuses the credentials.*APIGW\.0301"):
        stage.check(WakeSource.RECONCILIATION)


# -- being killed


def test_a_kill_stops_the_job_and_forswears_it_first(stage: ManagedJob) -> None:
    stage.is_killed()
    identified: list[int] = []
    stage.manager.handle_kill(lambda: identified.append(stage.metastudio.asked["stop"]))
    assert identified == [0], "told before the stop, which takes a while"
    assert stage.metastudio.running == []
    assert stage.forsworn


def test_a_process_that_only_lost_its_task_leaves_the_job_alone(stage: ManagedJob) -> None:
    stage.manager.handle_kill(lambda: None)
    assert stage.metastudio.running == [stage.job.job_id]
    assert not stage.forsworn


def test_a_kill_after_the_end_stops_nothing(stage: ManagedJob) -> None:
    stage.job.state = "SUCCEED"
    stage.is_killed()
    stage.manager.handle_kill(lambda: None)
    assert stage.metastudio.asked["stop"] == 0


# -- the story


def test_the_log_tells_each_change_of_the_stream_once(stage: ManagedJob) -> None:
    with capture_logs() as logs:
        stage.calls_back(*LIVE)
        stage.check(WakeSource.RECONCILIATION)
        stage.calls_back(*LIVE, "DISCONNECTED", "RECONNECTING", "CONNECTED", "END")
        stage.check(WakeSource.CALLBACK)
        stage.check(WakeSource.RECONCILIATION)
    told = [entry["event"].split()[2] for entry in logs if entry["event"].startswith("RTMP")]
    assert told == ["CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING", "CONNECTED", "END"]


def test_neither_result_nor_log_holds_the_stream_key(stage: ManagedJob) -> None:
    stage.job.state = "SUCCEED"
    stage.calls_back(*LIVE, "END", output=STREAM_KEY)
    with capture_logs() as logs:
        result = stage.check(WakeSource.CALLBACK)
    assert STREAM_KEY not in json.dumps(result)
    assert STREAM_KEY not in repr(logs)
    assert STREAM_KEY not in json.dumps(stage.manager.wait.dump())


def test_the_story_of_the_start_stands_in_the_result(stage: ManagedJob) -> None:
    stage.job.state = "SUCCEED"
    result = stage.check(WakeSource.RECONCILIATION)
    assert result is not None
    assert result["origin"] == "started"
    assert result["settled_at"] == NOON.isoformat()


def test_a_task_that_does_not_wait_has_a_result_too(stage: ManagedJob) -> None:
    result = stage.manager.started()
    assert (result["job_id"], result["woken_by"]) == (stage.job.job_id, None)


# -- what travels while the task is deferred


def test_a_wait_survives_the_database(stage: ManagedJob) -> None:
    wait = replace(
        WAIT,
        deadline=NOON,
        timeout_at=NOON + timedelta(hours=1),
        grace_until=NOON + timedelta(minutes=2),
        lost_since=NOON,
        start_info={"warnings": ["x"]},
        logged_until=NOON + timedelta(microseconds=1),
    )
    assert WaitState.load(json.loads(json.dumps(wait.dump()))) == wait


def test_a_wait_of_a_later_release_can_be_read() -> None:
    assert WaitState.load(WAIT.dump() | {"novelty": 1}) == WAIT


def test_the_next_moment_is_the_earliest() -> None:
    wait = replace(WAIT, deadline=NOON + timedelta(hours=2), timeout_at=NOON + timedelta(hours=1))
    assert wait.next_moment() == (NOON + timedelta(hours=1), WakeSource.TIMEOUT)
    assert WAIT.next_moment() is None


def test_an_empty_table_is_no_end(stage: ManagedJob) -> None:
    stage.has_table(CallbackTable())
    assert not stage.manager.has_ended(stage.manager.callbacks())
