"""Everything in this folder happens in virtual time, on an Airflow in memory."""

from __future__ import annotations

import pytest

from tests.support.fake_airflow import FakeSupervisor
from tests.support.fake_metastudio import FakeAsyncHook, FakeMetaStudio
from tests.support.virtual_time import Clock
from tests.triggers.world import World


@pytest.fixture(autouse=True)
def _in_virtual_time(in_virtual_time: None) -> None:
    """Use the fixture in every test."""


@pytest.fixture
def world(
    clock: Clock, metastudio: FakeMetaStudio, supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch
) -> World:
    def hook(*args: object, **kwargs: object) -> FakeAsyncHook:
        return FakeAsyncHook(metastudio)

    monkeypatch.setattr("airflow_provider_smartlive.hooks.SmartLiveAsyncHook", hook)
    for module in ("triggers.job", "triggers.job_stop", "triggers.stream", "livestream.airflow_async"):
        monkeypatch.setattr(f"airflow_provider_smartlive.{module}.utcnow", clock)
    monkeypatch.setattr("airflow_provider_smartlive.reconciler.poller.JITTER", 0.0)
    return World(clock, metastudio, supervisor, metastudio.add())
