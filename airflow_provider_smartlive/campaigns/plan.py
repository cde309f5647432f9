"""What goes out in the days ahead, and what gets in each other's way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow_provider_smartlive.campaigns.model import Campaign
from airflow_provider_smartlive.campaigns.problems import Place, Problem
from airflow_provider_smartlive.campaigns.show import Show
from airflow_provider_smartlive.campaigns.times import Airing
from airflow_provider_smartlive.metastudio.ids import same_id


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
        """Campaign, show and start, for messages."""
        return f"{self.campaign.campaign}/{self.show.name} ({self.start:%Y-%m-%d %H:%M} to {self.stop:%H:%M})"

    def facts(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "campaign": self.campaign.campaign,
            "show": self.show.name,
            "room": self.show.room,
            "connection": self.show.connection,
            "outputs": self.show.outputs,
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
        hours, minutes = divmod(round((self.airing.stop - self.airing.start).total_seconds() / 60), 60)
        return {
            "start": f"{self.start:%a %Y-%m-%d %H:%M}",
            "stop": f"{self.stop:%H:%M}{'' if self.stop.date() == self.start.date() else ' +1'}",
            "length": f"{hours}:{minutes:02}",
            "campaign": self.campaign.campaign,
            "show": self.show.name,
            "room": self.show.room,
            "outputs": ", ".join(self.show.outputs),
            "zone": self.campaign.timezone,
        }

    def problem(self, field: str, text: str) -> Problem:
        """Return a problem of its show, with file and line."""
        place: Place = ("shows", self.number, field)
        return self.campaign.source.problem(place, text)


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
    return sorted(found, key=lambda one: (one.airing.start, one.campaign.campaign, one.number))


def conflicts(planned: Sequence[PlannedAiring]) -> list[Problem]:
    """
    Return what cannot all be on the air: two shows in a room or on an output, or more than the account may run.

    Each pair of shows is named once, by the first time that they meet. One that starts when the other stops is none.

    :param planned: the airings, the earliest first.
    """
    found: dict[tuple[object, ...], Problem] = {}
    for first, second in _overlaps(planned):
        pair = (first.campaign.source.name, first.number, second.campaign.source.name, second.number)
        if same_id(first.show.room, second.show.room):
            found.setdefault(("room", *pair), _in_room(first, second))
        for output in sorted(set(first.show.outputs) & set(second.show.outputs)):
            found.setdefault((output, *pair), _on_output(first, second, output))
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
            yield one.problem(field, text)


def _overlaps(planned: Sequence[PlannedAiring]) -> Iterator[tuple[PlannedAiring, PlannedAiring]]:
    """Yield the pairs that are on the air together, the earlier first."""
    running: list[PlannedAiring] = []
    for one in planned:
        running = [other for other in running if other.airing.stop > one.airing.start]
        yield from ((other, one) for other in running)
        running.append(one)


def _in_room(first: PlannedAiring, second: PlannedAiring) -> Problem:
    text = f"is in use when {second.name} starts: by {_other(first, second)}. Choose another room, or another time."
    return second.problem("room", f"{second.show.room} {text}")


def _on_output(first: PlannedAiring, second: PlannedAiring, output: str) -> Problem:
    text = f"{output!r} is in use when {second.name} starts: by {_other(first, second)}."
    return second.problem(
        "outputs", f"{text} They would interrupt each other. Choose another, or another time."
    )


def _other(first: PlannedAiring, second: PlannedAiring) -> str:
    """Name the earlier airing, with its file if that is another one."""
    if first.number == second.number and first.campaign.source is second.campaign.source:
        return f"its own airing before ({first.start:%Y-%m-%d %H:%M} to {first.stop:%H:%M})"
    where = first.problem("room", "")
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
                    "connection",
                    f"{connection!r} has a quota of {quota}, and {one.name} would be number {len(running)} at once "
                    f"(with {names}{', ...' if len(running) > 4 else ''}). Move one of them.",
                )
                break
