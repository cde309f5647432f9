"""
One poller per event loop and connection, shared by every trigger that waits there.

Asking MetaStudio is only the safety net behind the callbacks, so it must cost next to nothing: streams are
asked for in pages of active jobs, not one by one, and a job is shown by itself only when it has left that
list.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import Context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from airflow_provider_smartlive.client.calls import PAGE_SIZE, AllJobsFilters
from airflow_provider_smartlive.lifecycle import Sight
from airflow_provider_smartlive.livestream.sighting import ACTIVE_STATES, REFUSED_PAUSE, Sighting
from airflow_provider_smartlive.metastudio.errors import AuthenticationError, MetaStudioError
from airflow_provider_smartlive.metastudio.ids import normalise_id, same_id

if TYPE_CHECKING:
    from airflow_provider_smartlive.hooks import SmartLiveAsyncHook
    from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob

#: Seconds between two requests of one poller: at most five a second of the ten that MetaStudio grants a
#: tenant.
PACE = 0.2

#: Part of an interval by which a question may come early, so that triggers that started together do not ask
#: together, nor the pollers of several triggerers in step. Never late: the interval is a promise.
JITTER = 0.25

#: Seconds within which questions are asked together rather than one by one.
TOGETHER = 1.0

#: How many triggers are told in one turn of the event loop: each of them wakes up in the next one, and whatever
#: else lives on the loop has to wait for all of them.
TOLD_AT_ONCE = 50

_NEWEST_FIRST: AllJobsFilters = {"sort_key": "create_time", "sort_dir": "desc"}


@dataclass(eq=False)
class Watch:
    """
    One job that somebody waits for.

    :param job_id: the job.
    :param room_id: its room; None while it is not known, it is then learned from the tenant's listing.
    :param interval: seconds between two sightings.
    """

    job_id: str
    room_id: str | None
    interval: float
    due: float = 0.0
    _sightings: asyncio.Queue[Sighting] = field(default_factory=lambda: asyncio.Queue(maxsize=1))

    def tell(self, sighting: Sighting) -> None:
        """Hand over what was seen; only the newest sighting is kept."""
        if self._sightings.full():
            self._sightings.get_nowait()
        self._sightings.put_nowait(sighting)

    async def next(self) -> Sighting:
        """Wait for the next sighting."""
        return await self._sightings.get()


class Reconciler:
    """
    Asks MetaStudio about all watched jobs of one connection, in as few requests as possible.

    :param conn_id: the connection; its credentials are read again when MetaStudio refuses them.
    :param make_hook: makes the asynchronous hook (replaced in tests).
    :param spread: returns a random number in [0, 1) for the jitter.
    """

    def __init__(
        self,
        conn_id: str,
        *,
        make_hook: Callable[[str], SmartLiveAsyncHook] | None = None,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self.conn_id = conn_id
        self._make_hook = make_hook or _hook
        self._spread = spread
        self._watches: list[Watch] = []
        self._changed = asyncio.Event()
        self._early = 0.0
        self._asked_at = float("-inf")
        self._silent_until = float("-inf")
        self._refusals = 0

    @property
    def idle(self) -> bool:
        """Whether nobody watches any more."""
        return not self._watches

    def add(self, watch: Watch) -> None:
        """Begin to watch a job; its first sighting comes within one interval."""
        self._schedule(watch, self._spread())
        self._watches.append(watch)
        self._changed.set()

    def remove(self, watch: Watch) -> None:
        """Stop watching a job."""
        self._watches.remove(watch)
        self._changed.set()

    async def run(self) -> None:
        """Ask whenever something is due, until cancelled. No fault ends it: it would leave every trigger deaf."""
        async with AsyncExitStack() as stack:
            hook: SmartLiveAsyncHook | None = None
            while True:
                due = await self._wait_for_due()
                try:
                    if hook is None:
                        hook = await stack.enter_async_context(self._make_hook(self.conn_id))
                    await self._ask(hook, due)
                except Exception as error:  # such as a connection that cannot be read at the moment
                    for watch in due:
                        self._tell(watch, Sighting(Sight.UNKNOWN, error=error))

    async def _wait_for_due(self) -> list[Watch]:
        while True:
            self._changed.clear()
            next_due = self._next_due()
            if next_due is not None and next_due <= _now():
                return [watch for watch in self._watches if watch.due <= _now() + TOGETHER]
            try:
                async with asyncio.timeout_at(next_due):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _next_due(self) -> float | None:
        if not self._watches:
            return None
        return max(min(watch.due for watch in self._watches), self._silent_until)

    async def _ask(self, hook: SmartLiveAsyncHook, due: list[Watch]) -> None:
        # One draw for all that are told together: of a thousand draws the least would decide for all of them.
        self._early = self._spread()
        try:
            active = await self._active_jobs(hook) if len(due) > 1 else {}
            for watch in due:
                if normalise_id(watch.job_id) not in active:
                    self._tell(watch, await self._show(hook, watch))
            # The listing told about every active job: those that were not due yet need not ask for
            # themselves.
            for number, watch in enumerate(list(self._watches), start=1):
                if job := active.get(normalise_id(watch.job_id)):
                    watch.room_id = watch.room_id or job.room_id
                    self._tell(watch, Sighting.of(job))
                if number % TOLD_AT_ONCE == 0:
                    await asyncio.sleep(0)
            self._refusals = 0
        except AuthenticationError as refusal:
            await self._refused(hook, refusal)
        except MetaStudioError as error:  # whatever it is, it says nothing about a single job
            for watch in due:
                self._tell(watch, Sighting(Sight.UNKNOWN, error=error))

    async def _active_jobs(self, hook: SmartLiveAsyncHook) -> dict[str, SmartLiveJob]:
        jobs = self._listed(hook, _NEWEST_FIRST | {"state": ACTIVE_STATES})
        return {normalise_id(job.job_id): job async for job in jobs}

    async def _listed(self, hook: SmartLiveAsyncHook, filters: AllJobsFilters) -> AsyncIterator[SmartLiveJob]:
        """List jobs of all rooms, keeping the pace between pages too."""
        await self._pace()
        seen = 0
        async for job in hook.list_jobs(**filters):
            yield job
            seen += 1
            if seen % PAGE_SIZE == 0:
                await self._pace()

    async def _show(self, hook: SmartLiveAsyncHook, watch: Watch) -> Sighting:
        try:
            if watch.room_id is None:
                return await self._search(hook, watch)
            await self._pace()
            return Sighting.of(await hook.show_job(watch.room_id, watch.job_id))
        except AuthenticationError:
            raise
        except MetaStudioError as error:
            # One job's fault must not cost the others their sighting.
            return Sighting.failed(error)

    async def _search(self, hook: SmartLiveAsyncHook, watch: Watch) -> Sighting:
        async for job in self._listed(hook, _NEWEST_FIRST):
            if same_id(job.job_id, watch.job_id):
                watch.room_id = job.room_id
                return Sighting.of(job)
        return Sighting(Sight.NOT_FOUND)

    async def _refused(self, hook: SmartLiveAsyncHook, refusal: AuthenticationError) -> None:
        """Read the connection once more (a key may have been changed); then all fall silent: each try costs."""
        self._refusals += 1
        if self._refusals == 1:
            await hook.reload()
            self._silent_until = _now() + TOGETHER
            return
        self._refusals = 0
        self._silent_until = _now() + REFUSED_PAUSE
        for watch in self._watches:
            self._tell(watch, Sighting.failed(refusal))

    def _tell(self, watch: Watch, sighting: Sighting) -> None:
        watch.tell(sighting)
        self._schedule(watch, self._early)

    def _schedule(self, watch: Watch, early: float) -> None:
        watch.due = _now() + watch.interval * (1 - JITTER * early)

    async def _pace(self) -> None:
        wait = self._asked_at + PACE - _now()
        if wait > 0:
            await asyncio.sleep(wait)
        self._asked_at = _now()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _hook(conn_id: str) -> SmartLiveAsyncHook:
    from airflow_provider_smartlive.hooks import SmartLiveAsyncHook

    return SmartLiveAsyncHook(smartlive_conn_id=conn_id)


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
