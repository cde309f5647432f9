"""What the tests of owners share: a clock, a MetaStudio in memory, and no waiting."""

from __future__ import annotations

import pytest
from fake_metastudio import FakeMetaStudio
from virtual_time import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metastudio(clock: Clock) -> FakeMetaStudio:
    return FakeMetaStudio(clock)


@pytest.fixture(autouse=True)
def _confirm_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a stop be confirmed without waiting between two looks."""
    monkeypatch.setattr("airflow_provider_smartlive.stop.CONFIRM_INTERVAL", 0.0)
