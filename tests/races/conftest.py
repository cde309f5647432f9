"""A MetaStudio and an Airflow in memory, for events that reach the receiver on a real database."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.database import Database
from tests.support.fake_airflow import FakeSupervisor
from tests.support.fake_callbacks import STREAM_KEY
from tests.support.fake_metastudio import FakeMetaStudio
from tests.support.receiver import MountedReceiver
from tests.support.simulation import Simulation, set_up, stop_by
from tests.support.virtual_time import Clock


@pytest.fixture
def door(database: Database) -> MountedReceiver:
    return MountedReceiver(database)


@pytest.fixture
def stage(
    clock: Clock, metastudio: FakeMetaStudio, supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """A MetaStudio and an Airflow in memory, with the connection of an output."""
    stop_by(clock, monkeypatch)
    output = {"conn_type": "rtmp", "host": "rtmp://push.example.com/live/main", "password": STREAM_KEY}
    monkeypatch.setenv("AIRFLOW_CONN_RTMP_MAIN", json.dumps(output))
    return set_up(Simulation(clock, metastudio, supervisor), monkeypatch)
