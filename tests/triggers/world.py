"""A triggerer with one trigger in it, in virtual time."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, fields
from typing import Any

from airflow.models.trigger import Trigger
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_smartlive.callbacks.messages import XCOM_TABLE_KEY, ResumeEvent
from airflow_provider_smartlive.callbacks.table import CallbackTable
from airflow_provider_smartlive.livestream.wait_state import WaitLimits, WaitState
from airflow_provider_smartlive.triggers import SmartLiveJobTrigger
from tests.support.fake_airflow import TASK, FakeSupervisor, FakeTaskInstance
from tests.support.fake_callbacks import called_back
from tests.support.fake_metastudio import ROOM, FakeJob, FakeMetaStudio
from tests.support.virtual_time import NOON, Clock, run

INTERVAL = 300.0
LIVE = ("CONNECTING", "CONNECTED")


@dataclass
class World:
    """A triggerer with one trigger in it."""

    clock: Clock
    metastudio: FakeMetaStudio
    supervisor: FakeSupervisor
    job: FakeJob

    def calls_back(self, *states: str, **more: Any) -> None:
        """Let MetaStudio report; as a waiting task's first seconds know it: nobody is resumed."""
        table = CallbackTable.load(self.supervisor.xcom(XCOM_TABLE_KEY))
        table = called_back(self.job.job_id, *states, table=table, **more)
        self.supervisor.xcoms[TASK, -1, XCOM_TABLE_KEY] = table.dump()

    def ends(self, state: str = "SUCCEED") -> None:
        self.job.state = state

    def wait(self, trigger: BaseTrigger, *, task_id: str = TASK, at_most: float = 10 * 3600) -> Any:
        """Run a trigger as the triggerer does, as it comes out of the database, until it fires."""
        classpath, kwargs = trigger.serialize()
        kwargs = Trigger._decrypt_kwargs(Trigger.encrypt_kwargs(kwargs))
        module, _, name = classpath.rpartition(".")
        assert module == "airflow_provider_smartlive.triggers"
        started = type(trigger)(**kwargs)
        assert type(started).__name__ == name
        started.task_instance = FakeTaskInstance(self.supervisor, task_id=task_id)

        async def fire() -> Any:
            async with asyncio.timeout(at_most):
                events = [event async for event in started.run()]
            assert len(events) == 1
            return events[0]

        return run(self.clock, fire())

    def wake(self, trigger: BaseTrigger, **more: Any) -> tuple[str, str | None, float]:
        """Return source, state and time of what wakes the task."""
        event = self.wait(trigger, **more)
        assert type(event) is TriggerEvent
        wake = ResumeEvent.load(json.loads(json.dumps(event.payload)))
        assert wake.at == self.clock.now
        return wake.source, wake.state, self.clock.seconds


def job_trigger(world: World, **more: Any) -> SmartLiveJobTrigger:
    """Make a trigger; each argument is one of the wait's state or of its limits."""
    limits = {part.name for part in fields(WaitLimits)}
    state: dict[str, Any] = {
        "smartlive_conn_id": "one",
        "room_id": ROOM,
        "job_id": world.job.job_id,
        "expected_outputs": 1,
        "started_at": NOON,
    }
    wait = WaitState(**state | {name: value for name, value in more.items() if name not in limits})
    limit = WaitLimits(
        **{"interval": INTERVAL} | {name: value for name, value in more.items() if name in limits}
    )
    return SmartLiveJobTrigger(wait=wait.dump(), limits=limit.dump())
