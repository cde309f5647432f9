"""When a show goes out: the clock, the calendar, and Airflow's own schedule as the judge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pendulum
import pytest
from airflow.timetables.base import TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable

from airflow_provider_smartlive.campaigns.times import Airing, ShowTimes, exists
from tests.campaigns.campaign_files import of_shows

BERLIN = ZoneInfo("Europe/Berlin")


def times(show: str, zone: str = "Europe/Berlin") -> ShowTimes:
    found = of_shows(f"room: skincare, {show}", zone)
    return found.shows[0].times(found.zone)


def local(airing: Airing, zone: ZoneInfo = BERLIN) -> tuple[str, str, str]:
    moments = (airing.run_at, airing.start, airing.stop)
    return tuple(f"{at.astimezone(zone):%d %H:%M}" for at in moments)  # type: ignore[return-value]  # three of them


def during(show: str, begin: str, end: str, zone: str = "Europe/Berlin") -> list[tuple[str, str, str]]:
    """Return run, start and stop of the airings between two days, as the clock there shows them."""
    there = ZoneInfo(zone)
    first, last = (datetime.fromisoformat(day).replace(tzinfo=there) for day in (begin, end))
    return [local(airing, there) for airing in times(show, zone).airings(first, last)]


def test_a_show_on_weekdays() -> None:
    show = "schedule: 0 19 * * mon-fri, stop: 22:30"
    assert during(show, "2026-11-27", "2026-12-01") == [
        ("27 18:50", "27 19:00", "27 22:30"),
        ("30 18:50", "30 19:00", "30 22:30"),
    ]


def test_days_and_time_may_stand_apart() -> None:
    apart = "schedule: '* * * * mon-fri', start: 19:00, stop: 22:30"
    assert during(apart, "2026-11-27", "2026-12-01") == during(
        "schedule: 0 19 * * mon-fri, stop: 22:30", "2026-11-27", "2026-12-01"
    )


def test_a_stop_before_the_start_is_the_next_day() -> None:
    assert during("schedule: 0 22 * * *, stop: 01:00", "2026-12-31", "2027-01-01") == [
        ("31 21:50", "31 22:00", "01 01:00")
    ]


def test_whichever_comes_first_ends_it() -> None:
    (short,) = during("schedule: 0 19 * * *, stop: 22:00, max_duration: 90", "2026-12-01", "2026-12-02")
    (long,) = during("schedule: 0 19 * * *, stop: 22:00, max_duration: 9h", "2026-12-01", "2026-12-02")
    assert (short[2], long[2]) == ("01 20:30", "01 22:00")


def test_several_starts_a_day() -> None:
    show = "schedule: '5,30 0,10 * * *', max_duration: 10m"
    assert [start for _, start, _ in during(show, "2026-12-01", "2026-12-02")] == [
        "01 00:05",
        "01 00:30",
        "01 10:05",
        "01 10:30",
    ]
    assert times(show).run_crons == ("0 0 * * *", "20 0 * * *", "55 9 * * *", "20 10 * * *")


def test_the_length_of_several_starts_a_day() -> None:
    found = times("schedule: '0 9,19 * * *', stop: 12:00, max_duration: 10h")
    assert (found.shortest, found.length) == (timedelta(hours=3), timedelta(hours=10))
    assert times("schedule: 0 9 * * *, max_duration: 2h").length == timedelta(hours=2)


def test_the_check_is_not_on_the_day_before() -> None:
    """A cron expression names the day of the run, too."""
    show = "schedule: 5 0 1 * *, stop: 01:00"
    assert during(show, "2027-01-01", "2027-01-02") == [("01 00:00", "01 00:05", "01 01:00")]
    dates = "schedule: [2027-01-01], start: 00:05, stop: 01:00"
    assert during(dates, "2027-01-01", "2027-01-02") == [("31 23:55", "01 00:05", "01 01:00")]


def test_the_29th_of_february_comes_every_fourth_year() -> None:
    assert during("schedule: 0 19 29 2 *, stop: 20:00", "2026-12-01", "2029-01-01") == [
        ("29 18:50", "29 19:00", "29 20:00")
    ]


def test_dates() -> None:
    show = "schedule: [2026-12-31, 2026-12-24], start: 23:00, stop: 00:30"
    assert during(show, "2026-12-01", "2027-01-31") == [
        ("24 22:50", "24 23:00", "25 00:30"),
        ("31 22:50", "31 23:00", "01 00:30"),
    ]


def test_a_run_knows_its_airing() -> None:
    for show in (
        "schedule: 0 19 * * mon-fri, stop: 22:30",
        "schedule: [2026-11-27], start: 19:00, stop: 22:30",
    ):
        run_at = datetime(2026, 11, 27, 17, 50, tzinfo=UTC)
        airing = times(show).at_run(run_at)
        assert airing is not None
        assert airing.start == run_at + timedelta(minutes=10)
        assert times(show).at_run(run_at + timedelta(minutes=1)) is None
        assert times(show).at_run(run_at + timedelta(days=1)) is None


def test_by_hand_it_is_as_long_as_planned() -> None:
    now = datetime(2026, 11, 27, 3, 3, 3, tzinfo=UTC)
    airing = times("schedule: 0 22 * * mon, stop: 01:00").like(now)
    assert airing == Airing(now, now, now + timedelta(hours=3))
    assert times("schedule: [2026-12-24], start: 10:00, max_duration: 20").like(now).stop - now == timedelta(
        minutes=20
    )


# --- clocks are changed: forward on 29 March 2026 from 02:00 to 03:00, back on 25 October from 03:00 to 02:00


def test_a_time_that_is_left_out_is_an_hour_later() -> None:
    show = "schedule: 30 2 * * *, stop: 04:00, check_before: 0"
    assert during(show, "2026-03-28", "2026-03-31") == [
        ("28 02:30", "28 02:30", "28 04:00"),
        ("29 03:30", "29 03:30", "29 04:00"),
        ("30 02:30", "30 02:30", "30 04:00"),
    ]


def test_a_show_whose_stop_would_be_over_keeps_its_length() -> None:
    show = "schedule: 15 2 * * *, stop: 03:00, check_before: 0"
    assert during(show, "2026-03-29", "2026-03-30") == [("29 03:15", "29 03:15", "29 04:00")]


def test_a_stop_that_is_left_out_is_an_hour_later() -> None:
    show = "schedule: 0 1 * * *, stop: 02:30"
    (airing,) = times(show).airings(
        datetime(2026, 3, 29, tzinfo=BERLIN), datetime(2026, 3, 29, 12, tzinfo=BERLIN)
    )
    assert local(airing)[2] == "29 03:30"
    assert airing.stop - airing.start == timedelta(minutes=90)


def test_a_time_that_comes_twice_is_the_second_one() -> None:
    show = "schedule: 30 2 * * *, stop: 02:45, check_before: 0"
    (airing,) = times(show).airings(
        datetime(2026, 10, 25, tzinfo=BERLIN), datetime(2026, 10, 26, tzinfo=BERLIN)
    )
    assert airing.start == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert airing.stop - airing.start == timedelta(minutes=15)


def test_a_show_through_the_night_is_as_long_as_the_clock_says() -> None:
    show = "schedule: 0 23 * * *, stop: 05:00"
    lengths = {
        day: next(iter(times(show).airings(start, start + timedelta(days=1))))
        for day in ("2026-03-28", "2026-06-01", "2026-10-24")
        if (start := datetime.fromisoformat(day).replace(tzinfo=BERLIN))
    }
    hours = {day: (airing.stop - airing.start) / timedelta(hours=1) for day, airing in lengths.items()}
    assert hours == {"2026-03-28": 5, "2026-06-01": 6, "2026-10-24": 7}


def test_the_clock_shows_most_times() -> None:
    assert exists(datetime(2026, 3, 29, 1, 59), BERLIN)
    assert not exists(datetime(2026, 3, 29, 2, 0), BERLIN)
    assert exists(datetime(2026, 3, 29, 3, 0), BERLIN)
    assert exists(datetime(2026, 10, 25, 2, 30), BERLIN)


def airflow_runs(cron: str, zone: str, year: int) -> list[datetime]:
    """Return when Airflow itself runs a DAG in a year."""
    timetable: Any = CronTriggerTimetable(cron, timezone=zone)
    end = pendulum.datetime(year + 1, 1, 1)
    restriction = TimeRestriction(pendulum.datetime(year, 1, 1), end, catchup=True)
    found: list[datetime] = []
    last = None
    while (
        info := timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
    ) and (info.run_after < end):
        found.append(info.run_after)
        last = info.data_interval
    return found


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Shanghai"]
)
@pytest.mark.parametrize(
    "cron", ["5 2 * * *", "30 2 * * *", "0 0 * * *", "10 3 * * sun", "40 1 1,25 * sun", "59 23 * * *"]
)
def test_airflow_runs_when_the_plan_says(cron: str, zone: str) -> None:
    show = times(f"schedule: '{cron}', max_duration: 1h, check_before: 7", zone)
    planned = show.airings(datetime(2025, 12, 30, tzinfo=UTC), datetime(2027, 1, 2, tzinfo=UTC))
    (run_cron,) = show.run_crons
    runs = airflow_runs(run_cron, zone, 2026)
    assert len(runs) > 50 or "1,25" in cron
    assert [airing.run_at for airing in planned if airing.run_at.year == 2026] == runs
    for run_at in runs:
        airing = show.at_run(run_at)
        assert airing in planned
