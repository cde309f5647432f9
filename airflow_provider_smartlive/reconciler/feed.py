"""All jobs of a connection, looked at once in an interval for whoever watches rooms rather than a job."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow.sdk.timezone import utcnow
from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer

from airflow_provider_smartlive.client import operations
from airflow_provider_smartlive.client.listing import PAGE_SIZE
from airflow_provider_smartlive.decisions import JobStatus
from airflow_provider_smartlive.livestream.snapshot import ACTIVE_STATES, FINAL_STATES, JobSnapshot
from airflow_provider_smartlive.metastudio.errors import MetaStudioError
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.reconciler.requests import Requests, hook_for

if TYPE_CHECKING:
    from airflow_provider_smartlive.hooks import SmartLiveAsyncHook
    from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob

log = logging.getLogger(__name__)

#: Seconds before the first look, so that all triggers of a triggerer that has just started take part in it.
START_AFTER = 3.0

#: How far back the first look goes: what began and ended while no triggerer ran is found within this time.
CATCH_UP = timedelta(days=1)

#: By how much each look overlaps the one before it: MetaStudio's clock may be 15 minutes from ours (its gateway refuses
#: more), and its listing may lag behind.
OVERLAP = timedelta(minutes=16)

#: Seconds for looking at single jobs after a look; what is left over waits for the next one. It has to be less than
#: ``[triggerer] shared_stream_ack_timeout``, 300 by default.
SHOW_BUDGET = 90.0

_OTHER_PROJECT = "the connection was given another project meanwhile"

#: Most pages of finished jobs, of a hundred each, in one look.
MAX_FINISHED_PAGES = 20


@dataclass
class JobListing:
    """
    One look at the jobs of a connection.

    :param at: when it began.
    :param address: MetaStudio's endpoint and the project to which the connection led.
    :param active: all jobs that were active.
    :param finished: the jobs that were over and have changed since the look before.
    :param show: shows one job that is in neither list.
    """

    at: datetime
    address: str
    active: Sequence[SmartLiveJob]
    finished: Sequence[SmartLiveJob]
    show: Callable[[JobRef], Awaitable[JobSnapshot]]
    _saves: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    async def show_each(self, jobs: Iterable[JobRef]) -> dict[str, JobSnapshot]:
        """
        Look at jobs that are in neither list, as far as the time allows.

        :return: what was seen of each, by its id; one that no time was left for is not in it.
        """
        seen: dict[str, JobSnapshot] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(SHOW_BUDGET):
                for job in jobs:
                    seen[job.job_id] = await self.show(job)
        return seen

    def when_stored(self, save: Callable[[], Awaitable[None]]) -> None:
        """Let something be done when all events that were made of this look are in Airflow's database."""
        self._saves.append(save)

    async def stored(self) -> None:
        """Do what was to be done then; a fault of one subscriber is not that of the others."""
        for save in self._saves:
            try:
                await save()
            except Exception:
                log.warning("What was told of jobs cannot be remembered now.", exc_info=True)


class JobFeed(SharedStreamProducer):
    """
    Looks at all jobs of a connection, again and again; no fault ends it, as all its subscribers would end with it.

    Airflow runs one for all triggers with the same connection and interval, hands each look to all of them, and calls
    :meth:`advance` when the events that they made of it are in its database.

    :param conn_id: the connection.
    :param interval: seconds between two looks.
    """

    def __init__(
        self,
        conn_id: str,
        *,
        interval: float,
        make_hook: Callable[[str], SmartLiveAsyncHook] | None = None,
    ) -> None:
        self.conn_id = conn_id
        self._interval = interval
        self._requests = Requests(conn_id, make_hook or hook_for)

    async def open_stream(self) -> AsyncIterator[tuple[JobListing, JobListing]]:
        """Yield each look, for the subscribers and for :meth:`advance`."""
        async with self._requests:
            await asyncio.sleep(START_AFTER)
            since = utcnow() - CATCH_UP
            while True:
                began = utcnow()
                try:
                    listing = await self._look(began, since)
                except Exception as error:
                    log.warning("Connection %s: jobs cannot be listed now: %s", self.conn_id, error)
                else:
                    yield listing, listing
                    since = began - OVERLAP
                await asyncio.sleep(self._interval)

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Let the subscribers remember what they have told, unless one of them failed: it is told once more."""
        for item in batch:
            if not item.outcome.failed:
                await item.broker_payload.stored()

    async def _look(self, began: datetime, since: datetime) -> JobListing:
        address = await self._address()
        # In this order: a job that ends in between is in both lists, and being over counts.
        active = [
            job
            async for page in self._requests.pages(
                {"state": ACTIVE_STATES, "sort_key": "create_time", "sort_dir": "desc"}
            )
            for job in page
        ]
        finished = await self._finished(since)
        if await self._address() != address:
            raise RuntimeError(_OTHER_PROJECT)
        return JobListing(began, address, active, finished, self._show)

    async def _finished(self, since: datetime) -> list[SmartLiveJob]:
        found: list[SmartLiveJob] = []
        async for page in self._requests.pages(
            {"state": FINAL_STATES, "sort_key": "update_time", "sort_dir": "desc"}, most=MAX_FINISHED_PAGES
        ):
            found += page
            if any((changed := changed_at(job)) is not None and changed < since for job in page):
                return found
        if len(found) >= MAX_FINISHED_PAGES * PAGE_SIZE:
            log.warning(
                "Connection %s: only the %d jobs that ended last are looked at.", self.conn_id, len(found)
            )
        return found

    async def _show(self, job: JobRef) -> JobSnapshot:
        try:
            address = await self._address()
            snapshot = await self._ask(job)
            if await self._address() != address:
                raise RuntimeError(_OTHER_PROJECT)
        except Exception as error:  # such as a connection that cannot be read now
            return JobSnapshot(JobStatus.UNKNOWN, error=error)
        return snapshot

    async def _ask(self, job: JobRef) -> JobSnapshot:
        try:
            return JobSnapshot.of(
                await self._requests.send(lambda hook: hook.perform(operations.show_job(job)))
            )
        except MetaStudioError as error:
            return JobSnapshot.failed(error)

    async def _address(self) -> str:
        profile = await self._requests.send(lambda hook: hook.profile())
        return profile.base_url


def changed_at(job: SmartLiveJob) -> datetime | None:
    """Return when a job has changed last, as far as MetaStudio says so."""
    return job.lastupdate_time or job.end_time or job.create_time
