"""Events as MetaStudio writes them, for the tests of receiver and table."""

from __future__ import annotations

import json
from typing import Any

from airflow_provider_smartlive.metastudio.events import CallbackEvent

JOB = "26f065244f754b3aa853b649a21aaf66"
OTHER_JOB = "00000000000000000000000000000bad"
ROOM = "24bad71687b145e589126102f7693265"
OUTPUT = "rtmp://push.example.com/live/fake-stream-key"


def body(event_type: str, **message: Any) -> bytes:
    """Return the bytes of a callback: the message is JSON inside JSON."""
    message = {"room_id": ROOM, "job_id": JOB} | message
    return json.dumps({"event_type": event_type, "message": json.dumps(message)}).encode()


def stream_body(
    state: str, *, output: str = OUTPUT, stream_key: str = "fake-separate-key", **more: Any
) -> bytes:
    """Return the bytes of a state change of an RTMP link."""
    return body("RTMP_STREAM_STATE_CHANGE", output_url=output, stream_key=stream_key, state=state, **more)


def stream(state: str, **more: Any) -> CallbackEvent:
    """Return a state change of an RTMP link."""
    return CallbackEvent.parse(stream_body(state, **more))


def script(number: int, **more: Any) -> CallbackEvent:
    """Return a switch of the script."""
    message = {
        "scene_script_name": "开场",
        "shoot_script_sequence_no": str(number),
        "shoot_script_title": "Hello",
    }
    return CallbackEvent.parse(body("SHOOT_SCRIPT_SWITCH", **message | more))


def reply(reply_id: str, **more: Any) -> CallbackEvent:
    """Return the end of a reply."""
    return CallbackEvent.parse(body("REPLY_COMMAND_FINISH", reply_id=reply_id, **more))
