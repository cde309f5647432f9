from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from airflow_provider_smartlive.metastudio.start import StartJobRequest

VIDEO = {"bitrate": 4000, "width": 1080, "height": 1920}

#: A value for every field, as a user would write them.
EVERYTHING: dict[str, Any] = {
    "video_config": {
        "clip_mode": "CROP",
        "codec": "H264",
        "bitrate": 4000,
        "width": 1080,
        "height": 1920,
        "frame_rate": "25",
        "is_subtitle_enable": True,
        "subtitle_config": {
            "dx": 1,
            "dy": 2,
            "font_name": "HarmonyOS_Sans_SC_Black",
            "font_size": 54,
            "h": 3,
            "w": 4,
            "font_color": "#FFFFFF",
            "stroke_color": "#000000",
            "stroke_thickness": 1.5,
            "opacity": 0.5,
        },
        "dx": 0,
        "dy": -1,
        "is_enable_super_resolution": False,
        "is_end_at_first_frame": False,
        "output_external_url": "https://files.example.com/fake-upload",
        "is_vocabulary_config_enable": False,
    },
    "play_policy": {
        "repeat_count": -1,
        "auto_play_script": True,
        "play_mode": "TEXT",
        "random_play_mode": "SCRIPT_ITEM",
        "need_independent_capture_client": False,
        "live_exit_config": {
            "max_live_duration": 168,
            "auto_stop_mode": "FORCE_EXIT",
            "max_exception_waiting_duration": 60,
        },
        "is_rewrite_delay": False,
    },
    "output_urls": ["rtmp://push.example.com/live/fake-in-url"],
    "stream_keys": ["fake-stream-key"],
    "interaction_callback_url": "https://chat.example.com/?secret=fake",
    "live_event_callback_config": {
        "live_event_type_callback_url": "https://airflow.example.com/fake-callback",
        "auth_type": "MSS_A_HEAD",
        "key": "fake-callback-key",
        "callback_event_type": ["RTMP_STREAM_STATE_CHANGE"],
    },
    "rtc_callback_config": {"rtc_callback_event_type": ["LIVE_PROGRESS", "REPLY_COMMAND_FINISH"]},
    "view_mode": "VERTICAL",
    "co_streamer_config": {
        "voice_config": {"voice_asset_id": "voice-1", "speed": 100, "pitch": 100, "volume": 140},
        "streamer_action": "VOLUME_DOWN",
    },
    "job_run_config": {"allow_resource_type": "UNLIMITED", "single_job_in_room": True},
}


def with_value(path: str, value: object) -> dict[str, Any]:
    """Everything, with one field changed."""
    request: dict[str, Any] = json.loads(json.dumps(EVERYTHING))
    *parents, name = path.split(".")
    inner = request
    for parent in parents:
        inner = inner[parent]
    inner[name] = value
    return request


def test_everything_is_sent_as_it_was_given() -> None:
    request = StartJobRequest(**EVERYTHING)
    assert json.loads(request.to_body()) == EVERYTHING
    assert StartJobRequest.model_validate_json(request.to_body()) == request


def test_every_field_of_the_models_has_a_value_in_this_test() -> None:
    def leaves(model: Any) -> set[str]:
        return {name for name in type(model).model_fields if getattr(model, name) is None}

    request = StartJobRequest(**EVERYTHING)
    nested = [
        request,
        request.video_config,
        request.video_config and request.video_config.subtitle_config,
        request.play_policy,
        request.play_policy and request.play_policy.live_exit_config,
        request.live_event_callback_config,
        request.rtc_callback_config,
        request.co_streamer_config,
        request.co_streamer_config and request.co_streamer_config.voice_config,
        request.job_run_config,
    ]
    without = [name for model in nested for name in sorted(leaves(model))]
    assert without == [], "give it a value in EVERYTHING, above"


def test_fields_without_a_value_are_left_out() -> None:
    assert StartJobRequest().to_body() == b"{}"
    assert StartJobRequest(view_mode=None, play_policy={}).to_body() == b'{"play_policy":{}}'


def test_codec_is_always_sent() -> None:
    body = json.loads(StartJobRequest(video_config=VIDEO).to_body())
    assert body == {"video_config": {"codec": "H264", **VIDEO}}


