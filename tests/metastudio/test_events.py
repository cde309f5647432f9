from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_smartlive.metastudio.events import (
    MAX_EVENT_DEPTH,
    CallbackEvent,
    EventType,
    LiveProgress,
    MalformedEvent,
    ReplyFinished,
    ReplyFinishNotify,
    RtcMessage,
    ScriptSwitch,
    StreamState,
    StreamStateChange,
    UnknownMessage,
)

SAMPLES = Path(__file__).parent / "samples"
ROOM = "26f065244f754b3aa853b649a21aaf66"
JOB = "e87104f76d7546ce8a46ac6b04c49c3c"
STATE_CHANGE = {
    "room_id": ROOM,
    "job_id": JOB,
    "output_url": "rtmp://push.example.com/live/fake-url-key",
    "stream_key": "fake-stream-key",
    "state": "END",
}


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def callback(message: object, event_type: str = "RTMP_STREAM_STATE_CHANGE") -> bytes:
    return json.dumps({"event_type": event_type, "message": json.dumps(message)}).encode()


def test_sample_stream_state_change() -> None:
    event = CallbackEvent.parse(sample("callback-rtmp-stream-state-change.json"))
    assert event.event_type is EventType.RTMP_STREAM_STATE_CHANGE
    assert (event.room_id, event.job_id) == (ROOM, JOB)
    assert isinstance(event.message, StreamStateChange)
    assert event.message.state is StreamState.CONNECTED
    assert event.message.output_url == "rtmp://xxx/xx/xx"
    assert event.message.stream_key.get_secret_value() == "xxxxx"


def test_sample_script_switch() -> None:
    event = CallbackEvent.parse(sample("callback-shoot-script-switch.json"))
    assert event.message == ScriptSwitch(
        room_id=ROOM,
        job_id=JOB,
        scene_script_name="Product 1",
        shoot_script_sequence_no="2",
        shoot_script_title="Paragraph 2",
    )


def test_sample_reply_finished_is_malformed_as_printed() -> None:
    with pytest.raises(MalformedEvent, match="body is not valid JSON"):
        CallbackEvent.parse(sample("callback-reply-command-finish.as-printed.txt"))
    event = CallbackEvent.parse(sample("callback-reply-command-finish.corrected.json"))
    assert event.message == ReplyFinished(room_id=ROOM, job_id=JOB, reply_id=JOB)


def test_sample_live_progress() -> None:
    message = RtcMessage.parse(sample("rtc-live-progress-notify.json"))
    assert message.message_type == "live_progress_notify"
    assert message.data == LiveProgress(
        script_name="Scene 1",
        shoot_script_sequence_no=2,
        shoot_script_title="Greeting",
        offset="247",
        reply_id=JOB,
    )


def test_sample_reply_finish_notify_is_malformed_as_printed() -> None:
    with pytest.raises(MalformedEvent, match="message is not valid JSON"):
        RtcMessage.parse(sample("rtc-reply-command-finish-notify.as-printed.txt"))
    message = RtcMessage.parse(sample("rtc-reply-command-finish-notify.corrected.json"))
    assert message.data == ReplyFinishNotify(reply_id=JOB)
    assert (
        RtcMessage.parse(
            json.dumps({"message_type": "reply_command_finish_notify", "data": {"reply_id": JOB}}).encode()
        )
        == message
    )


@pytest.mark.parametrize("state", list(StreamState))
def test_states(state: StreamState) -> None:
    event = CallbackEvent.parse(callback({**STATE_CHANGE, "state": state.value}))
    assert isinstance(event.message, StreamStateChange)
    assert event.message.state is state
    assert state.is_final is (state.value == "END")


def test_what_is_not_known_is_kept() -> None:
    event = CallbackEvent.parse(callback({**STATE_CHANGE, "state": "PAUSED", "new": 1}))
    assert isinstance(event.message, StreamStateChange)
    assert event.message.state == "PAUSED"

    event = CallbackEvent.parse(callback({"job_id": JOB, "gift": {"n": 1}}, "GIFT"))
    assert event.event_type == "GIFT"
    assert (event.room_id, event.job_id) == (None, JOB)
    assert isinstance(event.message, UnknownMessage)
    assert event.message.data == {"job_id": JOB, "gift": {"n": 1}}

    message = RtcMessage.parse(b'{"message_type": "new", "data": {"a": 1}}')
    assert isinstance(message.data, UnknownMessage)


