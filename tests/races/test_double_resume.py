"""
A task that is resumed twice.

Airflow's trigger submits its event without a lock, so a callback and a trigger can resume the same deferral, and
two processes then go on from the same point. Neither may stop a livestream that goes on, start another one, or
leave another result than one process alone would.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from airflow.sdk.serde import deserialize, serialize

from airflow_provider_smartlive.callbacks.messages import ResumeEvent
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.operators import StartSmartLiveJobOperator
from tests.support.fake_airflow import TASK, a_context, running
from tests.support.fake_metastudio import ROOM
from tests.support.simulation import LIVE, Simulation

CALLBACK, RECONCILIATION = "callback", "reconciliation"


@dataclass
class Deferred:
    """A task that has started a livestream and deferred."""

    stage: Simulation
    operator: StartSmartLiveJobOperator
    deferral: TaskDeferred

    @property
    def job(self) -> Any:
        return self.stage.metastudio.jobs[0]

    def resume(self, source: str, *, killed: bool = False, max_tries: int = 0) -> Any:
        """
        Go on in a process of its own, and return the result, or the next deferral.

        :param killed: whether Airflow ends the process while it works.
        """
        process = self.operator.prepare_for_execution()
        wake = ResumeEvent(source=source, job_id=self.job.job_id, state="END", at=self.stage.clock.now)
        stored = json.loads(json.dumps(serialize({**self.deferral.kwargs, "event": wake.dump()})))
        if killed:
            self._kill_at_the_next_look(process)
        context = a_context(self.stage.supervisor, max_tries=max_tries)
        try:
            with running(process):
                return process.resume_execution(self.deferral.method_name, deserialize(stored), context)
        except TaskDeferred as deferral:
            return deferral

    def _kill_at_the_next_look(self, process: StartSmartLiveJobOperator) -> None:
        metastudio = self.stage.metastudio

        def look(job_ref: JobRef) -> Any:
            del metastudio.show_job
            process.on_kill()
            return metastudio.show_job(job_ref)

        metastudio.show_job = look


@pytest.fixture
def deferred(stage: Simulation) -> Deferred:
    operator = StartSmartLiveJobOperator(task_id=TASK, room_id=ROOM, output_conn_ids=["rtmp_main"])
    process = operator.prepare_for_execution()
    with running(process), pytest.raises(TaskDeferred) as deferral:
        process.execute(a_context(stage.supervisor))
    stage.clock.sleep(600)
    return Deferred(stage, operator, deferral.value)


def _pushed(deferred: Deferred) -> list[str]:
    return [message.key for message in deferred.stage.supervisor.messages if message.type == "SetXCom"]


@pytest.mark.parametrize(
    "sources", [(CALLBACK, CALLBACK), (CALLBACK, RECONCILIATION), (RECONCILIATION, CALLBACK)]
)
def test_both_have_the_same_result(deferred: Deferred, sources: tuple[str, str]) -> None:
    deferred.stage.calls_back(*LIVE, "END")()
    deferred.job.state = "SUCCEED"
    pushed = _pushed(deferred)

    first, second = (deferred.resume(source) for source in sources)

    assert (first.pop("woken_by"), second.pop("woken_by")) == sources
    assert first == second
    assert first["state"] == "SUCCEED"
    assert deferred.stage.metastudio.asked["start"] == 1
    assert deferred.stage.metastudio.asked["stop"] == 0
    assert _pushed(deferred) == pushed


@pytest.mark.parametrize("states", [LIVE, (*LIVE, "END")])
def test_while_the_job_runs_both_go_on_waiting(deferred: Deferred, states: tuple[str, ...]) -> None:
    deferred.stage.calls_back(*states)()

    first, second = deferred.resume(CALLBACK), deferred.resume(RECONCILIATION)

    told = [deferral.kwargs["wait"].pop("end_source") for deferral in (first, second)]
    assert told == ([CALLBACK, RECONCILIATION] if "END" in states else [None, None]), "each by what woke it"
    assert first.kwargs == second.kwargs
    waits = [replace(deferral.trigger.wait, end_source=None) for deferral in (first, second)]
    assert waits[0] == waits[1]
    assert deferred.stage.metastudio.running == [deferred.job.job_id]
    assert deferred.stage.metastudio.asked["stop"] == 0


@pytest.mark.parametrize("source", [CALLBACK, RECONCILIATION])
@pytest.mark.parametrize("max_tries", [0, 2])
@pytest.mark.parametrize("state", ["running", "queued", "scheduled", "deferred"])
def test_a_process_whose_heartbeat_is_refused_leaves_the_job_to_its_double(
    deferred: Deferred, state: str, max_tries: int, source: str
) -> None:
    deferred.stage.supervisor.states = {TASK: state}

    deferred.resume(source, killed=True, max_tries=max_tries)

    assert deferred.stage.metastudio.running == [deferred.job.job_id]
    assert deferred.stage.metastudio.asked["stop"] == 0
    deferred.job.state = "SUCCEED"
    assert deferred.resume(CALLBACK, max_tries=max_tries)["state"] == "SUCCEED", "nor is it forsworn"


@pytest.mark.parametrize("states", [{TASK: "failed"}, {TASK: "success"}, {TASK: "restarting"}, {}], ids=str)
def test_a_process_whose_task_was_ended_does_not(deferred: Deferred, states: dict[str, str | None]) -> None:
    """The control: the tests above can fail."""
    deferred.stage.supervisor.states = states

    deferred.resume(CALLBACK, killed=True)

    assert deferred.stage.metastudio.running == []


def test_a_process_whose_double_has_finished_the_task_changes_nothing(deferred: Deferred) -> None:
    deferred.job.state = "SUCCEED"
    deferred.stage.supervisor.states = {TASK: "success"}

    assert deferred.resume(CALLBACK, killed=True)["state"] == "SUCCEED"
    assert deferred.stage.metastudio.asked["stop"] == 0


def test_a_planned_end_stops_the_job_once(deferred: Deferred) -> None:
    first, second = deferred.resume("deadline"), deferred.resume("deadline")

    assert (first["outcome"], second["outcome"]) == (
        "stopped as planned",
        "the job succeeded; END was not seen",
    )
    assert deferred.stage.metastudio.asked["stop"] == 1