@pytest.mark.parametrize("name", ["bitrate", "width", "height"])
def test_mandatory_fields_of_the_video(name: str) -> None:
    video = {key: value for key, value in VIDEO.items() if key != name}
    with pytest.raises(ValidationError, match=f"video_config.{name}"):
        StartJobRequest(video_config=video)


@pytest.mark.parametrize(
    ("path", "low", "high"),
    [
        ("video_config.bitrate", 40, 30000),
        ("video_config.width", 0, 3840),
        ("video_config.height", 0, 3840),
        ("video_config.dx", -1920, 3840),
        ("video_config.dy", -1920, 3840),
        ("video_config.subtitle_config.dx", 0, 1920),
        ("video_config.subtitle_config.dy", 0, 1920),
        ("video_config.subtitle_config.h", 0, 1920),
        ("video_config.subtitle_config.w", 0, 1920),
        ("video_config.subtitle_config.font_size", 0, 120),
        ("video_config.subtitle_config.stroke_thickness", 0, 50),
        ("video_config.subtitle_config.opacity", 0, 1),
        ("play_policy.repeat_count", -1, 100),
        ("play_policy.live_exit_config.max_live_duration", 0, 168),
        ("play_policy.live_exit_config.max_exception_waiting_duration", 0, 60),
        ("co_streamer_config.voice_config.speed", 50, 200),
        ("co_streamer_config.voice_config.pitch", 50, 200),
        ("co_streamer_config.voice_config.volume", 90, 240),
    ],
)
def test_ranges(path: str, low: int, high: int) -> None:
    for value in (low, high):
        StartJobRequest(**with_value(path, value))
    for value in (low - 1, high + 1):
        with pytest.raises(ValidationError, match=path):
            StartJobRequest(**with_value(path, value))


@pytest.mark.parametrize(
    ("path", "longest"),
    [
        ("interaction_callback_url", 2048),
        ("live_event_callback_config.live_event_type_callback_url", 2048),
        ("live_event_callback_config.key", 32),
        ("video_config.subtitle_config.font_name", 64),
        ("video_config.output_external_url", 2048),
        ("co_streamer_config.voice_config.voice_asset_id", 256),
    ],
)
def test_lengths(path: str, longest: int) -> None:
    StartJobRequest(**with_value(path, "x" * longest))
    with pytest.raises(ValidationError, match=path) as caught:
        StartJobRequest(**with_value(path, "fake" + "x" * longest))
    assert "fake" not in str(caught.value)


@pytest.mark.parametrize(
    "path",
    [
        "video_config.clip_mode",
        "video_config.codec",
        "video_config.frame_rate",
        "play_policy.play_mode",
        "play_policy.random_play_mode",
        "play_policy.live_exit_config.auto_stop_mode",
        "live_event_callback_config.auth_type",
        "view_mode",
        "co_streamer_config.streamer_action",
        "job_run_config.allow_resource_type",
    ],
)
def test_enumerations(path: str) -> None:
    with pytest.raises(ValidationError, match=path):
        StartJobRequest(**with_value(path, "NO_SUCH_VALUE"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("no_such_field", 1),
        ("video_config.no_such_field", 1),
        ("video_config.subtitle_config.font_color", "white"),
        ("video_config.subtitle_config.stroke_color", "#12345"),
        ("live_event_callback_config.callback_event_type", []),
        ("live_event_callback_config.callback_event_type", ["LIVE_PROGRESS"]),
        ("rtc_callback_config.rtc_callback_event_type", ["SHOOT_SCRIPT_SWITCH"]),
        ("co_streamer_config.voice_config.voice_asset_id", ""),
        ("output_urls", ["https://push.example.com/fake"]),
        ("output_urls", ["fake"]),
        ("output_urls", ["rtmp:///fake"]),
        ("output_urls", ["rtmp://push.example.com/" + "fake" * 300]),
        ("output_urls", ["rtmp://push.example.com/fake\n"]),
    ],
)
def test_other_mistakes_are_named_without_the_value(path: str, value: object) -> None:
    with pytest.raises(ValidationError, match=path) as caught:
        StartJobRequest(**with_value(path, value))
    assert "fake" not in str(caught.value)


