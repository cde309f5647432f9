"""Operators that defer, and their triggers: Airflow finds a trigger by its module's name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.execution_time import task_runner
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from airflow_provider_smartlive.testing.run import SLICE

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
            case "ask in a thread":
                yield TriggerEvent(await asyncio.to_thread(_has_airflow_all_the_time))
            case _ if self.does.startswith("meet"):
                await self._meet()
                yield TriggerEvent("met")

    async def _meet(self) -> None:
        """Wait for the other one."""
        mine, others = self.does.split()[1:]
        MEETING.setdefault(mine, asyncio.Event()).set()
        await MEETING.setdefault(others, asyncio.Event()).wait()


def _has_airflow_all_the_time() -> bool:
    """Tell whether Airflow is reached in the same way after the triggers' turn as at its beginning."""
    before = task_runner.SUPERVISOR_COMMS
    time.sleep(3 * SLICE)
    return getattr(task_runner, "SUPERVISOR_COMMS", None) is before


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
