"""A MetaStudio and an Airflow in memory: the ones with which the tests of owners work."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "owner"))

from airflow_stage import stop_by
from fake_airflow import FakeSupervisor
from fake_metastudio import FakeMetaStudio
from virtual_time import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """By which whoever stops jobs looks for them again."""
    clock = Clock()
    stop_by(clock, monkeypatch)
    return clock


@pytest.fixture
def metastudio(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> FakeMetaStudio:
    """Stand in for the hook."""
    metastudio = FakeMetaStudio(clock)
    monkeypatch.setattr(
        "airflow_provider_smartlive.client.task_hook.SmartLiveTaskHook", lambda **_: metastudio
    )
    return metastudio


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> FakeSupervisor:
    supervisor = FakeSupervisor()
    supervisor.install(monkeypatch)
    return supervisor


@pytest.fixture(autouse=True)
def _own_settings(plain_settings: None) -> None:
    """What a receiver of the whole session has put into the environment is not for these tests."""
