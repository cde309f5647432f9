"""The types of the fields in a campaign file, and their errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, time, timedelta
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from airflow_provider_smartlive.campaigns.problems import did_you_mean, shown
from airflow_provider_smartlive.campaigns.times import read_cron

#: Hours that no duration is longer than: some years, far more than a livestream may last.
LONGEST_HOURS = 10_000

_T = TypeVar("_T")

_CONN_ID = re.compile(r"[\w.-]+")
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_DURATION = re.compile(r"(?:(\d+)\s*h)?\s*(?:(\d+)\s*m)?\s*(?:(\d+)\s*s)?")

_ASSET = re.compile(r"[A-Za-z0-9]([\w.:/ -]*[\w/-])?", re.ASCII)
_STORAGE_PATH = re.compile(r"[a-z][a-z0-9+.-]*://[^\s?#]+")

#: A dotted path to something in Python.
DOTTED_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def _time(value: Any) -> time:
    match = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"is {shown(value)}, no time of day. Write hours and minutes, such as '19:30'")
    return time(int(match[1]), int(match[2]))


def _duration(value: Any) -> timedelta:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e6:
        return timedelta(minutes=value)
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) and value.strip() else None
    if match is None:
        raise ValueError(
            f"is {shown(value)}, no duration. Write minutes as a number, or with units: '90s', '15m', '2h 30m'"
        )
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    if hours > LONGEST_HOURS:
        raise ValueError(f"is {shown(value)}, longer than a livestream may last")
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _conn_id(value: Any) -> str:
    if not isinstance(value, str) or not _CONN_ID.fullmatch(value):
        # Not repeated: it may be a stream key.
        raise ValueError(
            "is no connection id. Put URL and key into an Airflow connection, and name that here: everybody who sees "
            "the file would see the key"
        )
    return value


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, (str, Mapping)) else value


def _id(value: Any) -> Any:
    """Take a number for the text that it was meant to be."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _date(value: Any) -> date:
    match = _DATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"is {shown(value)}, no date. Write year, month and day, such as '2026-12-24'")
    try:
        return date(*map(int, match.groups()))
    except ValueError as error:
        raise ValueError(
            f"is {shown(value)}, a day that does not exist ({error}). Write another date"
        ) from None


def _cron(value: Any) -> Any:
    if isinstance(value, str) and _DATE.fullmatch(value.strip()):
        raise ValueError(f"is one date. Write it as a list: [{value.strip()}]")
    if not isinstance(value, str):
        raise ValueError("is neither a cron expression, such as '0 19 * * mon-fri', nor a list of dates")
    try:
        read_cron(value)
    except ValueError as error:
        raise ValueError(f"is {shown(value)}, which {error}. See crontab(5)") from None
    return value


def _asset(value: Any) -> str:
    if not isinstance(value, str) or not _ASSET.fullmatch(value) or value.startswith(("rtmp:", "rtmps:")):
        # Not repeated: it may be the URL of an output, with its key.
        raise ValueError("is no name of an asset. Write a name of your own, such as smartlive://tea/ended")
    return value


def _storage_path(value: Any) -> str:
    fix = "Write a folder with its scheme, such as file:///var/as-run or s3://aws_default@bucket/as-run"
    if not isinstance(value, str) or not _STORAGE_PATH.fullmatch(value):
        raise ValueError(f"is no folder of a storage. {fix}")
    if ":" in value.partition("://")[2].partition("/")[0].rpartition("@")[0]:
        # Not repeated, likewise.
        raise ValueError(f"has a password in it. {fix}: what is before the @ is an Airflow connection")
    return value


def _zone(value: Any) -> str:
    try:
        ZoneInfo(value if isinstance(value, str) else "")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        zones = available_timezones()
        fix = did_you_mean(str(value), zones)
        fix = fix if fix.startswith("Did") else "Write a name such as Asia/Shanghai or Europe/Berlin."
        given = f"is {shown(value)}, no time zone of the IANA database" if value else "is empty"
        raise ValueError(f"{given}. {fix}") from None
    return str(value)


TimeOfDay = Annotated[
    time, BeforeValidator(_time), WithJsonSchema({"type": "string", "pattern": rf"^{_TIME.pattern}$"})
]
Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^(\d+ ?[hms] ?)+$"}]}
    ),
]
ConnId = Annotated[
    str, BeforeValidator(_conn_id), WithJsonSchema({"type": "string", "pattern": rf"^{_CONN_ID.pattern}$"})
]
AssetName = Annotated[
    str,
    BeforeValidator(_asset),
    WithJsonSchema({"type": "string", "maxLength": 1500, "pattern": rf"^(?!rtmps?:){_ASSET.pattern}$"}),
]
StoragePath = Annotated[
    str,
    BeforeValidator(_storage_path),
    WithJsonSchema({"type": "string", "pattern": rf"^{_STORAGE_PATH.pattern}$"}),
]
Id = Annotated[str, BeforeValidator(_id), Field(min_length=1, max_length=64, pattern=r"^[^\s/\\]+$")]
Date = Annotated[date, BeforeValidator(_date), WithJsonSchema({"type": "string", "format": "date"})]
Name = Annotated[str, BeforeValidator(_id), Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_-]+$")]

Schedule = Annotated[
    Annotated[str, BeforeValidator(_cron), Tag("[cron]")] | Annotated[list[Date], Tag("[dates]")],
    Discriminator(lambda value: "[dates]" if isinstance(value, list) else "[cron]"),
]

TimeZone = Annotated[str, BeforeValidator(_zone)]

#: A list, for which one value stands as well.
OneOrMore = Annotated[list[_T], BeforeValidator(_one_or_more)]
