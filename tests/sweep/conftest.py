"""A MetaStudio and an Airflow in memory: the ones with which the tests of owners work."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "owner"))

from fake_airflow import FakeSupervisor
from fake_metastudio import FakeMetaStudio
from virtual_time import Clock


@pytest.fixture
def metastudio(monkeypatch: pytest.MonkeyPatch) -> FakeMetaStudio:
    """Stand in for the hook, and confirm stops without waiting between two looks."""
    metastudio = FakeMetaStudio(Clock())
    monkeypatch.setattr(
        "airflow_provider_smartlive.client.task_hook.SmartLiveTaskHook", lambda **_: metastudio
    )
    monkeypatch.setattr("airflow_provider_smartlive.livestream.stop.CONFIRM_INTERVAL", 0.0)
    return metastudio


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> FakeSupervisor:
    supervisor = FakeSupervisor()
    supervisor.install(monkeypatch)
    return supervisor
