"""What the plugin tells Airflow's UI about the board."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.board.bundle import load_bundle

#: The names that Airflow shows, and under which the bundle's components stand in the browser's global scope.
PAGE_NAME = "Livestreams"
TAB_NAME = "Livestream"


def react_apps() -> list[dict[str, Any]]:
    """
    Return the page in the navigation and the tab of a task instance: two components of one bundle.

    Nothing if ``[smartlive] board`` is off.
    """
    if not settings.usable_flag("board"):
        return []
    shared = {"bundle_url": load_bundle().url, "icon": _icon("#7288a8"), "icon_dark_mode": _icon("#aebdd4")}
    return [
        {
            **shared,
            "name": PAGE_NAME,
            "url_route": "livestreams",
            "destination": "nav",
            "nav_top_level": True,
        },
        {**shared, "name": TAB_NAME, "url_route": "livestream", "destination": "task_instance"},
    ]


def _icon(colour: str) -> str:
    """Return the icon as a URL that needs no request: a dot that sends waves to both sides."""
    waves = "M7.8 16.2a6 6 0 0 1 0-8.4M16.2 7.8a6 6 0 0 1 0 8.4M4.9 19.1a10 10 0 0 1 0-14.2M19.1 4.9a10 10 0 0 1 0 14.2"
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="{colour}" stroke-width="2" '
        f'stroke-linecap="round"><circle cx="12" cy="12" r="2" fill="{colour}"/><path d="{waves}"/></svg>'
    )
    return f"data:image/svg+xml,{quote(svg)}"
