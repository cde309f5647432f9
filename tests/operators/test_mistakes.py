"""
What people get wrong in their first hour, and what they read then: what is wrong, where, and the fix.

Each before anything is started, and without a retry unless one could help.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_smartlive.metastudio.errors import Conflict
from airflow_provider_smartlive.operators import (
    SmartLiveCommandOperator,
    StartSmartLiveJobOperator,
    StopSmartLiveJobOperator,
)
from airflow_provider_smartlive.sandbox.config import Config
from airflow_provider_smartlive.sandbox.testing import LocalSandbox, quick_config
from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor
from tests.support.fake_airflow import FakeSupervisor, a_context
from tests.support.fake_callbacks import STREAM_KEY
from tests.support.fake_metastudio import ROOM
from tests.support.simulation import StartSimulation

VIDEO = {"width": 1080, "height": 1920}

#: The arguments of a start, and what the error says of each.
REFUSED = {
    "a time without a date": (
        {"stop_at": "20:00"},
        ["stop_at is '20:00': a time without a date", "Write date and time by ISO 8601", "time zone counts"],
    ),
    "a URL instead of connections": (
        {"output_conn_ids": f"rtmp://push.example.com/live/{STREAM_KEY}"},
        ["output_conn_ids is a URL", "Pass the id of an Airflow connection"],
    ),
    "an output that is not there": (
        {"output_conn_ids": ["shop"]},
        ["output_conn_ids: there is no connection 'shop'", "airflow connections add shop"],
    ),
    "no such connection": (
        {"smartlive_conn_id": "smartlive"},
        ["smartlive_conn_id: there is no connection 'smartlive'", "airflow connections add smartlive"],
    ),
    "an RTMP URL for interaction": (
        {"interaction_conn_id": "rtmp_main"},
        ["interaction_conn_id: connection 'rtmp_main' holds an RTMP URL", "name it in output_conn_ids"],
    ),
    "a room with a blank": (
        {"room_id": "room 1"},
        [
            "room_id is 'room 1': there is a blank in it",
            "Pass the id alone, as MetaStudio's console shows it",
        ],
    ),
    "a room with a slash": (
        {"room_id": "rooms/1"},
        ["room_id is 'rooms/1': an id has no slash", "Pass the id alone, as MetaStudio's console shows it"],
    ),
    "an empty room": (
        {"room_id": ""},
        ["room_id was rendered to nothing ('')", "Look at the template's task id and key"],
    ),
    "a room that is not there": (
        {"room_id": "another-room"},
        [
            "MSS.20010045",
            "connection 'smartlive_default', room 'another-room'",
            "Check room_id, and that the room is",
        ],
    ),
    "no duration": (
        {"max_duration": "2 hours"},
        ["max_duration is '2 hours', not a duration", "Pass a timedelta, or seconds as a number"],
    ),
    "a field of the request": (
        {"request": {"play_polcy": {"repeat_count": 1}}},
        ["play_polcy: is no field of MetaStudio's API (did you mean play_policy?)"],
    ),
    "a field of a field": (
        {"play_policy": {"repeat_cuont": 1}},
        ["play_policy.repeat_cuont: is no field of MetaStudio's API (did you mean repeat_count?)"],
    ),
    "a field that nothing is like": (
        {"job_run_config": {"xyz": 1}},
        [
            "job_run_config.xyz: is no field of MetaStudio's API (there are allow_resource_type, single_job_in_room)"
        ],
    ),
    "a text that should be a field": (
        {"play_policy": "{'repeat_count': 1}"},
        ["play_policy: has to be a dict (How the script is played)"],
    ),
    "a value that does not exist": (
        {"play_policy": {"play_mode": "SPEECH"}},
        ["play_policy.play_mode: has to be 'TEXT', 'AUDIO' or 'NO_PRESET'"],
    ),
    "half of the video": (
        {"video_config": {"bitrate": 4000, "width": 1080}},
        ["video_config.height: is missing (Height, pixels; livestreams 1920 or 1080)"],
    ),
    "a bitrate above the schema's limit": (
        {"video_config": {**VIDEO, "bitrate": 99999}},
        ["video_config.bitrate: has to be less than or equal to 30000", "livestreams 1000 to 8000"],
    ),
    "a bitrate above the real limit, if asked to": (
        {"video_config": {**VIDEO, "bitrate": 20000}, "warnings_as_errors": True},
        ["video_config.bitrate: livestreams need 1000 to 8000 kbit/s"],
    ),
    "two outputs, if asked to": (
        {"output_conn_ids": "rtmp_main, rtmp_main", "warnings_as_errors": True},
        ["MetaStudio supports one RTMP output; start one job per platform", "output_conn_ids"],
    ),
}


@pytest.fixture
def smartlive_sandbox_config() -> Config:
    """A MetaStudio that knows its rooms."""
    return quick_config(any_room=False)


@pytest.fixture
def sandbox(
    smartlive_sandbox: LocalSandbox, smartlive_connection: str, supervisor: FakeSupervisor, connections: None
) -> LocalSandbox:
    smartlive_sandbox.add_room(ROOM)
    return smartlive_sandbox


def start(supervisor: FakeSupervisor, *, task_id: str = "go_live", **arguments: Any) -> Any:
    """Start against a sandbox, by the clock of the wall."""
    operator = StartSmartLiveJobOperator(task_id=task_id, **{"room_id": ROOM, **arguments})
    context: Any = a_context(supervisor, task_id=task_id, run_after=datetime.now(UTC))
    return operator.execute(context)


@pytest.mark.parametrize(("arguments", "texts"), REFUSED.values(), ids=REFUSED)
def test_a_start_that_is_refused(
    sandbox: LocalSandbox, supervisor: FakeSupervisor, arguments: dict[str, Any], texts: list[str]
) -> None:
    with pytest.raises(AirflowFailException) as caught:
        start(supervisor, **arguments)
    assert [text for text in texts if text not in str(caught.value)] == [], str(caught.value)
    assert "errors.pydantic.dev" not in str(caught.value)
    assert STREAM_KEY not in str(caught.value)
    assert sandbox.states() == []


def test_a_wrong_key(
    sandbox: LocalSandbox, supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = sandbox.connection() | {"password": "fake-secret-of-somebody-else"}
    monkeypatch.setenv("AIRFLOW_CONN_SMARTLIVE_DEFAULT", json.dumps(connection))
    tasks: dict[str, Any] = {
        "start": lambda: start(supervisor),
        "stop": StopSmartLiveJobOperator(task_id="stop", job_id="1"),
        "command": SmartLiveCommandOperator(
            task_id="say", job_id="1", room_id=ROOM, command="CLEAN_UP_INSERT_COMMAND"
        ),
    }
    for name, task in tasks.items():
        context: Any = a_context(supervisor, task_id=name)
        with pytest.raises(AirflowFailException) as caught:
            task() if callable(task) else task.execute(context)
        assert "connection 'smartlive_default'" in str(caught.value)
        assert "Check login and password (or token) of the connection" in str(caught.value)


def test_a_room_that_takes_one_job_only(sandbox: LocalSandbox, supervisor: FakeSupervisor) -> None:
    """A retry may help: the other job may be over by then."""
    start(supervisor, wait_for_termination=False)
    supervisor.store.clear()
    with pytest.raises(Conflict) as caught:
        start(supervisor, task_id="another", job_run_config={"single_job_in_room": True})
    assert "MSS.20010046" in str(caught.value)
    assert f"[start_job, connection 'smartlive_default', room '{ROOM}']" in str(caught.value)
    assert "Stop the room's other job, or start without job_run_config.single_job_in_room" in str(
        caught.value
    )


#: What is taken all the same, with a warning in the log.
WARNED = {
    "two outputs": (
        {"output_conn_ids": ["rtmp_main", "rtmp_main"]},
        "output_urls: MetaStudio supports one RTMP output; start one job per platform (a task per output_conn_ids)",
    ),
    "a bitrate above the real limit": (
        {"video_config": {**VIDEO, "bitrate": 20000}},
        "video_config.bitrate: livestreams need 1000 to 8000 kbit/s",
    ),
    "a key in a connection's host": (
        {"output_conn_ids": ["keyed"]},
        "Connection 'keyed' seems to hold a stream key in its host, which Airflow shows and does not encrypt. Move",
    ),
}


@pytest.mark.parametrize(("arguments", "text"), WARNED.values(), ids=WARNED)
def test_a_start_with_a_warning(
    show: StartSimulation,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, Any],
    text: str,
) -> None:
    keyed = {"conn_type": "rtmp", "host": f"rtmp://push.example.com/live/{STREAM_KEY}"}
    monkeypatch.setenv("AIRFLOW_CONN_KEYED", json.dumps(keyed))
    show.go_live(wait_for_termination=False, **arguments)
    printed = capsys.readouterr().out
    assert f"The request: {text}" in printed
    assert STREAM_KEY not in printed


@pytest.mark.parametrize(
    "url",
    ["http://localhost:8080", "https://airflow-api-server:8080", "https://10.0.0.5", "https://airflow.local"],
)
def test_a_callback_address_that_metastudio_cannot_reach(
    show: StartSimulation, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Said before the start; a job that runs already is told later, and found by asking."""
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_BASE_URL", url)
    show.go_live(wait_for_termination=False)
    text = (
        "callback_base_url (of the connection, or of [smartlive]) is an address of this machine or network, which "
        "MetaStudio cannot reach"
    )
    assert text in capsys.readouterr().out
    with pytest.raises(AirflowFailException, match="Set it to the public https address of the API server"):
        show.go_live(warnings_as_errors=True, ti={"clear_number": 1})
    show.metastudio.endpoint = "http://127.0.0.1:9000"  # a sandbox
    show.go_live(wait_for_termination=False, ti={"clear_number": 2})
    assert text not in capsys.readouterr().out.partition("The request has warnings")[2]


