from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from airflow_provider_smartlive.metastudio.jobs import (
    JobList,
    JobState,
    LiveWarningInfo,
    RtcUserType,
    SmartLiveJob,
    StartJobResponse,
    WarningType,
)
from airflow_provider_smartlive.metastudio.rooms import CreateRoomResponse, Room, RoomList, RoomState

JOB_ID = "26f06524-4f75-4b3a-a853-b649a21aaf66"

STARTED: dict[str, Any] = {
    "job_id": JOB_ID,
    "rtc_room_info": {
        "app_id": "app-1",
        "room_id": "rtc-1",
        "users": [
            {"user_type": "PLAYER", "user_id": "u-1", "signature": "fake-signature", "ctime": 1795000000},
            {"user_type": "NEW_PART", "user_id": "u-2", "signature": "fake-signature", "new": "fake-extra"},
        ],
    },
    "live_event_report_url": "https://h.example.com/?auth_key=fake",
    "live_event_callback_config": {
        "live_event_type_callback_url": "https://airflow.example.com/fake",
        "auth_type": "MSS_Z",
        "key": "fake-key",
        "callback_event_type": ["RTMP_STREAM_STATE_CHANGE", "NEW_EVENT"],
    },
    "live_warning_info": [{"warning_type": "TOO_LESSS_SCRIPT_ITEMS"}, {"warning_type": "NEW_WARNING"}],
    "limit_duration": 2,
    "new_secret": "fake-extra",
}

SHOWN: dict[str, Any] = {
    "job_id": JOB_ID,
    "room_id": "24bad716-87b1-45e5-8912-6102f7693265",
    "room_name": "夜间",
    "state": "FAILED",
    "duration": 61.5,
    "start_time": "2021-01-10T08:43:17Z",
    "end_time": "2021-01-10T09:43:17Z",
    "error_info": {"error_code": "MSS.42000007", "error_msg": "inference error"},
    "create_time": "2021-01-10T08:43:00Z",
    "lastupdate_time": "2021-01-10 08:43:17 or so",
    "rtc_room_info": None,
    "stream_duration": 0,
    "live_job_log": {"scripts_records_url": "https://h.example.com/fake"},
    "co_streamer_config": {"voice_config": {"voice_asset_id": "v", "speed": 1000}, "streamer_action": "SING"},
    "rtc_callback_config": {"rtc_callback_event_type": ["LIVE_PROGRESS"]},
    "relation_live_platform_info": {"platform": "x", "account": "fake-account"},
    "used_resource_type": "UNKNOW",
    "is_ai_mark_on": True,
}


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


def test_start_is_read_with_what_is_not_known() -> None:
    started = StartJobResponse.from_body(encoded(STARTED), request_id="r-1")
    assert started.job_id == JOB_ID
    assert started.request_id == "r-1"
    assert started.rtc_room_info is not None
    first, second = started.rtc_room_info.users
    assert (first.user_type, first.signature, first.ctime) == (
        RtcUserType.PLAYER,
        "fake-signature",
        1795000000,
    )
    assert second.user_type == "NEW_PART"
    assert second.model_extra == {"new": "fake-extra"}
    assert [warning.warning_type for warning in started.live_warning_info] == [
        WarningType.TOO_LESSS_SCRIPT_ITEMS,
        "NEW_WARNING",
    ]
    echo = started.live_event_callback_config
    assert echo is not None
    assert (echo.auth_type, echo.key) == ("MSS_Z", "fake-key")
    assert echo.callback_event_type == ["RTMP_STREAM_STATE_CHANGE", "NEW_EVENT"]
    assert started.model_extra == {"new_secret": "fake-extra"}


def test_job_is_read() -> None:
    job = SmartLiveJob.from_body(encoded(SHOWN))
    assert job.state is JobState.FAILED
    assert job.start_time == datetime(2021, 1, 10, 8, 43, 17, tzinfo=UTC)
    assert job.lastupdate_time is None  # a job must not get lost for the spelling of a date
    assert job.error_info is not None
    assert job.error_info.error_code == "MSS.42000007"
    assert job.co_streamer_config is not None
    assert job.co_streamer_config.streamer_action == "SING"
    assert (job.duration, job.stream_duration) == (61.5, 0.0)


