"""What the asset events of a task say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias

if TYPE_CHECKING:
    from airflow.sdk import Context


#: What the asset events of a task say of its livestream.
_ASSET_EXTRA = (
    "job_id",
    "room_id",
    "outcome",
    "woken_by",
    "origin",
    "started_at",
    "settled_at",
    "state",
    "start_time",
    "end_time",
    "duration",
    "stream_duration",
)


def asset_extra(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a result that goes into asset events: it stays small, and has no lists."""
    return {"version": 1} | {name: summary.get(name) for name in _ASSET_EXTRA}


def describe(
    context: Context, outlets: Sequence[Any], extra: Mapping[str, Any], *, room_id: str | None
) -> None:
    """
    Put ``extra`` into the asset events that Airflow makes of a task's outlets when it succeeds.

    An alias becomes the asset of the room: mapped tasks share their outlets, and each has its own room.

    :param outlets: the operator's.
    :param extra: JSON-able, without a secret.
    :param room_id: the room; None if it is not known.
    """
    events: Any = context["outlet_events"] if outlets else {}
    said = {name: value for name, value in extra.items() if value is not None}
    for outlet in outlets:
        if isinstance(outlet, AssetAlias) and room_id is not None:
            events[outlet].add(room_asset(room_id), extra=said)
        elif isinstance(outlet, Asset):
            events[outlet].extra.update(said)


def room_asset(room_id: str) -> Asset:
    """Return the asset that an alias stands for: that of a room."""
    return Asset(f"smartlive://rooms/{room_id}")
