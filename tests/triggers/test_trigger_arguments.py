"""What our tasks leave in Airflow's database when they defer comes back as it was, whatever zone a DAG's times have."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import dateutil.tz
import pendulum
import pytest
from airflow.models.trigger import Trigger
from airflow.sdk.exceptions import TaskDeferred
from airflow.sdk.serde import deserialize, serialize
from airflow.serialization.decoders import smart_decode_trigger_kwargs

from airflow_provider_smartlive.livestream.wait_state import WaitLimits, WaitState
from airflow_provider_smartlive.triggers import SmartLiveJobTrigger
from tests.support.sensor_simulation import SensorSimulation
from tests.support.simulation import LIVE, StartSimulation

LATER = datetime(2026, 1, 1, 20, tzinfo=UTC)

ZONES = {
    "UTC": UTC,
    "fixed offset": timezone(timedelta(hours=8)),
    "odd fixed offset": timezone(timedelta(hours=5, minutes=45)),
    "negative offset": timezone(-timedelta(hours=3, minutes=30)),
    "named fixed offset": timezone(timedelta(hours=1), "MEZ"),
    "zoneinfo": ZoneInfo("Asia/Shanghai"),
    "pendulum": pendulum.timezone("Europe/Berlin"),
    "pendulum fixed offset": pendulum.FixedTimezone(19800),
    "dateutil": dateutil.tz.gettz("America/Sao_Paulo"),
    "dateutil UTC": dateutil.tz.UTC,
    "dateutil offset": dateutil.tz.tzoffset(None, 3600),
    "dateutil local": dateutil.tz.tzlocal(),
}


def through_the_database(deferral: TaskDeferred) -> tuple[Any, dict[str, Any]]:
    """Return trigger and arguments of the resumed task as worker, API server, triggerer and worker pass them on."""
    _, arguments = deferral.trigger.serialize()
    row = Trigger(classpath="", kwargs={})
    row.encrypted_kwargs = json.dumps(serialize(arguments))
    read = {name: smart_decode_trigger_kwargs(value) for name, value in row.kwargs.items()}
    assert read == arguments
    trigger = type(deferral.trigger)(**read)
    assert trigger.serialize() == deferral.trigger.serialize()
    resumed: Any = deserialize(json.loads(json.dumps(serialize(deferral.kwargs))))
    assert resumed == deferral.kwargs
    return trigger, resumed


@pytest.mark.parametrize("as_text", [False, True], ids=["datetime", "text"])
@pytest.mark.parametrize("zone", ZONES.values(), ids=list(ZONES))
def test_a_planned_end_in_any_zone_comes_back(deferred: StartSimulation, zone: Any, as_text: bool) -> None:
    stop_at = LATER.astimezone(zone)
    deferred.at(30, deferred.calls_back(*LIVE))
    deferred.at(7200, deferred.ends(), deferred.calls_back("END"))
    deferred.go_live(
        stop_at=stop_at.isoformat() if as_text else stop_at,
        execution_timeout=timedelta(hours=9),
        fail_on_disconnect_longer_than=timedelta(minutes=5),
    )
    for deferral in deferred.deferrals:
        trigger, resumed = through_the_database(deferral)
        assert isinstance(trigger, SmartLiveJobTrigger)
        assert WaitState.load(resumed["wait"]) == trigger.wait
        assert WaitLimits.load(resumed["limits"]) == trigger.limits
        assert trigger.wait.deadline == LATER
        assert trigger.wait.timeout_at is not None


def test_an_ending_comes_back(deferred: StartSimulation) -> None:
    deferred.at(30, deferred.calls_back(*LIVE, "END"))
    deferred.at(60, deferred.ends())
    deferred.go_live()
    trigger, _ = through_the_database(deferred.deferrals[-1])
    assert trigger.wait.is_ending


@pytest.mark.parametrize("state", ["END", "CONNECTED"])
def test_what_a_sensor_leaves_comes_back(idle: SensorSimulation, state: str) -> None:
    idle.has_job()
    idle.job.stream_duration = 1.0
    idle.at(600, idle.ends())
    idle.sense(state)
    for deferral in idle.deferrals:
        through_the_database(deferral)


@pytest.mark.parametrize("zone", ZONES.values(), ids=list(ZONES))
def test_a_wait_state_keeps_every_point_in_time(zone: Any) -> None:
    at = (LATER + timedelta(microseconds=123456)).astimezone(zone)
    wait = WaitState(
        "conn",
        "room",
        "job",
        1,
        at,
        deadline=at,
        timeout_at=at,
        grace_until=at,
        grace_since=at,
        lost_since=at,
        logged_until=at,
    )
    assert WaitState.load(json.loads(json.dumps(wait.dump()))) == wait
