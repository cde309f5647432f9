"""What the tests of owners share: a clock, a MetaStudio in memory, and no waiting."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from airflow.sdk._shared.secrets_masker import reset_secrets_masker
from fake_airflow import FakeSupervisor
from fake_metastudio import FakeMetaStudio
from virtual_time import Clock

from airflow_provider_smartlive.livestream.stop import stop_and_confirm


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
    """Let whoever confirms a stop on a worker wait by the clock of the test."""
    for name, value in (("now", lambda: clock.seconds), ("sleep", clock.sleep)):
        monkeypatch.setitem(stop_and_confirm.__kwdefaults__, name, value)
