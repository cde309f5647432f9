"""Operators that defer, and their triggers: Airflow finds a trigger by its module's name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk import BaseOperator
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

MEETING: dict[str, asyncio.Event] = {}


class FakeTrigger(BaseTrigger):
    """Fires, fails, ends the task, or waits, as told."""

    def __init__(self, does: str) -> None:
        super().__init__()
        self.does = does

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.FakeTrigger", {"does": self.does}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        match self.does:
            case "fire":
                yield TriggerEvent(f"event for {self.task_instance.task_id}")
            case "fail":
                raise RuntimeError("fake failure")
            case "succeed":
                yield TaskSuccessEvent()
            case "hang":
                await asyncio.Event().wait()
            case _ if self.does.startswith("meet"):
                await self._meet()
                yield TriggerEvent("met")

    async def _meet(self) -> None:
        """Wait for the other one."""
        mine, others = self.does.split()[1:]
        MEETING.setdefault(mine, asyncio.Event()).set()
        await MEETING.setdefault(others, asyncio.Event()).wait()


class Defers(BaseOperator):
    """Defers some times, one after the other, and returns the events and what it kept in between."""

    def __init__(self, *, does: str, times: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.does = does
        self.times = times

    def execute(self, context: Any) -> Any:
        return self._again([])

    def go_on(self, context: Any, event: Any, seen: list[Any]) -> Any:
        return self._again([*seen, event])

    def _again(self, seen: list[Any]) -> Any:
        if len(seen) < self.times:
            self.defer(trigger=FakeTrigger(self.does), method_name="go_on", kwargs={"seen": seen})
        return seen