#: What used to be a mistake, and is taken as it is meant.
BERLIN = ZoneInfo("Europe/Berlin")


def test_a_time_without_an_offset_is_of_the_dags_zone(show: StartSimulation) -> None:
    started = show.clock.now
    naive = (started + timedelta(hours=1)).astimezone(BERLIN).replace(tzinfo=None)
    show.go_live(stop_at=naive.isoformat(), ti={"zone": BERLIN})
    assert timedelta(hours=1) <= show.clock.now - started < timedelta(hours=1, minutes=1)


def test_a_duration_in_seconds(show: StartSimulation) -> None:
    started = show.clock.now
    show.go_live(max_duration=20)
    assert timedelta(seconds=20) <= show.clock.now - started < timedelta(seconds=40)


@pytest.mark.parametrize("output_conn_ids", ["rtmp_main", "['rtmp_main']", " rtmp_main "])
def test_outputs_as_a_text(show: StartSimulation, output_conn_ids: str) -> None:
    show.go_live(output_conn_ids=output_conn_ids, wait_for_termination=False)
    assert show.sent["stream_keys"] == [STREAM_KEY]


# -- beside the start


@pytest.mark.parametrize(
    "operator", [StopSmartLiveJobOperator, SmartLiveStreamStateSensor, SmartLiveCommandOperator]
)
def test_a_starter_that_is_none(
    sandbox: LocalSandbox, supervisor: FakeSupervisor, operator: type[Any]
) -> None:
    supervisor.states = {"show.go_live": "running"}
    more = {"command": "CLEAN_UP_INSERT_COMMAND"} if operator is SmartLiveCommandOperator else {}
    context: Any = a_context(supervisor, task_id="beside")
    with pytest.raises(AirflowFailException) as caught:
        operator(task_id="beside", starter_task_id="go_live", **more).execute(context)
    assert "starter_task_id is 'go_live': run scheduled__2026-01-01 of DAG nightly has no such task" in str(
        caught.value
    )
    assert "Pass its full id, with that of its task group: 'show.go_live'" in str(caught.value)


