"""The request of a task: what goes in, what is refused, and the backstop that is always in it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.url import CallbackTarget, IssuedUrl, issue
from airflow_provider_smartlive.livestream import request
from airflow_provider_smartlive.livestream.rtmp_output import RtmpOutput
from airflow_provider_smartlive.metastudio.callback_auth import AuthType

KEY = "fake-stream-key-0001"


def body(fields: dict[str, Any] | None = None, **more: Any) -> Any:
    """Return what would be sent."""
    built = request.build(fields or {}, **{"max_live_duration": 24} | more)
    return json.loads(built.to_body())


def issued() -> IssuedUrl:
    return issue(
        CallbackTarget(TaskRef("dag", "run", "task"), "0", 0),
        base_url="https://airflow.example.com",
        secrets=("fake-callback-secret-for-tests-only-0001",),
        auth_type=AuthType.MSS_A_HEAD,
    )


def test_an_empty_request_still_has_the_backstop() -> None:
    assert body() == {"play_policy": {"live_exit_config": {"max_live_duration": 24}}}


@pytest.mark.parametrize(
    ("play_policy", "hours"),
    [
        ({"repeat_count": 2}, 24),
        ({"live_exit_config": {"auto_stop_mode": "SCENE_END"}}, 24),
        ({"live_exit_config": {"max_live_duration": 3}}, 3),
        ({"live_exit_config": {"max_live_duration": 0}}, 24),
        ({"live_exit_config": None}, 24),
        (None, 24),
    ],
)
def test_the_backstop_gives_way_to_the_requests_own_but_never_to_none(
    play_policy: dict[str, Any] | None, hours: int
) -> None:
    sent = body({"play_policy": play_policy})["play_policy"]
    assert sent["live_exit_config"]["max_live_duration"] == hours
    for name, value in (play_policy or {}).items():
        if name != "live_exit_config":
            assert sent[name] == value


def test_the_arguments_of_the_task_are_left_as_they_are() -> None:
    fields = {"play_policy": {"live_exit_config": {"auto_stop_mode": "SCENE_END"}}}
    body(fields)
    assert fields == {"play_policy": {"live_exit_config": {"auto_stop_mode": "SCENE_END"}}}


def test_outputs_come_with_their_keys_in_the_same_order() -> None:
    rtmp_outputs = [
        RtmpOutput("one", "rtmp://one.example.com/live", KEY),
        RtmpOutput("two", "rtmp://two.example.com/live/in-url", None),
    ]
    sent = body(rtmp_outputs=rtmp_outputs)
    assert sent["output_urls"] == ["rtmp://one.example.com/live", "rtmp://two.example.com/live/in-url"]
    assert sent["stream_keys"] == [KEY, ""]


def test_without_outputs_the_rooms_own_count() -> None:
    assert not {"output_urls", "stream_keys"} & body().keys()


def test_callbacks_are_subscribed_to() -> None:
    target = issued()
    assert body(issued=target)["live_event_callback_config"] == {
        "live_event_type_callback_url": target.url,
        "auth_type": "MSS_A_HEAD",
        "key": target.key,
        "callback_event_type": ["RTMP_STREAM_STATE_CHANGE", "SHOOT_SCRIPT_SWITCH", "REPLY_COMMAND_FINISH"],
    }


def test_to_fewer_events_too() -> None:
    sent = body(issued=issued(), event_types=["RTMP_STREAM_STATE_CHANGE"])
    assert sent["live_event_callback_config"]["callback_event_type"] == ["RTMP_STREAM_STATE_CHANGE"]


def test_without_callbacks_nothing_is_subscribed_to() -> None:
    assert "live_event_callback_config" not in body()


def test_the_interaction_url_goes_along() -> None:
    assert body(interaction_callback_url="https://x.example.com/y")["interaction_callback_url"] == (
        "https://x.example.com/y"
    )


@pytest.mark.parametrize(
    ("field", "way_out"),
    [
        ("output_urls", "output_conn_ids"),
        ("stream_keys", "output_conn_ids"),
        ("interaction_callback_url", "interaction_conn_id"),
        ("live_event_callback_config", "use_callbacks=False"),
    ],
)
def test_what_airflow_would_store_and_show_is_refused_with_the_way_out(field: str, way_out: str) -> None:
    with pytest.raises(ValueError, match=rf"request\.{field} is refused: .*{way_out}") as error:
        body({field: [f"rtmp://push.example.com/live/{KEY}"]})
    assert KEY not in str(error.value)


def test_none_means_absent() -> None:
    assert body({"output_urls": None, "view_mode": None}).keys() == {"play_policy"}


def test_what_breaks_a_documented_limit_is_named_without_its_value() -> None:
    with pytest.raises(ValueError, match=r"play_policy\.repeat_count") as error:
        body({"play_policy": {"repeat_count": 101}})
    assert "101" not in str(error.value)


def test_what_the_api_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="colour"):
        body({"colour": "red"})


def test_repr_shows_no_secret() -> None:
    target = issued()
    built = request.build(
        {},
        rtmp_outputs=[RtmpOutput("one", f"rtmp://one.example.com/live/{KEY}", KEY)],
        issued=target,
        max_live_duration=1,
    )
    shown = repr(built)
    assert not [secret for secret in (KEY, target.url, target.key) if secret in shown]


@pytest.mark.parametrize(
    ("wanted", "hours"),
    [
        (timedelta(minutes=1), 2),
        (timedelta(hours=2), 3),
        (timedelta(hours=2, seconds=1), 4),
        (timedelta(hours=167), 168),
        (timedelta(hours=500), 168),
        (timedelta(hours=-5), 1),
        (None, 24),
    ],
)
def test_metastudio_ends_a_job_an_hour_after_we_should_have(wanted: timedelta | None, hours: int) -> None:
    assert request.hours_to_live(wanted, cap=24) == hours


@pytest.mark.parametrize(("cap", "hours"), [(0, 1), (-3, 1), (12, 12), (1000, 168)])
def test_the_setting_is_held_to_what_metastudio_takes(cap: int, hours: int) -> None:
    assert request.hours_to_live(None, cap=cap) == hours
