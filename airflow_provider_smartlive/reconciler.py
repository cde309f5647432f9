"""
One poller per event loop and connection, shared by every trigger that waits there.

Asking MetaStudio is only the safety net behind the callbacks, so it must cost next to nothing: streams are asked for
in pages of active jobs, not one by one. What one poller promises, and how (figures in docs/scaling.md):

* It sends at most five requests a second (:data:`PACE`), one after the other, and none for a while after MetaStudio
  has refused the credentials or throttled.
* Every job is asked for within its interval (of 5 s at least), and an END whose every callback was lost is seen in
  that time, as long as the list of active jobs takes less than an eighth of it. Jobs that have left that list are
  looked for in pages of the jobs that were finished last; only a few, and those that are not found there, are shown
  one by one.
* Looking at the active jobs, catching up with those that have left, and searching for a job whose room is not known
  take turns, request by request: none of them can keep another waiting.
* A watch that has heard nothing for twice its interval and a minute says so by itself: a failure budget counts by
  the clock, also if the poller stands still.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from contextvars import Context
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING, Self, TypeVar
from weakref import WeakKeyDictionary

from airflow_provider_smartlive.client.calls import MAX_ENTRIES, PAGE_SIZE, AllJobsFilters, next_offset
from airflow_provider_smartlive.lifecycle import Sight
from airflow_provider_smartlive.livestream.sighting import (
    ACTIVE_STATES,
    FINAL_STATES,
    REFUSED_PAUSE,
    Sighting,
)
from airflow_provider_smartlive.metastudio.errors import (
    AuthenticationError,
    InvalidRequest,
    MetaStudioError,
    PermissionDenied,
    Throttled,
    UnexpectedResponse,
)
from airflow_provider_smartlive.metastudio.ids import normalise_id

if TYPE_CHECKING:
    from airflow_provider_smartlive.hooks import SmartLiveAsyncHook
    from airflow_provider_smartlive.metastudio.jobs import JobList, SmartLiveJob

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Seconds between two requests of one poller: at most five a second of the ten that MetaStudio grants a
#: tenant.
PACE = 0.2

#: Least seconds between two questions about a job, whatever its interval is.
SHORTEST_INTERVAL = 5.0

#: Part of an interval by which a question may come early, so that triggers that started together do not ask
#: together, nor the pollers of several triggerers in step. Never late: the interval is a promise.
JITTER = 0.25

#: Largest part of an interval by which a look begins early because it takes its time.
LONGEST_LEAD = 0.25

#: Seconds within which questions are asked together rather than one by one.
TOGETHER = 1.0

#: How many jobs must have left the list of active jobs to be worth a page of finished ones, and so many for each
#: further page: looking for them never costs more than a tenth of what showing each of them does.
WORTH_A_PAGE = 10

#: Seconds to leave MetaStudio alone when it throttles without a Retry-After; a longer one than REFUSED_PAUSE is not
#: waited for.
THROTTLED_PAUSE = 30.0

#: Seconds after which a poller reads its connection again: somebody may have given it another project, where jobs of
#: before are not found, or new keys. Triggers that start later already read it so.
CONNECTION_AGE = 60.0

#: Seconds without any sighting, beyond twice the interval, after which a watch reports that nothing is known.
OVERDUE = 60.0

#: How many jobs are told about in one turn of the event loop: each trigger wakes up in the next one, and whatever
#: else lives on the loop has to wait for all of them.
TOLD_AT_ONCE = 50

_NEWEST_FIRST: AllJobsFilters = {"sort_key": "create_time", "sort_dir": "desc"}


@dataclass(eq=False)
class Watch:
    """
    One job that somebody waits for.

    :param job_id: the job.
    :param room_id: its room; None while it is not known. What a listing says counts more.
    :param interval: seconds between two sightings; at least :data:`SHORTEST_INTERVAL`.
    :ivar due: when it is to be asked for, by the event loop's clock; infinite while that is going on.
    :ivar listed: whether the job was on the list of active jobs when that was read last.
    :ivar created_at: when the job was made, once a listing has told.
    """

    job_id: str
    room_id: str | None
    interval: float
    due: float = 0.0
    listed: bool = False
    created_at: datetime | None = None
    _sightings: asyncio.Queue[Sighting] = field(default_factory=lambda: asyncio.Queue(maxsize=1))
    _last: Sighting | None = None
    _heard_at: float | None = None

    @property
    def seconds(self) -> float:
        """The interval, bounded below."""
        return max(SHORTEST_INTERVAL, self.interval)

    def tell(self, sighting: Sighting) -> None:
        """Hand over what was seen; only the newest sighting is kept."""
        if self._sightings.full():
            self._sightings.get_nowait()
        self._sightings.put_nowait(sighting)

    async def next(self) -> Sighting:
        """
        Wait for the next sighting.

        If none comes for too long, what was heard last counts again if it was no clear answer; else nothing is known.
        """
        if self._heard_at is None:
            self._heard_at = _now()
        patience = 2 * self.seconds + OVERDUE
        try:
            async with asyncio.timeout_at(self._heard_at + patience):
                self._last = await self._sightings.get()
        except TimeoutError:
            if self._last is None or self._last.is_clear:
                nothing = TimeoutError(f"no answer about the job for {patience:.0f} s")
                self._last = Sighting(Sight.UNKNOWN, error=nothing)
        self._heard_at = _now()
        return self._last

    def learn(self, job: SmartLiveJob) -> None:
        """Keep what a listing says about the job."""
        self.room_id = job.room_id or self.room_id
        self.created_at = job.create_time


class Requests:
    """
    Sends the requests of one poller: one at a time, at a pace, in the order in which they are asked for.

    It holds the hook, between ``async with`` and its end, and opens it for the first request.

    :param conn_id: the connection; it is read again when it is older than :data:`CONNECTION_AGE`, and when MetaStudio
        refuses its credentials.
    :param make_hook: makes the asynchronous hook.
    :ivar silent_until: MetaStudio is left alone until then, by the event loop's clock.
    """

    def __init__(self, conn_id: str, make_hook: Callable[[str], SmartLiveAsyncHook]) -> None:
        self.conn_id = conn_id
        self.silent_until = -inf
        self._make_hook = make_hook
        self._hook: SmartLiveAsyncHook | None = None
        self._stack = AsyncExitStack()
        # First come, first served: so those who send many requests take turns with those who send few.
        self._turn = asyncio.Lock()
        self._sent_at = -inf
        self._read_at = -inf
        self._refusals = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    @property
    def is_silent(self) -> bool:
        """Whether MetaStudio is left alone at the moment."""
        return _now() < self.silent_until

    async def send(self, ask: Callable[[SmartLiveAsyncHook], Awaitable[T]]) -> T:
        """
        Wait for one's turn, and ask.

        :raises AuthenticationError, Throttled: then it may be asked again; that waits as long as it has to.
        """
        async with self._turn:
            await asyncio.sleep(max(0.0, self._sent_at + PACE - _now(), self.silent_until - _now()))
            self._sent_at = _now()
            hook = await self._open_hook()
            try:
                answer = await ask(hook)
            except AuthenticationError:
                await self._refused(hook)
                raise
            except Throttled as error:
                self._be_silent(max(THROTTLED_PAUSE, error.retry_after or 0.0), error)
                raise
            self._refusals = 0
            return answer

    async def _open_hook(self) -> SmartLiveAsyncHook:
        if self._hook is None:
            self._hook = await self._stack.enter_async_context(self._make_hook(self.conn_id))
        elif _now() < self._read_at + CONNECTION_AGE:
            return self._hook
        elif await self._has_changed(self._hook):
            log.info("Connection %s was edited.", self.conn_id)
        self._read_at = _now()
        return self._hook

    async def _refused(self, hook: SmartLiveAsyncHook) -> None:
        """Read the connection once more (a key may have been changed); else fall silent: each try costs."""
        self._refusals += 1
        if self._refusals == 1 and await self._has_changed(hook):
            return
        self._refusals = 0
        self._be_silent(REFUSED_PAUSE, "it refuses the credentials")

    async def _has_changed(self, hook: SmartLiveAsyncHook) -> bool:
        try:
            return await hook.reload()
        except Exception as error:  # whatever it is, the bad key must not be tried again because of it
            log.warning("Connection %s cannot be read again: %s", self.conn_id, error)
            return False

    def _be_silent(self, seconds: float, reason: object) -> None:
        seconds = min(seconds, REFUSED_PAUSE)
        self.silent_until = _now() + seconds
        log.warning("Connection %s: MetaStudio is not asked for %.0f s: %s", self.conn_id, seconds, reason)


class WatchQueue:
    """Watches in the order in which they came; each may leave from any place."""

    def __init__(self) -> None:
        self._watches: dict[Watch, None] = {}
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._watches)

    def __iter__(self) -> Iterator[Watch]:
        return iter(self._watches)

    def __contains__(self, watch: Watch) -> bool:
        return watch in self._watches

    def add(self, watch: Watch) -> None:
        """Add a watch at the end."""
        self._watches[watch] = None
        self._filled.set()

    def discard(self, watch: Watch) -> None:
        """Take a watch out, if it is in."""
        self._watches.pop(watch, None)

    async def filled(self) -> None:
        """Wait until there is a watch."""
        while not self._watches:
            self._filled.clear()
            await self._filled.wait()


class Reconciler:
    """
    Asks MetaStudio about all watched jobs of one connection, in as few requests as possible.

    A watch that is asked for is in one of four queues until it is told something: it is due; its job was not on the
    list of active jobs; it is to be shown by itself; its room is not known, and it is searched for.

    :param conn_id: the connection.
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
        self._requests = Requests(conn_id, make_hook or _hook)
        self._spread = spread
        self._watches: dict[Watch, None] = {}
        self._by_job: dict[str, list[Watch]] = {}
        self._due, self._unlisted, self._single, self._roomless = (WatchQueue() for _ in range(4))
        self._earlier = asyncio.Event()
        self._wakes_at = inf
        self._early = 0.0
        self._took = 0.0

    @property
    def idle(self) -> bool:
        """Whether nobody watches any more."""
        return not self._watches

    def add(self, watch: Watch) -> None:
        """Begin to watch a job; its first sighting comes within one interval."""
        self._watches[watch] = None
        self._by_job.setdefault(normalise_id(watch.job_id), []).append(watch)
        self._schedule(watch, self._spread())

    def remove(self, watch: Watch) -> None:
        """Stop watching a job."""
        del self._watches[watch]
        job_id = normalise_id(watch.job_id)
        self._by_job[job_id].remove(watch)
        if not self._by_job[job_id]:
            del self._by_job[job_id]
        self._leave_queues(watch)

    async def run(self) -> None:
        """Ask whenever something is due, until cancelled. No fault ends it: it would leave every trigger deaf."""
        async with self._requests, asyncio.TaskGroup() as tasks:
            for work in (self._look, self._catch_up, self._search):
                name = f"smartlive reconciler {self.conn_id}: {work.__name__.strip('_')}"
                tasks.create_task(work(), name=name)

    # -- what is due

    async def _look(self) -> None:
        """Ask for the jobs that are due."""
        while True:
            await self._wait_for_due()
            # One draw for all that are told together: of a thousand, the least would decide for all.
            self._early = self._spread()
            due = list(self._due)
            try:
                if len(due) == 1 and due[0].room_id is not None:
                    await self._show(due[0], due[0].room_id, unless=Sight.NOT_FOUND)
                # A job that is not found may be in another room: the list tells.
                if self._due:
                    await self._list_active()
            except Exception as error:  # whatever it is, it says nothing about a single job
                await self._failed(error, self._due)

    async def _wait_for_due(self) -> None:
        """Wait until something is due, and take what is due soon along."""
        while True:
            self._earlier.clear()
            now = _now()
            begin = now if self._due else min(map(self._begin, self._watches), default=inf)
            self._wakes_at = max(begin, self._requests.silent_until)
            if self._wakes_at <= now:
                break
            with suppress(TimeoutError):
                async with asyncio.timeout_at(None if self._wakes_at == inf else self._wakes_at):
                    await self._earlier.wait()
        for watch in self._watches:
            if self._begin(watch) <= now + TOGETHER:
                self._ask(watch, self._due)

    def _begin(self, watch: Watch) -> float:
        """Return when to begin, so that the answer is there in time although it takes several requests."""
        if len(self._watches) == 1:
            return watch.due  # it is shown
        pages = max(self._took, PACE * (len(self._watches) // PAGE_SIZE))
        shows = PACE * min(len(self._watches), WORTH_A_PAGE)
        # The pages of active jobs, those of as many that may have left their list, and a few shows.
        return watch.due - min(2 * pages + shows, LONGEST_LEAD * watch.seconds)

    async def _list_active(self) -> None:
        began, listed = _now(), set[Watch]()
        try:
            async for jobs in self._pages(_NEWEST_FIRST | {"state": ACTIVE_STATES}):
                # It tells about every active job: those that were not due yet need not ask for themselves.
                listed |= await self._tell_about(jobs)
            self._took = _now() - began
            unlisted = [watch for watch in self._watches if watch.listed and watch not in listed]
        except (InvalidRequest, PermissionDenied, UnexpectedResponse) as error:
            log.warning(
                "Connection %s: active jobs cannot be listed, each is asked for by itself: %s",
                self.conn_id,
                error,
            )
            unlisted = []
        for watch in listed:
            watch.listed = True
        for watch in [*self._due, *unlisted]:
            watch.listed = False
            self._ask(watch, self._unlisted if watch.room_id is not None else self._roomless)

    # -- what has left the list of active jobs

    async def _catch_up(self) -> None:
        """Find out what became of jobs that are not on the list of active jobs: many in pages, few one by one."""
        while True:
            if not self._single:
                await self._unlisted.filled()
            try:
                if len(self._unlisted) >= WORTH_A_PAGE:
                    await self._list_finished(list(self._unlisted))
                else:
                    self._ask_singly(self._unlisted)
                if watch := next(iter(self._single), None):
                    await self._show(watch, watch.room_id or "")
            except Exception as error:
                await self._failed(error, self._unlisted)

    async def _list_finished(self, watches: list[Watch]) -> None:
        filters: AllJobsFilters = {"sort_key": "update_time", "sort_dir": "desc", "state": FINAL_STATES}
        created = [watch.created_at for watch in watches if watch.created_at is not None]
        if len(created) == len(watches):
            filters["create_since"] = min(created)
        try:
            async for jobs in self._pages(filters, most=len(watches) // WORTH_A_PAGE):
                await self._tell_about(jobs)
                if not any(watch in self._unlisted for watch in watches):
                    return
        except (AuthenticationError, Throttled):
            raise
        except MetaStudioError as error:
            log.warning("Connection %s: finished jobs cannot be listed: %s", self.conn_id, error)
        self._ask_singly(watch for watch in watches if watch in self._unlisted)

    def _ask_singly(self, watches: Iterable[Watch]) -> None:
        for watch in list(watches):
            self._ask(watch, self._single)

    async def _show(self, watch: Watch, room_id: str, *, unless: Sight | None = None) -> None:
        """Ask for one job and tell about it, unless it is this that was seen."""
        try:
            job = await self._requests.send(lambda hook: hook.show_job(room_id, watch.job_id))
            sighting = Sighting.of(job)
        except (AuthenticationError, Throttled):
            raise
        except MetaStudioError as error:
            # One job's fault must not cost the others their sighting.
            sighting = Sighting.failed(error)
        except Exception as error:  # such as an id that cannot be part of a path
            sighting = Sighting(Sight.UNKNOWN, error=error)
        if sighting.sight is not unless:
            self._tell(watch, sighting)

    # -- what nobody knows the room of

    async def _search(self) -> None:
        """Search all jobs, the newest first, once for all whose room is not known."""
        while True:
            await self._roomless.filled()
            watches = list(self._roomless)
            try:
                async for jobs in self._pages(_NEWEST_FIRST):
                    await self._tell_about(jobs)
                    if not any(watch in self._roomless for watch in watches):
                        break
                for number, watch in enumerate(watches, start=1):
                    if watch in self._roomless and watch.room_id is not None:
                        self._ask(watch, self._unlisted)
                    elif watch in self._roomless:
                        self._tell(watch, Sighting(Sight.NOT_FOUND))
                    await _breathe(number)
            except Exception as error:
                await self._failed(error, [watch for watch in watches if watch in self._roomless])

    # -- asking and telling

    async def _pages(
        self, filters: AllJobsFilters, most: int = MAX_ENTRIES // PAGE_SIZE
    ) -> AsyncIterator[list[SmartLiveJob]]:
        offset: int | None = 0
        seen: set[str] = set()
        for _ in range(most):
            if offset is None:
                return
            page = await self._page(offset, filters)
            found = {job.job_id for job in page.smart_live_jobs}
            if found and found <= seen:
                return  # whatever count says: it begins anew
            seen |= found
            yield page.smart_live_jobs
            offset = next_offset(offset, page)

    async def _page(self, offset: int, filters: AllJobsFilters) -> JobList:
        return await self._requests.send(lambda hook: hook.list_jobs_page(offset, **filters))

    async def _failed(self, error: Exception, watches: Iterable[Watch]) -> None:
        """
        Tell about a fault.

        :param watches: who is told. A refusal concerns all; and nobody as long as it is just asked again.
        """
        if isinstance(error, Throttled) or (
            isinstance(error, AuthenticationError) and not self._requests.is_silent
        ):
            return
        refused = isinstance(error, AuthenticationError)
        sighting = Sighting(Sight.REFUSED if refused else Sight.UNKNOWN, error=error)
        for number, watch in enumerate(list(self._watches if refused else watches), start=1):
            self._tell(watch, sighting)
            await _breathe(number)

    async def _tell_about(self, jobs: Iterable[SmartLiveJob]) -> set[Watch]:
        """Tell whoever watches these jobs, and return who that is."""
        told: set[Watch] = set()
        for number, job in enumerate(jobs, start=1):
            sighting = Sighting.of(job)
            for watch in self._by_job.get(normalise_id(job.job_id), ()):
                watch.learn(job)
                if sighting.is_clear:  # else it is better shown by itself
                    self._tell(watch, sighting)
                    told.add(watch)
            await _breathe(number)
        return told

    def _ask(self, watch: Watch, queue: WatchQueue) -> None:
        self._leave_queues(watch)
        watch.due = inf
        queue.add(watch)

    def _tell(self, watch: Watch, sighting: Sighting) -> None:
        self._leave_queues(watch)
        watch.tell(sighting)
        self._schedule(watch, self._early)

    def _leave_queues(self, watch: Watch) -> None:
        for queue in (self._due, self._unlisted, self._single, self._roomless):
            queue.discard(watch)

    def _schedule(self, watch: Watch, early: float) -> None:
        watch.due = _now() + watch.seconds * (1 - JITTER * early)
        if self._begin(watch) < self._wakes_at:
            self._earlier.set()


async def _breathe(number: int) -> None:
    if number % TOLD_AT_ONCE == 0:
        await asyncio.sleep(0)


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
