"""What waits while no worker does, in virtual time: the real triggers, poller and XCom classes."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from datetime import timedelta
from inspect import signature
from typing import Any, ClassVar

import pytest
from airflow.models.trigger import Trigger
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent

from airflow_provider_smartlive.callbacks.apply import apply_event
from airflow_provider_smartlive.callbacks.messages import XCOM_TABLE_KEY, ResumeEvent
from airflow_provider_smartlive.callbacks.table import CallbackTable, reply_mark
from airflow_provider_smartlive.decisions import WakeSource
from airflow_provider_smartlive.livestream.end_check import EndCheck
from airflow_provider_smartlive.livestream.wait_state import WaitLimits
from airflow_provider_smartlive.metastudio.errors import AuthenticationError
from airflow_provider_smartlive.metastudio.events import CallbackEvent
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.reconciler.watch import OVERDUE
from airflow_provider_smartlive.triggers import SmartLiveStreamTrigger
from airflow_provider_smartlive.triggers.job import SILENT_INTERVAL
from airflow_provider_smartlive.triggers.stream import EARLY_READ
from airflow_provider_smartlive.triggers.timing import first_read
from tests.support.fake_airflow import DAG, RUN, TASK, FakeTaskInstance, api_error
from tests.support.fake_callbacks import called_back
from tests.support.fake_metastudio import ROOM, FakeAsyncHook, not_found, unreachable
from tests.support.virtual_time import NOON, run
from tests.triggers.world import INTERVAL, LIVE, World, job_trigger

FIRST_READ = first_read()


def stream_trigger(world: World, target_state: str = "END", **more: Any) -> SmartLiveStreamTrigger:
    limits = {name: more.pop(name) for name in ("interval", "failure_budget") if name in more}
    arguments: dict[str, Any] = {
        "smartlive_conn_id": "one",
        "target_state": target_state,
        "job_id": None,
        "room_id": None,
        "starter": {"dag_id": DAG, "run_id": RUN, "task_id": TASK, "map_index": -1},
        "limits": WaitLimits(**{"interval": INTERVAL} | limits).dump(),
        "timeout_at": until(9 * 3600),
    }
    return SmartLiveStreamTrigger(**arguments | more)


def reply_body(job_id: str, reply_id: str) -> bytes:
    message = json.dumps({"room_id": ROOM, "job_id": job_id, "reply_id": reply_id})
    return json.dumps({"event_type": "REPLY_COMMAND_FINISH", "message": message}).encode()


def until(seconds: float) -> str:
    return (NOON + timedelta(seconds=seconds)).isoformat()


class TestJobTrigger:
    def test_an_end_that_came_before_the_task_was_deferred_is_read(self, world: World) -> None:
        world.calls_back(*LIVE, "END")
        assert world.wake(job_trigger(world)) == ("first-read", "END", FIRST_READ)

    def test_an_end_that_came_right_after_is_read_too(self, world: World) -> None:
        world.clock.at(FIRST_READ - 0.1, lambda: world.calls_back(*LIVE, "END"))
        assert world.wake(job_trigger(world))[0] == WakeSource.FIRST_READ

    def test_the_end_of_one_of_two_outputs_is_not_the_end(self, world: World) -> None:
        world.calls_back(*LIVE, "END", outputs=("main", "second"))
        world.clock.at(1000, world.ends)
        assert world.wake(job_trigger(world, expected_outputs=2))[0] == WakeSource.RECONCILIATION

    def test_the_end_of_another_job_is_not_ours(self, world: World) -> None:
        table = called_back("00000000000000000000000000000bad", *LIVE, "END")
        world.supervisor.xcoms[TASK, -1, XCOM_TABLE_KEY] = table.dump()
        world.clock.at(1000, world.ends)
        assert world.wake(job_trigger(world))[0] == WakeSource.RECONCILIATION

    @pytest.mark.parametrize("state", ["SUCCEED", "FAILED", "BLOCKED"])
    def test_with_every_callback_lost_the_end_is_seen_within_an_interval(
        self, world: World, state: str
    ) -> None:
        world.clock.at(1000, lambda: world.ends(state))
        source, _, seconds = world.wake(job_trigger(world))
        assert source == WakeSource.RECONCILIATION
        assert 1000 <= seconds <= 1000 + INTERVAL

    def test_a_job_that_vanished_wakes_the_owner(self, world: World) -> None:
        world.clock.at(1000, world.metastudio.jobs.clear)
        assert world.wake(job_trigger(world))[:2] == (WakeSource.RECONCILIATION, "not_found")

    def test_waiting_costs_one_read_of_airflow(self, world: World) -> None:
        world.clock.at(5 * 3600, world.ends)
        world.wake(job_trigger(world))
        assert len(world.supervisor.messages) == 1

    @pytest.mark.parametrize(
        ("argument", "source"),
        [("deadline", "deadline"), ("timeout_at", "timeout"), ("grace_until", "grace-over")],
    )
    def test_a_moment_that_was_set_is_kept(self, world: World, argument: str, source: str) -> None:
        trigger = job_trigger(world, **{argument: NOON + timedelta(seconds=1234)})
        assert world.wake(trigger) == (source, None, pytest.approx(1234))
        assert bool(world.metastudio.stopped) is (argument != "grace_until")

    @pytest.mark.parametrize("argument", ["deadline", "timeout_at", "grace_until"])
    def test_a_moment_that_passed_while_no_triggerer_ran_is_made_up_for(
        self, world: World, argument: str
    ) -> None:
        _, _, seconds = world.wake(job_trigger(world, **{argument: NOON - timedelta(hours=1)}))
        assert seconds <= 1

    def test_the_earliest_moment_counts(self, world: World) -> None:
        trigger = job_trigger(world, deadline=NOON + timedelta(hours=2), timeout_at=NOON + timedelta(hours=1))
        assert world.wake(trigger)[0] == WakeSource.TIMEOUT

    def test_an_ending_is_asked_for_often_and_end_is_not_read_again(self, world: World) -> None:
        world.calls_back(*LIVE, "END")
        world.clock.at(31, world.ends)
        trigger = job_trigger(world, grace_until=NOON + timedelta(seconds=120))
        source, _, seconds = world.wake(trigger)
        assert (source, seconds) == (WakeSource.RECONCILIATION, 33.5)

    def test_an_ending_does_not_resume_a_task_that_was_just_deferred(self, world: World) -> None:
        """Airflow would fail it: the exit of its worker may not have been reported yet."""
        world.calls_back(*LIVE, "END")
        world.clock.at(1, world.ends)
        trigger = job_trigger(world, grace_until=NOON + timedelta(seconds=120))
        assert world.wake(trigger) == (WakeSource.RECONCILIATION, "succeed", FIRST_READ)

    def test_a_restart_of_the_triggerer_changes_nothing(self, world: World) -> None:
        trigger = job_trigger(world, deadline=NOON + timedelta(hours=1))
        with pytest.raises(TimeoutError):
            world.wait(trigger, at_most=1800)
        assert world.wake(trigger) == (WakeSource.DEADLINE, None, pytest.approx(3600))

    # -- interruptions, which only the callback table knows

    def test_an_interruption_that_lasts_too_long_wakes_the_owner(self, world: World) -> None:
        world.clock.at(1000, lambda: world.calls_back(*LIVE, "DISCONNECTED", at=world.clock.now))
        source, _, seconds = world.wake(job_trigger(world, disconnect_limit=60))
        assert source == WakeSource.DISCONNECTED
        assert 1060 <= seconds <= 1060 + 60

    def test_one_that_ends_in_time_does_not(self, world: World) -> None:
        world.clock.at(1000, lambda: world.calls_back(*LIVE, "DISCONNECTED", at=world.clock.now))
        world.clock.at(1050, lambda: world.calls_back("CONNECTED", at=world.clock.now))
        world.clock.at(5000, world.ends)
        assert world.wake(job_trigger(world, disconnect_limit=60))[0] == WakeSource.RECONCILIATION

    def test_nor_does_one_that_may_last(self, world: World) -> None:
        world.calls_back(*LIVE, "DISCONNECTED")
        world.clock.at(5000, world.ends)
        assert world.wake(job_trigger(world))[0] == WakeSource.RECONCILIATION
        assert len(world.supervisor.messages) == 1, "and nobody reads the table for it"

    def test_the_table_is_not_read_more_often_than_it_has_to_be(self, world: World) -> None:
        world.clock.at(3600, world.ends)
        world.wake(job_trigger(world, disconnect_limit=600))
        assert len(world.supervisor.messages) <= 1 + 3600 / 300

    def test_deadlines_are_kept_beside_it(self, world: World) -> None:
        trigger = job_trigger(world, disconnect_limit=1, deadline=NOON + timedelta(seconds=1234))
        assert world.wake(trigger) == (WakeSource.DEADLINE, None, pytest.approx(1234))

    # -- silence: a stream is up, and nothing was ever called back about it

    def streams_silently(self, world: World) -> None:
        world.job.stream_duration = 1
        world.job.more = {"start_time": NOON.isoformat()}

    def test_whoever_hears_nothing_asks_more_often(
        self, world: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.streams_silently(world)
        world.clock.at(3601, world.ends)
        _, _, seconds = world.wake(job_trigger(world, silence_threshold=300))
        assert seconds <= 3601 + SILENT_INTERVAL
        assert capsys.readouterr().out.count("callback_base_url") == 1

    def test_whoever_heard_something_does_not(self, world: World) -> None:
        self.streams_silently(world)
        world.calls_back(*LIVE)
        world.clock.at(3601, world.ends)
        world.wake(job_trigger(world, silence_threshold=300))
        assert world.metastudio.asked["show"] <= 14
        assert len(world.supervisor.messages) == 1

    def test_nor_does_whoever_expects_nothing(self, world: World) -> None:
        self.streams_silently(world)
        world.clock.at(3601, world.ends)
        world.wake(job_trigger(world))
        assert world.metastudio.asked["show"] <= 14

    def test_a_stream_that_is_not_up_yet_is_not_silent(self, world: World) -> None:
        world.clock.at(3601, world.ends)
        world.wake(job_trigger(world, silence_threshold=300))
        assert world.metastudio.asked["show"] <= 14

    # -- faults

    def test_a_passing_fault_of_metastudio_does_not_end_the_wait(self, world: World) -> None:
        world.metastudio.down = unreachable()
        world.clock.at(3000, lambda: setattr(world.metastudio, "down", None))
        world.clock.at(9000, world.ends)
        source, _, seconds = world.wake(job_trigger(world, failure_budget=3600))
        assert source == WakeSource.RECONCILIATION
        assert seconds >= 9000

    def test_the_budget_ends_it(self, world: World) -> None:
        world.metastudio.down = unreachable()
        source, _, seconds = world.wake(job_trigger(world, failure_budget=3600))
        assert source == WakeSource.BUDGET_OVER
        assert INTERVAL + 3600 <= seconds <= 2 * INTERVAL + 3600

    def test_the_budget_ends_it_although_metastudio_hangs(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def hang(*_: object) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(FakeAsyncHook, "perform", hang)
        source, _, seconds = world.wake(job_trigger(world, failure_budget=3600))
        assert source == WakeSource.BUDGET_OVER
        assert 3600 <= seconds <= 3600 + 2 * (2 * INTERVAL + OVERDUE) + FIRST_READ

    def test_the_budget_counts_from_before_the_trigger(self, world: World) -> None:
        world.metastudio.down = unreachable()
        trigger = job_trigger(world, failure_budget=3600, lost_since=NOON - timedelta(seconds=3500))
        assert world.wake(trigger)[0] == WakeSource.BUDGET_OVER
        # The pauses between four attempts are at most 1, 2 and 4 s.
        assert world.clock.seconds <= INTERVAL + FIRST_READ + 7

    def test_any_good_answer_starts_the_budget_anew(self, world: World) -> None:
        for start in (0, 4000, 8000):
            world.clock.at(start, lambda: setattr(world.metastudio, "down", unreachable()))
            world.clock.at(start + 3500, lambda: setattr(world.metastudio, "down", None))
        world.clock.at(12000, world.ends)
        assert world.wake(job_trigger(world, failure_budget=3600))[0] == WakeSource.RECONCILIATION

    def test_refused_credentials_end_it_with_the_budget_too(self, world: World) -> None:
        world.metastudio.down = AuthenticationError("wrong signature", http_status=401)
        assert world.wake(job_trigger(world, failure_budget=3600))[0] == WakeSource.BUDGET_OVER

    def test_a_fault_of_the_execution_api_does_not_fail_the_task(self, world: World) -> None:
        world.supervisor.faults = [api_error()]
        world.clock.at(1000, world.ends)
        assert world.wake(job_trigger(world))[0] == WakeSource.RECONCILIATION

    def test_neither_does_a_time_out_of_it(self, world: World) -> None:
        world.supervisor.faults = [TimeoutError()]
        world.clock.at(1000, world.ends)
        assert world.wake(job_trigger(world, deadline=NOON + timedelta(hours=2)))[0] == (
            WakeSource.RECONCILIATION
        )

    def test_state_changes_stand_in_the_log_when_they_are_read(
        self, world: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        world.calls_back(*LIVE)
        world.clock.at(500, lambda: world.calls_back("DISCONNECTED", at=world.clock.now))
        world.wait(job_trigger(world, disconnect_limit=60, logged_until=NOON))
        logged = re.findall(r"RTMP \S+ (\w+) at 2026", capsys.readouterr().out)
        assert logged == ["CONNECTED", "DISCONNECTED"], "each once, and none that the task has logged before"


class TestStreamThatNeverConnected:
    """``fail_on_disconnect_longer_than`` is about a stream that is not connected, whether it ever was or not."""

    LIMIT: ClassVar[dict[str, Any]] = {"disconnect_limit": 600, "silence_threshold": 300}

    def test_a_link_that_only_tries_is_not_connected(self, world: World) -> None:
        world.clock.at(60, lambda: world.calls_back("CONNECTING", at=world.clock.now))
        for at in range(70, 2000, 10):
            state = "RECONNECTING" if at % 20 else "DISCONNECTED"
            world.clock.at(at, lambda state=state: world.calls_back(state, at=world.clock.now))
        source, _, seconds = world.wake(job_trigger(world, **self.LIMIT))
        assert source == WakeSource.DISCONNECTED
        assert 660 <= seconds <= 660 + 310
        assert world.metastudio.running == []

    def test_nor_is_one_about_which_nothing_was_called_back(self, world: World) -> None:
        source, _, seconds = world.wake(job_trigger(world, **self.LIMIT))
        assert source == WakeSource.DISCONNECTED
        assert 600 <= seconds <= 600 + 310

    def test_its_time_counts_from_the_start_of_the_job(self, world: World) -> None:
        trigger = job_trigger(world, started_at=NOON - timedelta(hours=1), **self.LIMIT)
        assert world.wake(trigger)[2] <= 310

    def test_a_stream_whose_callbacks_do_not_arrive_is_not_stopped(self, world: World) -> None:
        world.job.stream_duration = 100
        world.clock.at(5000, world.ends)
        assert world.wake(job_trigger(world, **self.LIMIT))[0] == WakeSource.RECONCILIATION

    def test_nor_while_nobody_can_tell(self, world: World) -> None:
        world.metastudio.down = unreachable()
        trigger = job_trigger(world, failure_budget=3600, **self.LIMIT)
        assert world.wake(trigger)[0] == WakeSource.BUDGET_OVER

    @pytest.mark.parametrize("more", [{"silence_threshold": None}, {"expected_outputs": 0}])
    def test_where_no_callbacks_come_nothing_is_concluded_from_it(
        self, world: World, more: dict[str, Any]
    ) -> None:
        world.clock.at(5000, world.ends)
        assert world.wake(job_trigger(world, **self.LIMIT | more))[0] == WakeSource.RECONCILIATION

    def test_a_table_that_cannot_be_read_is_not_an_empty_one(self, world: World) -> None:
        world.supervisor.faults = [None, *(api_error() for _ in range(1000))]
        world.clock.at(5000, world.ends)
        assert world.wake(job_trigger(world, **self.LIMIT))[0] == WakeSource.RECONCILIATION

    def test_frequent_questions_to_metastudio_do_not_keep_it_from_reading(self, world: World) -> None:
        world.calls_back(*LIVE)
        world.clock.at(1000, lambda: world.calls_back("DISCONNECTED", at=world.clock.now))
        source, _, seconds = world.wake(job_trigger(world, interval=30, **self.LIMIT))
        assert source == WakeSource.DISCONNECTED
        assert 1600 <= seconds <= 1600 + 310


class TestNotFound:
    """A 404 alone is no end."""

    @pytest.fixture(autouse=True)
    def _hidden(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let MetaStudio answer 404 for the job in its room."""
        show_job = world.metastudio.show_job

        def show(job_ref: JobRef) -> Any:
            if job_ref.room_id == ROOM:
                raise not_found()
            return show_job(job_ref)

        monkeypatch.setattr(world.metastudio, "show_job", show)

    def test_a_job_that_is_listed_goes_on(self, world: World) -> None:
        world.clock.at(5000, world.ends)
        source, state, seconds = world.wake(job_trigger(world))
        assert (source, state) == (WakeSource.RECONCILIATION, "not_found")
        assert 5000 <= seconds <= 5000 + INTERVAL

    def test_a_job_in_another_room_is_followed_there(self, world: World) -> None:
        world.job.room_id = "another-room"
        world.clock.at(5000, world.ends)
        assert world.wake(job_trigger(world))[:2] == (WakeSource.RECONCILIATION, "succeed")
        assert world.metastudio.asked["list_all"] == 1

    def test_right_after_the_start_it_is_not_known_yet(self, world: World) -> None:
        world.ends()
        _, _, seconds = world.wake(job_trigger(world, interval=5, look_again_window=60))
        assert 60 <= seconds <= 65

    def test_an_unreadable_listing_decides_nothing(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **filters: str) -> Any:
            raise unreachable()

        monkeypatch.setattr(world.metastudio, "list_jobs_page", fail)
        assert world.wake(job_trigger(world, failure_budget=3600))[0] == WakeSource.BUDGET_OVER


