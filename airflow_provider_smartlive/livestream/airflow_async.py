"""Airflow's API in a trigger, with retries, and work that no cancellation interrupts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.execution_time import xcom
from airflow.sdk.timezone import utcnow
from airflow.triggers.base import BaseTrigger

from airflow_provider_smartlive.callbacks.messages import ResumeEvent
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.livestream import own_xcoms
from airflow_provider_smartlive.livestream.starter import Starter, StarterStatus

#: Most seconds between two tries to reach Airflow.
LONGEST_PAUSE = 60.0

T = TypeVar("T")

#: Nobody else may refer to them any more, and a task that nobody refers to may be collected.
_uninterruptible: set[asyncio.Task[None]] = set()


def task_ref_of(trigger: BaseTrigger) -> TaskRef:
    """Name the task that waits; the triggerer gives every trigger of a task its task instance before it runs."""
    ti: Any = trigger.task_instance
    return TaskRef.of(ti)


async def task_state_async(task: TaskRef) -> str | None:
    """Return the state of a task. Airflow can be asked synchronously only, which a thread does."""
    listed = await in_thread(Starter.of(task).listed)
    return listed.state if listed is not None else None


async def starter_status(starter: Starter) -> StarterStatus:
    """Return how a starter stands, likewise."""
    return await in_thread(starter.status)


async def in_thread(action: Callable[[], T]) -> T:
    """Do what Airflow offers synchronously only, at least in some of the versions that are supported."""
    # A task that defers imports the triggers, and never waits in one.
    from asgiref.sync import sync_to_async

    return await sync_to_async(action)()


async def push(trigger: BaseTrigger, key: str, wake: ResumeEvent) -> None:
    """Write an XCom of the task that waits."""
    await own_xcoms.push_async(task_ref_of(trigger), key, wake.dump())


async def withdraw(trigger: BaseTrigger, key: str) -> None:
    """Delete an XCom of the task that waits. The SDK can do so synchronously only, which a thread does."""
    await in_thread(partial(own_xcoms.delete, task_ref_of(trigger), key))


async def push_result(trigger: BaseTrigger, wake: ResumeEvent) -> None:
    """Write the task's result: the event's own ``xcoms`` would be written in a transaction of their own."""
    # Whoever pulls a result does so by the deployment's XCom backend.
    await xcom.XCom.aset(BaseXCom.XCOM_RETURN_KEY, wake.dump(), **vars(task_ref_of(trigger)))


async def retry_api(trigger: BaseTrigger, action: Callable[[], Awaitable[T]], *, budget: float) -> T:
    """
    Do something by way of Airflow's API, whose passing faults must not end a wait.

    :param budget: seconds after which its error is raised.
    """
    since, pause = utcnow(), 1.0
    while True:
        try:
            return await action()
        except Exception as error:
            if utcnow() - since >= timedelta(seconds=budget):
                raise
            trigger.log.warning("Airflow's API failed: %s; again in %.0f s.", error, pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


async def shielded(work: Coroutine[Any, Any, None]) -> None:
    """
    Let work come to its end although whoever waits for it is cancelled.

    Airflow cancels the trigger of a killed task again with each sync of its state, about once a second, until the
    trigger is gone: its ``on_kill`` would hardly ever have the 30 seconds of ``[triggerer] on_kill_timeout``.
    """
    task = asyncio.create_task(work)
    _uninterruptible.add(task)
    task.add_done_callback(_uninterruptible.discard)
    await asyncio.shield(task)
