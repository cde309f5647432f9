"""What goes out in the days ahead, and what is in conflict."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from airflow_provider_smartlive.campaigns.model import Campaign
from airflow_provider_smartlive.campaigns.problems import Place, Problem
from airflow_provider_smartlive.campaigns.show import Show
from airflow_provider_smartlive.campaigns.times import Airing
from airflow_provider_smartlive.metastudio.ids import normalise_id


class Need(NamedTuple):
    """
    What one airing uses and no other may use at the same time.

    :param kind: ``room`` or ``output``.
    :param name: which one, as the file says.
    :param field: where it stands in the show.
    """

    kind: str
    name: str
    field: Place

    @property
    def key(self) -> tuple[str, str]:
        """What is equal if it is the same room or output."""
        return self.kind, normalise_id(self.name) if self.kind == "room" else self.name


@dataclass(frozen=True)
class PlannedAiring:
    """
    An airing of a show of a campaign.

    :param number: which show of the campaign it is, from 0.
    """

    campaign: Campaign
    number: int
    airing: Airing

    @property
    def show(self) -> Show:
        """The show."""
        return self.campaign.shows[self.number]

    @property
    def zone(self) -> ZoneInfo:
        """The campaign's time zone."""
        return self.campaign.zone

    @property
    def start(self) -> datetime:
        """When it starts, on the campaign's clock."""
        return self.airing.start.astimezone(self.zone)

    @property
    def stop(self) -> datetime:
        """When it is stopped, on the campaign's clock."""
        return self.airing.stop.astimezone(self.zone)

    @property
    def name(self) -> str:
        """Campaign, show and times, for messages."""
        return f"{self.campaign.campaign}/{self.show.name} ({self.span})"

    @property
    def span(self) -> str:
        """From when to when it is on the air, for messages."""
        return f"{self.start:%Y-%m-%d %H:%M} to {self._stop_of_day}"

    @property
    def _stop_of_day(self) -> str:
        """The time of day of its stop, and how many days later that is."""
        days = (self.stop.date() - self.start.date()).days
        return f"{self.stop:%H:%M}{f' +{days}' if days else ''}"

    def facts(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "campaign": self.campaign.campaign,
            "show": self.show.name,
            "room": self.show.room,
            "connection": self.show.connection,
            "outputs": self.show.outputs,
            "standby": self.show.standby.model_dump() if self.show.standby is not None else None,
            "timezone": self.campaign.timezone,
            "run_at": self.airing.run_at.isoformat(),
            "start": self.start.isoformat(),
            "stop": self.stop.isoformat(),
            # Durations in seconds.
            "limits": {
                name: limit.total_seconds() if isinstance(limit, timedelta) else limit
                for name, limit in self.show.limits.items()
            },
            "outlets": self.show.outlets.model_dump() if self.show.outlets is not None else {},
        }

    def row(self) -> dict[str, object]:
        """Return the columns of a table."""
        standby = self.show.standby
        hours, minutes = divmod(round((self.airing.stop - self.airing.start).total_seconds() / 60), 60)
        return {
            "start": f"{self.start:%a %Y-%m-%d %H:%M}",
            "stop": self._stop_of_day,
            "length": f"{hours}:{minutes:02}",
            "campaign": self.campaign.campaign,
            "show": self.show.name,
            "room": self.show.room,
            "outputs": ", ".join(self.show.outputs),
            "standby": ", ".join(part for part in (standby.room, *standby.outputs) if part)
            if standby
            else "",
            "zone": self.campaign.timezone,
        }

    def problem(self, field: Place, text: str) -> Problem:
        """Return a problem of its show, with file and line."""
        return self.campaign.source.problem(("shows", self.number, *field), text)

    def needs(self) -> list[Need]:
        """Return its room and outputs, and those of its standby, which may be started at any time of it."""
        show, standby = self.show, self.show.standby
        found = [Need("room", show.room, ("room",))]
        found += [Need("output", output, ("outputs",)) for output in show.outputs]
        if standby is not None and standby.room is not None:
            found.append(Need("room", standby.room, ("standby", "room")))
        if standby is not None:
            found += [Need("output", output, ("standby", "outputs")) for output in standby.outputs]
        return found


def airings(campaigns: Iterable[Campaign], begin: datetime, end: datetime) -> list[PlannedAiring]:
    """
    Return what starts in a time, the earliest first.

    :param campaigns: the campaigns.
    :param begin: from when on.
    :param end: until before when.
    """
    found = [
        PlannedAiring(campaign, number, airing)
        for campaign in campaigns
        for number, show in enumerate(campaign.shows)
        for airing in show.times(campaign.zone).airings(begin, end)
    ]
    return by_start(found)


def by_start(planned: Iterable[PlannedAiring]) -> list[PlannedAiring]:
    """Return airings in the order of their starts."""
    return sorted(planned, key=lambda one: (one.airing.start, one.campaign.campaign, one.number))


