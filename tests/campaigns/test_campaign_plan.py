"""What a plan shows, and what it finds in conflict."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from airflow_provider_smartlive.campaigns.calendar import icalendar
from airflow_provider_smartlive.campaigns.model import Campaign
from airflow_provider_smartlive.campaigns.plan import (
    PlannedAiring,
    airings,
    conflicts,
    moved_by_clocks,
    never,
    on_air,
)
from tests.campaigns.campaign_files import campaign, of_shows

NOW = datetime(2026, 11, 30, tzinfo=UTC)
FORTNIGHT = timedelta(days=14)


def planned(
    *campaigns: Campaign, begin: datetime = NOW, length: timedelta = FORTNIGHT
) -> list[PlannedAiring]:
    return airings(campaigns, begin, begin + length)


def found(*campaigns: Campaign) -> list[tuple[int, str, str]]:
    return [(one.line, one.field, one.text) for one in conflicts(planned(*campaigns))]


EVENING = "show: evening, room: a1, outputs: channel, schedule: 0 19 * * mon, stop: 22:00"


def test_shows_that_do_not_meet_are_no_conflict() -> None:
    shows = f"{EVENING}\nshow: night, room: a1, outputs: channel, schedule: 0 22 * * mon, stop: 23:00"
    assert found(of_shows(shows)) == []


@pytest.mark.parametrize("room", ["a1", "A1", "a-1"])
def test_two_shows_in_a_room_at_once(room: str) -> None:
    ((line, field, text),) = found(
        of_shows(f"{EVENING}\nshow: late, room: {room}, schedule: 30 21 * * mon, stop: 23:00")
    )
    assert (line, field) == (6, "shows[1].room")
    assert "is in use when spring/late (2026-11-30 21:30 to 23:00) starts" in text
    assert "by spring/evening (2026-11-30 19:00 to 22:00), spring.yaml:5" in text
    assert "Choose another room, or another time." in text


def test_a_stop_on_another_day_says_so() -> None:
    long = of_shows("room: tea, schedule: 0 19 * * mon, max_duration: 30h")
    airing = planned(long)[0]
    assert airing.row()["stop"] == "01:00 +2"
    assert airing.name == "spring/tea (2026-11-30 19:00 to 01:00 +2)"
    daily = of_shows("room: tea, schedule: 0 19 * * *, max_duration: 30h")
    ((_line, _field, text),) = found(daily)
    assert "by its own airing before (2026-11-30 19:00 to 01:00 +2)" in text


def test_what_is_on_the_air_already_is_in_the_way() -> None:
    shows = of_shows(f"{EVENING}\nshow: late, room: a1, schedule: 30 21 * * mon, stop: 23:00")
    at_eight = datetime(2026, 11, 30, 20, tzinfo=ZoneInfo("Asia/Shanghai"))
    running, ahead = on_air([shows], at_eight), planned(shows, begin=at_eight, length=timedelta(days=1))
    assert [one.show.name for one in running] == ["evening"]
    assert [one.show.name for one in ahead] == ["late"]
    (problem,) = conflicts([*ahead, *running])
    assert "is in use when spring/late (2026-11-30 21:30 to 23:00) starts" in problem.text
    assert conflicts(ahead) == []
    # One that starts just then is ahead, and one that stops then is over.
    assert on_air([shows], at_eight - timedelta(hours=1)) == []
    assert [one.show.name for one in on_air([shows], at_eight + timedelta(hours=2))] == ["late"]


def test_an_order_of_runs_is_no_order_of_starts() -> None:
    early = "show: early, room: a1, schedule: 0 19 * * mon, stop: 20:00, check_before: 1m"
    late = "show: late, room: a1, schedule: 30 19 * * mon, stop: 21:00, check_before: 2h"
    both = planned(of_shows(f"{early}\n{late}"), length=timedelta(days=1))
    assert conflicts(both) == conflicts(sorted(both, key=lambda one: one.airing)) != []


def test_two_shows_on_an_output_at_once() -> None:
    ((line, field, text),) = found(
        of_shows(f"{EVENING}\nroom: b, outputs: channel, schedule: 0 19 * * mon, stop: 22:00")
    )
    assert (line, field) == (6, "shows[1].outputs")
    assert "'channel' is in use" in text


@pytest.mark.parametrize(
    ("first", "second", "field", "text"),
    [
        ("room: b", "standby: {room: A-1}", "shows[1].standby.room", "A-1 is in use"),
        ("standby: {room: spare}", "room: spare", "shows[1].room", "spring.yaml:5, as its standby."),
        ("standby: {room: spare}", "standby: {room: spare}", "shows[1].standby.room", "5, as its standby."),
        ("outputs: x", "standby: {outputs: x}", "shows[1].standby.outputs", "'x' is in use"),
        ("standby: {outputs: x}", "outputs: x", "shows[1].outputs", "spring.yaml:5, as its standby. They would"),
        ("standby: {outputs: [x]}", "standby: {outputs: x}", "shows[1].standby.outputs", "'x' is in use"),
    ],
)  # fmt: skip
def test_a_standby_is_in_use_as_long_as_its_show(first: str, second: str, field: str, text: str) -> None:
    when = "schedule: 0 19 * * mon, stop: 22:00"
    shows = [f"show: {name}, {when}, {of_show}" for name, of_show in (("a", first), ("b", second))]
    shows = [
        show if ", room:" in show else f"{show}, room: {room}"
        for show, room in zip(shows, ("a1", "b1"), strict=True)
    ]
    if "A-1" in second:
        shows[0] = shows[0].replace("room: b", "room: a1")
    ((_, at, said),) = found(of_shows("\n".join(shows)))
    assert at == field
    assert text in said


def test_a_standby_in_the_room_of_its_show_is_in_its_own_way_no_more_than_the_show_itself() -> None:
    shows = "show: long, room: a1, standby: {outputs: x}, schedule: 0 19 * * *, max_duration: 26h"
    assert {field for _, field, _ in found(of_shows(shows))} == {"shows[0].room", "shows[0].standby.outputs"}
    assert found(of_shows(shows.replace("26h", "20h"))) == []


def test_a_plan_shows_the_standby() -> None:
    shows = f"{EVENING}, standby: {{room: spare, outputs: other}}"
    one = planned(of_shows(shows))[0]
    assert one.facts()["standby"] == {"room": "spare", "outputs": ["other"]}
    assert one.row()["standby"] == "spare, other"
    assert planned(of_shows(EVENING))[0].facts()["standby"] is None


def test_a_pair_is_named_once_and_by_its_first_time() -> None:
    shows = "room: a, schedule: 0 19 * * *, stop: 22:00\nshow: b, room: a, schedule: 0 21 * * *, stop: 23:00"
    ((_, _, text),) = found(of_shows(shows))
    assert "2026-11-30" in text


def test_a_show_may_meet_itself() -> None:
    ((_, field, text),) = found(of_shows("room: a, schedule: '0 10,12 * * *', max_duration: 3h"))
    assert field == "shows[0].room"
    assert "by its own airing before" in text


def test_shows_of_different_files_and_zones_meet() -> None:
    here = of_shows("room: a, schedule: 0 19 * * *, stop: 22:00", "Asia/Shanghai")
    there = campaign(
        "version: 1\ncampaign: other\ntimezone: Europe/Berlin\nshows:\n"
        "  - {room: a, schedule: 0 14 * * *, stop: 15:30}\n",
        "other.yaml",
    )
    ((_, _, text),) = found(here, there)
    assert "other/a (2026-11-30 14:00 to 15:30)" in text
    assert "spring/a (2026-11-30 19:00 to 22:00), spring.yaml:5" in text


def test_more_at_once_than_the_account_may_run() -> None:
    shows = "\n".join(f"room: r{n}, schedule: 0 19 * * mon, stop: 22:00" for n in range(3))
    text = "quota: 2\n" + "version: 1\ncampaign: spring\ntimezone: Asia/Shanghai\nshows:\n"
    full = campaign(text + "\n".join(f"  - {{{show}}}" for show in shows.splitlines()))
    ((line, field, said),) = found(full)
    assert (line, field) == (8, "shows[2].connection")
    assert "has a quota of 2, and spring/r2" in said
    assert "would be number 3 at once" in said
    # Another account has a quota of its own.
    apart = "\n".join(f"  - {{{show}, connection: c{n}}}" for n, show in enumerate(shows.splitlines()))
    assert found(campaign(text + apart)) == []


def test_dates_that_are_all_over() -> None:
    over = of_shows("room: a, schedule: [2026-11-11], start: 19:00, stop: 22:00")
    ((problem),) = list(never([over], NOW))
    assert problem.field == "shows[0].schedule"
    assert "has no date after 2026-11-30: the show never comes again" in problem.text
    assert list(never([of_shows("room: a, schedule: [2026-12-11], start: 19:00, stop: 22:00")], NOW)) == []
    assert list(never([of_shows("room: a, schedule: 0 19 * * *, stop: 22:00")], NOW)) == []


def test_a_start_that_the_clocks_move_is_said() -> None:
    show = of_shows("room: a, schedule: 30 2 * * *, stop: 04:00", "Europe/Berlin")
    begin = datetime(2026, 3, 25, tzinfo=UTC)
    (problem,) = moved_by_clocks(planned(show, begin=begin))
    assert problem.text.startswith("is 03:30 on 2026-03-29: clocks are put forward")
    assert list(moved_by_clocks(planned(show, begin=begin - timedelta(days=30)))) == []


def test_a_calendar() -> None:
    show = of_shows("show: tea, room: a, outputs: channel, schedule: 0 22 * * mon, stop: 01:00")
    text = icalendar(planned(show, length=timedelta(days=1)), now=NOW)
    assert text.split("\r\n") == [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//airflow-provider-smartlive//campaign plan//EN",
        "BEGIN:VEVENT",
        "UID:spring-tea-20261130T140000Z@airflow-provider-smartlive",
        "DTSTAMP:20261130T000000Z",
        "DTSTART:20261130T140000Z",
        "DTEND:20261130T170000Z",
        "SUMMARY:spring: tea",
        r"DESCRIPTION:room a\, output channel",
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    ]


def test_a_long_line_of_a_calendar_is_folded_between_characters() -> None:
    room = "茶" * 40
    show = of_shows(f"show: tea, room: {room}, schedule: 0 22 * * mon, stop: 01:00")
    text = icalendar(planned(show, length=timedelta(days=1)), now=NOW)
    assert max(len(line.encode()) for line in text.split("\r\n")) <= 75
    assert room in text.replace("\r\n ", "")
