"""What a callback table gives up, and in which order, when it is larger than it may be."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_smartlive.callbacks.apply import (
    MAX_DIGESTS,
    MAX_LABEL,
    MAX_NUMBER,
    MAX_REFRESHES,
    MAX_REPLIES,
    MAX_SWITCHES,
    MAX_TABLE_NAME,
    MAX_TABLE_TEXT,
    MAX_UNKNOWN_STATES,
)
from airflow_provider_smartlive.callbacks.size import MAX_BYTES, MAX_TRANSITIONS, fits, fitted
from airflow_provider_smartlive.callbacks.table import (
    CallbackTable,
    JobCallbacks,
    Replies,
    Scripts,
    StreamRow,
    Unrecognised,
    UnrecognisedEvent,
    reply_mark,
)

AT = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
FIRST, SECOND, THIRD = (letter * 32 for letter in "abc")
STATES = ("CONNECTED", "DISCONNECTED")


def _stream(fingerprint: str = "one") -> StreamRow:
    moments = [AT + timedelta(seconds=second) for second in range(MAX_TRANSITIONS)]
    return StreamRow(
        label="rtmp://push.example.com/***",
        fingerprint=fingerprint,
        state="CONNECTED",
        first_at=AT,
        last_at=AT,
        counts={"CONNECTED": 10, "DISCONNECTED": 10},
        transitions=[(STATES[number % 2], at) for number, at in enumerate(moments)],
    )


def _job(job_id: str, last_event: int) -> JobCallbacks:
    return JobCallbacks(
        job_id=job_id,
        first_at=AT,
        last_at=AT,
        last_event=last_event,
        streams=[_stream()],
        scripts=Scripts(
            scene="s", sequence_no="2", title="t", at=AT, switches=7, recent=[("1", AT), ("2", AT)]
        ),
        replies=Replies(finished=5, recent=["r-1", "r-2"]),
    )


def _table() -> CallbackTable:
    note = UnrecognisedEvent(at=AT, event_type="NEWS", problem="unknown event type")
    return CallbackTable(
        jobs=[_job(FIRST, 3), _job(SECOND, 9), _job(THIRD, 6)],
        unrecognised=Unrecognised(count=4, recent=[note]),
        events=9,
    )


def _of_size(table: CallbackTable, size: int) -> CallbackTable:
    """Return the table with so long a generation that it is of this size."""
    missing = size - len(json.dumps(table.dump()))
    return table.model_copy(update={"generation": table.generation + "x" * missing})


def _transitions(table: CallbackTable) -> list[list[tuple[str, datetime]]]:
    return [stream.transitions for job in table.jobs for stream in job.streams]


def _shortened(table: CallbackTable, *, transitions: int, lists: bool) -> CallbackTable:
    """Return the table as it has to be after it gave up this much."""
    table = table.model_copy(deep=True)
    for job in table.jobs:
        for stream in job.streams:
            del stream.transitions[:-transitions]
        if not lists:
            job.scripts.recent.clear()
            del job.replies.recent[:-1]
    if not lists:
        table.unrecognised.recent.clear()
    return table


def test_the_bound_itself_fits():
    assert fits(_of_size(CallbackTable(), MAX_BYTES))
    assert not fits(_of_size(CallbackTable(), MAX_BYTES + 1))


def test_a_table_that_fits_stays_as_it_is():
    table = _of_size(_table(), MAX_BYTES)

    assert fitted(table, FIRST) == table


def test_the_older_transitions_go_first():
    table = _of_size(_table(), MAX_BYTES + 1)

    assert fitted(table, FIRST) == _shortened(table, transitions=5, lists=True)


def test_then_the_lists_and_the_counts_and_the_reply_that_a_task_may_wait_for_stay():
    excess = MAX_BYTES + 1 - len(json.dumps(_shortened(_table(), transitions=5, lists=True).dump()))
    table = _table().model_copy(update={"generation": "x" * excess})
    small = fitted(table, FIRST)

    assert small == _shortened(table, transitions=5, lists=False)
    assert [(job.scripts.switches, job.replies.finished) for job in small.jobs] == [(7, 5)] * 3
    assert all(job.has_reached(reply_mark("r-2")) for job in small.jobs)
    assert small.unrecognised.count == 4


def test_then_all_transitions_but_the_last():
    excess = MAX_BYTES + 1 - len(json.dumps(_shortened(_table(), transitions=5, lists=False).dump()))
    table = _table().model_copy(update={"generation": "x" * excess})

    assert fitted(table, FIRST) == _shortened(table, transitions=1, lists=False)


@pytest.mark.parametrize(
    ("kept", "job"),
    [
        (FIRST, FIRST),
        (THIRD, THIRD),
        ("d" * 32, SECOND),  # it is not there: the one that was heard of last
    ],
)
def test_in_the_end_all_jobs_but_the_one_that_is_waited_for(kept, job):
    table = _of_size(_table(), 2 * MAX_BYTES)

    assert [row.job_id for row in fitted(table, kept).jobs] == [job]


def test_no_job_is_given_up_for_an_event_that_names_none():
    table = _of_size(_table(), 2 * MAX_BYTES)

    assert fitted(table) == _shortened(table, transitions=1, lists=False)


def test_a_table_without_jobs_has_none_to_give_up():
    table = CallbackTable(unrecognised=Unrecognised(count=1))

    assert fitted(_of_size(table, 2 * MAX_BYTES), FIRST).jobs == []


@pytest.mark.parametrize(
    ("change", "is_measured"),
    [
        ({}, False),
        ({"jobs": []}, False),
        ({"jobs": [_job(FIRST, 3), _job(SECOND, 9)]}, True),
        ({"jobs": [_job(FIRST, 3).model_copy(update={"streams": []})]}, False),
        ({"jobs": [_job(FIRST, 3).model_copy(update={"streams": [_stream("one"), _stream("two")]})]}, True),
        ({"unrecognised": Unrecognised(count=1)}, True),
    ],
)
def test_the_table_of_one_job_with_one_output_is_not_measured(monkeypatch, change, is_measured):
    measured = []
    monkeypatch.setattr(CallbackTable, "dump", lambda table: measured.append(table) or {})

    fitted(CallbackTable(jobs=[_job(FIRST, 3)]).model_copy(update=change), FIRST)

    assert bool(measured) == is_measured


def test_it_need_not_be_measured_since_it_fits_however_long_its_texts_are():
    """Every list at its bound, every text at its length, of characters that take most room in JSON."""
    name, text = "~" * MAX_TABLE_NAME, "🎬" * MAX_TABLE_TEXT
    late = datetime(2026, 11, 22, 20, 0, 3, 412_345, tzinfo=UTC)
    marks = ["m" * 32] * MAX_REFRESHES
    states = [f"{number}{name}"[:MAX_TABLE_NAME] for number in range(MAX_UNKNOWN_STATES)]
    stream = StreamRow(
        label="l" * MAX_LABEL,
        fingerprint="f" * 32,
        state=name,
        replaced_by=marks,
        first_at=late,
        last_at=late,
        last_event=10**9,
        signed_at=late,
        down_since=late,
        counts=dict.fromkeys(
            [*states, "CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING", "END", "OTHER"], 10**9
        ),
        transitions=[(name, late)] * MAX_TRANSITIONS,
    )
    job = JobCallbacks(
        job_id=name,
        room_id=name,
        first_at=late,
        last_at=late,
        last_event=10**9,
        ended_at=late,
        refreshes=marks,
        streams=[stream],
        omitted_streams=10**9,
        scripts=Scripts(
            scene=text,
            sequence_no=name,
            title=text,
            at=late,
            switches=10**9,
            recent=[("n" * MAX_NUMBER, late)] * MAX_SWITCHES,
        ),
        replies=Replies(finished=10**9, recent=[name] * MAX_REPLIES),
    )
    table = CallbackTable(
        generation="g" * 20,
        address="https://metastudio.cn-north-4.myhuaweicloud.com/v1/" + "p" * 64,
        events=10**9,
        updated_at=late,
        jobs=[job],
        digests=["d" * 12] * MAX_DIGESTS,
    )

    assert fits(table), len(json.dumps(table.dump()))
    assert fitted(table) == table
