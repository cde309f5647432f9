"""When a livestream may begin, and when it has to end."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from airflow_provider_smartlive.livestream.time_limits import TimeLimits
from tests.support.virtual_time import NOON

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    "time_limits",
    [
        TimeLimits(NOON),
        TimeLimits(NOON - timedelta(days=9)),
        TimeLimits(NOON - HOUR, start_window=HOUR),
        TimeLimits(NOON, is_backfill=True, allow_backfill=True),
        TimeLimits(NOON, stop_at=NOON + timedelta(seconds=1)),
        TimeLimits(NOON + HOUR, start_window=HOUR),
    ],
)
def test_it_may_begin(time_limits: TimeLimits) -> None:
    time_limits.check(NOON)


@pytest.mark.parametrize(
    ("time_limits", "way_out"),
    [
        (TimeLimits(NOON - HOUR - timedelta(seconds=1), start_window=HOUR), "longer start_window, or None"),
        (TimeLimits(NOON, is_backfill=True), "allow_backfill=True"),
        (TimeLimits(NOON, stop_at=NOON), "nothing to go live for"),
    ],
)
def test_it_is_too_late(time_limits: TimeLimits, way_out: str) -> None:
    with pytest.raises(AirflowSkipException, match=way_out):
        time_limits.check(NOON)


@pytest.mark.parametrize(
    ("limits", "longest", "deadline"),
    [
        ({}, None, None),
        ({"max_duration": 2 * HOUR}, 2 * HOUR, NOON + 2 * HOUR),
        ({"stop_at": NOON + HOUR}, HOUR, NOON + HOUR),
        ({"stop_at": NOON + 3 * HOUR, "max_duration": 2 * HOUR}, 2 * HOUR, NOON + 2 * HOUR),
        ({"execution_timeout": HOUR, "max_duration": 2 * HOUR}, HOUR, NOON + 2 * HOUR),
        ({"max_duration": timedelta()}, timedelta(), NOON),
    ],
)
def test_how_long_it_lasts_and_when_it_is_stopped(
    limits: dict[str, Any], longest: timedelta | None, deadline: datetime | None
) -> None:
    time_limits = TimeLimits(NOON, **limits)
    assert time_limits.longest(NOON) == longest
    assert time_limits.deadline(NOON) == deadline


def test_the_deadline_counts_from_the_start_of_the_job_and_the_timeout_from_that_of_the_try() -> None:
    time_limits = TimeLimits(NOON, max_duration=2 * HOUR, execution_timeout=3 * HOUR)
    assert time_limits.deadline(NOON) == NOON + 2 * HOUR
    assert time_limits.timeout_at(NOON + HOUR) == NOON + 4 * HOUR
    assert TimeLimits(NOON).timeout_at(NOON) is None