@pytest.mark.parametrize("target_state", ["LIVE", "connectd", None])
def test_a_state_that_is_none(target_state: Any) -> None:
    with pytest.raises(ValueError, match=r"target_state is .*Pass one of CONNECTING, CONNECTED, .*END"):
        SmartLiveStreamStateSensor(task_id="on_air", starter_task_id="go_live", target_state=target_state)


def test_a_state_in_small_letters() -> None:
    sensor = SmartLiveStreamStateSensor(
        task_id="on_air", starter_task_id="go_live", target_state="connected", timeout=60
    )
    assert sensor.target_state == "CONNECTED"


@pytest.mark.parametrize(
    ("params", "text"),
    [
        (
            {"txt_config": {"text": "Hi"}},
            "command_params.txt_config: is no field of MetaStudio's API (did you mean text_config?)",
        ),
        (
            {"text_config": {"txt": "Hi"}},
            "command_params.text_config.txt: is no field of MetaStudio's API (did you mean text?)",
        ),
        ({"text_config": {"text": "Hi"}, "play_type": "NOW"}, "command_params.play_type: has to be "),
    ],
)
def test_a_parameter_of_a_command(
    sandbox: LocalSandbox, supervisor: FakeSupervisor, params: dict[str, Any], text: str
) -> None:
    say = SmartLiveCommandOperator(
        task_id="say", job_id="1", room_id=ROOM, command="INSERT_PLAY_SCRIPT", command_params=params
    )
    context: Any = a_context(supervisor, task_id="say")
    with pytest.raises(AirflowFailException) as caught:
        say.execute(context)
    assert text in str(caught.value)
