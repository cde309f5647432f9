"""``docs/callback-table.md`` shows a table that this test made."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow_provider_smartlive.callbacks import apply as applying
from airflow_provider_smartlive.callbacks.apply import apply_event, event_digest
from airflow_provider_smartlive.callbacks.size import MAX_BYTES
from airflow_provider_smartlive.callbacks.table import (
    CallbackTable,
    JobCallbacks,
    Replies,
    Scripts,
    StreamRow,
    Unrecognised,
    UnrecognisedEvent,
)
from airflow_provider_smartlive.metastudio.events import CallbackEvent
from tests.support.callback_events import body, reply, script, stream, stream_body

PAGE = Path(__file__).parents[2] / "docs" / "callback-table.md"
START = datetime(2026, 11, 22, 20, 0, 3, 412_000, tzinfo=UTC)

#: Seconds after the first event, and the event.
STORY = [
    (0, stream("CONNECTING")),
    (2, stream("CONNECTED")),
    (3, script(1)),
    (1810, stream("DISCONNECTED")),
    (1812, stream("RECONNECTING")),
    (1815, stream("CONNECTED")),
    (2400, reply("0a1b2c3d4e5f60718293a4b5c6d7e8f9")),
    (3000, CallbackEvent.parse(body("PLATFORM_NOTICE"))),
    (7200, stream("END")),
]


def _example() -> CallbackTable:
    table = CallbackTable(generation="019aad5c4ac43c5d0f1a")
    for seconds, event in STORY:
        at = START + timedelta(seconds=seconds)
        signed_at = at.replace(microsecond=0)
        digest = event_digest(signed_at, stream_body(str(seconds))) if seconds == STORY[-1][0] else None
        table, _ = apply_event(
            table, event, at=at, fingerprint_key=b"fake-fingerprint-key", signed_at=signed_at, digest=digest
        )
    return table


def test_the_page_shows_a_table_that_was_really_made():
    shown = re.search(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)

    assert shown is not None
    assert json.loads(shown[1]) == _example().dump(), json.dumps(
        _example().dump(), indent=2, ensure_ascii=False
    )


def test_the_page_names_every_field():
    page = PAGE.read_text()
    models = (CallbackTable, JobCallbacks, StreamRow, Scripts, Replies, Unrecognised, UnrecognisedEvent)

    assert [name for model in models for name in model.model_fields if f"`{name}`" not in page] == []


def test_the_page_gives_the_bounds_that_hold():
    page = PAGE.read_text()

    for name in (
        "MAX_JOBS",
        "MAX_STREAMS",
        "MAX_TRANSITIONS",
        "MAX_REPLIES",
        "MAX_SWITCHES",
        "MAX_UNRECOGNISED",
        "MAX_DIGESTS",
        "MAX_REFRESHES",
    ):
        assert re.search(rf"\| {getattr(applying, name)} \| .*<!-- {name} -->", page), name
    assert "16 KiB" in page
    assert MAX_BYTES == 16 * 1024
