"""What MetaStudio called back, applied into the table as the receiver does it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from airflow_provider_smartlive.callbacks.apply import apply_event
from airflow_provider_smartlive.callbacks.table import CallbackTable
from airflow_provider_smartlive.metastudio.events import CallbackEvent
from airflow_provider_smartlive.metastudio.outputs import describe_output
from tests.support.fake_metastudio import ROOM
from tests.support.virtual_time import NOON

#: Obviously fake, and what no result or log may show.
STREAM_KEY = "fake-stream-key-0001"
KEY = b"fake"


def _url(output: str) -> str:
    return f"rtmp://push.example.com/live/{output}"


def called_back(
    job_id: str,
    *states: str,
    at: datetime = NOON,
    output: str = "main",
    table: CallbackTable | None = None,
    outputs: tuple[str, ...] = (),
) -> CallbackTable:
    """
    Return the table after state changes of one output, a second apart.

    :param outputs: the outputs with which the job was started, if that is known.
    """
    table = table or CallbackTable()
    started = [describe_output(_url(name), STREAM_KEY, key=KEY).fingerprint for name in outputs]
    for number, state in enumerate(states):
        event = {
            "room_id": ROOM,
            "job_id": job_id,
            "output_url": _url(output),
            "stream_key": STREAM_KEY,
            "state": state,
        }
        raw = json.dumps({"event_type": "RTMP_STREAM_STATE_CHANGE", "message": json.dumps(event)}).encode()
        moment = at + timedelta(seconds=number)
        table, _ = apply_event(
            table, CallbackEvent.parse(raw), at=moment, fingerprint_key=KEY, outputs=started
        )
    return table
