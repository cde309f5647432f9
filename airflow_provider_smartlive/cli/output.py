"""What commands print: text without control characters, tables, JSON."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from airflow_provider_smartlive.metastudio.text import printable

#: Stands for a value that is not known or not there.
NOTHING = "-"

#: Longest text that is printed in one line, in characters: an error, or the three names of a task.
MAX_LINE = 2000

_GAP = "  "


def one_line(value: object) -> str:
    """
    Return a value in one line that a terminal shows as it is: it may come from outside.

    Names, ids and error texts of others could else rewrite what the terminal has shown, or hide a job.

    :param value: the value; None and an empty text become :data:`NOTHING`.
    """
    return printable(value, limit=MAX_LINE) or NOTHING


def say(text: str) -> None:
    """Print lines of a command's output. What the terminal's encoding lacks is escaped."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)  # noqa: T201 -- a command's output


def note(text: str) -> None:
    """Print something beside a command's output, to stderr."""
    print(one_line(text), file=sys.stderr, flush=True)  # noqa: T201 -- a command's output


def say_json(value: Any) -> None:
    """Print a value as JSON in one line; its escapes leave no control character either."""
    say(json.dumps(value))


def table(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """
    Return rows below a header line, in columns as wide as their widest value.

    :param columns: the columns, which are also the keys of the rows.
    :param rows: the values; a missing one is shown as :data:`NOTHING`.
    """
    lines = [[column.upper().replace("_", " ") for column in columns]]
    lines += [[one_line(row.get(column)) for column in columns] for row in rows]
    widths = [max(map(_width, cells)) for cells in zip(*lines, strict=True)]
    return "\n".join(
        _GAP.join(
            cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def at(moment: datetime | None) -> str | None:
    """Return a time as tables show it: UTC, to the second."""
    return moment.strftime("%Y-%m-%d %H:%M:%SZ") if moment else None


def iso(moment: datetime | None) -> str | None:
    """Return a time as JSON has it."""
    return moment.isoformat() if moment else None


def duration(seconds: float | None) -> str | None:
    """Return a duration as ``hours:minutes:seconds``."""
    if seconds is None:
        return None
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes: Chinese characters take two."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )
