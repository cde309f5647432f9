"""The query parameters of listings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from airflow_provider_smartlive.sandbox.api.answers import invalid
from airflow_provider_smartlive.sandbox.model.jobs import StoredJob

_LARGEST_OFFSET = 2147483647


def integer(query: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    """
    Read a number.

    :raises ApiError: if it is none, or out of range.
    """
    text = query.get(name)
    if text is None:
        return default
    try:
        value = int(text)
    except ValueError:
        raise invalid(f"{name} must be a number") from None
    if not low <= value <= high:
        raise invalid(f"{name} must be {low} to {high}")
    return value


def text(query: Mapping[str, str], name: str, longest: int) -> str:
    """
    Read a text; empty if it is not there.

    :raises ApiError: if it is too long.
    """
    value = query.get(name, "")
    if len(value) > longest:
        raise invalid(f"{name} must not be longer than {longest} characters")
    return value


def moment(query: Mapping[str, str], name: str) -> datetime | None:
    """
    Read an RFC 3339 time.

    :raises ApiError: if it cannot be read.
    """
    value = text(query, name, 20)
    if not value:
        return None
    try:
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise invalid(f"{name} must look like 2026-11-23T12:00:00Z") from None


def page(query: Mapping[str, str], items: Sequence[Any]) -> Sequence[Any]:
    """
    Return the part that ``offset`` (default 0) and ``limit`` (1 to 100, default 10) ask for.

    :raises ApiError: if they are no numbers, or out of range.
    """
    offset = integer(query, "offset", 0, 0, _LARGEST_OFFSET)
    limit = integer(query, "limit", 10, 1, 100)
    return items[offset : offset + limit]


def listing(name: str, query: Mapping[str, str], items: Sequence[Any], *, empty: str) -> dict[str, Any]:
    """
    Return a page as the API answers it.

    :param name: the name of the list.
    :param items: all items, already in order.
    :param empty: ``omit`` leaves an empty list out, ``array`` shows it.
    """
    shown = list(page(query, items))
    content: dict[str, Any] = {"count": len(items)}
    if shown or empty == "array":
        content[name] = shown
    return content


def select_jobs(query: Mapping[str, str], jobs: Sequence[StoredJob]) -> list[StoredJob]:
    """
    Filter and sort jobs as ``state``, ``create_since``, ``create_until``, ``sort_key`` and ``sort_dir`` ask for.

    :raises ApiError: if one of them cannot be read.
    """
    states = {state.strip() for state in text(query, "state", 1024).split(",") if state.strip()}
    since, until = moment(query, "create_since"), moment(query, "create_until")
    found = [
        job
        for job in jobs
        if (not states or job.state in states)
        # The API writes whole seconds, and a job must be found by its own create_time.
        and (since is None or job.create_time.replace(microsecond=0) >= since)
        and (until is None or job.create_time.replace(microsecond=0) <= until)
    ]
    sort_dir = text(query, "sort_dir", 128) or "asc"
    if sort_dir not in ("asc", "desc"):
        raise invalid("sort_dir must be asc or desc")
    by_update = _sorts_by_update(query)
    found.sort(key=lambda job: job.update_time if by_update else job.create_time)
    return found if sort_dir == "asc" else found[::-1]


def _sorts_by_update(query: Mapping[str, str]) -> bool:
    sort_key = text(query, "sort_key", 128) or "create_time"
    if sort_key not in ("create_time", "update_time", "asset_order"):
        raise invalid("sort_key must be create_time, update_time or asset_order")
    return sort_key == "update_time"
