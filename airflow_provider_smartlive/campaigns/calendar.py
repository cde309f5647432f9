"""
A plan as iCalendar (RFC 5545).

Written here instead of by a library: a plan needs four properties of one kind of entry, all times in UTC, and a
dependency more would be installed by everybody who never asks for a calendar.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from airflow_provider_smartlive.campaigns.plan import PlannedAiring

#: Bytes of a line, without its end; the next one goes on after a blank.
_LINE = 75


def icalendar(planned: Iterable[PlannedAiring], *, now: datetime) -> str:
    """
    Return airings as a calendar. The same airing has the same id in every plan.

    :param planned: the airings.
    :param now: when the calendar is made.
    """
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//airflow-provider-smartlive//campaign plan//EN"]
    for one in planned:
        lines += _entry(one, now)
    lines.append("END:VCALENDAR")
    return "".join(f"{part}\r\n" for line in lines for part in _folded(line))


def _entry(one: PlannedAiring, now: datetime) -> list[str]:
    names = [one.campaign.campaign, one.show.name]
    about = [f"room {one.show.room}", *(f"output {output}" for output in one.show.outputs)]
    return [
        "BEGIN:VEVENT",
        f"UID:{'-'.join(names)}-{_utc(one.airing.start)}@airflow-provider-smartlive",
        f"DTSTAMP:{_utc(now)}",
        f"DTSTART:{_utc(one.airing.start)}",
        f"DTEND:{_utc(one.airing.stop)}",
        f"SUMMARY:{_text(': '.join(names))}",
        f"DESCRIPTION:{_text(', '.join(about))}",
        "END:VEVENT",
    ]


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _text(text: str) -> str:
    for char in "\\;,":
        text = text.replace(char, f"\\{char}")
    return text.replace("\n", "\\n")


def _folded(line: str) -> Iterator[str]:
    """Yield a line in parts that are short enough, counted in bytes, without cutting a character in two."""
    part, size = "", 0
    for char in line:
        width = len(char.encode())
        if size + width > _LINE:
            yield part
            part, size = " ", 1
        part, size = part + char, size + width
    yield part
