"""A sensor's task in the simulation, beside the task that starts the job."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_smartlive.callbacks.messages import XCOM_TABLE_KEY
from airflow_provider_smartlive.callbacks.table import CallbackTable
from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor
from tests.support.fake_airflow import TASK, FakeSupervisor
from tests.support.fake_metastudio import ROOM, FakeMetaStudio
from tests.support.simulation import Simulation, set_up
from tests.support.virtual_time import Clock

WAIT = "wait_for_it"


ALL_MODES = {
    "deferred": {"deferrable": True},
    "poke": {"deferrable": False, "mode": "poke", "poke_interval": 10},
    "reschedule": {"deferrable": False, "mode": "reschedule", "poke_interval": 60},
}


class SensorSimulation(Simulation):
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
        self.supervisor.xcoms |= {
            (TASK, -1, XCOM_TABLE_KEY): CallbackTable().dump(),
            (TASK, -1, "job_id"): job.job_id,
            (TASK, -1, "room_id"): ROOM,
        }
        self.announces()
        self.becomes("deferred")()

    def announces(self) -> None:
        """The starter says where its job was started."""
        announcement = {"job_id": self.job.job_id, "address": self.metastudio.profile().base_url}
        self.supervisor.xcoms[TASK, -1, "smartlive_job"] = announcement

    def forgets(self) -> None:
        """Airflow deletes what the starter's last try has left."""
        for key in [key for key in self.supervisor.xcoms if key[0] == TASK]:
            del self.supervisor.xcoms[key]

    def becomes(self, state: str | None) -> Any:
        """Return an action: the starter comes into another state."""
        return lambda: self.supervisor.states.update({TASK: state})

    def fails(self) -> Any:
        """Return an action: the job fails, and the starter with it, without a retry."""

        def action() -> None:
            self.ends("FAILED")()
            self.becomes("failed")()

        return action

    @property
    def job(self) -> Any:
        return self.metastudio.jobs[-1]


def a_watch(
    clock: Clock, metastudio: FakeMetaStudio, supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch
) -> SensorSimulation:
    """Return the sensor's task, before its starter has a job; deferred."""
    watch = SensorSimulation(clock, metastudio, supervisor, task_id=WAIT)
    watch.mode = ALL_MODES["deferred"]
    watch.becomes("queued")()
    set_up(watch, monkeypatch)
    sensor = "airflow.sdk.bases.sensor"
    monkeypatch.setattr(f"{sensor}.timezone", SimpleNamespace(utcnow=clock))
    sleeping = SimpleNamespace(sleep=clock.sleep, monotonic=lambda: clock.seconds)
    monkeypatch.setattr(f"{sensor}.time", sleeping)
    return watch
