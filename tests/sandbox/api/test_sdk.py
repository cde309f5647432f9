"""Huawei's own SDK client drives the sandbox over HTTP; what it answers keeps Huawei's own limits."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huaweicloudsdkmetastudio.v1 as sdk
import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException, ServerResponseException
from huaweicloudsdkcore.http.http_config import HttpConfig

from airflow_provider_smartlive.sandbox.config import Account, Config
from airflow_provider_smartlive.sandbox.options import Assumptions
from airflow_provider_smartlive.sandbox.server import ENDPOINTS
from airflow_provider_smartlive.sandbox.testing import LocalSandbox, quick_config
from tests.sandbox.published_limits import problems, success_schema

ROOM = "24bad716-87b1-45e5-8912-6102f7693265"

#: The SDK's method for each operation of the sandbox; IAM's token endpoint belongs to another SDK.
SDK_METHODS = {
    "start": "start_smart_live",
    "show": "show_smart_live",
    "stop": "stop_smart_live",
    "list": "list_smart_live",
    "list_all": "list_smart_live_jobs",
    "command": "execute_smart_live_command",
    "insert_commands": "list_insert_commands",
    "confirm_commands": "batch_confirm_live_commands",
    "rule_commands": "list_smart_live_rule_commands",
    "script_commands": "list_smart_live_script_commands",
    "report": "live_event_report",
    "create_room": "create_smart_live_room",
    "list_rooms": "list_smart_live_rooms",
    "show_room": "show_smart_live_room",
    "update_room": "update_smart_live_room",
    "delete_room": "delete_smart_live_room",
    "confirm_room": "confirm_smar_live_room",
    "warnings": "show_live_warning_info",
    "show_config": "show_smart_live_user_config",
    "update_config": "update_smart_live_user_config",
}

CALLBACK = {
    "live_event_type_callback_url": "http://127.0.0.1:9/fake-token",
    "auth_type": "MSS_A_HEAD",
    "key": "fake-callback-key-0123456789abcd",
    "callback_event_type": ["RTMP_STREAM_STATE_CHANGE"],
}

VIDEO = {"codec": "H264", "bitrate": 3000, "width": 1080, "height": 1920, "frame_rate": "25"}

REQUEST: dict[str, Any] = {
    "video_config": VIDEO,
    "play_policy": {
        "repeat_count": 1,
        "random_play_mode": "NONE",
        "live_exit_config": {"max_live_duration": 4, "auto_stop_mode": "SCENE_END"},
    },
    "output_urls": ["rtmp://push.example.com/live"],
    "stream_keys": ["fake-stream-key"],
    "live_event_callback_config": CALLBACK,
    "rtc_callback_config": {"rtc_callback_event_type": ["LIVE_PROGRESS", "REPLY_COMMAND_FINISH"]},
    "co_streamer_config": {
        "voice_config": {"voice_asset_id": "fake-voice", "speed": 100},
        "streamer_action": "SILENCE",
    },
    "view_mode": "VERTICAL",
    "job_run_config": {"allow_resource_type": "PERIOD", "single_job_in_room": True},
}

SCENES = [
    {
        "script_name": "Shoes",
        "shoot_scripts": [
            {"sequence_no": 1, "title": "Red", "text_config": {"text": "Look at these red shoes. " * 40}},
            {"sequence_no": 2, "title": "Blue", "text_config": {"text": "And these blue ones. " * 40}},
        ],
    }
]

ROOM_BODY: dict[str, Any] = {
    "room_name": "Shoe studio",
    "room_description": "Shoes around the clock",
    "scene_scripts": SCENES,
    "play_policy": {"repeat_count": -1},
    "video_config": VIDEO,
    "live_event_callback_config": {**CALLBACK, "is_inheritance_platform_callback": False},
    "priv_data": "anything",
}


class Driver:
    """Calls the SDK and checks each answer; remembers which operations it drove."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.driven: set[str] = set()
        self.validated: set[str] = set()

    def __call__(self, operation: str, **arguments: Any) -> Any:
        method = SDK_METHODS[operation]
        name = "".join(word.capitalize() for word in method.split("_"))
        answer = getattr(self._client, method)(getattr(sdk, f"{name}Request")(**arguments))
        self.driven.add(operation)
        assert answer.x_request_id
        assert len(answer.x_request_id) <= 32
        self._check_limits(operation, name, answer)
        return answer

    def _check_limits(self, operation: str, name: str, answer: Any) -> None:
        try:
            status, schema = success_schema(name)
        except KeyError:
            assert answer.status_code == 200  # the description is older than this operation
            return
        assert answer.status_code == status
        self.validated.add(operation)
        if schema is None:
            assert not answer.raw_content
        else:
            assert problems(schema, json.loads(answer.raw_content)) == []


