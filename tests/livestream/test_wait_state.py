"""How a wait stands: its times, by a clock. What becomes of it: ``test_manager.py`` and ``tests/triggers``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_smartlive.livestream.snapshot import REFUSED_PAUSE, JobSnapshot
from airflow_provider_smartlive.livestream.wait_state import WaitLimits, WaitState
from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob
from tests.support.fake_metastudio import ROOM, unreachable
from tests.support.virtual_time import NOON

WAIT = WaitState("one", ROOM, "1", expected_outputs=1, started_at=NOON)
LIMITS = WaitLimits(interval=300, look_again_window=30, end_grace=120, failure_budget=3600)
UNKNOWN = JobSnapshot.failed(unreachable())


def after(seconds: float) -> Any:
    return NOON + timedelta(seconds=seconds)


def seen(stream_seconds: float | None) -> JobSnapshot:
    fields = {"job_id": "1", "state": "PROCESSING", "stream_duration": stream_seconds}
    return JobSnapshot.of(SmartLiveJob.model_validate(fields))


@pytest.mark.parametrize(("at", "lag"), [(0, 30), (29, 1), (30, 0), (9999, 0)])
def test_metastudio_has_some_time_to_show_a_job(at: float, lag: float) -> None:
    assert WAIT.lag(LIMITS, after(at)) == lag


def test_after_end_metastudio_has_its_time_to_finish() -> None:
    ending = WAIT.in_grace(LIMITS, seen(900), after(1000))
    assert ending.is_ending
    assert (ending.grace_since, ending.grace_until, ending.streamed) == (after(1000), after(1120), 900)


def test_one_that_cannot_be_asked_has_so_long_that_it_may_be_asked_again() -> None:
    ending = WAIT.in_grace(LIMITS, UNKNOWN, after(0))
    assert (ending.grace_until, ending.streamed) == (after(REFUSED_PAUSE), None)


@pytest.mark.parametrize(
    ("wait", "stream_seconds", "goes_on"),
    [
        (WAIT, 900, False),
        (WAIT.in_grace(LIMITS, seen(900), NOON), 900, False),
        (WAIT.in_grace(LIMITS, seen(900), NOON), 1000, True),
        (WAIT.in_grace(LIMITS, UNKNOWN, NOON), 900, True),
        (WAIT.in_grace(LIMITS, UNKNOWN, NOON), None, False),
    ],
    ids=["no END", "it stands", "it grows", "the first clear look", "nothing was pushed"],
)
def test_whether_the_stream_goes_on_after_end(
    wait: WaitState, stream_seconds: float | None, goes_on: bool
) -> None:
    assert wait.still_streams(seen(stream_seconds), after(100)) is goes_on


@pytest.mark.parametrize(("at", "is_over"), [(3599, False), (3600, True)])
def test_the_budget_counts_from_the_last_clear_answer(at: float, is_over: bool) -> None:
    assert not LIMITS.budget_is_over(None, after(at))
    assert LIMITS.budget_is_over(NOON, after(at)) is is_over
