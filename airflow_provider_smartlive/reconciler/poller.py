"""The poller of one connection: what is asked for next, and who is told."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING

from airflow_provider_smartlive.client import operations
from airflow_provider_smartlive.client.listing import PAGE_SIZE, AllJobsFilters
from airflow_provider_smartlive.decisions import JobStatus
from airflow_provider_smartlive.livestream.snapshot import ACTIVE_STATES, FINAL_STATES, JobSnapshot
from airflow_provider_smartlive.metastudio.errors import (
    AuthenticationError,
    InvalidRequest,
    MetaStudioError,
    PermissionDenied,
    Throttled,
    UnexpectedResponse,
)
from airflow_provider_smartlive.metastudio.ids import JobRef, normalise_id
from airflow_provider_smartlive.reconciler.clock import loop_time
from airflow_provider_smartlive.reconciler.requests import REQUEST_INTERVAL, Requests, hook_for
from airflow_provider_smartlive.reconciler.watch import Watch, WatchQueue

if TYPE_CHECKING:
    from airflow_provider_smartlive.hooks import SmartLiveAsyncHook
    from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob

log = logging.getLogger(__name__)

#: Part of an interval by which a question may come early, so that triggers that started together do not ask
#: together, nor the pollers of several triggerers in step. Never late: the interval is a promise.
JITTER = 0.25

#: Largest part of an interval by which a look begins early because it takes its time.
LONGEST_LEAD = 0.25

#: Seconds within which questions are asked together rather than one by one.
BATCH_WINDOW = 1.0

#: How many jobs must have left the list of active jobs to be worth a page of finished ones, and so many for each
#: further page: looking for them never costs more than a tenth of what showing each of them does.
WORTH_A_PAGE = 10

#: How many jobs are told about in one turn of the event loop: each trigger wakes up in the next one, and whatever
#: else lives on the loop has to wait for all of them.
NOTIFY_BATCH = 50

_NEWEST_FIRST: AllJobsFilters = {"sort_key": "create_time", "sort_dir": "desc"}


class Reconciler:
    """
    Asks MetaStudio about all watched jobs of one connection, in as few requests as possible.

    A watch that is asked for is in one of four queues until it is told something: it is due; its job was not on the
    list of active jobs; it is to be shown by itself; its room is not known, and it is searched for.

    :param conn_id: the connection.
    :param make_hook: makes the asynchronous hook (replaced in tests).
    """

    def __init__(
        self,
        conn_id: str,
        *,
        make_hook: Callable[[str], SmartLiveAsyncHook] | None = None,
    ) -> None:
        self.conn_id = conn_id
        self._requests = Requests(conn_id, make_hook or hook_for)
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
        """Begin to watch a job; its first snapshot comes within one interval."""
        self._watches[watch] = None
        self._by_job.setdefault(normalise_id(watch.job_id), []).append(watch)
        self._schedule(watch, random.random())  # noqa: S311 - spreads load, keeps no secret

    def remove(self, watch: Watch) -> None:
        """Stop watching a job."""
        del self._watches[watch]
        job_id = normalise_id(watch.job_id)
        self._by_job[job_id].remove(watch)
        if not self._by_job[job_id]:
            del self._by_job[job_id]
        self._leave_queues(watch)

    async def run(self) -> None:
        """Ask whenever something is due, until cancelled. No fault ends it, as every trigger depends on it."""
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
            self._early = random.random()  # noqa: S311 - as above
            due = list(self._due)
            try:
                if len(due) == 1 and (job_ref := due[0].job_ref) is not None:
                    await self._show(due[0], job_ref, again=self._unlisted, unless=JobStatus.NOT_FOUND)
                # A job that is not found may be in another room: the list tells.
                if self._due:
                    await self._list_active()
            except Exception as error:  # whatever it is, it says nothing about a single job
                await self._failed(error, self._due)

    async def _wait_for_due(self) -> None:
        """Wait until something is due, and take what is due soon along."""
        while True:
            self._earlier.clear()
            now = loop_time()
            begin = now if self._due else min(map(self._begin, self._watches), default=inf)
            self._wakes_at = max(begin, self._requests.silent_until)
            if self._wakes_at <= now:
                break
            with suppress(TimeoutError):
                async with asyncio.timeout_at(None if self._wakes_at == inf else self._wakes_at):
                    await self._earlier.wait()
        for watch in self._watches:
            if self._begin(watch) <= now + BATCH_WINDOW:
                self._ask(watch, self._due)

    def _begin(self, watch: Watch) -> float:
        """Return when to begin, so that the answer is there in time although it takes several requests."""
        if len(self._watches) == 1:
            return watch.due  # it is shown
        pages = max(self._took, REQUEST_INTERVAL * (len(self._watches) // PAGE_SIZE))
        shows = REQUEST_INTERVAL * min(len(self._watches), WORTH_A_PAGE)
        # The pages of active jobs, those of as many that may have left their list, and a few shows.
        return watch.due - min(2 * pages + shows, LONGEST_LEAD * watch.seconds)

    async def _list_active(self) -> None:
        began, listed = loop_time(), set[Watch]()
        try:
            async for jobs in self._requests.pages(_NEWEST_FIRST | {"state": ACTIVE_STATES}):
                # It tells about every active job: those that were not due yet need not ask for themselves.
                listed |= await self._tell_about(jobs)
            self._took = loop_time() - began
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
                if self._single:
                    await self._show_next()
            except Exception as error:
                await self._failed(error, self._unlisted)

    async def _list_finished(self, watches: list[Watch]) -> None:
        filters: AllJobsFilters = {"sort_key": "update_time", "sort_dir": "desc", "state": FINAL_STATES}
        created = [watch.created_at for watch in watches if watch.created_at is not None]
        if len(created) == len(watches):
            filters["create_since"] = min(created)
        try:
            async for jobs in self._requests.pages(filters, most=len(watches) // WORTH_A_PAGE):
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

    async def _show_next(self) -> None:
        """Show the first job whose turn it is, or wait a little if all have just failed."""
        watch = min(self._single, key=lambda watch: watch.show_at)
        pause = watch.show_at - loop_time()
        if pause > 0:
            await asyncio.sleep(min(pause, BATCH_WINDOW))
        else:
            job_ref = watch.job_ref or JobRef("", watch.job_id)
            await self._show(watch, job_ref, again=self._single)

    async def _show(
        self, watch: Watch, job_ref: JobRef, *, again: WatchQueue, unless: JobStatus | None = None
    ) -> None:
        """
        Ask once for one job and tell about it.

        :param again: where it queues after a fault that may pass.
        :param unless: what nobody is told.
        """
        try:
            job = await self._requests.attempt(lambda hook: hook.perform(operations.show_job(job_ref)))
            snapshot = JobSnapshot.of(job)
        except (AuthenticationError, Throttled):
            raise
        except MetaStudioError as error:
            watch.shows += 1
            pause = self._requests.pause_after(error, watch.shows)
            if pause is not None and watch in self._watches:
                watch.show_at = loop_time() + pause
                self._ask(watch, again)
                return
            # One job's fault must not cost the others their snapshot.
            snapshot = JobSnapshot.failed(error)
        except Exception as error:  # such as an id that cannot be part of a path
            snapshot = JobSnapshot(JobStatus.UNKNOWN, error=error)
        if snapshot.status is not unless:
            self._tell(watch, snapshot)

    # -- what nobody knows the room of

    async def _search(self) -> None:
        """Search all jobs, the newest first, once for all whose room is not known."""
        while True:
            await self._roomless.filled()
            watches = list(self._roomless)
            try:
                async for jobs in self._requests.pages(_NEWEST_FIRST):
                    await self._tell_about(jobs)
                    if not any(watch in self._roomless for watch in watches):
                        break
                for number, watch in enumerate(watches, start=1):
                    if watch in self._roomless and watch.room_id is not None:
                        self._ask(watch, self._unlisted)
                    elif watch in self._roomless:
                        self._tell(watch, JobSnapshot(JobStatus.NOT_FOUND))
                    await _breathe(number)
            except Exception as error:
                await self._failed(error, [watch for watch in watches if watch in self._roomless])

    # -- asking and telling

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
        snapshot = JobSnapshot(JobStatus.REFUSED if refused else JobStatus.UNKNOWN, error=error)
        for number, watch in enumerate(list(self._watches if refused else watches), start=1):
            self._tell(watch, snapshot)
            await _breathe(number)

    async def _tell_about(self, jobs: Iterable[SmartLiveJob]) -> set[Watch]:
        """Tell whoever watches these jobs, and return who that is."""
        told: set[Watch] = set()
        for number, job in enumerate(jobs, start=1):
            snapshot = JobSnapshot.of(job)
            for watch in self._by_job.get(normalise_id(job.job_id), ()):
                watch.learn(job)
                if snapshot.is_clear:  # else it is better shown by itself
                    self._tell(watch, snapshot)
                    told.add(watch)
            await _breathe(number)
        return told

    def _ask(self, watch: Watch, queue: WatchQueue) -> None:
        self._leave_queues(watch)
        watch.due = inf
        queue.add(watch)

    def _tell(self, watch: Watch, snapshot: JobSnapshot) -> None:
        self._leave_queues(watch)
        watch.shows, watch.show_at = 0, -inf
        watch.tell(snapshot)
        self._schedule(watch, self._early)

    def _leave_queues(self, watch: Watch) -> None:
        for queue in (self._due, self._unlisted, self._single, self._roomless):
            queue.discard(watch)

    def _schedule(self, watch: Watch, early: float) -> None:
        watch.due = loop_time() + watch.seconds * (1 - JITTER * early)
        if self._begin(watch) < self._wakes_at:
            self._earlier.set()


async def _breathe(number: int) -> None:
    if number % NOTIFY_BATCH == 0:
        await asyncio.sleep(0)