def on_air(campaigns: Iterable[Campaign], at: datetime) -> list[PlannedAiring]:
    """
    Return what has started before a time and is stopped after it: it may be in the way of what comes next.

    :param campaigns: the campaigns.
    :param at: the time.
    """
    found: list[PlannedAiring] = []
    for campaign in campaigns:
        longest = max(show.times(campaign.zone).length for show in campaign.shows)
        # Where clocks are changed, a show may be longer than planned.
        begin = at - longest - timedelta(hours=3)
        found += [one for one in airings([campaign], begin, at) if one.airing.stop > at]
    return found


def conflicts(planned: Iterable[PlannedAiring]) -> list[Problem]:
    """
    Return what cannot all be on the air: two shows in a room or on an output, or more than the account may run.

    A standby counts as long as its show does: it may be started at any time of it.

    Each pair of shows is named once, by the first time that they meet. One that starts when the other stops is none.

    :param planned: the airings.
    """
    planned = by_start(planned)
    found: dict[tuple[object, ...], Problem] = {}
    for first, second in _overlaps(planned):
        pair = (first.campaign.source.name, first.number, second.campaign.source.name, second.number)
        taken = {need.key: need for need in reversed(first.needs())}
        for need in second.needs():
            if need.key in taken:
                found.setdefault((need.key, *pair), _in_use(first, taken[need.key], second, need))
    return sorted({*found.values(), *_over_quota(planned)})


def never(campaigns: Iterable[Campaign], now: datetime) -> Iterator[Problem]:
    """Yield the shows whose dates are all over: they never come again."""
    for campaign in campaigns:
        for number, show in enumerate(campaign.shows):
            if show.times(campaign.zone).is_over(now):
                text = f"has no date after {now:%Y-%m-%d}: the show never comes again. Write one, or remove the show."
                yield campaign.source.problem(("shows", number, "schedule"), text)


def moved_by_clocks(planned: Sequence[PlannedAiring]) -> Iterator[Problem]:
    """Yield the airings that start at another time than the file says, because clocks are changed."""
    for one in planned:
        times = one.show.times(one.zone)
        starts = {tuple(map(int, cron.split()[1::-1])) for cron in times.crons}
        if starts and (one.start.hour, one.start.minute) not in starts:
            text = f"is {one.start:%H:%M} on {one.start:%Y-%m-%d}: clocks are put forward, and there is no such time."
            field = "start" if one.show.start is not None else "schedule"
            yield one.problem((field,), text)


def _overlaps(planned: Sequence[PlannedAiring]) -> Iterator[tuple[PlannedAiring, PlannedAiring]]:
    """Yield the pairs that are on the air together, the earlier first."""
    running: list[PlannedAiring] = []
    for one in planned:
        running = [other for other in running if other.airing.stop > one.airing.start]
        yield from ((other, one) for other in running)
        running.append(one)


def _in_use(first: PlannedAiring, taken: Need, second: PlannedAiring, need: Need) -> Problem:
    as_standby = ", as its standby" if taken.field[0] == "standby" else ""
    text = f"is in use when {second.name} starts: by {_other(first, second)}{as_standby}."
    if need.kind == "room":
        return second.problem(need.field, f"{need.name} {text} Choose another room, or another time.")
    fix = "They would interrupt each other. Choose another, or another time."
    return second.problem(need.field, f"{need.name!r} {text} {fix}")


def _other(first: PlannedAiring, second: PlannedAiring) -> str:
    """Name the earlier airing, with its file if that is another one."""
    if first.number == second.number and first.campaign.source is second.campaign.source:
        return f"its own airing before ({first.span})"
    where = first.problem(("room",), "")
    return f"{first.name}, {where.file}:{where.line}"


def _over_quota(planned: Sequence[PlannedAiring]) -> Iterator[Problem]:
    """Yield, once per connection, the first airing that is one too many."""
    quotas: dict[str, int] = {}
    by_connection: dict[str, list[PlannedAiring]] = defaultdict(list)
    for one in planned:
        connection = one.show.connection
        by_connection[connection].append(one)
        if one.campaign.quota is not None:
            quotas[connection] = min(one.campaign.quota, quotas.get(connection, one.campaign.quota))
    for connection, quota in quotas.items():
        running: list[PlannedAiring] = []
        for one in by_connection[connection]:
            running = [other for other in running if other.airing.stop > one.airing.start]
            running.append(one)
            if len(running) > quota:
                names = ", ".join(other.name for other in running[:-1][:3])
                yield one.problem(
                    ("connection",),
                    f"{connection!r} has a quota of {quota}, and {one.name} would be number {len(running)} at once "
                    f"(with {names}{', ...' if len(running) > 4 else ''}). Move one of them.",
                )
                break
