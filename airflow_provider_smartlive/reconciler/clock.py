"""The time of the event loop."""

from __future__ import annotations

import asyncio


def loop_time() -> float:
    """Return the time of the running event loop, in seconds; it never goes back."""
    return asyncio.get_running_loop().time()
