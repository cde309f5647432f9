"""
The airings of a show, by schedule, times and time zone.

Airflow's own rules count for clocks that are changed, for starts and stops alike: a time that comes twice is the second
one, and one that is left out is as much later as the clocks were put forward (02:30 is 03:30 that night).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cached_property, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from croniter import CroniterBadCronError, CroniterBadDateError, croniter

#: How far clocks are put forward or back at most, with room to spare.
_SHIFT = timedelta(hours=3)

_DAY = timedelta(days=1)

#: croniter's R, which is no letter of a day's or month's name.
_RANDOM = re.compile(r"(?<![a-z])r(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Airing:
    """
    One time that a show goes out. All times are in UTC.

    :param run_at: when its DAG run begins.
    :param start: when it goes live.
    :param stop: when it is stopped as planned.
    """

    run_at: datetime
    start: datetime
    stop: datetime

    def from_now(self, now: datetime) -> Airing:
        """Return it as somebody plays it by hand now: at once, and as long as planned."""
        return Airing(now, now, now + (self.stop - self.start))


@dataclass(frozen=True)
class ShowTimes:
    """
    The times of a show.

    :param zone: what its times of day mean.
    :param crons: when it starts on which days, each with one minute and one hour; or none.
    :param dates: the days on which it starts at ``start``; or none.
    :param start: the time of day at which it starts on ``dates``.
    :param stop: the time of day at which it is stopped, on the next day unless it is after the start.
    :param max_duration: how long it lasts at most.
    :param lead: how long before the start the DAG run begins, to check everything; not on the day before if the show
        has ``crons``.
    """

    zone: ZoneInfo
    crons: tuple[str, ...] = ()
    dates: tuple[date, ...] = ()
    start: time | None = None
    stop: time | None = None
    max_duration: timedelta | None = None
    lead: timedelta = timedelta(0)

    @cached_property
    def run_crons(self) -> tuple[str, ...]:
        """The cron expressions of its DAG runs."""
        return tuple(dict.fromkeys(_cron(day, begins) for day, begins, _ in self._cron_times))

    def run_times(self) -> list[datetime]:
        """Return the times of its DAG runs, if its schedule is a list of dates."""
        return [airing.run_at for airing in self._on_dates()]

    def airings(self, begin: datetime, end: datetime) -> list[Airing]:
        """Return the airings that start from ``begin`` until before ``end``."""
        found = [*self._on_dates(), *self._by_cron(begin - 2 * _SHIFT, end + _SHIFT)]
        return sorted({airing for airing in found if begin <= airing.start < end})

    def is_over(self, now: datetime) -> bool:
        """Tell whether it never comes again: the last of its dates has begun."""
        return bool(self.dates) and all(airing.start < now for airing in self._on_dates())

    def at_run(self, run_at: datetime) -> Airing | None:
        """
        Return the airing of a DAG run; None if the show is not due in it.

        :param run_at: when the run was to begin.
        """
        found = [*self._on_dates(), *self._by_cron(run_at - _SHIFT, run_at + _SHIFT)]
        return next((airing for airing in sorted(found) if airing.run_at == run_at), None)

    def like(self, now: datetime) -> Airing:
        """Return an airing that starts now and is as long as planned."""
        begin = now.astimezone(self.zone).replace(tzinfo=None)
        start = self._first_start
        at = begin.replace(hour=start.hour, minute=start.minute, second=0, microsecond=0)
        return self._airing(at, self.lead).from_now(now)

    @property
    def length(self) -> timedelta:
        """How long it is planned to last, where no clocks are changed; of several starts a day, the longest."""
        return max(self._lengths)

    @property
    def shortest(self) -> timedelta:
        """How long it is planned to last at least, where no clocks are changed."""
        return min(self._lengths)

    @property
    def _lengths(self) -> list[timedelta]:
        """How long it lasts from each of its starts."""
        midnight = datetime(2001, 1, 1)
        starts = [self.start] if self.start is not None else [start for _, _, start in self._cron_times]
        limits = [self.max_duration] if self.max_duration is not None else []
        if self.stop is None:
            return limits
        return [min([until(datetime.combine(midnight, start), self.stop), *limits]) for start in starts]

    @property
    def _first_start(self) -> time:
        if self.start is not None:
            return self.start
        return self._cron_times[0][2]

    @cached_property
    def _cron_times(self) -> list[tuple[str, time, time]]:
        """The days, the time of the run, and the time of the start of each cron expression."""
        found = []
        for cron in self.crons:
            minute, hour, day = cron.split(maxsplit=2)
            start = time(int(hour), int(minute))
            found.append((day, _earlier(start, self.lead), start))
        return found

    def _on_dates(self) -> Iterator[Airing]:
        for day in self.dates:
            if self.start is not None:
                yield self._airing(datetime.combine(day, self.start), self.lead)

    def _by_cron(self, begin: datetime, end: datetime) -> Iterator[Airing]:
        """Yield the airings whose runs begin in a time, and perhaps some around it."""
        if not self.crons:
            return
        # One more day, because the length of a day is not always the same.
        first, last = (at.astimezone(self.zone).replace(tzinfo=None) for at in (begin - _SHIFT, end + _SHIFT))
        for days, begins, start in self._cron_times:
            lead = _since_midnight(start) - _since_midnight(begins)
            runs = croniter(_cron(days, begins), start_time=first)
            while (run_at := runs.get_next(datetime)) < last:
                yield self._airing(run_at + lead, lead, run_at=aware(run_at, self.zone))

    def _airing(self, start_at: datetime, lead: timedelta, run_at: datetime | None = None) -> Airing:
        """
        Return the airing that starts at a time of the clock.

        :param start_at: the time, without a zone.
        :param lead: how long before it the run begins.
        :param run_at: when the run begins, if Airflow computes that from a cron expression.
        """
        begins = aware(start_at, self.zone) - lead if run_at is None else run_at
        start = begins + lead
        stop = self._stop(start_at, start)
        return Airing(begins, start, stop)

    def _stop(self, start_at: datetime, start: datetime) -> datetime:
        limits = [] if self.max_duration is None else [start + self.max_duration]
        if self.stop is not None:
            length = until(start_at, self.stop)
            stop = aware(start_at + length, self.zone)
            # Where the clocks were put forward in between, nothing of a short show may be left.
            limits.append(stop if stop > start else start + length)
        return min(limits)


@lru_cache(maxsize=1000)
def read_cron(text: str) -> tuple[tuple[tuple[int, int], ...] | None, str]:
    """
    Read a cron expression of five fields.

    :return: its times of day, hour first, and its three last fields. None for the times if minute and hour are ``*``.
    :raises ValueError: if it is none, if it never comes, or if its times are not single ones.
    """
    fields = text.split()
    if len(fields) != 5:
        raise ValueError(
            f"has {len(fields)} fields, not five: minute, hour, day of month, month, day of week"
        )
    days = " ".join(fields[2:])
    if _RANDOM.search(text):
        raise ValueError(
            "has a random time (R), which is another one whenever the file is read: name the time"
        )
    try:
        expanded: Sequence[Sequence[Any]] = croniter(text).expanded
        croniter(f"0 0 {days}", start_time=datetime(2001, 1, 1)).get_next(datetime)
    except CroniterBadDateError:
        raise ValueError("never comes: there is no such day in any year. Write another day") from None
    except (CroniterBadCronError, ValueError, KeyError) as error:
        raise ValueError(f"is no cron expression: {error}") from None
    minutes, hours = expanded[0], expanded[1]
    if "*" in (*minutes, *hours):
        if fields[:2] == ["*", "*"]:
            return None, days
        raise ValueError("starts every minute or every hour: name the minutes and hours of the starts")
    return tuple(sorted((int(hour), int(minute)) for hour in hours for minute in minutes)), days


def aware(at: datetime, zone: tzinfo) -> datetime:
    """
    Return a time of the clock in UTC, as Airflow takes it for a schedule.

    :param at: the time, without a zone.
    :param zone: where the clock hangs.
    """
    second = at.replace(tzinfo=zone, fold=1)
    if not exists(at, zone):
        # In the hour that is left out the offset from before it gives the later time.
        second = at.replace(tzinfo=zone, fold=0)
    return second.astimezone(UTC)


def exists(at: datetime, zone: tzinfo) -> bool:
    """Tell whether a clock ever shows a time, which it does not in the hour that daylight saving leaves out."""
    there = at.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)
    return there.replace(tzinfo=None, fold=0) == at.replace(fold=0)


def until(start_at: datetime, stop: time) -> timedelta:
    """Return how long it is on the clock from a start to the next time that it shows ``stop``."""
    stop_at = datetime.combine(start_at.date(), stop)
    return (stop_at if stop_at > start_at else stop_at + _DAY) - start_at


def _earlier(at: time, lead: timedelta) -> time:
    """Return a time of day some minutes earlier, but on the same day: a cron expression names the day."""
    left = max(_since_midnight(at) - lead, timedelta(0))
    minutes = int(left.total_seconds()) // 60
    return time(minutes // 60, minutes % 60)


def _since_midnight(at: time) -> timedelta:
    return timedelta(hours=at.hour, minutes=at.minute, seconds=at.second)


def _cron(days: str, at: time) -> str:
    return f"{at.minute} {at.hour} {days}"
