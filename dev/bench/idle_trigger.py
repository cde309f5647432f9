"""A trigger that waits and does nothing: what Airflow itself takes for a deferred task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

CLASSPATH = f"{__name__}.IdleTrigger"


class IdleTrigger(BaseTrigger):
    """Waits for a week."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class; there are no arguments."""
        return CLASSPATH, {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait."""
        await asyncio.sleep(7 * 24 * 3600)
        yield TriggerEvent(None)  # type: ignore[no-untyped-call]  # so Airflow has it
