"""A trigger stops the job of its task: when its time is over, and when the task was ended from outside."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.triggers.base import BaseTrigger

from airflow_provider_smartlive.callbacks.messages import ResumeEvent, stop_key
from airflow_provider_smartlive.decisions import WakeSource
from airflow_provider_smartlive.livestream.snapshot import REFUSED_PAUSE
from airflow_provider_smartlive.livestream.stop import stop_and_confirm_async
from airflow_provider_smartlive.metastudio.errors import AuthenticationError, PermissionDenied
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.triggers.job_stop import STOPS_AT_ONCE
from tests.support.fake_airflow import TASK, FakeTaskInstance, api_error
from tests.support.fake_metastudio import unreachable
from tests.support.virtual_time import NOON, run
from tests.triggers.world import LIVE, World, job_trigger


class TestATimeThatIsOver:
    """At the end of a job's time no worker is needed: the DAG may be paused or its file gone, the pool full."""

    def fire(self, world: World, trigger: BaseTrigger) -> ResumeEvent:
        return ResumeEvent.load(world.wait(trigger).payload)

    @pytest.mark.parametrize(("argument", "source"), [("deadline", "deadline"), ("timeout_at", "timeout")])
    def test_a_job_whose_time_is_over_is_stopped_and_that_is_confirmed(
        self, world: World, argument: str, source: str
    ) -> None:
        world.job.looks_until_stopped = 3
        wake = self.fire(world, job_trigger(world, **{argument: NOON + timedelta(hours=1)}))
        assert (wake.source, wake.stopped) == (source, True)
        assert world.metastudio.running == []
        assert 3600 < world.clock.seconds < 3610

    def test_the_negative_control_such_a_job_streams_on_where_only_a_worker_stops(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("airflow_provider_smartlive.triggers.job.STOP_REASONS", {})
        wake = self.fire(world, job_trigger(world, deadline=NOON + timedelta(hours=1)))
        assert (wake.source, wake.stopped) == (WakeSource.DEADLINE, False)
        assert world.metastudio.running == [world.job.job_id]

    def test_so_is_one_that_is_interrupted_for_too_long(self, world: World) -> None:
        world.clock.at(1000, lambda: world.calls_back(*LIVE, "DISCONNECTED", at=world.clock.now))
        wake = self.fire(world, job_trigger(world, disconnect_limit=60))
        assert (wake.source, wake.stopped) == (WakeSource.DISCONNECTED, True)
        assert world.metastudio.running == []

    def test_why_is_noted_before_the_end_can_be_called_back(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A stop makes MetaStudio call END back, which resumes the task before the stop is confirmed."""
        seen: list[Any] = []
        stop_job = world.metastudio.stop_job

        def stop(job_ref: JobRef) -> None:
            seen.append(world.supervisor.xcom(stop_key("timeout", job_ref.job_id)))
            stop_job(job_ref)

        monkeypatch.setattr(world.metastudio, "stop_job", stop)
        self.fire(world, job_trigger(world, timeout_at=NOON + timedelta(hours=1)))
        note = ResumeEvent.load(seen[0])
        assert (note.source, note.job_id) == (WakeSource.TIMEOUT, world.job.job_id)

    def test_a_note_that_airflow_does_not_take_costs_no_stop(self, world: World) -> None:
        def away(message: Any) -> None:
            if message.type == "SetXCom":
                raise api_error()

        world.supervisor.on_message = away
        assert self.fire(world, job_trigger(world, deadline=NOON + timedelta(hours=1))).stopped

    def test_a_job_that_had_ended_by_itself_was_not_stopped(self, world: World) -> None:
        world.clock.at(3599, world.ends)
        wake = self.fire(world, job_trigger(world, deadline=NOON + timedelta(hours=1), interval=9999))
        assert (wake.source, wake.stopped) == (WakeSource.DEADLINE, False)
        assert world.metastudio.stopped == []
        assert world.supervisor.xcom(stop_key("deadline", world.job.job_id)) is None

    @pytest.mark.parametrize("minutes", [1, 10, 50])
    def test_it_goes_on_while_metastudio_is_unreachable(self, world: World, minutes: int) -> None:
        world.metastudio.down = unreachable()
        world.clock.at(3600 + minutes * 60, lambda: setattr(world.metastudio, "down", None))
        trigger = job_trigger(world, deadline=NOON + timedelta(hours=1), failure_budget=3600, interval=9999)
        wake = self.fire(world, trigger)
        assert (wake.source, wake.stopped) == (WakeSource.DEADLINE, True)
        assert world.clock.seconds <= 3600 + minutes * 60 + 70

    @pytest.mark.parametrize(
        "fault",
        [
            unreachable(),
            AuthenticationError("wrong signature", http_status=401),
            PermissionDenied("not yours", http_status=403),
            RuntimeError("the connection cannot be read"),
        ],
        ids=["unreachable", "refused", "denied", "connection"],
    )
    def test_when_the_budget_is_over_the_worker_has_one_more_chance(
        self, world: World, fault: Exception
    ) -> None:
        world.metastudio.down = fault
        trigger = job_trigger(world, deadline=NOON + timedelta(minutes=1), failure_budget=3600, interval=9999)
        wake = self.fire(world, trigger)
        assert (wake.source, wake.stopped) == (WakeSource.DEADLINE, False)
        assert 3660 - REFUSED_PAUSE <= world.clock.seconds <= 3660 + 130

    def test_refused_credentials_are_not_tried_until_the_key_is_locked(self, world: World) -> None:
        world.metastudio.down = AuthenticationError("wrong signature", http_status=401)
        trigger = job_trigger(world, deadline=NOON + timedelta(minutes=1), failure_budget=3600, interval=9999)
        self.fire(world, trigger)
        asked = [seconds for seconds, _ in world.metastudio.log]
        assert all(len([at for at in asked if start <= at < start + 300]) <= 2 for start in asked)

    def test_a_job_that_does_not_stop_is_told_again(self, world: World) -> None:
        world.job.looks_until_stopped = None
        world.clock.at(1000, lambda: setattr(world.job, "looks_until_stopped", 0))
        wake = self.fire(world, job_trigger(world, deadline=NOON + timedelta(minutes=1), stop_grace=60))
        assert (wake.source, wake.stopped) == (WakeSource.DEADLINE, True)
        assert world.metastudio.asked["stop"] > 1

    def test_a_triggerer_that_takes_over_in_the_middle_of_it_goes_on(self, world: World) -> None:
        trigger = job_trigger(world, deadline=NOON + timedelta(minutes=1))
        world.job.looks_until_stopped = 10
        with pytest.raises(TimeoutError):
            world.wait(trigger, at_most=65)
        assert self.fire(world, trigger).source == WakeSource.DEADLINE
        assert world.metastudio.running == []

    def test_it_is_stopped_in_the_room_where_it_is(self, world: World) -> None:
        world.job.room_id = "another-room"
        assert self.fire(world, job_trigger(world, deadline=NOON + timedelta(minutes=30))).stopped

    def test_jobs_that_end_by_the_same_clock_are_stopped_in_batches(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        at_once, most = 0, 0

        async def stop_and_confirm(*args: Any, **kwargs: Any) -> Any:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            try:
                return await stop_and_confirm_async(*args, **kwargs)
            finally:
                at_once -= 1

        monkeypatch.setattr(
            "airflow_provider_smartlive.triggers.job_stop.stop_and_confirm_async", stop_and_confirm
        )
        triggers = []
        for number in range(3 * STOPS_AT_ONCE):
            job = world.job if number == 0 else world.metastudio.add()
            job.looks_until_stopped = 1
            trigger = job_trigger(world, job_id=job.job_id, deadline=NOON + timedelta(hours=1), interval=9999)
            trigger.task_instance = FakeTaskInstance(world.supervisor)
            triggers.append(trigger)

        async def fire_all() -> None:
            await asyncio.gather(*(anext(trigger.run()) for trigger in triggers))

        run(world.clock, fire_all())
        assert world.metastudio.running == []
        assert most == STOPS_AT_ONCE


class TestATaskThatWasEnded:
    def kill(self, world: World, state: str | None, **more: Any) -> None:
        world.supervisor.states = {TASK: state}
        trigger = job_trigger(world, **more)
        trigger.task_instance = FakeTaskInstance(world.supervisor)
        run(world.clock, trigger.on_kill())

    @pytest.mark.parametrize("state", [None, "failed", "success", "skipped", "removed", "upstream_failed"])
    def test_a_task_that_was_ended_takes_its_job_along(self, world: World, state: str | None) -> None:
        self.kill(world, state)
        assert world.metastudio.running == []

    def test_a_run_that_was_deleted_takes_its_job_along(self, world: World) -> None:
        world.supervisor.states = {}
        trigger = job_trigger(world)
        trigger.task_instance = FakeTaskInstance(world.supervisor)
        run(world.clock, trigger.on_kill())
        assert world.metastudio.running == []

    @pytest.mark.parametrize(
        "state", ["deferred", "scheduled", "queued", "running", "up_for_retry", "restarting"]
    )
    def test_a_task_that_lives_on_keeps_its_job(self, world: World, state: str) -> None:
        """A stalled triggerer calls on_kill on healthy tasks; a callback's resume does so as well."""
        self.kill(world, state)
        assert world.metastudio.asked == {}

    def test_to_be_cancelled_again_does_not_interrupt_it(self, world: World) -> None:
        """Airflow does so about once a second, until the trigger is gone."""
        world.supervisor.states = {TASK: "failed"}
        world.metastudio.down = unreachable()
        world.clock.at(5, lambda: setattr(world.metastudio, "down", None))
        trigger = job_trigger(world)
        trigger.task_instance = FakeTaskInstance(world.supervisor)

        async def kill() -> None:
            killing = asyncio.create_task(trigger.on_kill())
            await asyncio.sleep(1)
            killing.cancel()
            await asyncio.wait({killing})
            assert killing.cancelled()
            while world.metastudio.running:  # noqa: ASYNC110 - the look at the state takes real time, in a thread
                await asyncio.sleep(1)

        run(world.clock, kill())
        assert world.metastudio.stopped == [world.job.job_id]

    def test_a_job_that_is_over_is_not_stopped(self, world: World) -> None:
        world.ends()
        self.kill(world, "failed")
        assert world.metastudio.asked == {"show": 1}

    def test_a_stop_is_confirmed_within_the_time_that_airflow_gives(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        world.job.looks_until_stopped = None
        self.kill(world, "failed")
        assert world.clock.seconds < 30
        assert "sweep" in caplog.text

    def test_a_fault_of_the_execution_api_costs_a_second_not_the_stop(self, world: World) -> None:
        world.supervisor.faults = [api_error()]
        self.kill(world, "failed")
        assert world.metastudio.running == []

    def test_a_job_is_left_alone_while_nobody_can_tell_what_became_of_its_task(self, world: World) -> None:
        world.supervisor.faults = [api_error() for _ in range(100)]
        with pytest.raises(AirflowRuntimeError):
            self.kill(world, "failed")
        assert world.clock.seconds < 30
        assert world.metastudio.asked == {}

    @pytest.mark.parametrize("argument", ["deadline", "timeout_at"])
    def test_who_asked_for_it_keeps_the_job_until_its_time_is_over(self, world: World, argument: str) -> None:
        self.kill(world, "failed", cancel_on_kill=False, **{argument: NOON + timedelta(seconds=1)})
        assert world.metastudio.running == [world.job.job_id]
        self.kill(world, "failed", cancel_on_kill=False, **{argument: NOON})
        assert world.metastudio.running == []

    @pytest.mark.parametrize("state", ["queued", "success"])
    def test_the_log_of_a_normal_end_speaks_of_no_stop(
        self,
        world: World,
        caplog: pytest.LogCaptureFixture,
        capsys: pytest.CaptureFixture[str],
        state: str,
    ) -> None:
        """Airflow calls on_kill for a resumed task, too, and a quick one is a success by then."""
        world.ends()
        with caplog.at_level("INFO"):
            self.kill(world, state)
        logged = capsys.readouterr().out + caplog.text
        assert f"is {state}" in logged
        assert "topp" not in logged
        assert "must not" not in logged
        if state == "success":
            assert f"Job {world.job.job_id} is over already; MetaStudio says SUCCEED." in logged

    def test_who_asked_for_it_keeps_the_job(self, world: World) -> None:
        self.kill(world, "failed", cancel_on_kill=False)
        assert world.supervisor.messages == []
        assert world.metastudio.asked == {}

    def test_a_mapped_task_looks_at_its_own_state(self, world: World) -> None:
        world.supervisor.states = {f"{TASK}_0": "deferred", f"{TASK}_1": "failed"}
        for map_index in (0, 1):
            trigger = job_trigger(world)
            trigger.task_instance = FakeTaskInstance(world.supervisor, map_index=map_index)
            run(world.clock, trigger.on_kill())
            assert bool(world.metastudio.stopped) is (map_index == 1)

    def test_nothing_is_stopped_on_a_mere_cleanup(self, world: World) -> None:
        trigger = job_trigger(world)
        trigger.task_instance = FakeTaskInstance(world.supervisor)
        run(world.clock, trigger.cleanup())
        assert world.metastudio.asked == {}
