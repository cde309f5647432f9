"""Each row of docs/lifecycle.md, played: what becomes of a livestream when Airflow does something to its task."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.task_status import TaskStatus, timeout_while_waiting
from airflow_provider_smartlive.exceptions import SmartLiveJobFailedError, SmartLiveTimeoutError
from airflow_provider_smartlive.livestream.stop import stop_and_confirm
from airflow_provider_smartlive.livestream.sweep import unwanted
from airflow_provider_smartlive.metastudio.errors import QuotaExceeded
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.operators import StopSmartLiveJobOperator
from tests.support.fake_airflow import TASK, FakeTaskInstance, a_context
from tests.support.fake_metastudio import ROOM, After, Crash
from tests.support.simulation import StartSimulation
from tests.support.virtual_time import run

pytestmark = pytest.mark.usefixtures("in_virtual_time")

PAGE = Path(__file__).parents[2] / "docs" / "lifecycle.md"

HOUR = timedelta(hours=1)

STANDBY = "24bad716-87b1-45e5-8912-00000000000b"


class LeftError(Exception):
    """The task is deferred, and this process goes on with something else."""


class Life(StartSimulation):
    """A task that starts a livestream, and what happens to it."""

    def defers(self, **arguments: Any) -> None:
        """Start, and leave the task deferred."""
        with pytest.MonkeyPatch.context() as patch, suppress(LeftError):
            patch.setattr(self, "_wait_for", self._leave)
            self.go_live(**arguments)
        self.supervisor.states[TASK] = "deferred"

    @staticmethod
    def _leave(trigger: Any) -> None:
        raise LeftError

    def trigger(self) -> Any:
        """Return the trigger of the deferred task, as a triggerer makes it."""
        waiting = self.deferrals[-1].trigger
        assert waiting is not None
        trigger = type(waiting)(**waiting.serialize()[1])
        trigger.task_instance = FakeTaskInstance(self.supervisor)
        return trigger

    def comes_to(self, state: str | None) -> None:
        """Let somebody give the deferred task another state: Airflow then cancels its trigger."""
        self.supervisor.states = {} if state == "deleted" else {TASK: state}
        run(self.clock, self.trigger().on_kill())

    def begins_again(self, *, cleared: bool = False, **arguments: Any) -> Any:
        """Run another try, of this life or of the next one, until it has a job to wait for."""
        deleted = self.supervisor.clear_xcoms()
        self.supervisor.states = {TASK: "running"}
        ti = (
            {"try_number": 2, "max_tries": 1, "clear_number": 1}
            if cleared
            else {"try_number": 2, "max_tries": 3}
        )
        return self.go_live(ti=ti | {"deleted_xcoms": deleted}, **{"wait_for_termination": False} | arguments)

    def sweeps(self, task: TaskStatus | None) -> None:
        """Sweep, while Airflow knows this of the task."""
        found = unwanted(
            self.metastudio.list_jobs(),
            secrets=settings.callback_secrets(),
            find_task=lambda task_ref: task,
            now=self.clock,
        )
        hook: Any = self.metastudio
        for job, _ in list(found):
            stop_and_confirm(hook, JobRef(str(job.room_id), job.job_id), address=None, grace=60)

    def stops(self) -> Any:
        """Run the task that stops the livestream."""
        self.supervisor.states = {TASK: "success", "stop": "running"}
        context: Any = a_context(self.supervisor, task_id="stop")
        return StopSmartLiveJobOperator(task_id="stop", starter_task_id=TASK).execute(context)

    def fate(self) -> str:
        """Say what became of the first livestream, in the words of the page."""
        first, *later = self.metastudio.jobs
        was_stopped = first.job_id in self.metastudio.stopped
        if first.is_active:
            assert later == []
            return "goes on"
        assert len(later) <= 1
        if not later:
            return "is stopped" if was_stopped else "is over"
        assert later[0].is_active
        return "is stopped, and followed by a new one" if was_stopped else "is followed by a new one"


# -- the task waits


def the_script_is_over(life: Life) -> None:
    life.at(600, life.ends())
    assert life.go_live()["state"] == "SUCCEED"


def its_planned_end(life: Life) -> None:
    assert life.go_live(max_duration=HOUR)["outcome"] == "stopped as planned"


def its_planned_end_without_a_worker(life: Life) -> None:
    life.defers(max_duration=HOUR)
    run(life.clock, anext(life.trigger().run()))  # what the triggerer does; nobody goes on with its event


def its_planned_end_and_a_death(life: Life) -> None:
    life.defers(max_duration=HOUR, ti={"max_tries": 3})
    run(life.clock, anext(life.trigger().run()))
    assert life.begins_again(wait_for_termination=True)["outcome"] == "stopped as planned"


def its_timeout(life: Life) -> None:
    life.deferrable = True  # on a worker it is Airflow that interrupts the task
    with pytest.raises(SmartLiveTimeoutError):
        life.go_live(execution_timeout=HOUR)


def an_interruption(life: Life) -> None:
    with pytest.raises(SmartLiveJobFailedError, match="interrupted for too long"):
        life.go_live(fail_on_disconnect_longer_than=timedelta(minutes=5))


def a_stream_that_is_late(life: Life) -> None:
    with pytest.raises(SmartLiveJobFailedError, match="not CONNECTED in time"):
        life.go_live(connected_within=timedelta(minutes=5))


def an_end_that_is_early(life: Life) -> None:
    life.at(600, life.ends(stream_duration=590))
    with pytest.raises(SmartLiveJobFailedError, match="min_on_air"):
        life.go_live(min_on_air=HOUR)


def a_clear_before_the_start(life: Life) -> None:
    life.defers()
    start_at = life.clock.now + HOUR
    assert life.begins_again(cleared=True, start_at=start_at)["started_at"] == start_at.isoformat()


def an_interruption_and_a_death(life: Life) -> None:
    life.defers(fail_on_disconnect_longer_than=timedelta(minutes=5), ti={"max_tries": 3})
    run(life.clock, anext(life.trigger().run()))
    assert life.begins_again()["origin"] == "started"


def a_timeout_without_a_triggerer(life: Life) -> None:
    life.defers(execution_timeout=HOUR)
    life.clock.sleep(HOUR.total_seconds() + 700)
    said = life.supervisor.xcom("smartlive_job")
    timeout_at = timeout_while_waiting("deferred", said)
    life.sweeps(TaskStatus("deferred", run_goes_on=True, timeout_at=timeout_at))


def a_retry_while_it_runs(life: Life) -> None:
    life.defers(ti={"max_tries": 3})
    assert life.begins_again()["origin"] == "adopted"


def a_retry_after_it_ended_well(life: Life) -> None:
    life.defers(ti={"max_tries": 3})
    life.ends()()
    assert life.begins_again(wait_for_termination=True)["origin"] == "finished"


def a_retry_after_it_failed(life: Life) -> None:
    life.at(600, life.ends("FAILED"))
    with pytest.raises(SmartLiveJobFailedError):
        life.go_live(ti={"max_tries": 3})
    assert life.begins_again()["origin"] == "started"


def the_last_try_fails(life: Life) -> None:
    life.at(600, lambda: life.supervisor.faults.extend([RuntimeError("out of memory")] * 5))
    life.at(700, life.calls_back("CONNECTED", "END"))
    life.deferrable = False
    with pytest.raises(RuntimeError, match="out of memory"):
        life.go_live()


def a_clear_while_it_waits(life: Life) -> None:
    life.defers()
    life.comes_to(None)
    assert life.begins_again(cleared=True)["origin"] == "started"


def a_clear_in_a_paused_dag(life: Life) -> None:
    life.defers()
    life.comes_to(None)


def a_reset_by_a_new_scheduler(life: Life) -> None:
    life.supervisor.states = {TASK: None}
    life.defers(ti={"max_tries": 3})  # which Airflow refuses: there is no trigger
    assert life.begins_again()["origin"] == "adopted"


def a_clear_after_the_end(life: Life) -> None:
    the_script_is_over(life)
    assert life.begins_again(cleared=True)["origin"] == "started"


def a_mark(life: Life) -> None:
    life.defers()
    life.comes_to("failed")


def a_mark_that_is_to_stop_nothing(life: Life) -> None:
    life.defers(cancel_on_kill=False)
    life.comes_to("success")
    life.sweeps(TaskStatus("success", run_goes_on=False))


def a_delete(life: Life) -> None:
    life.defers()
    life.comes_to("deleted")


def a_delete_without_a_triggerer(life: Life) -> None:
    life.defers()
    life.supervisor.states = {}


def a_sweep_after_a_delete(life: Life) -> None:
    life.defers()
    life.sweeps(None)


def another_triggerer(life: Life) -> None:
    life.defers()
    trigger = life.trigger()
    run(life.clock, trigger.on_kill())
    run(life.clock, trigger.cleanup())


def dies_during_the_start(life: Life, **ti: Any) -> None:
    life.metastudio.start_outcomes = [After(Crash())]
    with pytest.raises(Crash):
        life.go_live(ti=ti)


def a_retry_after_a_crash(life: Life) -> None:
    dies_during_the_start(life, max_tries=3)
    assert life.begins_again()["origin"] == "adopted"


def a_sweep_after_a_crash(life: Life) -> None:
    dies_during_the_start(life)
    life.sweeps(TaskStatus("failed", run_goes_on=False))


def dies_during_the_start_of_the_standby(life: Life) -> None:
    refused = QuotaExceeded("at the limit", http_status=400, error_code="MSS.20010056")
    life.metastudio.start_outcomes = [refused, After(Crash())]
    with pytest.raises(Crash):
        life.go_live(ti={"max_tries": 3}, standby_room_id=STANDBY)
    assert life.job.room_id == STANDBY


def a_retry_after_a_crash_in_the_standby(life: Life) -> None:
    dies_during_the_start_of_the_standby(life)
    assert life.begins_again(standby_room_id=STANDBY)["origin"] == "adopted"


def a_clear_in_the_standby(life: Life) -> None:
    dies_during_the_start_of_the_standby(life)
    assert life.begins_again(cleared=True, standby_room_id=STANDBY)["room_id"] == ROOM


def the_connection_is_edited(life: Life) -> None:
    life.at(600, lambda: setattr(life.metastudio, "endpoint", "https://elsewhere.example.com"))
    life.defers(ti={"max_tries": 3}, max_duration=HOUR)
    life.clock.sleep(700)


def it_is_edited_before_the_planned_end(life: Life) -> None:
    the_connection_is_edited(life)
    event = run(life.clock, anext(life.trigger().run()))
    deferral = life.deferrals[-1]
    resumed = life.process.prepare_for_execution()
    with pytest.raises(SmartLiveJobFailedError, match=f"room {ROOM} was started at https://metastudio"):
        resumed.resume_execution(
            deferral.method_name,
            {**deferral.kwargs, "event": event.payload},
            a_context(life.supervisor, max_tries=3),
        )


def it_is_set_back_before_a_retry(life: Life) -> None:
    back = life.metastudio.endpoint
    it_is_edited_before_the_planned_end(life)
    life.metastudio.endpoint = back
    again = life.begins_again(wait_for_termination=True, max_duration=HOUR)
    assert again["outcome"] == "stopped as planned"


# -- something else stops it


def starts_only(life: Life) -> None:
    life.go_live(wait_for_termination=False)
    life.supervisor.states = {TASK: "success"}


def is_stopped(life: Life) -> None:
    starts_only(life)
    assert life.stops() == [life.job.job_id]


def is_stopped_again(life: Life) -> None:
    starts_only(life)
    life.ends()()
    assert life.stops() == [life.job.job_id]


def a_sweep_meanwhile(life: Life) -> None:
    starts_only(life)
    life.sweeps(TaskStatus("success", run_goes_on=True))


def the_starter_is_cleared(life: Life) -> None:
    starts_only(life)
    assert life.begins_again(cleared=True)["origin"] == "started"


def a_sweep_without_its_run(life: Life) -> None:
    starts_only(life)
    life.sweeps(None)


SCENES: dict[str, list[Callable[[Life], None]]] = {
    "The task waits for the end": [
        the_script_is_over,
        its_planned_end,
        its_planned_end_without_a_worker,
        its_planned_end_and_a_death,
        its_timeout,
        a_timeout_without_a_triggerer,
        an_interruption,
        a_stream_that_is_late,
        an_end_that_is_early,
        an_interruption_and_a_death,
        a_retry_while_it_runs,
        a_retry_after_it_ended_well,
        a_retry_after_it_failed,
        the_last_try_fails,
        a_clear_while_it_waits,
        a_clear_in_a_paused_dag,
        a_clear_before_the_start,
        a_reset_by_a_new_scheduler,
        a_clear_after_the_end,
        a_mark,
        a_mark_that_is_to_stop_nothing,
        a_delete,
        a_delete_without_a_triggerer,
        a_sweep_after_a_delete,
        another_triggerer,
        a_retry_after_a_crash,
        a_sweep_after_a_crash,
        a_retry_after_a_crash_in_the_standby,
        a_clear_in_the_standby,
        the_connection_is_edited,
        it_is_edited_before_the_planned_end,
        it_is_set_back_before_a_retry,
    ],
    "Something else stops it": [
        starts_only,
        is_stopped,
        is_stopped_again,
        a_sweep_meanwhile,
        the_starter_is_cleared,
        starts_only,
        a_sweep_without_its_run,
    ],
}


def rows(heading: str) -> list[list[str]]:
    """Return the rows of the table under a heading."""
    section = PAGE.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


@pytest.fixture
def life(deferred: StartSimulation, monkeypatch: pytest.MonkeyPatch) -> Life:
    deferred.__class__ = Life
    assert isinstance(deferred, Life)
    monkeypatch.setattr(
        "airflow_provider_smartlive.client.task_hook.SmartLiveTaskHook", lambda **_: deferred.metastudio
    )
    return deferred


@pytest.mark.parametrize("show", ["deferred"], indirect=True)
@pytest.mark.parametrize(
    ("heading", "number"),
    [(heading, number) for heading, scenes in SCENES.items() for number in range(len(scenes))],
    ids=lambda value: SCENES[value][0].__name__ if isinstance(value, str) else str(value),
)
def test_a_row_of_the_page(life: Life, heading: str, number: int) -> None:
    SCENES[heading][number](life)
    fate = re.findall(r"\*\*(.+?)\*\*", rows(heading)[number][1])
    assert fate == [life.fate()], rows(heading)[number][0]


@pytest.mark.parametrize("heading", SCENES)
def test_every_row_is_played(heading: str) -> None:
    assert len(rows(heading)) == len(SCENES[heading])
