"""The asset events of a livestream say which job and room it was, and how it ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import Asset, AssetAlias
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_smartlive.exceptions import SmartLiveJobFailedError
from airflow_provider_smartlive.livestream.asset_events import describe, room_asset
from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor
from tests.support.fake_airflow import FakeSupervisor, a_context
from tests.support.fake_callbacks import STREAM_KEY
from tests.support.fake_metastudio import ROOM, FakeMetaStudio
from tests.support.simulation import Simulation, StartSimulation, set_up
from tests.support.virtual_time import Clock

OVER = Asset("smartlive://shows/toys/over")
ROOMS = AssetAlias("rooms that are over")


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> OutletEventAccessors:
    """What a task leaves for Airflow to make events of."""
    found = OutletEventAccessors()
    monkeypatch.setattr(
        "tests.support.simulation.a_context",
        lambda *args, **kw: a_context(*args, **kw) | {"outlet_events": found},
    )
    return found


def test_the_end_of_a_livestream(show: StartSimulation, events: OutletEventAccessors) -> None:
    show.at(10, show.calls_back("CONNECTING", "CONNECTED"))
    show.at(600, show.calls_back("END"), show.ends(stream_duration=590, end_time="2026-01-01T12:10:00Z"))
    result = show.go_live(outlets=[OVER, ROOMS])
    extra = events[OVER].extra
    assert extra == {
        "version": 1,
        "job_id": show.job.job_id,
        "room_id": ROOM,
        "outcome": "the job succeeded",
        "woken_by": "callback",
        "origin": "started",
        "started_at": result["started_at"],
        "settled_at": result["settled_at"],
        "state": "SUCCEED",
        "end_time": "2026-01-01T12:10:00+00:00",
        "stream_duration": 590,
    }
    assert STREAM_KEY not in str(extra)
    (of_room,) = events[ROOMS].asset_alias_events
    assert (of_room.dest_asset_key.uri, of_room.extra) == (f"smartlive://rooms/{ROOM}", extra)


def test_a_livestream_that_fails_says_nothing(show: StartSimulation, events: OutletEventAccessors) -> None:
    show.at(600, show.ends("FAILED"))
    with pytest.raises(SmartLiveJobFailedError):
        show.go_live(outlets=[OVER])
    assert len(events) == 0


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_sensor_says_when_and_by_whom(
    clock: Clock,
    metastudio: FakeMetaStudio,
    supervisor: FakeSupervisor,
    connections: None,
    events: OutletEventAccessors,
    monkeypatch: pytest.MonkeyPatch,
    deferrable: bool,
) -> None:
    stage = set_up(Simulation(clock, metastudio, supervisor, task_id="on_air"), monkeypatch)
    job = metastudio.add(room_id=ROOM)
    supervisor.xcoms["go_live", -1, "job_id"] = job.job_id
    supervisor.xcoms["go_live", -1, "room_id"] = ROOM
    supervisor.states["go_live"] = "deferred"
    connects = stage.calls_back("CONNECTING", "CONNECTED")
    if deferrable:
        stage.at(60, connects)
    else:
        connects()
    sensor = SmartLiveStreamStateSensor(
        task_id="on_air",
        starter_task_id="go_live",
        target_state="CONNECTED",
        timeout=timedelta(hours=1),
        deferrable=deferrable,
        outlets=[OVER],
    )
    result = stage.run(sensor)
    extra: dict[str, Any] = events[OVER].extra
    assert extra == result | {"room_id": ROOM}
    assert (extra["job_id"], extra["state"]) == (job.job_id, "CONNECTED")


def test_who_has_no_outlets_needs_no_events() -> None:
    describe({}, [], {"job_id": "1"}, room_id=None)  # type: ignore[typeddict-item]  # nothing is read of it


def test_a_room_has_one_asset() -> None:
    assert room_asset(ROOM) == Asset(f"smartlive://rooms/{ROOM}")