class TestStreamTrigger:
    """The waiter is another task, ``wait_for_end``."""

    @pytest.fixture(autouse=True)
    def _starter_has_a_job(self, world: World) -> None:
        world.supervisor.xcoms |= {
            (TASK, -1, "job_id"): world.job.job_id,
            (TASK, -1, "room_id"): ROOM,
        }
        world.supervisor.states[TASK] = "deferred"

    def wait(self, world: World, trigger: SmartLiveStreamTrigger) -> Any:
        return world.wait(trigger, task_id="wait_for_end")

    def wake(self, world: World, trigger: SmartLiveStreamTrigger) -> tuple[str, str | None, float]:
        return world.wake(trigger, task_id="wait_for_end")

    def result(self, world: World) -> ResumeEvent:
        return ResumeEvent.load(world.supervisor.xcom("return_value", "wait_for_end"))

    @pytest.mark.parametrize("state", [*LIVE, "DISCONNECTED", "RECONNECTING", "END"])
    def test_a_state_that_was_called_back_before_is_read(self, world: World, state: str) -> None:
        world.calls_back(*LIVE, "DISCONNECTED", "RECONNECTING", "END")
        event = self.wait(world, stream_trigger(world, state))
        assert type(event) is TaskSuccessEvent
        assert (self.result(world).source, self.result(world).state) == ("first-read", state)

    def test_whoever_needs_a_worker_is_woken_instead(self, world: World) -> None:
        world.calls_back(*LIVE)
        trigger = stream_trigger(world, "CONNECTED", needs_worker=True)
        assert self.wake(world, trigger) == ("first-read", "CONNECTED", FIRST_READ)
        assert world.supervisor.xcom("return_value", "wait_for_end") is None

    def test_success_carries_no_xcoms(self, world: World) -> None:
        """Airflow would commit them apart from the rest."""
        world.calls_back(*LIVE)
        assert self.wait(world, stream_trigger(world, "CONNECTED")).xcoms is None

    def test_an_end_whose_callbacks_were_lost_is_seen_within_an_interval(self, world: World) -> None:
        world.job.stream_duration = 60
        world.clock.at(1000, world.ends)
        self.wait(world, stream_trigger(world))
        assert self.result(world).source == WakeSource.RECONCILIATION
        assert 1000 <= world.clock.seconds <= 1000 + INTERVAL

    def test_a_connection_whose_callbacks_were_lost_is_inferred(self, world: World) -> None:
        world.clock.at(1000, lambda: setattr(world.job, "stream_duration", 5))
        self.wait(world, stream_trigger(world, "CONNECTED"))
        assert self.result(world).source == WakeSource.RECONCILIATION

    def test_a_job_that_ends_without_the_state_wakes_the_worker(self, world: World) -> None:
        world.clock.at(1000, lambda: world.ends("FAILED"))
        world.clock.at(1000, lambda: world.supervisor.states.update({TASK: "failed"}))
        source, state, _ = self.wake(world, stream_trigger(world, "CONNECTED"))
        assert (source, state) == (WakeSource.RECONCILIATION, None)

    def test_its_time_may_be_over(self, world: World) -> None:
        trigger = stream_trigger(world, "DISCONNECTED", timeout_at=until(500))
        assert self.wake(world, trigger) == (WakeSource.TIMEOUT, None, pytest.approx(500))

    def test_a_callback_is_not_enough_where_metastudio_has_to_confirm(self, world: World) -> None:
        world.calls_back(*LIVE, "END")
        world.clock.at(31, world.ends)
        check = EndCheck(world.job.job_id, WakeSource.CALLBACK).dump()
        trigger = stream_trigger(world, confirm=True, end_check=check, needs_worker=True)
        source, state, seconds = self.wake(world, trigger)
        assert (source, state) == (WakeSource.CALLBACK, "END")
        assert seconds == 33.5

    def test_what_is_confirmed_needs_no_worker_for_that(self, world: World) -> None:
        world.calls_back(*LIVE, "END")
        world.clock.at(31, world.ends)
        assert type(self.wait(world, stream_trigger(world, confirm=True))) is TaskSuccessEvent
        assert (self.result(world).source, self.result(world).confirmed) == ("first-read", True)
        assert world.clock.seconds <= 31 + 5

    def test_a_table_that_cannot_be_read_when_end_is_confirmed_does_not_deny_it(self, world: World) -> None:
        """The job goes on without a stream: whether the END still stands is read again, a few seconds later."""
        world.calls_back(*LIVE, "END")
        world.clock.at(100, lambda: setattr(world.supervisor, "faults", [api_error()]))
        assert type(self.wait(world, stream_trigger(world, confirm=True))) is TaskSuccessEvent
        assert (self.result(world).source, self.result(world).confirmed) == ("first-read", True)
        assert 120 <= world.clock.seconds <= 120 + 20

    # -- what nobody was woken by: the row was locked

    @pytest.mark.parametrize("state", [*LIVE, "DISCONNECTED", "RECONNECTING", "END"])
    @pytest.mark.parametrize("is_down", [False, True])
    def test_a_state_that_woke_nobody_is_read_at_the_next_look(
        self, world: World, state: str, is_down: bool
    ) -> None:
        world.metastudio.down = unreachable() if is_down else None
        world.clock.at(100, lambda: world.calls_back(*LIVE, "DISCONNECTED", "RECONNECTING", "END"))
        assert type(self.wait(world, stream_trigger(world, state))) is TaskSuccessEvent
        assert (self.result(world).source, self.result(world).confirmed) == ("first-read", False)
        assert world.clock.seconds <= 100 + INTERVAL

    def test_so_is_a_reply(self, world: World) -> None:
        table = CallbackTable.load(None)
        event = CallbackEvent.parse(reply_body(world.job.job_id, "r-1"))
        table, _ = apply_event(table, event, at=NOON, fingerprint_key=b"fake")
        world.clock.at(100, lambda: world.supervisor.xcoms.update({(TASK, -1, XCOM_TABLE_KEY): table.dump()}))
        world.clock.at(150, world.ends)
        mark = reply_mark("r-1")
        assert self.wake(world, stream_trigger(world, mark, needs_worker=True))[1] == mark

    def test_a_state_of_a_job_that_is_the_starters_no_longer_is_not(self, world: World) -> None:
        def is_cleared() -> None:
            world.calls_back(*LIVE, "END")
            world.supervisor.states[TASK] = "queued"

        world.clock.at(100, is_cleared)
        trigger = stream_trigger(world, timeout_at=until(2000))
        assert self.wake(world, trigger)[:2] == (WakeSource.TIMEOUT, None)

    def test_a_table_that_cannot_be_read_at_a_look_costs_nothing_but_that_look(self, world: World) -> None:
        def is_away() -> None:
            world.supervisor.faults = [api_error()]

        world.clock.at(100, is_away)
        world.clock.at(400, lambda: world.calls_back(*LIVE, "DISCONNECTED"))
        assert type(self.wait(world, stream_trigger(world, "DISCONNECTED"))) is TaskSuccessEvent
        assert world.clock.seconds <= 400 + INTERVAL

    # -- right after the start

    @pytest.mark.parametrize("state", ["CONNECTED", "END", reply_mark("r-1")])
    def test_a_job_that_metastudio_does_not_show_yet_is_not_over(self, world: World, state: str) -> None:
        shown = list(world.metastudio.jobs)
        world.metastudio.jobs.clear()
        world.clock.at(25, lambda: world.metastudio.jobs.extend(shown))
        world.clock.at(500, lambda: world.calls_back(*LIVE, "END"))
        trigger = stream_trigger(world, state, interval=10.0, timeout_at=until(1000))
        if state == reply_mark("r-1"):
            assert self.wake(world, trigger)[0] == WakeSource.TIMEOUT
        else:
            assert type(self.wait(world, trigger)) is TaskSuccessEvent

    def test_one_that_is_not_there_later_either_is_over(self, world: World) -> None:
        world.metastudio.jobs.clear()
        world.supervisor.states[TASK] = "failed"
        trigger = stream_trigger(world, job_id="1" * 32, room_id=ROOM, interval=10.0)
        source, state, seconds = self.wake(world, trigger)
        assert (source, state) == (WakeSource.RECONCILIATION, None)
        assert 30 <= seconds <= 60

    # -- the starter

    def test_a_starter_that_has_no_job_yet_is_waited_for(self, world: World) -> None:
        world.supervisor.xcoms.clear()
        world.supervisor.states[TASK] = "queued"

        def starts() -> None:
            world.supervisor.states[TASK] = "deferred"
            world.supervisor.xcoms[TASK, -1, "job_id"] = world.job.job_id
            world.supervisor.xcoms[TASK, -1, "room_id"] = ROOM

        world.clock.at(600, starts)
        world.clock.at(2000, world.ends)
        assert type(self.wait(world, stream_trigger(world))) is TaskSuccessEvent
        reads = [message for message in world.supervisor.messages if message.type == "GetXCom"]
        assert len(reads) < 20, "ever less often"

    def test_a_starter_is_looked_at_as_often_as_metastudio_is(self, world: World) -> None:
        """Else a lost END of a job that its starter could report late only would be found later than promised."""
        world.supervisor.xcoms.clear()
        world.supervisor.states[TASK] = "queued"

        def starts() -> None:
            world.supervisor.states[TASK] = "deferred"
            world.supervisor.xcoms[TASK, -1, "job_id"] = world.job.job_id
            world.supervisor.xcoms[TASK, -1, "room_id"] = ROOM

        world.ends()
        world.clock.at(200, starts)
        assert type(self.wait(world, stream_trigger(world, interval=10.0))) is TaskSuccessEvent
        assert world.clock.seconds <= 200 + 10 + EARLY_READ + 10

    def test_a_starter_that_never_has_a_job_ends_with_the_time(self, world: World) -> None:
        world.supervisor.xcoms.clear()
        world.supervisor.states[TASK] = "queued"
        trigger = stream_trigger(world, timeout_at=until(500))
        event = self.wait(world, trigger)
        assert ResumeEvent.load(event.payload).source == WakeSource.TIMEOUT
        assert ResumeEvent.load(event.payload).job_id == ""

    def test_a_job_named_by_its_id_needs_no_starter(self, world: World) -> None:
        world.supervisor.xcoms.clear()
        world.clock.at(1000, world.ends)
        trigger = stream_trigger(world, job_id=world.job.job_id, starter=None)
        assert type(self.wait(world, trigger)) is TaskSuccessEvent

    # -- faults

    def test_faults_of_the_execution_api_end_no_wait(self, world: World) -> None:
        world.calls_back(*LIVE)
        world.supervisor.faults = [api_error(), None, None, api_error(), TimeoutError(), None, api_error()]
        assert type(self.wait(world, stream_trigger(world, "CONNECTED"))) is TaskSuccessEvent
        assert self.result(world).state == "CONNECTED"

    def test_a_time_out_of_something_else_is_not_the_sensors(self, world: World) -> None:
        world.supervisor.faults = [TimeoutError()]
        world.calls_back(*LIVE)
        assert type(self.wait(world, stream_trigger(world, "CONNECTED"))) is TaskSuccessEvent

    def test_an_execution_api_that_stays_away_fails_the_task_some_time(self, world: World) -> None:
        world.supervisor.faults = [api_error() for _ in range(10_000)]
        with pytest.raises(Exception, match="away"):
            self.wait(world, stream_trigger(world, failure_budget=3600))
        assert 3600 <= world.clock.seconds <= 3600 + 120

    def test_a_metastudio_that_stays_away_ends_the_wait_some_time(self, world: World) -> None:
        world.metastudio.down = unreachable()
        source, state, seconds = self.wake(world, stream_trigger(world, failure_budget=3600))
        assert (source, state) == (WakeSource.BUDGET_OVER, None)
        assert 3600 <= seconds <= 3600 + 3 * INTERVAL

    def test_a_passing_fault_of_metastudio_does_not(self, world: World) -> None:
        world.metastudio.down = unreachable()
        world.clock.at(3000, lambda: setattr(world.metastudio, "down", None))
        world.clock.at(9000, world.ends)
        assert type(self.wait(world, stream_trigger(world))) is TaskSuccessEvent

    def test_a_killed_sensor_stops_nothing(self, world: World) -> None:
        world.supervisor.states = {"wait_for_end": "failed"}
        trigger = stream_trigger(world)
        trigger.task_instance = FakeTaskInstance(world.supervisor, task_id="wait_for_end")
        run(world.clock, trigger.on_kill())
        assert world.metastudio.asked == {}