def test_null_means_absent() -> None:
    nothing = {name: None for name in SmartLiveJob.model_fields if name not in ("job_id", "state")}
    job = SmartLiveJob.from_body(encoded({"job_id": "j", "state": "WAITING", **nothing}))
    assert job == SmartLiveJob(job_id="j", state=JobState.WAITING)
    assert StartJobResponse.from_body(b'{"job_id": "j", "live_warning_info": null}').live_warning_info == []


@pytest.mark.parametrize(
    ("state", "final"),
    [
        ("WAITING", False),
        ("PROCESSING", False),
        ("SUCCEED", True),
        ("FAILED", True),
        ("BLOCKED", True),
        # A state that is not known may still cost money.
        ("PAUSED", False),
    ],
)
def test_final_states(state: str, final: bool) -> None:
    job = SmartLiveJob.from_body(encoded({"job_id": "j", "state": state}))
    assert job.state == state
    assert (job.is_final, job.is_active) == (final, not final)


def test_secrets_are_not_shown() -> None:
    for answer in (StartJobResponse.from_body(encoded(STARTED)), SmartLiveJob.from_body(encoded(SHOWN))):
        for shown in (repr(answer), str(answer)):
            assert JOB_ID in shown
            assert "fake" not in shown


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>fake</html>",
        b"[]",
        b"{}",
        b'{"job_id": ""}',
        b'{"job_id": null}',
        b'{"job_id": ["fake"]}',
    ],
)
def test_unreadable_answers_are_value_errors_without_the_input(body: bytes) -> None:
    with pytest.raises(ValueError, match="StartJobResponse") as caught:
        StartJobResponse.from_body(body)
    assert "fake" not in str(caught.value)


def test_answers_do_not_change() -> None:
    job = SmartLiveJob(job_id="j", state=JobState.WAITING)
    with pytest.raises(ValidationError, match="frozen"):
        job.state = JobState.SUCCEED  # type: ignore[misc]  # mypy says so too


def test_lists() -> None:
    jobs = JobList.from_body(
        encoded({"count": 101, "smart_live_jobs": [SHOWN, {"job_id": "j", "state": "X"}]})
    )
    assert jobs.count == 101
    assert [job.state for job in jobs.smart_live_jobs] == ["FAILED", "X"]
    assert JobList.from_body(b'{"count": 0}').smart_live_jobs == []


def test_warning_info() -> None:
    info = LiveWarningInfo.from_body(b'{"live_warning_info": [{"warning_type": "RANDOM_PLAY_CLOSED"}]}')
    assert [warning.warning_type for warning in info.live_warning_info] == [WarningType.RANDOM_PLAY_CLOSED]


def test_rooms() -> None:
    assert CreateRoomResponse.from_body(b'{"room_id": "r"}').room_id == "r"
    shown = {
        "room_id": "r",
        "room_name": "夜间",
        "room_type": "NEW_TYPE",
        "room_state": "BLOCKED",
        "error_info": {"error_code": "X.1", "error_msg": "frozen"},
        "last_job_status": "CANCELED",
        "last_job_start_time": "2021-01-10T08:43:17Z",
        "output_urls": ["rtmp://h/fake"],
        "stream_keys": ["fake-key"],
        "live_event_callback_config": {"key": "fake"},
        "scene_scripts": [{"script_name": "fake"}],
    }
    room = Room.from_body(encoded(shown))
    assert (room.room_type, room.room_state, room.last_job_status) == (
        "NEW_TYPE",
        RoomState.BLOCKED,
        "CANCELED",
    )
    assert room.stream_keys == ["fake-key"]
    assert room.model_extra == {"scene_scripts": [{"script_name": "fake"}]}
    assert "fake" not in repr(room)
    assert RoomList.from_body(encoded({"count": 1, "smart_live_rooms": [shown]})).smart_live_rooms == [room]
