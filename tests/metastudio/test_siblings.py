"""The requests of the operations beside start: commands, event reports, rooms, IAM tokens."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from airflow_provider_smartlive.metastudio.commands import (
    Command,
    CommandRequest,
    CommandResponse,
    PlayText,
    SpokenText,
)
from airflow_provider_smartlive.metastudio.iam import TOKEN_HEADER, Token, TokenRequest
from airflow_provider_smartlive.metastudio.play import LiveExitConfig
from airflow_provider_smartlive.metastudio.reports import LiveEvent, LiveEventType, ReportResponse, reports
from airflow_provider_smartlive.metastudio.rooms import CreateRoomRequest

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)

PARAMS: dict[Command, dict[str, Any]] = {
    Command.INSERT_PLAY_SCRIPT: {
        "text_config": {"text": "Welcome!"},
        "play_type": "PLAY_NOW",
        "play_role": "STREAMER",
        "rule_index": "1",
    },
    Command.INSERT_PLAY_AUDIO: {"audio_url": "https://h.example.com/fake.mp3", "play_type": "APPEND"},
    Command.REWRITE_PLAY_SCRIPT: {
        "scene_scripts": [
            {"script_name": "Scene", "shoot_scripts": [{"title": "One", "text_config": {"text": "Hello"}}]}
        ]
    },
    Command.REWRITE_INTERACTION_RULES: {
        "interaction_rules": [
            {
                "rule_name": "Price",
                "event_type": 1,
                "hit_condition": {
                    "relation": "AND",
                    "tags": [{"tag": "content", "match": "REGEX", "value": "price"}],
                },
                "trigger": {"reply_mode": "SYSTEM_REPLY", "reply_texts": ["Ten."], "reply_order": "RANDOM"},
            }
        ]
    },
    Command.RESET_EXIT_CONFIG: {
        "max_live_duration": 168,
        "auto_stop_mode": "FORCE_EXIT",
        "max_exception_waiting_duration": 60,
    },
}


@pytest.mark.parametrize("command", PARAMS)
def test_documented_parameters_are_typed(command: Command) -> None:
    request = CommandRequest(command=command, params=PARAMS[command])
    assert type(request.params) is CommandRequest.PARAMS[command]
    assert json.loads(request.to_body()) == {"command": command, "params": PARAMS[command]}
    with pytest.raises(ValidationError, match="no_such_field"):
        CommandRequest(command=command, params={"no_such_field": "fake"})
    assert "fake" not in repr(request)


def test_parameters_may_be_built_from_models() -> None:
    params = PlayText(text_config=SpokenText(text="Welcome!"))
    request = CommandRequest(command=Command.INSERT_PLAY_SCRIPT, params=params)
    assert request.to_body() == (
        b'{"command":"INSERT_PLAY_SCRIPT","params":{"text_config":{"text":"Welcome!"}}}'
    )
    with pytest.raises(ValidationError, match="params"):
        CommandRequest(command=Command.INSERT_PLAY_SCRIPT, params=LiveExitConfig())


@pytest.mark.parametrize(
    "command", ["REFRESH_OUTPUT_URL", "SHOW_LAYER", "CLEAN_UP_INSERT_COMMAND", "NEW_COMMAND"]
)
def test_other_parameters_are_free(command: str) -> None:
    request = CommandRequest(command=command, params={"anything": ["fake", None]})
    assert json.loads(request.to_body()) == {"command": command, "params": {"anything": ["fake", None]}}
    assert "fake" not in repr(request)


def test_a_command_needs_no_parameters() -> None:
    request = CommandRequest(command=Command.GET_CURRENT_PLAYING_SCRIPTS)
    assert request.to_body() == b'{"command":"GET_CURRENT_PLAYING_SCRIPTS"}'


def test_the_answer_to_a_command() -> None:
    answer = CommandResponse.from_body(
        b'{"command_id": "c", "command": "GET_LIVE_JOB_CONFIG_INFO", "result": "{\\"key\\": \\"fake\\"}"}'
    )
    assert answer.command is Command.GET_LIVE_JOB_CONFIG_INFO
    assert answer.decoded_result() == {"key": "fake"}
    assert "fake" not in repr(answer)
    assert CommandResponse.from_body(b"{}").decoded_result() is None


def comment(number: int) -> LiveEvent:
    return LiveEvent.of(LiveEventType.COMMENT, {"user": {"userId": str(number)}, "content": "价格?"}, at=NOW)


def test_live_event() -> None:
    event = comment(1)
    assert (event.timestamp, event.type) == (1795348800000, 1)
    assert event.content is not None
    assert json.loads(event.content) == {"user": {"userId": "1"}, "content": "价格?"}
    with pytest.raises(ValidationError, match="content"):
        LiveEvent.of(LiveEventType.COMMENT, {"content": "x" * 4096}, at=NOW)


@pytest.mark.parametrize(
    ("count", "totals"), [(0, []), (1, [1]), (1000, [1000]), (1001, [1000, 1]), (2500, [1000, 1000, 500])]
)
def test_reports_carry_up_to_1000_events_in_order(count: int, totals: list[int]) -> None:
    bodies = [json.loads(report.to_body()) for report in reports(comment(number) for number in range(count))]
    assert [body["total"] for body in bodies] == totals
    assert all(len(body["events"]) == body["total"] for body in bodies)
    users = [json.loads(event["content"])["user"]["userId"] for body in bodies for event in body["events"]]
    assert users == [str(number) for number in range(count)]


def test_a_refreshed_report_url_is_not_shown() -> None:
    answer = ReportResponse.from_body(b'{"live_event_report_url": "https://h.example.com/?auth_key=fake"}')
    assert answer.live_event_report_url == "https://h.example.com/?auth_key=fake"
    assert "fake" not in repr(answer)


def test_room_request() -> None:
    given: dict[str, Any] = {
        "room_name": "夜间",
        "room_type": "TEMP",
        "scene_scripts": PARAMS[Command.REWRITE_PLAY_SCRIPT]["scene_scripts"],
        "interaction_rules": PARAMS[Command.REWRITE_INTERACTION_RULES]["interaction_rules"],
        "video_config": {"codec": "H264", "bitrate": 4000, "width": 1080, "height": 1920},
        "output_urls": ["rtmp://push.example.com/live"],
        "stream_keys": ["fake-key"],
        "live_event_callback_config": {"auth_type": "NONE", "is_inheritance_platform_callback": True},
    }
    request = CreateRoomRequest(**given)
    assert json.loads(request.to_body()) == given
    assert "fake" not in repr(request)
    with pytest.raises(ValidationError, match="stream_keys has"):
        CreateRoomRequest(room_name="n", stream_keys=["fake"])


def test_token_request() -> None:
    request = TokenRequest(domain="ACCOUNT", user="USER", password="fake-password", project_id="P")
    assert json.loads(request.to_body()) == {
        "auth": {
            "identity": {
                "methods": ["password"],
                "password": {
                    "user": {"domain": {"name": "ACCOUNT"}, "name": "USER", "password": "fake-password"}
                },
            },
            "scope": {"project": {"id": "P"}},
        }
    }
    assert "fake" not in repr(request)


def test_token_answer() -> None:
    body = b'{"token": {"expires_at": "2026-11-23T12:00:00.000000Z", "methods": ["password"], "user": {}}}'
    token = Token.from_answer({TOKEN_HEADER.upper(): "fake-token"}, body)
    assert token == Token("fake-token", datetime(2026, 11, 23, 12, tzinfo=UTC))
    assert "fake" not in repr(token)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b'{"token": {"expires_at": "2026-11-23T12:00:00Z"}}'),
        ({TOKEN_HEADER: "fake"}, b"fake"),
        ({TOKEN_HEADER: "fake"}, b'{"token": {}}'),
        ({TOKEN_HEADER: "fake"}, b'{"token": {"expires_at": "fake"}}'),
        ({TOKEN_HEADER: "fake"}, b'{"token": {"expires_at": "2026-11-23T12:00:00"}}'),
    ],
)
def test_unreadable_token_answers(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(ValueError, match=r"X-Subject-Token|token|JSON") as caught:
        Token.from_answer(headers, body)
    assert "fake" not in str(caught.value)
