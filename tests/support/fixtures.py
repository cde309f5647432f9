"""
Fixtures of many folders: a clock, and a MetaStudio and an Airflow in memory that live by it.

What they need is imported when they are used: pure tests do not pay for importing Airflow.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.support.fake_airflow import FakeSupervisor
    from tests.support.fake_metastudio import FakeMetaStudio
    from tests.support.sensor_simulation import SensorSimulation
    from tests.support.simulation import StartSimulation
    from tests.support.virtual_time import Clock


@pytest.fixture
def clock() -> Clock:
    from tests.support.virtual_time import Clock

    return Clock()


@pytest.fixture
def metastudio(clock: Clock) -> FakeMetaStudio:
    from tests.support.fake_metastudio import FakeMetaStudio

    return FakeMetaStudio(clock)


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> FakeSupervisor:
    from tests.support.fake_airflow import FakeSupervisor

    supervisor = FakeSupervisor()
    supervisor.install(monkeypatch)
    return supervisor


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.fake_callbacks import STREAM_KEY

    output = {"conn_type": "rtmp", "host": "rtmp://push.example.com/live/main", "password": STREAM_KEY}
    monkeypatch.setenv("AIRFLOW_CONN_RTMP_MAIN", json.dumps(output))
    interaction = {"conn_type": "http", "host": "https://reply.example.com/x?token=fake-interaction-token"}
    monkeypatch.setenv("AIRFLOW_CONN_INTERACTION", json.dumps(interaction))


@pytest.fixture
def in_virtual_time(clock: Clock, plain_settings: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the provider wait by the clock of the test, in one thread, with the settings of ``tests/conftest.py``."""
    from tests.support.simulation import stop_by

    stop_by(clock, monkeypatch)

    def sync_to_async(ask: Callable[..., Any]) -> Callable[..., Any]:
        # By a clock that only moves when nobody works, a thread would be late.
        async def asked(*arguments: Any) -> Any:
            return ask(*arguments)

        return asked

    monkeypatch.setattr("asgiref.sync.sync_to_async", sync_to_async)


@pytest.fixture
def hooked(metastudio: FakeMetaStudio, monkeypatch: pytest.MonkeyPatch) -> FakeMetaStudio:
    """Let MetaStudio stand in for the hook of tasks."""
    monkeypatch.setattr(
        "airflow_provider_smartlive.client.task_hook.SmartLiveTaskHook", lambda **_: metastudio
    )
    return metastudio


@pytest.fixture(params=["deferred", "on a worker"])
def show(
    request: pytest.FixtureRequest,
    clock: Clock,
    metastudio: FakeMetaStudio,
    supervisor: FakeSupervisor,
    connections: None,
    monkeypatch: pytest.MonkeyPatch,
) -> StartSimulation:
    """Every test with this fixture holds for both ways to wait."""
    from tests.support.simulation import StartSimulation, set_up

    show = StartSimulation(clock, metastudio, supervisor)
    show.deferrable = request.param == "deferred"
    set_up(show, monkeypatch)
    return show


@pytest.fixture
def deferred(show: StartSimulation) -> StartSimulation:
    """For what only happens while a task is deferred."""
    show.deferrable = True
    return show


@pytest.fixture
def idle(
    clock: Clock, metastudio: FakeMetaStudio, supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch
) -> SensorSimulation:
    """A sensor's task, before its starter has a job; deferred."""
    from tests.support.sensor_simulation import a_watch

    return a_watch(clock, metastudio, supervisor, monkeypatch)
