"""What a reader can ask of the callback table. How events get into it is in ``test_apply.py``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_smartlive.callbacks.table import CallbackTable, JobCallbacks, StreamRow

AT = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
JOB = "26f065244f754b3aa853b649a21aaf66"


def _row(name: str, **more: object) -> StreamRow:
    row = StreamRow(
        label="rtmp://push.example.com/***", fingerprint=name, state="CONNECTED", first_at=AT, last_at=AT
    )
    return row.model_copy(update=more)


def _job(*rows: StreamRow) -> JobCallbacks:
    return JobCallbacks(job_id=JOB, first_at=AT, last_at=AT, streams=list(rows))


def test_reconnects_of_all_streams_are_counted():
    assert _job().reconnects() == 0
    assert _job(_row("one", counts={"CONNECTED": 3})).reconnects() == 0
    assert (
        _job(
            _row("one", counts={"RECONNECTING": 2, "CONNECTED": 3}), _row("two", counts={"RECONNECTING": 3})
        ).reconnects()
        == 5
    )


def test_reconnects_of_a_link_that_no_longer_counts_are_left_out():
    """Whether MetaStudio goes on to try an output that was exchanged is not known."""
    counts = {"RECONNECTING": 2}
    gone = _row("one", counts=counts, ended=True), _row("two", counts=counts, replaced_by=["mark"])

    assert _job(*gone, _row("three", counts=counts)).reconnects() == 2


def test_links_that_have_ended_are_counted():
    assert _job(_row("a", ended=True), _row("b"), _row("c", ended=True)).ended_links() == 2
    assert _job().ended_links() == 0


def test_a_link_that_has_ended_is_not_interrupted():
    assert _row("one", down_since=AT).interrupted_since() == AT
    assert _row("one", down_since=AT, ended=True).interrupted_since() is None


@pytest.mark.parametrize(
    ("outputs", "minutes"),
    [
        (None, None),  # one output: the other link is up
        (1, None),
        (2, 5),
        (3, 5),
    ],
)
def test_one_output_is_expected_unless_more_are_said(outputs, minutes):
    job = _job(_row("one"), _row("two", down_since=AT + timedelta(minutes=5)))

    since = job.interrupted_since() if outputs is None else job.interrupted_since(outputs)

    assert since == (None if minutes is None else AT + timedelta(minutes=minutes))


def test_what_is_not_known_takes_no_room_in_the_xcom():
    dumped = CallbackTable(jobs=[_job(_row("one"))]).dump()

    assert "unrecognised" not in dumped
    assert "ended_at" not in dumped["jobs"][0]
    assert "down_since" not in dumped["jobs"][0]["streams"][0]
