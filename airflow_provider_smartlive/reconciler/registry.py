"""The pollers that run: one per event loop and connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import Context
from weakref import WeakKeyDictionary

from airflow_provider_smartlive.reconciler.poller import Reconciler
from airflow_provider_smartlive.reconciler.watch import Watch

_running: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, tuple[Reconciler, asyncio.Task[None]]]] = (
    WeakKeyDictionary()
)


@asynccontextmanager
async def watching(
    conn_id: str, *, job_id: str, room_id: str | None, interval: float
) -> AsyncIterator[Watch]:
    """
    Watch a job through the poller that all triggers of this event loop and connection share.

    The first one to come starts the poller, the last one to go stops it.

    :param conn_id: the connection.
    :param job_id: the job.
    :param room_id: its room, or None if it is not known.
    :param interval: seconds between two sightings.
    """
    pollers = _running.setdefault(asyncio.get_running_loop(), {})
    if conn_id not in pollers or pollers[conn_id][1].done():
        # The poller outlives the trigger that happened to start it: it must not inherit that trigger's log
        # context.
        poller = Reconciler(conn_id)
        name = f"smartlive reconciler {conn_id}"
        pollers[conn_id] = (poller, asyncio.create_task(poller.run(), name=name, context=Context()))
    reconciler, task = pollers[conn_id]
    watch = Watch(job_id=job_id, room_id=room_id, interval=interval)
    reconciler.add(watch)
    try:
        yield watch
    finally:
        reconciler.remove(watch)
        if reconciler.idle and pollers.get(conn_id, (None, None))[1] is task:
            del pollers[conn_id]
            task.cancel()