def make_client(url: str, account: Account, **http: Any) -> Any:
    keys = BasicCredentials(account.access_key, account.secret_key, account.project_id)
    if account.security_token:
        keys.with_security_token(account.security_token)
    builder = sdk.MetaStudioClient.new_builder().with_credentials(keys).with_endpoint(url)
    return builder.with_http_config(HttpConfig(timeout=(5, 5), **http)).build()


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The SDK writes an application id into the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def drive(smartlive_sandbox: LocalSandbox) -> Driver:
    return Driver(make_client(smartlive_sandbox.url, smartlive_sandbox.account))


@pytest.fixture
def started(smartlive_sandbox: LocalSandbox, drive: Driver) -> str:
    """A job that is PROCESSING in the room ``ROOM``."""
    smartlive_sandbox.add_room(ROOM, "Studio 1", seconds=10_000)
    job_id: str = drive("start", room_id=ROOM, body=REQUEST).job_id
    until(lambda: drive("show", room_id=ROOM, job_id=job_id).state == "PROCESSING")
    return job_id


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 5 seconds"
        time.sleep(0.02)


def fields(answer: Any) -> dict[str, Any]:
    """Return all fields of an answer that the SDK knows."""
    return {name: getattr(answer, name) for name in answer.openapi_types}


def refusal(call: Callable[[], Any]) -> tuple[int, str]:
    """Return status and code of the error that a call ends with."""
    with pytest.raises((ClientRequestException, ServerResponseException)) as caught:
        call()
    assert caught.value.request_id
    return caught.value.status_code, caught.value.error_code


def test_the_sdk_drives_every_operation(smartlive_sandbox: LocalSandbox, drive: Driver) -> None:
    room_id = drive("create_room", body=ROOM_BODY).room_id
    assert drive("show_room", room_id=room_id).room_name == "Shoe studio"
    assert (
        drive("update_room", room_id=room_id, body={**ROOM_BODY, "room_name": "Hats"}).script_version == "2"
    )
    drive("confirm_room", room_id=room_id, body={"action": "confirm", "script_version": "2"})
    (listed,) = drive("list_rooms", room_name="hat", confirm_state="CONFIRMED").smart_live_rooms
    assert (listed.room_id, listed.confirm_state) == (room_id, "CONFIRMED")
    assert drive("warnings", room_id=room_id).live_warning_info is None
    drive("update_config", body={"live_exit_config": {"max_live_duration": 2}})
    assert drive("show_config").live_exit_config.max_live_duration == 2

    job_id = drive("start", room_id=room_id, body=REQUEST).job_id
    assert drive("list", room_id=room_id, state="WAITING,PROCESSING", limit=1).count == 1
    assert drive("list_all", room_name="HATS").smart_live_jobs[0].job_id == job_id
    until(lambda: drive("show", room_id=room_id, job_id=job_id).state == "PROCESSING")
    job = {"room_id": room_id, "job_id": job_id}
    words = {"text_config": {"text": "Hello " * 2000}}
    for _ in range(2):
        drive("command", **job, body={"command": "INSERT_PLAY_SCRIPT", "params": words})
    until(lambda: drive("insert_commands", **job).count == 1)
    confirmation = {"command": "REWRITE_PLAY_SCRIPT", "action": "confirm", "command_ids": ["fake"]}
    drive("confirm_commands", **job, body=confirmation)
    assert drive("rule_commands", job_id=job_id).count == drive("script_commands", job_id=job_id).count == 0
    event = {"timestamp": 1795449600000, "type": 1, "content": "{}"}
    drive("report", **job, body={"total": 1, "events": [event]})
    drive("stop", **job)
    until(lambda: drive("show", **job).state == "SUCCEED")
    drive("delete_room", room_id=room_id)

    assert drive.driven == SDK_METHODS.keys() == {operation.name for operation in ENDPOINTS} - {"token"}
    newer = {
        "warnings",
        "show_config",
        "update_config",
        "insert_commands",
        "rule_commands",
        "script_commands",
    }
    newer |= {"confirm_room", "confirm_commands"}
    assert drive.validated == drive.driven - newer  # the description does not know the newer ones


def test_start_answers_everything_that_is_documented(smartlive_sandbox: LocalSandbox, drive: Driver) -> None:
    smartlive_sandbox.add_room(ROOM, "Studio 1", seconds=3)
    answer = drive("start", room_id=ROOM, body=REQUEST)
    assert answer.live_event_callback_config.to_dict() == CALLBACK
    assert {user.user_type for user in answer.rtc_room_info.users} == {"PLAYER", "RENDER"}
    assert [warning.warning_type for warning in answer.live_warning_info] == [
        "TOO_SHORT_SCRIPT_TIME",
        "RANDOM_PLAY_CLOSED",
    ]
    assert answer.limit_duration == 4
    assert [name for name, value in fields(answer).items() if value is None] == []


