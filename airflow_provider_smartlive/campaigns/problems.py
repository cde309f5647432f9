"""What is wrong with a campaign file: file, line, field, fix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TypeAlias

from airflow_provider_smartlive.metastudio.text import printable

#: Where a field stands: names, and the positions of entries in lists.
Place: TypeAlias = tuple[int | str, ...]

#: Characters of a value that an error repeats.
_SHOWN = 60


@dataclass(frozen=True, order=True)
class Problem:
    """
    One thing that is wrong.

    :param file: the campaign file.
    :param line: its line, from 1.
    :param field: the field, such as ``shows[2].stop``; empty for the file as a whole.
    :param text: what is wrong with it and what to write instead; never a secret.
    """

    file: str
    line: int
    field: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field}{': ' if self.field else ''}{self.text}"


class CampaignError(ValueError):
    """
    A campaign file that cannot be used.

    :ivar problems: all that is wrong with it, in the order of its lines.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True)
class SourceFile:
    """
    A file that was read, for errors about its parts.

    :param name: its name, as errors show it.
    :param content: what stands in it.
    :param lines: the line of each field and entry.
    """

    name: str
    content: Mapping[str, object] = field(repr=False)
    lines: Mapping[Place, int] = field(repr=False)

    def problem(self, place: Place, text: str) -> Problem:
        """
        Return what is wrong at a place.

        A field of a show that stands in ``defaults`` is named there. One that stands nowhere has the line of what is
        around it.

        :param place: the field.
        :param text: what is wrong, and the fix.
        """
        # Of a show's field that is not there, but of a default.
        if place[:1] == ("shows",) and len(place) > 2 and place[:3] not in self.lines:
            inherited = ("defaults", *place[2:])
            place = inherited if inherited[:2] in self.lines else place
        around = place
        while around and around not in self.lines:
            around = around[:-1]
        return Problem(self.name, self.lines.get(around, 1), dotted(place), text)


def dotted(place: Place) -> str:
    """Return a place as people write it: ``shows[2].stop``."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{printable(part, limit=_SHOWN)}" for part in place]
    return "".join(parts).removeprefix(".")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """
    Return the fix for a name that is not known.

    :param name: what was written.
    :param known: what there is.
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=1) or get_close_matches(
        name.lower(), [known.lower() for known in names], n=1
    )
    if not close:
        return f"There are {', '.join(names)}."
    return f"Did you mean {next(known for known in names if known.lower() == close[0].lower())}?"


def shown(value: object) -> str:
    """Return a value as an error repeats it: short, in one line, without control characters."""
    text = printable(value, limit=_SHOWN + 1)
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...") if isinstance(value, str) else text
