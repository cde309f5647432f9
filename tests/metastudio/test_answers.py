from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from airflow_provider_smartlive.metastudio.base import _note_once, decode_json
from airflow_provider_smartlive.metastudio.commands import CommandResponse
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
    "relation_live_platform_info": {
        "platform_id": "p-1",
        "platform": "meituan",
        "account": "fake-account",
        "live_id": "l-1",
    },
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


def test_the_live_platform_of_a_job_is_read() -> None:
    platform = SmartLiveJob.from_body(encoded(SHOWN)).relation_live_platform_info
    assert platform is not None
    assert (platform.platform_id, platform.platform, platform.live_id) == ("p-1", "meituan", "l-1")
    assert platform.account == "fake-account"


def test_texts_of_a_job_are_safe_wherever_they_go() -> None:
    """Into logs, exceptions, results and databases, which refuse a NUL."""
    raw = "push to rtmp://push.example.com/live/fake-key\x00 failed,\n\x1b[31mstream_key: fake-key1"
    shown = "push to rtmp://push.example.com/*** failed, stream_key: ***"
    job = SmartLiveJob.from_body(
        encoded(
            {
                "job_id": "j",
                "state": "BLOCKED",
                "room_name": "Night\x00 show\u202e\x1b[2J",
                "block_reason": raw,
                "error_info": {"error_code": "MSS.1\n", "error_msg": raw},
            }
        )
    )
    assert job.room_name == "Night show"
    assert job.block_reason == shown
    assert job.error_info is not None
    assert (job.error_info.error_code, job.error_info.error_msg) == ("MSS.1", shown)


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


# -- answers are read leniently: only what is needed can make them unreadable

#: Wrong types of everything that nobody needs, and a value each that must not be repeated.
ODD: list[tuple[str, Any]] = [
    ("duration", "1h"),
    ("stream_duration", "fake"),
    ("stream_duration", float("nan")),
    ("stream_duration", float("inf")),
    ("co_streamer_config", ""),
    ("co_streamer_config", {"voice_config": "fake"}),
    ("live_job_log", []),
    ("live_job_log", {"scripts_records_url": 5}),
    ("error_info", "fake"),
    ("is_ai_mark_on", "UNKNOWN"),
    ("cover_url", {"u": 1}),
    ("relation_live_platform_info", []),
    ("rtc_room_info", "fake"),
    ("rtc_room_info", {"users": "fake"}),
    ("rtc_room_info", {"users": [None, 1, "fake", []]}),
    ("used_resource_type", 3),
    ("state", None),
    ("state", ["fake"]),
    ("room_id", 5),
    ("room_name", 5),
    ("create_time", "2021-01-10 08:43:17 or so"),
    ("live_event_callback_config", "fake"),
    ("live_event_callback_config", {"callback_event_type": "fake"}),
    ("live_event_report_url", {"fake": 1}),
]


@pytest.mark.parametrize(("field", "value"), ODD)
def test_a_field_of_a_wrong_type_is_absent(field: str, value: Any) -> None:
    odd = {"job_id": "j", "state": "PROCESSING", field: value}
    whole = SmartLiveJob.from_body(encoded(odd))
    page = JobList.from_body(encoded({"count": 2, "smart_live_jobs": [SHOWN, odd]}))
    assert [job.job_id for job in page.smart_live_jobs] == [JOB_ID, "j"]
    assert page.smart_live_jobs[0] == SmartLiveJob.from_body(encoded(SHOWN))
    assert page.smart_live_jobs[1] == whole
    assert "fake" not in repr(whole)
    if not isinstance(value, dict):
        assert whole == SmartLiveJob.from_body(encoded(odd | {field: None}))


def test_the_rest_of_a_part_with_an_odd_field_is_read() -> None:
    job = SmartLiveJob.from_body(encoded(SHOWN | {"error_info": {"error_code": "MSS.1", "error_msg": {}}}))
    assert job.error_info is not None
    assert (job.error_info.error_code, job.error_info.error_msg) == ("MSS.1", None)


@pytest.mark.parametrize("entry", [None, "fake", 5, [], ["fake"], {}, {"job_id": 5}, {"job_id": "j" * 65}])
def test_an_odd_entry_of_a_page_is_left_out(entry: object) -> None:
    page = JobList.from_body(encoded({"count": 3, "smart_live_jobs": [entry, SHOWN, entry]}))
    assert [job.job_id for job in page.smart_live_jobs] == [JOB_ID]
    assert page.found == 3  # the next page starts behind all of them


def test_what_is_left_out_is_said_once_without_the_value(caplog: pytest.LogCaptureFixture) -> None:
    _note_once.cache_clear()
    odd = SHOWN | {"duration": "fake-duration"}
    body = encoded({"count": 3, "smart_live_jobs": [odd, odd, {"job_id": ["fake-id"]}]})
    with caplog.at_level(logging.WARNING):
        JobList.from_body(body)
        JobList.from_body(body)
    told = [record.getMessage() for record in caplog.records]
    assert len([text for text in told if "SmartLiveJob.duration cannot be read (float_parsing)" in text]) == 1
    assert len([text for text in told if "an entry of a list cannot be read (string_type)" in text]) == 1
    assert "fake" not in "".join(told)


@pytest.mark.parametrize(
    "body",
    [
        b'{"count": 3, "smart_live_jobs": "fake"}',
        b'{"count": 3, "smart_live_jobs": {"fake": 1}}',
        b'{"smart_live_jobs": null}',
        b'{"count": "fake"}',
        b"{}",
        b"[]",
        b"[" * 100_000,
    ],
)
def test_an_answer_that_is_no_page_is_not_an_empty_one(body: bytes) -> None:
    with pytest.raises(ValueError, match="JobList") as caught:
        JobList.from_body(body)
    assert "fake" not in str(caught.value)


@pytest.mark.parametrize("body", [b'"\xff"', b'"a\x00\n\tb"', b'"\\ud83d"'])
def test_sloppy_text_of_one_job_does_not_hide_the_others(body: bytes) -> None:
    jobs = b'{"job_id": "i", "state": "WAITING", "room_name": ' + body + b'}, {"job_id": "j"}'
    page = JobList.from_body(b'\xef\xbb\xbf{"count": 2, "smart_live_jobs": [' + jobs + b"]}")
    assert [job.job_id for job in page.smart_live_jobs] == ["i", "j"]
    assert page.smart_live_jobs[0].room_name
    assert page.smart_live_jobs[0].room_name.encode()  # it can be logged and stored


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"a\\u0000b"', "ab"),
        ('"a\0b"', "ab"),
        ('["\\ud83d", {"\\u0000k": "\\uD83D\\uDE00"}]', ["?", {"k": "😀"}]),
        ('"\\\\u0000"', "\\u0000"),  # a backslash and digits
    ],
)
def test_what_no_database_takes_is_left_out(text: str, value: object) -> None:
    assert decode_json(text) == value
    assert CommandResponse(result=text).decoded_result() == value


@pytest.mark.parametrize("name", [name for name in STARTED if name != "job_id"])
def test_a_start_needs_no_more_than_the_id_of_its_job(name: str) -> None:
    """Else an odd answer would make the start "ambiguous", and its task look for a job that it has."""
    odd = ["fake"] if isinstance(STARTED[name], dict) else {"fake": 1}
    assert StartJobResponse.from_body(encoded(STARTED | {name: odd})).job_id == JOB_ID


def test_odd_answers_of_commands_and_rooms() -> None:
    said = CommandResponse.from_body(b'{"command_id": 5, "command": "FAKE", "result": {"a": 1}}')
    assert (said.command_id, said.command, said.result) == (None, "FAKE", None)
    room = {"room_id": "r", "room_name": 5, "stream_keys": ["fake-key", 7], "output_urls": "fake"}
    page = RoomList.from_body(encoded({"count": 2, "smart_live_rooms": [None, room]}))
    assert page.smart_live_rooms == [Room.model_validate({"room_id": "r", "stream_keys": ["fake-key"]})]