def test_numbers_where_texts_are_documented_are_read() -> None:
    event = CallbackEvent.parse(
        callback({"room_id": 1, "job_id": 2, "shoot_script_sequence_no": 3}, "SHOOT_SCRIPT_SWITCH")
    )
    assert event.message == ScriptSwitch(room_id="1", job_id="2", shoot_script_sequence_no="3")


@pytest.mark.parametrize(
    ("event_type", "message"),
    [
        ("RTMP_STREAM_STATE_CHANGE", STATE_CHANGE),
        (
            "SHOOT_SCRIPT_SWITCH",
            {"scene_script_name": "s", "shoot_script_sequence_no": "1", "shoot_script_title": "t"},
        ),
        ("REPLY_COMMAND_FINISH", {"reply_id": "r"}),
    ],
)
def test_null_means_absent(event_type: str, message: dict[str, str]) -> None:
    message = {"room_id": ROOM, "job_id": JOB, **message}
    for name in message.keys() - {"job_id", "state", "reply_id"}:
        nulled = CallbackEvent.parse(callback({**message, name: None}, event_type))
        absent = {other: value for other, value in message.items() if other != name}
        assert nulled == CallbackEvent.parse(callback(absent, event_type))


def test_null_means_absent_in_messages_of_the_rtc_room() -> None:
    data = {"script_name": None, "offset": None, "shoot_script_title": None, "shoot_script_sequence_no": None}
    message = RtcMessage.parse(json.dumps({"message_type": "live_progress_notify", "data": data}).encode())
    assert message.data == LiveProgress()


def test_a_message_may_be_an_object() -> None:
    as_object = json.dumps({"event_type": "RTMP_STREAM_STATE_CHANGE", "message": STATE_CHANGE}).encode()
    assert CallbackEvent.parse(as_object) == CallbackEvent.parse(callback(STATE_CHANGE))


def test_a_byte_order_mark_is_skipped() -> None:
    plain = callback(STATE_CHANGE)
    inside = json.dumps({**json.loads(plain), "message": "\ufeff" + json.dumps(STATE_CHANGE)}).encode()
    for marked in (b"\xef\xbb\xbf" + plain, inside, b"\xef\xbb\xbf" + inside):
        assert CallbackEvent.parse(marked) == CallbackEvent.parse(plain)


def test_secrets_are_not_shown() -> None:
    known = CallbackEvent.parse(callback(STATE_CHANGE))
    unknown = CallbackEvent.parse(callback({"key": "fake-key"}, "NEW"))
    for shown in (repr(known), str(known), repr(unknown), str(unknown)):
        assert "fake" not in shown


