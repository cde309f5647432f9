"""A deployment with an XCom backend that keeps values elsewhere: the receiver has to find ours in the database."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.bases.xcom import BaseXCom

from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor
from tests.support.fake_airflow import TASK, FakeSupervisor
from tests.support.fake_metastudio import ROOM, FakeMetaStudio
from tests.support.simulation import Simulation, StartSimulation, set_up
from tests.support.virtual_time import Clock

REFERENCE = "elsewhere://"


class Elsewhere(BaseXCom):
    """Keeps every value in memory, and only a reference to it in the database."""

    kept: dict[str, Any]

    @staticmethod
    def serialize_value(value: Any, **names: Any) -> Any:
        reference = f"{REFERENCE}{len(Elsewhere.kept)}"
        Elsewhere.kept[reference] = value
        return reference

    @staticmethod
    def deserialize_value(result: Any) -> Any:
        return (
            Elsewhere.kept.get(result.value, result.value) if isinstance(result.value, str) else result.value
        )


@pytest.fixture(autouse=True)
def _backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Elsewhere, "kept", {}, raising=False)
    monkeypatch.setattr("airflow.sdk.execution_time.xcom.XCom", Elsewhere)


def references(supervisor: FakeSupervisor) -> list[str]:
    """Return the keys of XComs of which the database has a reference only."""
    return [key for (_, _, key), value in supervisor.xcoms.items() if str(value).startswith(REFERENCE)]


def test_what_the_receiver_reads_is_in_the_database(show: StartSimulation) -> None:
    show.at(60, show.calls_back("CONNECTING", "CONNECTED"))
    show.at(600, show.calls_back("END"), show.ends())
    result = show.go_live()
    assert result["woken_by"] == "callback"
    assert {"job_id", "room_id", "smartlive_job", "smartlive_callbacks"} <= {
        key for *_, key in show.supervisor.xcoms
    }
    assert references(show.supervisor) == []


def test_a_planned_stop_is_noted_in_the_database(deferred: StartSimulation) -> None:
    result = deferred.go_live(max_duration=600)
    assert result["woken_by"] == "deadline"
    assert any(key.startswith("smartlive_stop") for *_, key in deferred.supervisor.xcoms)
    assert references(deferred.supervisor) == []


@pytest.fixture
def sensor(
    clock: Clock, metastudio: FakeMetaStudio, supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch
) -> Simulation:
    """The task of a sensor, whose starter has a job."""
    stage = Simulation(clock, metastudio, supervisor, task_id="wait_for_it")
    job = metastudio.add()
    supervisor.xcoms |= {(TASK, -1, "job_id"): job.job_id, (TASK, -1, "room_id"): ROOM}
    supervisor.states[TASK] = "deferred"
    set_up(stage, monkeypatch)
    return stage


def test_a_sensor_registers_in_the_database(sensor: Simulation) -> None:
    sensor.at(60, sensor.calls_back("END"))
    sensor.run(SmartLiveStreamStateSensor(task_id="wait_for_it", target_state="END", starter_task_id=TASK))
    registered = [key for *_, key in sensor.supervisor.xcoms if key.startswith("smartlive_waiter/")]
    assert len(registered) == 1
    # Its result is the DAG's, which reads results by the backend.
    assert set(references(sensor.supervisor)) <= {"return_value"}
