"""Page through the listings of MetaStudio: their filters, the query of a page, and where the next one starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import quote

from airflow_provider_smartlive.metastudio.errors import UnexpectedResponse

if TYPE_CHECKING:
    from airflow_provider_smartlive.metastudio.base import Page

#: The largest page that the listings give (SDK schema).
PAGE_SIZE = 100

#: Entries after which a listing that still goes on is given up: its count is wrong, or every page is the same.
MAX_ENTRIES = 100_000


class JobFilters(TypedDict, total=False):
    """
    What a listing of jobs can be narrowed to.

    ``state``: one or several job states; ``sort_key``: ``create_time`` (default) or ``update_time``;
    ``sort_dir``: ``asc`` (default) or ``desc``; ``create_since``, ``create_until``: aware datetimes, or
    RFC 3339 text.
    """

    state: str | Iterable[str]
    sort_key: str
    sort_dir: str
    create_since: datetime | str
    create_until: datetime | str


class AllJobsFilters(JobFilters, total=False):
    """The filters of the listing across rooms: also ``room_name``, a part of the room's name."""

    room_name: str


class RoomFilters(TypedDict, total=False):
    """
    What a listing of rooms can be narrowed to.

    ``room_name``: a part of the name; ``dh_id`` and ``model_name``: id and name of the virtual human;
    ``live_state``: WAITING, PROCESSING, SUCCESS, FAILED, CANCELED or NULL (the SDK's spelling, which is not that of
    jobs); ``start_time``, ``end_time``: aware datetimes, or RFC 3339 text; ``room_type``: NORMAL, TEMP or TEMPLATE.
    """

    room_name: str
    dh_id: str
    model_name: str
    live_state: str
    start_time: datetime | str
    end_time: datetime | str
    room_type: str
    template_own_type: str
    confirm_state: str


def page_query(offset: int, limit: int, filters: Mapping[str, Any], kind: type[Any]) -> str:
    """
    Return the encoded query of a page, in the form that is signed: sorted, and nothing left to re-encode.

    :param offset: where the page starts.
    :param limit: most entries of the page.
    :param filters: what the listing is narrowed to.
    :param kind: the class of the filters, such as :class:`JobFilters`.
    :raises TypeError: if that has no such filter.
    :raises ValueError: if a time has no time zone.
    """
    known = kind.__optional_keys__
    if unknown := filters.keys() - known:
        raise TypeError(f"Unknown filter {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}.")
    parameters = {"offset": offset, "limit": limit, **filters}
    pairs = ((name, _text(value)) for name, value in sorted(parameters.items()) if value is not None)
    return "?" + "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)


def next_offset(offset: int, page: Page) -> int | None:
    """
    Return where the next page starts, or None after the last one.

    :param offset: where this page started.
    :param page: the page; without a count the last one is the first that is not full.
    :raises UnexpectedResponse: after :data:`MAX_ENTRIES`: a listing that stopped there would hide the rest.
    """
    following = offset + page.found
    more = page.found >= PAGE_SIZE if page.count is None else following < page.count
    if not page.found or not more:
        return None
    if following >= MAX_ENTRIES:
        raise UnexpectedResponse(
            f"the listing has no end: {following} entries were read, and MetaStudio counts {page.count}. Narrow it "
            "down, for example by create_since"
        )
    return following


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("A time without a time zone is ambiguous: give an aware datetime.")
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, str | int):
        return str(value)
    return ",".join(str(item) for item in value)