DEEP = "[" * (MAX_EVENT_DEPTH + 1) + "]" * (MAX_EVENT_DEPTH + 1)


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "body is not valid JSON"),
        (b"\xff\xfe", "body is not UTF-8"),
        ('{"event_type": "X", "message": "{}"}'.encode("utf-16"), "body is not UTF-8"),
        (b"[]", "body must be a JSON object"),
        (b"null", "body must be a JSON object"),
        (b"{}", "event_type must be a text"),
        (b'{"event_type": 1, "message": "{}"}', "event_type must be a text"),
        (b'{"event_type": "", "message": "{}"}', "event_type must be a text"),
        (b'{"event_type": " ", "message": "{}"}', "event_type must be a text"),
        (b'{"event_type": "X"}', "message must be a text"),
        (b'{"event_type": "X", "message": []}', "message must be a text"),
        (b'{"event_type": "X", "message": null}', "message must be a text"),
        (b'{"event_type": "X", "message": ""}', "message must be a text"),
        (b'{"event_type": "X", "message": "fake"}', "message is not valid JSON"),
        (b'{"event_type": "X", "message": "[]"}', "message must be a JSON object"),
        (b'{"event_type": "X", "message": "{}"} fake', "body is not valid JSON"),
        (b'{"event_type": "X", "event_type": "Y", "message": "{}"}', "a name occurs twice"),
        (rb'{"event_type": "X", "message": "{\"a\": 1, \"a\": 2}"}', "a name occurs twice"),
        (b'{"event_type": "X", "message": "{}", "a": NaN}', "body is not valid JSON"),
        (b'{"event_type": "X", "message": "{}", "a": 1e999}', "body is not valid JSON"),
        (rb'{"event_type": "X", "message": "{\"a\": -Infinity}"}', "message is not valid JSON"),
        (f'{{"event_type": "X", "message": "{{}}", "a": {DEEP}}}'.encode(), "body is nested too deeply"),
        (json.dumps({"event_type": "X", "message": DEEP}).encode(), "message is nested too deeply"),
        (b'{"a":' * 100_000, "body is nested too deeply"),
        (b"[" * 100_000, "body is nested too deeply"),
        (b'{"event_type": "X", "message": "{}", "a": ' + b"9" * 5000 + b"}", "body is not valid JSON"),
        (callback({**STATE_CHANGE, "job_id": ""}), "job_id: string_too_short"),
        (callback({**STATE_CHANGE, "job_id": "x" * 65}), "job_id: string_too_long"),
        (callback({**STATE_CHANGE, "job_id": None}), "job_id: missing"),
        (callback({**STATE_CHANGE, "job_id": " "}), "job_id: string_too_short"),
        (callback({**STATE_CHANGE, "job_id": [JOB]}), "job_id: string_type"),
        (callback({**STATE_CHANGE, "state": {}}), "state"),
        (callback({"job_id": JOB, "room_id": ROOM}, "REPLY_COMMAND_FINISH"), "reply_id: missing"),
    ],
)
def test_malformed(raw: bytes, problem: str) -> None:
    with pytest.raises(MalformedEvent, match=problem) as caught:
        CallbackEvent.parse(raw)
    assert isinstance(caught.value, ValueError)
    assert "fake" not in str(caught.value)
    assert len(str(caught.value)) < 200


KNOWN_MESSAGES = [
    ("RTMP_STREAM_STATE_CHANGE", STATE_CHANGE),
    (
        "SHOOT_SCRIPT_SWITCH",
        {
            "room_id": ROOM,
            "job_id": JOB,
            "scene_script_name": "s",
            "shoot_script_sequence_no": "1",
            "shoot_script_title": "t",
        },
    ),
    ("REPLY_COMMAND_FINISH", {"room_id": ROOM, "job_id": JOB, "reply_id": "r"}),
    ("GIFT", {"room_id": ROOM, "job_id": JOB}),
]


@pytest.mark.parametrize(("event_type", "message"), KNOWN_MESSAGES)
@pytest.mark.parametrize("odd", [[], {}, True, ["x"], {"x": 1}], ids=repr)
def test_a_wrong_type_where_nobody_needs_the_field_means_absent(
    event_type: str, message: dict[str, str], odd: object
) -> None:
    needed = {"job_id", "state", "reply_id"}
    absent = {name: value for name, value in message.items() if name in needed}
    read = CallbackEvent.parse(callback(dict.fromkeys(message, odd) | absent, event_type)).message
    known = CallbackEvent.parse(callback(absent, event_type)).message
    if isinstance(known, UnknownMessage):
        assert (read.room_id, read.job_id) == (None, JOB)
    else:
        assert read == known


@pytest.mark.parametrize("room_id", ["", " ", "x" * 65])
def test_a_room_that_is_no_id_means_absent(room_id: str) -> None:
    assert CallbackEvent.parse(callback({**STATE_CHANGE, "room_id": room_id})).room_id == ""


def test_a_wrong_type_in_a_message_of_the_rtc_room_means_absent() -> None:
    data = {"script_name": [], "offset": {}, "shoot_script_title": True, "shoot_script_sequence_no": "two"}
    message = RtcMessage.parse(json.dumps({"message_type": "live_progress_notify", "data": data}).encode())
    assert message.data == LiveProgress()