def test_show_answers_everything_that_is_documented(drive: Driver, started: str) -> None:
    job = drive("show", room_id=ROOM, job_id=started)
    absent = {name for name, value in fields(job).items() if value is None}
    # There is no error, no reason of a block, no end yet; no pictures, no platform.
    assert absent == {
        "error_info",
        "block_reason",
        "end_time",
        "live_job_log",
        "cover_url",
        "relation_live_platform_info",
        "is_ai_mark_on",
    }
    assert job.used_resource_type == "PERIOD"
    assert job.co_streamer_config.voice_config.voice_asset_id == "fake-voice"


def test_a_finished_job_has_its_logs_and_a_failed_one_its_error(
    smartlive_sandbox: LocalSandbox, drive: Driver, started: str
) -> None:
    smartlive_sandbox.step(20_000)
    until(lambda: drive("show", room_id=ROOM, job_id=started).state == "SUCCEED")
    done = drive("show", room_id=ROOM, job_id=started)
    assert done.end_time
    assert all(done.live_job_log.to_dict().values())
    assert done.rtc_room_info is None

    smartlive_sandbox.add_fault(target="job", action="fail", code="MSS.42000007", message="no model")
    failed_id = drive("start", room_id=ROOM, body=REQUEST).job_id
    until(lambda: drive("show", room_id=ROOM, job_id=failed_id).state == "FAILED")
    failed = drive("show", room_id=ROOM, job_id=failed_id)
    assert failed.error_info.to_dict() == {"error_code": "MSS.42000007", "error_msg": "no model"}


def test_listings_page_sort_and_filter(smartlive_sandbox: LocalSandbox, drive: Driver) -> None:
    smartlive_sandbox.add_room(ROOM, "Studio 1", seconds=10_000)
    ids = [drive("start", room_id=ROOM, body={}).job_id for _ in range(12)]
    first = drive("list", room_id=ROOM)
    assert (first.count, [job.job_id for job in first.smart_live_jobs]) == (12, ids[:10])
    rest = drive("list", room_id=ROOM, offset=10)
    assert [job.job_id for job in rest.smart_live_jobs] == ids[10:]
    newest = drive("list", room_id=ROOM, limit=1, sort_key="create_time", sort_dir="desc")
    assert newest.smart_live_jobs[0].job_id == ids[-1]
    assert drive("list", room_id=ROOM, state="BLOCKED").smart_live_jobs is None
    assert drive("list_all", create_since="2099-01-01T00:00:00Z").count == 0
    assert drive("list_all", create_until="2099-01-01T00:00:00Z", limit=100).count == 12


COMMANDS = [
    ("INSERT_PLAY_AUDIO", {"audio_url": "https://example.com/fake.mp3"}),
    ("REWRITE_PLAY_SCRIPT", {"scene_scripts": SCENES}),
    ("REWRITE_INTERACTION_RULES", {"interaction_rules": []}),
    ("CLEAN_UP_INSERT_COMMAND", {}),
    ("RESET_EXIT_CONFIG", {"max_live_duration": 168, "auto_stop_mode": "FORCE_EXIT"}),
    ("REFRESH_OUTPUT_URL", {"output_urls": ["rtmp://other.example.com/live"]}),
]


@pytest.mark.parametrize(("command", "params"), COMMANDS)
def test_commands_are_taken(drive: Driver, started: str, command: str, params: dict[str, Any]) -> None:
    body = {"command": command, "params": params}
    answer = drive("command", room_id=ROOM, job_id=started, body=body)
    assert (answer.command, bool(answer.command_id)) == (command, True)


@pytest.mark.parametrize(
    ("command", "key"),
    [("GET_CURRENT_PLAYING_SCRIPTS", "scene_scripts"), ("GET_LIVE_JOB_CONFIG_INFO", "room_name")],
)
def test_commands_that_ask_get_json_in_a_text(drive: Driver, started: str, command: str, key: str) -> None:
    answer = drive("command", room_id=ROOM, job_id=started, body={"command": command})
    assert key in json.loads(answer.result)


BAD_STARTS: list[tuple[dict[str, Any], str]] = [
    ({"play_policy": {"repeat_count": 101}}, "MSS.00000003"),
    ({"video_config": {"codec": "H265", "bitrate": 3000, "width": 1, "height": 1}}, "MSS.00000003"),
    ({"stream_keys": ["a"]}, "MSS.00000003"),
    ({"output_urls": ["rtmp://a.example.com/x", "rtmp://b.example.com/x"]}, "MSS.00000003"),
    ({"output_urls": ["https://example.com/live"]}, "MSS.45000009"),
    ({"output_urls": ["rtmp://a.example.com/x"], "stream_keys": ["two words"]}, "MSS.45000009"),
    ({"live_event_callback_config": {"live_event_type_callback_url": "ftp://example.com"}}, "MSS.20010093"),
    ({"live_event_callback_config": {"key": "x" * 33}}, "MSS.00000003"),
]