@pytest.mark.parametrize(
    ("urls", "keys"),
    [(None, ["fake"]), (["rtmp://h/a"], ["fake", "fake"]), (["rtmp://h/a", "rtmp://h/b"], ["fake"])],
)
def test_stream_keys_belong_to_output_urls(urls: list[str] | None, keys: list[str]) -> None:
    with pytest.raises(ValidationError, match="stream_keys has") as caught:
        StartJobRequest(output_urls=urls, stream_keys=keys)
    assert "fake" not in str(caught.value)


@pytest.mark.parametrize("keys", [None, [], ["fake"], [""]])
def test_stream_keys_may_be_missing_or_empty(keys: list[str] | None) -> None:
    StartJobRequest(output_urls=["rtmp://push.example.com/live"], stream_keys=keys)


@pytest.mark.parametrize("clip_mode", [None, "RESIZE"])
@pytest.mark.parametrize("name", ["dx", "dy"])
def test_offsets_belong_to_a_crop(clip_mode: str | None, name: str) -> None:
    with pytest.raises(ValidationError, match="clip_mode=CROP"):
        StartJobRequest(video_config={**VIDEO, "clip_mode": clip_mode, name: 0})


def test_a_value_that_is_set_later_is_checked_too() -> None:
    request = StartJobRequest(output_urls=["rtmp://push.example.com/live"])
    with pytest.raises(ValidationError, match="output_urls"):
        request.output_urls = ["https://push.example.com"]


def test_a_livestream_as_it_should_be_has_no_warnings() -> None:
    request = StartJobRequest(
        video_config=VIDEO,
        play_policy={"live_exit_config": {"max_live_duration": 2}},
        output_urls=["rtmp://push.example.com/live"],
        stream_keys=["fake"],
        view_mode="VERTICAL",
    )
    assert request.warnings() == []
    assert StartJobRequest().warnings() == []
    assert StartJobRequest(video_config={**VIDEO, "width": 1920, "height": 1080}).warnings() == []


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("video_config.bitrate", 999, None),
        ("video_config.bitrate", 8001, None),
        ("video_config.codec", "VP9", None),
        ("video_config.width", 1081, None),
        ("video_config.height", 1080, "video_config.width"),
        ("video_config.frame_rate", "30", None),
        ("video_config.is_subtitle_enable", True, None),
        ("video_config.is_enable_super_resolution", True, None),
        ("video_config.is_end_at_first_frame", True, None),
        ("video_config.is_vocabulary_config_enable", True, None),
        ("video_config.subtitle_config.font_size", 23, None),
        ("play_policy.live_exit_config.max_exception_waiting_duration", 0, None),
        ("view_mode", "LANDSCAPE", None),
        ("live_event_callback_config.live_event_type_callback_url", "http://h.example.com/fake", None),
        ("co_streamer_config.voice_config.voice_asset_id", "x" * 65, None),
    ],
)
def test_warnings_name_the_field_once(path: str, value: object, field: str | None) -> None:
    quiet = with_value("video_config.is_subtitle_enable", False)
    assert StartJobRequest(**quiet).warnings() == []
    *parents, name = path.split(".")
    inner = quiet
    for parent in parents:
        inner = inner[parent]
    inner[name] = value
    warnings = StartJobRequest(**quiet).warnings()
    assert len(warnings) == 1
    assert warnings[0].startswith(f"{field or path}: ")
    assert "fake" not in warnings[0]


def test_a_second_output_is_warned_about() -> None:
    request = StartJobRequest(output_urls=["rtmp://h/a", "rtmp://h/b"], stream_keys=["fake-a", "fake-b"])
    (warning,) = request.warnings()
    assert warning.startswith("output_urls: ")


def test_secrets_are_not_shown() -> None:
    request = StartJobRequest(**EVERYTHING)
    assert b"fake" in request.to_body()
    for shown in (repr(request), str(request), f"{request}"):
        assert "fake" not in shown
        assert "voice-1" in shown  # what is no secret is there


def test_import_is_light() -> None:
    """A DAG file that builds a request pays for pydantic, and for nothing of Airflow or of an HTTP stack."""
    code = (
        "import sys; import airflow_provider_smartlive.metastudio.jobs; "
        "print(*sorted({'airflow', 'requests', 'aiohttp', 'httpx', 'fastapi', 'sqlalchemy'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
