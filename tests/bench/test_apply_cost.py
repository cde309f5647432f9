"""What an event costs must not depend on how many came before it, and the table must stay small."""

from __future__ import annotations

import json
import statistics
import time
from datetime import UTC, datetime, timedelta

from airflow_provider_smartlive.callbacks.apply import apply_event, event_digest
from airflow_provider_smartlive.callbacks.size import MAX_BYTES
from airflow_provider_smartlive.callbacks.table import CallbackTable
from airflow_provider_smartlive.metastudio.events import CallbackEvent

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = b"a fake key of thirty-two bytes.."
STATES = ("CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING")

#: Event 10,000 may cost so much more than event 10. `make bench` reports the ratio itself, which is to be
#: at most 1.1; a shared machine is too restless for that to be a test.
LIMIT = 1.5


def body_of(event_type: str, **message: str) -> bytes:
    message = {"room_id": "a" * 32, "job_id": "b" * 32, **message}
    return json.dumps({"event_type": event_type, "message": json.dumps(message)}).encode()


def change_of_state(number: int) -> bytes:
    link = {"output_url": "rtmp://live.example.com/app", "stream_key": "fake-stream-key"}
    return body_of("RTMP_STREAM_STATE_CHANGE", state=STATES[number % 4], **link)


def take(table: CallbackTable, body: bytes, number: int) -> CallbackTable:
    at = AT + timedelta(seconds=number)
    event = CallbackEvent.parse(body)
    return apply_event(
        table,
        event,
        at=at,
        fingerprint_key=KEY,
        signed_at=at,
        digest=event_digest(at, body),
        current_job="b" * 32,
    )[0]


def seconds_of_a_fold(table: CallbackTable, number: int) -> float:
    body = change_of_state(number)
    # Of the processor: the machine may be busy with something else.
    began = time.thread_time()
    take(table, body, number)
    return time.thread_time() - began


def test_event_ten_thousand_costs_what_event_ten_cost() -> None:
    table = tenth = CallbackTable()
    for number in range(1, 10_000):
        if number == 10:
            tenth = table
        table = take(table, change_of_state(number), number)

    pairs = [(seconds_of_a_fold(tenth, 10), seconds_of_a_fold(table, 10_000)) for _ in range(500)]
    early, late = (statistics.median(times) for times in zip(*pairs, strict=True))

    assert late < LIMIT * early
    assert len(json.dumps(table.dump())) <= MAX_BYTES


def test_the_table_of_one_job_with_one_output_fits_however_long_its_texts() -> None:
    """The function does not even measure such a table."""
    quote, wide = '"' * 200, "\N{ROCKET}" * 200  # what takes most room in JSON
    table = CallbackTable()
    for number in range(100):
        state = f"{quote[:60]}{number % 30:02d}"
        link = {"output_url": f"rtmp://{quote}/{quote}", "stream_key": "fake-stream-key"}
        bodies = (
            body_of("RTMP_STREAM_STATE_CHANGE", state=state, **link),
            body_of(
                "SHOOT_SCRIPT_SWITCH",
                scene_script_name=wide,
                shoot_script_title=wide,
                shoot_script_sequence_no=quote,
            ),
            body_of("REPLY_COMMAND_FINISH", reply_id=f"{quote[:60]}{number:03d}"),
        )
        for body in bodies:
            table = take(table, body, number)

    job = table.job("b" * 32)
    assert job is not None
    assert job.scripts is not None
    assert job.replies is not None
    assert (len(table.jobs), len(job.streams), len(job.streams[0].transitions), len(job.replies.recent)) == (
        1,
        1,
        20,
        20,
    )
    assert len(json.dumps(table.dump())) <= MAX_BYTES