# -- what stands in Airflow's database


MOMENT = NOON + timedelta(microseconds=123456)


@pytest.mark.parametrize(
    "make",
    [
        lambda world: job_trigger(world),
        lambda world: job_trigger(
            world, deadline=MOMENT, timeout_at=MOMENT, grace_until=MOMENT, lost_since=MOMENT
        ),
        lambda world: stream_trigger(world),
        lambda world: stream_trigger(
            world, job_id="x", room_id=ROOM, starter=None, timeout_at=MOMENT.isoformat()
        ),
        lambda world: stream_trigger(
            world, confirm=True, end_check=EndCheck("x", WakeSource.CALLBACK, MOMENT, 1.5).dump()
        ),
    ],
)
def test_arguments_survive_airflows_own_encoding(world: World, make: Callable[[World], BaseTrigger]) -> None:
    trigger = make(world)
    classpath, kwargs = trigger.serialize()
    again = type(trigger)(**Trigger._decrypt_kwargs(Trigger.encrypt_kwargs(kwargs)))
    assert again.serialize() == (classpath, kwargs)


def test_every_argument_is_kept(world: World) -> None:
    for trigger in (job_trigger(world), stream_trigger(world)):
        assert list(trigger.serialize()[1]) == list(signature(type(trigger)).parameters)
