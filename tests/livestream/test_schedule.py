"""When a livestream may begin, and when it has to end."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from airflow_provider_smartlive.livestream.schedule import Schedule
from tests.support.virtual_time import NOON

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(NOON),
        Schedule(NOON - timedelta(days=9)),
        Schedule(NOON - HOUR, start_window=HOUR),
        Schedule(NOON, is_backfill=True, allow_backfill=True),
        Schedule(NOON, stop_at=NOON + timedelta(seconds=1)),
        Schedule(NOON + HOUR, start_window=HOUR),
    ],
)
def test_it_may_begin(schedule: Schedule) -> None:
    schedule.check(NOON)


@pytest.mark.parametrize(
    ("schedule", "way_out"),
    [
        (Schedule(NOON - HOUR - timedelta(seconds=1), start_window=HOUR), "longer start_window, or None"),
        (Schedule(NOON, is_backfill=True), "allow_backfill=True"),
        (Schedule(NOON, stop_at=NOON), "nothing to go live for"),
    ],
)
def test_it_is_too_late(schedule: Schedule, way_out: str) -> None:
    with pytest.raises(AirflowSkipException, match=way_out):
        schedule.check(NOON)


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
    schedule = Schedule(NOON, **limits)
    assert schedule.longest(NOON) == longest
    assert schedule.deadline(NOON) == deadline


def test_the_deadline_counts_from_the_start_of_the_job_and_the_timeout_from_that_of_the_try() -> None:
    schedule = Schedule(NOON, max_duration=2 * HOUR, execution_timeout=3 * HOUR)
    assert schedule.deadline(NOON) == NOON + 2 * HOUR
    assert schedule.timeout_at(NOON + HOUR) == NOON + 4 * HOUR
    assert Schedule(NOON).timeout_at(NOON) is None
