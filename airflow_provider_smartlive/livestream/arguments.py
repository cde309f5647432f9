"""
Read the arguments of operators and sensors, whether from Python, a template or native rendering.

None means "not given" everywhere. Whatever cannot be read is an :class:`ArgumentError`, before anything is sent.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, tzinfo
from datetime import time as time_of_day
from typing import Any
from zoneinfo import ZoneInfo

#: The longest duration that is taken: a century. What is longer leads to points in time that Python does not know.
LONGEST_DURATION = timedelta(days=36525)

#: Characters of an id that MetaStudio takes.
MAX_ID_LENGTH = 64

#: Characters of a value that an error repeats.
_SHOWN = 60

_DATE_AND_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?|\d{8}T\d{4}(\d{2}([.,]\d{1,9})?)?)"
    r"(Z|[+-]\d{2}(:?\d{2})?)?"
)
_DATE = re.compile(r"\d{4}-?\d{2}-?\d{2}")
_TIME_OF_DAY = re.compile(r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?(Z|[+-]\d{2}(:?\d{2})?)?")
_NUMBER = re.compile(r"[+-]?\d+([.]\d+)?")
_DURATION = re.compile(r"[+-]?P[\d.,YMWDTHS]+")

_TIME_FIX = (
    "Write date and time by ISO 8601, like '2026-11-22T20:00:00+08:00' (without an offset the DAG's own time zone "
    "counts), or pass a datetime."
)
_SECONDS_FIX = "Pass a timedelta, or seconds as a number."


class ArgumentError(ValueError):
    """
    An argument that cannot be used.

    :param name: the argument.
    :param problem: what is wrong with its value, as the rest of a sentence; never a secret.
    :param fix: what to pass instead.
    """

    def __init__(self, name: str, problem: str, fix: str) -> None:
        super().__init__(f"{name} {problem}. {fix}")
        self.name = name


def time(name: str, value: object, *, zone: tzinfo) -> datetime | None:
    """
    Read a point in time.

    Where clocks are put back, a time without an offset that comes twice is the first one. Where they are put forward,
    one that is left out counts as if they had not been: in Berlin, 02:30 on that night is 03:30.

    :param name: the argument, for the error.
    :param value: a datetime, or ISO 8601 text with date and time. None and empty text mean None.
    :param zone: what counts for a value without a time zone, text and datetime alike: the DAG's own zone.
    :return: the time in UTC.
    :raises ArgumentError: if the value is something else: a date, a time of day, a duration, a number, other words.
    """
    given = value.strip() if isinstance(value, str) else value
    if given is None or given == "":
        return None
    if isinstance(given, str):
        if not _DATE_AND_TIME.fullmatch(given.upper()):
            raise ArgumentError(name, _no_time(given), _TIME_FIX)
        try:
            given = datetime.fromisoformat(given.upper())
        except ValueError as error:
            raise ArgumentError(name, f"is {_shown(value)}: {error}", _TIME_FIX) from None
    if not isinstance(given, datetime):
        raise ArgumentError(name, _no_time(given), _TIME_FIX)
    try:
        at = (given if given.utcoffset() is not None else given.replace(tzinfo=zone)).astimezone(UTC)
    except (OverflowError, ValueError):
        raise ArgumentError(name, f"is {_shown(value)}: out of range", _TIME_FIX) from None
    # A plain datetime, whatever subclass was given.
    return datetime.combine(at.date(), at.time(), tzinfo=UTC)


def zone_of(dag: Any) -> tzinfo:
    """Return the time zone of a DAG's schedule; of its ``start_date``, or Airflow's default, if that has none."""
    given = getattr(dag.timetable, "timezone", None) or dag.timezone
    zone: tzinfo = ZoneInfo(given) if isinstance(given, str) else given
    return zone


def duration(name: str, value: object, *, minimum: timedelta | None = None) -> timedelta | None:
    """
    Read a duration.

    :param name: the argument, for the error.
    :param value: a timedelta, or seconds: a number, or digits as templates give them. None and empty text mean None.
    :param minimum: the least that is taken; None: anything above zero.
    :raises ArgumentError: if the value is no duration, is not finite, or is out of range.
    """
    given = value.strip() if isinstance(value, str) else value
    if given is None or given == "":
        return None
    if isinstance(given, str) and _NUMBER.fullmatch(given):
        given = float(given)
    if isinstance(given, timedelta):
        seconds = given.total_seconds()
    elif isinstance(given, (int, float)) and not isinstance(given, bool):
        seconds = _finite(name, given)
    else:
        raise ArgumentError(name, f"is {_named(given)}, not a duration", _SECONDS_FIX)
    least = minimum.total_seconds() if minimum is not None else 0.0
    if seconds < least or (minimum is None and seconds == 0):
        bound = f"at least {least:g} s" if minimum is not None else "more than 0 s"
        raise ArgumentError(name, f"is {_shown(value)}: it has to be {bound}", _SECONDS_FIX)
    if seconds > LONGEST_DURATION.total_seconds():
        raise ArgumentError(
            name, f"is {_shown(value)}: longer than {LONGEST_DURATION.days} days", _SECONDS_FIX
        )
    return timedelta(seconds=seconds)


def seconds(name: str, value: object, *, minimum: float | None = None) -> float | None:
    """
    Read a duration, in seconds. The same values are taken as by :func:`duration`.

    :param name: the argument, for the error.
    :param value: the argument.
    :param minimum: the least seconds that are taken; None: anything above zero.
    :raises ArgumentError: as :func:`duration`.
    """
    least = timedelta(seconds=minimum) if minimum is not None else None
    found = duration(name, value, minimum=least)
    return found.total_seconds() if found is not None else None


def count(name: str, value: object) -> int | None:
    """
    Read a number of times.

    :param name: the argument, for the error.
    :param value: a whole number, or digits as templates give them. None and empty text mean None.
    :raises ArgumentError: if it is something else, or below 0.
    """
    given = value.strip() if isinstance(value, str) else value
    if given is None or given == "":
        return None
    if isinstance(given, str) and given.isascii() and given.isdecimal():
        given = int(given)
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise ArgumentError(name, f"is {_named(value)}", "Pass a whole number, 0 or more.")
    return given


def ident(name: str, value: object) -> str | None:
    """
    Read the id of a room or job of MetaStudio: 1 to 64 characters, without blanks and slashes.

    :param name: the argument, for the error.
    :param value: text, or the number that native rendering makes of digits. Blanks around it are left out.
    :raises ArgumentError: if it is none, or what a template makes of a value that does not exist.
    """
    found = _text(name, value)
    if found is None:
        return None
    fix = "Pass the id alone, as MetaStudio's console shows it."
    if "/" in found or "\\" in found or found in (".", ".."):
        raise ArgumentError(name, f"is {_shown(found)}: an id has no slash, and is not made of dots", fix)
    if len(found) > MAX_ID_LENGTH:
        problem = f"is {_shown(found)}: an id has 1 to {MAX_ID_LENGTH} characters, this one {len(found)}"
        raise ArgumentError(name, problem, fix)
    return _without_blanks(name, found, fix)


def airflow_id(name: str, value: object) -> str | None:
    """
    Read the id of a DAG, run or task.

    :param name: the argument, for the error.
    :param value: text, or the number that native rendering makes of digits. Blanks around it are left out.
    :raises ArgumentError: if it is none, or what a template makes of a value that does not exist.
    """
    return _text(name, value)


def conn_id(name: str, value: object) -> str | None:
    """
    Read the id of an Airflow connection.

    :param name: the argument, for the error.
    :param value: text, or the number that native rendering makes of digits. Blanks around it are left out.
    :raises ArgumentError: if it is none, what a template makes of a value that does not exist, or a URL.
    """
    found = _text(name, value)
    if found is None:
        return None
    fix = "Pass the id of an Airflow connection."
    if "://" in found:
        # Not repeated: a URL may hold a key.
        raise ArgumentError(
            name, "is a URL", f"{fix} The URL goes into that connection: Airflow stores and shows arguments."
        )
    return _without_blanks(name, found, fix)


def conn_ids(name: str, value: object) -> list[str]:
    """
    Read ids of Airflow connections.

    :param name: the argument, for the error.
    :param value: a list; or text: one id, several with commas between them, or a list as templates write it
        (``['a', 'b']``). None and empty text mean none.
    :raises ArgumentError: if it is something else, or one of the ids is wrong.
    """
    given: Any = value.strip() if isinstance(value, str) else value
    if given is None or given == "":
        return []
    if isinstance(given, str):
        given = _list(name, given) if given[0] in "[(" else given.split(",")
    if isinstance(given, int) and not isinstance(given, bool):
        given = [given]
    if isinstance(given, (bool, dict)) or not isinstance(given, Iterable):
        raise ArgumentError(name, f"is {_named(given)}", "Pass a list of connection ids.")
    found = [conn_id(name, one) for one in given]
    if None in found:
        raise ArgumentError(name, "has None in its list", _absent_fix())
    return [one for one in found if one is not None]


def _text(name: str, value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, float):
        raise ArgumentError(
            name,
            f"is the number {value}: native rendering has made a number of its text",
            "Keep it a text, such as with the quotes in \"'{{ params.x }}'\".",
        )
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ArgumentError(name, f"is {_named(value)}, not a text", "Pass the id as a text.")
    found = str(value).strip()
    if found in ("", "None"):
        problem = (
            f"was rendered to nothing ({found!r}): the XCom or param that it is taken from does not exist"
        )
        raise ArgumentError(name, problem, _absent_fix())
    if "{{" in found:
        raise ArgumentError(name, f"is {_named(found)}", "Pass the value itself.")
    return found


def _absent_fix() -> str:
    return "Look at the template's task id and key, and whether that task has run; or leave the argument out."


def _without_blanks(name: str, value: str, fix: str) -> str:
    if any(character.isspace() or not character.isprintable() for character in value):
        raise ArgumentError(name, f"is {_shown(value)}: there is a blank in it", fix)
    return value


def _list(name: str, text: str) -> list[Any] | tuple[Any, ...]:
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(found, (list, tuple)):
            return found
    raise ArgumentError(name, f"is {_named(text)}: this is no list", "Pass a list of connection ids.")


def _finite(name: str, number: float) -> float:
    try:
        found = float(number)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise ArgumentError(name, f"is {_shown(number)}, which is no length of time", _SECONDS_FIX)
    return found


def _no_time(value: object) -> str:
    """Say what a value is that is no date and time."""
    text = value if isinstance(value, str) else ""
    if "/" in text:
        return f"is {_shown(value)}: an interval, or a date in another spelling"
    if _NUMBER.fullmatch(text) and not re.fullmatch(r"\d{8}", text):
        return f"is {_shown(value)}: a number, not a date and time"
    if _DURATION.fullmatch(text.upper()):
        return f"is {_shown(value)}: a duration, not a date and time (that is what max_duration is for)"
    if _DATE.fullmatch(text) or isinstance(value, date):
        return f"is {_shown(value)}: a date without a time"
    if _TIME_OF_DAY.fullmatch(text.upper()) or isinstance(value, time_of_day):
        return f"is {_shown(value)}: a time without a date"
    return f"is {_named(value)}, not a date and time"


def _named(value: object) -> str:
    """Say what a value is: text as it is, of other types the type as well."""
    if value == "None":
        return "'None': rendered from a value that does not exist"
    if isinstance(value, str):
        return f"{_shown(value)} (a template that was not rendered)" if "{{" in value else _shown(value)
    return f"{_shown(value)} (of type {type(value).__name__})"


def _shown(value: object) -> str:
    text = str(value) if isinstance(value, (timedelta, date, time_of_day)) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
