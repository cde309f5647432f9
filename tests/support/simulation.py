"""One task on an Airflow in memory: its tries, its deferrals, and what happens outside meanwhile, by the clock."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models.trigger import Trigger
from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.exceptions import AirflowRescheduleException, AirflowTaskTimeout, TaskDeferred
from airflow.sdk.serde import deserialize, serialize
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

# SmartLiveHook is a class made of the hook that set_up replaces: it has to be there before.
import airflow_provider_smartlive.hooks  # noqa: F401
from airflow_provider_smartlive.callbacks.messages import (
    XCOM_TABLE_KEY,
    ResumeEvent,
    WaiterRegistration,
    end_key,
    starter_waiter_key,
    waiter_key,
)
from airflow_provider_smartlive.callbacks.table import CallbackTable, JobCallbacks
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.operators import StartSmartLiveJobOperator
from tests.support.fake_airflow import DAG, RUN, TASK, FakeSupervisor, FakeTaskInstance, a_context, running
from tests.support.fake_callbacks import called_back
from tests.support.fake_metastudio import ROOM, FakeAsyncHook, FakeMetaStudio
from tests.support.virtual_time import Clock, run

LIVE = ("CONNECTING", "CONNECTED")


@dataclass
class Simulation:
    """
    Runs tasks as Airflow does, and lets things happen.

    :param task_id: the task that runs; the one that starts the job is always :data:`~tests.support.fake_airflow.TASK`.
    """

    clock: Clock
    metastudio: FakeMetaStudio
    supervisor: FakeSupervisor
    task_id: str = TASK
    deferrals: list[TaskDeferred] = field(default_factory=list)
    #: The task's code as it runs at the moment.
    process: Any = None
    #: Set while the task is deferred: wakes it from outside, as the receiver does.
    resume: Any = None

    # -- what happens outside

    def at(self, seconds: float, *actions: Any) -> None:
        for action in actions:
            self.clock.at(seconds, action)

    def calls_back(self, *states: str, **more: Any) -> Any:
        """Return an action: MetaStudio reports the newest job; END resumes the task if it is deferred."""

        def action() -> None:
            job_id = self.metastudio.jobs[-1].job_id
            table = CallbackTable.load(self.supervisor.xcom(XCOM_TABLE_KEY))
            table = called_back(job_id, *states, at=self.clock.now, table=table, **more)
            self.supervisor.xcoms[TASK, -1, XCOM_TABLE_KEY] = table.dump()
            job = table.job(job_id)
            if job is not None and job.ended():
                self.supervisor.xcoms[TASK, -1, end_key(job_id)] = {}
            if self.task_id != TASK:
                self._wake_waiter(table.job(job_id))
            elif "END" in states:
                self.wakes("callback", job_id, "END")()

        return action

    def _wake_waiter(self, job: JobCallbacks) -> None:
        """Do as the receiver does: end a task that registered, or resume it if it needs a worker."""
        for key in (waiter_key(job.job_id), starter_waiter_key(TaskRef(DAG, RUN, TASK))):
            registered = self.supervisor.xcom(key, self.task_id)
            if registered is None or self.resume is None:
                continue
            waiter = WaiterRegistration.load(registered)
            if not job.has_reached(waiter.target_state):
                continue
            wake = ResumeEvent(
                source="callback", job_id=job.job_id, state=waiter.target_state, at=self.clock.now
            )
            if waiter.needs_worker:
                self.resume(wake)
            else:
                self.supervisor.xcoms[self.task_id, -1, "return_value"] = wake.dump()
                self.resume(TaskSuccessEvent())

    def wakes(self, source: str, job_id: str, state: str | None = None) -> Any:
        """Return an action: a deferred task is resumed with an event."""

        def action() -> None:
            if self.resume is not None:
                self.resume(ResumeEvent(source=source, job_id=job_id, state=state, at=self.clock.now))

        return action

    def ends(self, state: str = "SUCCEED", **more: Any) -> Any:
        """Return an action: the newest job is over."""

        def action() -> None:
            self.metastudio.jobs[-1].state = state
            self.metastudio.jobs[-1].more |= more

        return action

    def moves_to_another_triggerer(self) -> None:
        """The triggerer dies, and another one runs the trigger from its beginning."""
        if self.resume is not None:
            self.resume(None)

    def is_down(self, fault: Exception | None) -> Any:
        """Return an action: MetaStudio goes down, or comes back."""
        return lambda: setattr(self.metastudio, "down", fault)

    def alarm(self) -> None:
        """Airflow's ``execution_timeout`` of a task that runs on a worker."""
        if self.resume is None:
            raise AirflowTaskTimeout("Timeout")

    # -- Airflow

    def run(self, operator: BaseOperator, **context: Any) -> Any:
        """Run one try of a task, deferrals and reschedulings included; return its result or raise its error."""
        method, kwargs = "execute", {}
        while True:
            self.process = operator.prepare_for_execution()
            try:
                with running(self.process):
                    return self._call(
                        method, a_context(self.supervisor, task_id=self.task_id, **context), kwargs
                    )
            except AirflowRescheduleException as pause:
                self.clock.sleep((pause.reschedule_date - self.clock.now).total_seconds())
            except TaskDeferred as deferral:
                self.deferrals.append(deferral)
                method = deferral.method_name
                kwargs = deserialize(json.loads(json.dumps(serialize(deferral.kwargs))))
                event = self._wait_for(deferral.trigger)
                if isinstance(event, TaskSuccessEvent):
                    return self.supervisor.xcom("return_value", self.task_id)
                kwargs["event"] = json.loads(json.dumps(event.payload))

    def _call(self, method: str, context: dict[str, Any], kwargs: dict[str, Any]) -> Any:
        try:
            if method == "execute":
                return self.process.execute(context)
            return self.process.resume_execution(method, kwargs, context)
        except AirflowTaskTimeout:
            self.process.on_kill()
            raise

    def _wait_for(self, trigger: BaseTrigger) -> Any:
        """Run a trigger as it comes out of the database, until it fires or the task is resumed past it."""
        event = self._run_trigger(trigger)
        while event is None:
            event = self._run_trigger(trigger)
        return TriggerEvent(event.dump()) if isinstance(event, ResumeEvent) else event

    def _run_trigger(self, trigger: BaseTrigger) -> Any:
        """Run it in one triggerer; None if that goes away."""
        _, arguments = trigger.serialize()
        started = type(trigger)(**Trigger._decrypt_kwargs(Trigger.encrypt_kwargs(arguments)))
        started.task_instance = FakeTaskInstance(self.supervisor, task_id=self.task_id)

        async def wait() -> Any:
            resumed = asyncio.get_running_loop().create_future()
            self.resume = lambda event: resumed.done() or resumed.set_result(event)
            firing = asyncio.create_task(anext(started.run()))
            await asyncio.wait({firing, resumed}, return_when=asyncio.FIRST_COMPLETED)
            self.resume = None
            if not resumed.done():
                return firing.result()
            firing.cancel()
            await asyncio.wait({firing})
            return resumed.result()

        self.supervisor.of_trigger = True
        try:
            return run(self.clock, wait())
        finally:
            self.supervisor.of_trigger = False


class StartSimulation(Simulation):
    """A task that goes live."""

    deferrable: bool = True

    def go_live(self, *, ti: dict[str, Any] | None = None, **arguments: Any) -> Any:
        """Run one try of the starting task."""
        defaults = {"room_id": ROOM, "deferrable": self.deferrable, "output_conn_ids": ["rtmp_main"]}
        return self.run(StartSmartLiveJobOperator(task_id=TASK, **defaults | arguments), **ti or {})

    @property
    def job(self) -> Any:
        return self.metastudio.jobs[-1]

    @property
    def sent(self) -> Any:
        """Return the body that was sent."""
        return json.loads(self.job.request.to_body())


def stop_by(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whoever stops jobs on a worker, looks for them or asks Airflow again wait by a clock."""
    by_clock = SimpleNamespace(sleep=clock.sleep, monotonic=lambda: clock.seconds)
    for module in ("stop", "teardown", "airflow_api"):
        monkeypatch.setattr(f"airflow_provider_smartlive.livestream.{module}.time", by_clock)


def set_up(stage: Simulation, monkeypatch: pytest.MonkeyPatch) -> Simulation:
    """Put the clock and MetaStudio where the provider looks for them."""
    package = "airflow_provider_smartlive"
    for module in (
        "livestream.runner",
        "livestream.stream_wait",
        "triggers.job",
        "triggers.job_stop",
        "triggers.stream",
        "livestream.airflow_async",
    ):
        monkeypatch.setattr(f"{package}.{module}.utcnow", stage.clock)
    for module in ("client.task_hook", "livestream.runner"):
        monkeypatch.setattr(f"{package}.{module}.SmartLiveTaskHook", lambda **_: stage.metastudio)
    monkeypatch.setattr(f"{package}.hooks.SmartLiveAsyncHook", lambda **_: FakeAsyncHook(stage.metastudio))
    monkeypatch.setattr(f"{package}.reconciler.poller.JITTER", 0.0)
    monkeypatch.setattr(
        f"{package}.livestream.kill.KillHandler.sleep", lambda _, seconds: stage.clock.sleep(seconds)
    )
    return stage