@pytest.mark.parametrize(("event_type", "message"), KNOWN_MESSAGES[:3])
@pytest.mark.parametrize("spelled", [" {} ".format, str.lower, "\t{}\r\n".format])
def test_kinds_and_values_are_known_in_another_case_and_with_blanks(
    event_type: str, message: dict[str, str], spelled: Callable[[str], str]
) -> None:
    padded = {name: f" {value} " for name, value in message.items()}
    if "state" in padded:
        padded["state"] = spelled(message["state"])
    assert CallbackEvent.parse(callback(padded, spelled(event_type))) == CallbackEvent.parse(
        callback(message, event_type)
    )


def test_kinds_of_the_rtc_room_are_known_in_another_case_and_with_blanks() -> None:
    message = {"message_type": " Reply_Command_Finish_Notify ", "data": {"reply_id": f" {JOB} "}}
    assert RtcMessage.parse(json.dumps(message).encode()).data == ReplyFinishNotify(reply_id=JOB)


def test_a_state_that_is_not_known_keeps_its_case() -> None:
    message = CallbackEvent.parse(callback({**STATE_CHANGE, "state": " Paused "})).message
    assert isinstance(message, StreamStateChange)
    assert message.state == "Paused"


@pytest.mark.parametrize("odd", ["\0", "\0\0"])
def test_what_no_database_holds_is_left_out(odd: str) -> None:
    message = {name: f"{odd}{value}{odd}" for name, value in STATE_CHANGE.items()}
    plain = CallbackEvent.parse(callback(STATE_CHANGE))
    assert CallbackEvent.parse(callback(message)) == plain
    assert CallbackEvent.parse(callback(message, f"RTMP_STREAM{odd}_STATE_CHANGE")) == plain
    as_object = json.dumps({"event_type": "RTMP_STREAM_STATE_CHANGE", "message": message}).encode()
    assert CallbackEvent.parse(as_object) == plain


@pytest.mark.parametrize("half", [chr(0xD800), chr(0xDC00)], ids=ascii)
def test_half_of_a_surrogate_pair_is_replaced(half: str) -> None:
    message = {"room_id": ROOM, "job_id": JOB, "shoot_script_title": f"a{half}b", half: 1}
    for raw in (
        callback(message, "SHOOT_SCRIPT_SWITCH"),
        json.dumps({"event_type": "SHOOT_SCRIPT_SWITCH", "message": message}).encode(),
    ):
        read = CallbackEvent.parse(raw).message
        assert isinstance(read, ScriptSwitch)
        assert read.shoot_script_title == "a?b"


def test_control_characters_inside_of_texts_are_read() -> None:
    raw = json.dumps({"event_type": "RTMP_STREAM_STATE_CHANGE", "message": STATE_CHANGE | {"x": "@"}})
    assert CallbackEvent.parse(raw.replace("@", "a\n\tb").encode()).job_id == JOB


def test_brackets_inside_of_texts_are_no_nesting() -> None:
    title = '[{"\\' * 100
    event = CallbackEvent.parse(
        callback({"room_id": ROOM, "job_id": JOB, "shoot_script_title": title}, "SHOOT_SCRIPT_SWITCH")
    )
    assert isinstance(event.message, ScriptSwitch)
    assert event.message.shoot_script_title == title


@settings(max_examples=500, derandomize=True, database=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.builds(
            lambda a, b: json.dumps({"event_type": a, "message": json.dumps(b)}).encode(),
            st.sampled_from([*EventType, "NEW"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.text(max_size=10),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(
                        st.sampled_from(["room_id", "job_id", "state", "stream_key", "x"]), inner
                    )
                ),
                max_leaves=10,
            ),
        ),
    )
)
def test_nothing_but_malformed_comes_out_of_bad_input(raw: bytes) -> None:
    try:
        event = CallbackEvent.parse(raw)
    except MalformedEvent:
        return
    assert event.event_type