@pytest.mark.parametrize(("body", "code"), BAD_STARTS)
def test_bad_starts_are_refused(
    smartlive_sandbox: LocalSandbox, drive: Driver, body: dict[str, Any], code: str
) -> None:
    smartlive_sandbox.add_room(ROOM)
    assert refusal(lambda: drive("start", room_id=ROOM, body=body)) == (400, code)
    assert drive("list_all").count == 0


def test_what_does_not_exist_is_refused(smartlive_sandbox: LocalSandbox, drive: Driver, started: str) -> None:
    unknown = "00000000-0000-0000-0000-000000000000"
    assert refusal(lambda: drive("show_room", room_id=unknown)) == (404, "MSS.20010045")
    assert refusal(lambda: drive("warnings", room_id=unknown)) == (400, "MSS.20010045")
    for operation in ("show", "stop"):
        code = (400, "MSS.20010074")
        assert refusal(lambda op=operation: drive(op, room_id=ROOM, job_id=unknown)) == code
        assert refusal(lambda op=operation: drive(op, room_id=unknown, job_id=started)) == code


def test_what_the_state_does_not_allow_is_refused(
    smartlive_sandbox: LocalSandbox, drive: Driver, started: str
) -> None:
    single = {"job_run_config": {"single_job_in_room": True}}
    assert refusal(lambda: drive("start", room_id=ROOM, body=single)) == (400, "MSS.20010046")
    assert refusal(lambda: drive("delete_room", room_id=ROOM)) == (400, "MSS.20020001")
    drive("stop", room_id=ROOM, job_id=started)
    until(lambda: drive("show", room_id=ROOM, job_id=started).state == "SUCCEED")
    assert refusal(lambda: drive("stop", room_id=ROOM, job_id=started)) == (400, "MSS.20020001")
    body = {"command": "CLEAN_UP_INSERT_COMMAND"}
    assert refusal(lambda: drive("command", room_id=ROOM, job_id=started, body=body)) == (400, "MSS.20020001")


def test_a_wrong_key_a_wrong_project_and_too_many_calls_are_refused(smartlive_sandbox: LocalSandbox) -> None:
    url, account = smartlive_sandbox.url, smartlive_sandbox.account
    wrong = Driver(make_client(url, Account(account.access_key, "another-fake-key", account.project_id)))
    assert refusal(lambda: wrong("list_all")) == (401, "APIGW.0301")
    foreign = Driver(make_client(url, Account(account.access_key, account.secret_key, "another-project")))
    assert refusal(lambda: foreign("list_all")) == (400, "MSS.00010009")
    smartlive_sandbox.add_fault(target="list_all", action="status", status=429, code="APIGW.0308", times=1)
    drive = Driver(make_client(url, account))
    with pytest.raises(ClientRequestException) as caught:
        drive("list_all")
    assert caught.value.status_code == 429  # the SDK drops code and request id of a 429 to a GET
    assert drive("list_all").count == 0


def test_temporary_keys_need_their_security_token() -> None:
    account = Account("FAKEACCESSKEY", "fake-secret", "fake-project", security_token="fake-security-token")
    with LocalSandbox(quick_config(account=account)) as sandbox:
        assert Driver(make_client(sandbox.url, account))("list_all").count == 0
        without = Account("FAKEACCESSKEY", "fake-secret", "fake-project")
        bare = Driver(make_client(sandbox.url, without))
        assert refusal(lambda: bare("list_all")) == (401, "APIGW.0301")


@pytest.fixture
def smartlive_sandbox_config() -> Config:
    return quick_config(any_room=False)


def test_any_room_is_made_by_whoever_looks_at_it_or_starts_in_it() -> None:
    with LocalSandbox(quick_config(any_room=True)) as sandbox:
        drive = Driver(make_client(sandbox.url, sandbox.account))
        assert drive("show_room", room_id="room-of-a-dag").room_name == "Room room-of-a-dag"
        drive("start", room_id="room-of-a-dag", body=REQUEST)
        assert drive("list_rooms").count == 1


@pytest.fixture
def arrays() -> Iterator[Driver]:
    with LocalSandbox(quick_config(assumptions=Assumptions(empty_lists="array"))) as sandbox:
        yield Driver(make_client(sandbox.url, sandbox.account))


def test_empty_lists_can_be_arrays(arrays: Driver) -> None:
    # Huawei's schema wants one item at least, so this answer does not keep its limits.
    with pytest.raises(AssertionError, match="non-empty"):
        arrays("list_all")
