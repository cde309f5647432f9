"""The demo's verdict: it must be able to say no."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dev.demo import RESUME_LIMIT, WORK_BEGINS, Summary, resumed_after

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
STATES = [
    ("CONNECTING", NOON),
    ("CONNECTED", NOON + timedelta(seconds=1)),
    ("END", NOON + timedelta(seconds=20)),
]
GOOD = Summary(
    run_state="success",
    job_id="fake-job",
    job_state="SUCCEED",
    states=STATES,
    video_frames=180,
    video_bytes=1_000_000,
    woken_by="callback",
    resumed_after=0.7,
    seconds=40.0,
)


def test_a_good_show_breaks_no_promise() -> None:
    assert GOOD.broken_promises() == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"run_state": "failed"}, "DAG run ended in failed"),
        ({"job_state": "FAILED"}, "job ended in FAILED"),
        ({"states": STATES[:2]}, "link went through"),
        ({"video_frames": 0}, "No video"),
        ({"woken_by": "reconciliation"}, "woken by reconciliation"),
        ({"resumed_after": None}, "not resumed"),
        ({"resumed_after": RESUME_LIMIT + 1}, "not resumed"),
    ],
)
def test_each_broken_promise_is_told(change: dict[str, Any], told: str) -> None:
    (sentence,) = replace(GOOD, **change).broken_promises()
    assert told in sentence


def log_of(*works: float) -> str:
    """Return a task's log with pieces of work that began so many seconds after noon."""
    lines = [{"timestamp": None, "event": "::group::Log message source details"}]
    for seconds in works:
        at = (NOON + timedelta(seconds=seconds)).isoformat()
        lines += [{"timestamp": at, "event": WORK_BEGINS}, {"timestamp": at, "event": "Woken."}]
    return "\n".join(json.dumps(line) for line in lines)


def test_the_first_piece_of_work_after_end_counts() -> None:
    assert resumed_after(log_of(-2, 20.5, 31), STATES) == 0.5


def test_work_before_end_does_not_count() -> None:
    assert resumed_after(log_of(-2, 19), STATES) is None


def test_without_end_nothing_was_resumed() -> None:
    assert resumed_after(log_of(-2, 20.5), STATES[:2]) is None
