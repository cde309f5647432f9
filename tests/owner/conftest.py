"""What the tests of owners share: a clock, a MetaStudio in memory, and no waiting."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from airflow.sdk._shared.secrets_masker import reset_secrets_masker
from airflow_stage import Show, set_up, stop_by
from fake_airflow import FakeSupervisor
from fake_callbacks import STREAM_KEY
from fake_metastudio import FakeMetaStudio
from virtual_time import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metastudio(clock: Clock) -> FakeMetaStudio:
    return FakeMetaStudio(clock)


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSupervisor]:
    supervisor = FakeSupervisor()
    supervisor.install(monkeypatch)
    yield supervisor
    # Each test issues URLs and keys of its own; masking those of all tests takes ever longer.
    reset_secrets_masker()


@pytest.fixture(autouse=True)
def _stops_by_the_clock(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whoever confirms a stop on a worker, or asks Airflow again there, wait by the clock of the test."""
    stop_by(clock, monkeypatch)


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> None:
    output = {"conn_type": "rtmp", "host": "rtmp://push.example.com/live/main", "password": STREAM_KEY}
    monkeypatch.setenv("AIRFLOW_CONN_RTMP_MAIN", json.dumps(output))
    interaction = {"conn_type": "http", "host": "https://reply.example.com/x?token=fake-interaction-token"}
    monkeypatch.setenv("AIRFLOW_CONN_INTERACTION", json.dumps(interaction))


@pytest.fixture(params=["deferred", "on a worker"])
def show(
    request: pytest.FixtureRequest,
    clock: Clock,
    metastudio: FakeMetaStudio,
    supervisor: FakeSupervisor,
    connections: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Show:
    """Every test with this fixture holds for both ways to wait."""
    show = Show(clock, metastudio, supervisor)
    show.deferrable = request.param == "deferred"
    set_up(show, monkeypatch)
    return show


@pytest.fixture
def deferred(show: Show) -> Show:
    """For what only happens while a task is deferred."""
    show.deferrable = True
    return show


@pytest.fixture(autouse=True)
def _own_settings(plain_settings: None) -> None:
    """What a receiver of the whole session has put into the environment is not for these tests."""
