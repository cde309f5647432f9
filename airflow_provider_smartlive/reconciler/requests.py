"""The requests of one poller: in turns, at a pace, and none while MetaStudio does not want any."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from math import inf
from typing import TYPE_CHECKING, Self, TypeVar

from airflow_provider_smartlive import hooks, settings
from airflow_provider_smartlive.client import operations
from airflow_provider_smartlive.client.flow import backoff, may_be_asked_again
from airflow_provider_smartlive.client.listing import MAX_ENTRIES, PAGE_SIZE, AllJobsFilters, next_offset
from airflow_provider_smartlive.livestream.snapshot import REFUSED_PAUSE
from airflow_provider_smartlive.metastudio.errors import (
    AuthenticationError,
    MetaStudioError,
    ServerError,
    Throttled,
)
from airflow_provider_smartlive.reconciler.clock import loop_time

if TYPE_CHECKING:
    from airflow_provider_smartlive.hooks import SmartLiveAsyncHook
    from airflow_provider_smartlive.metastudio.jobs import JobList, SmartLiveJob

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Seconds between two requests of one poller: at most five a second of the ten that MetaStudio grants a
#: tenant.
REQUEST_INTERVAL = 0.2

#: Seconds to leave MetaStudio alone when it throttles, if its Retry-After is not longer; one that is longer than
#: REFUSED_PAUSE is not waited for.
THROTTLED_PAUSE = 30.0

#: Seconds after which a poller reads its connection again: somebody may have given it another project, where jobs of
#: before are not found, or new keys. Triggers that start later already read it so.
CONNECTION_AGE = 60.0


class Requests:
    """
    Sends the requests of one poller: one at a time, at a pace, in the order in which they are asked for.

    It holds the hook, between ``async with`` and its end, and opens it for the first request.

    :param conn_id: the connection; it is read again when it is older than :data:`CONNECTION_AGE`, and when MetaStudio
        refuses its credentials.
    :param make_hook: makes the asynchronous hook, which sends a request once.
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
        return loop_time() < self.silent_until

    async def send(self, ask: Callable[[SmartLiveAsyncHook], Awaitable[T]]) -> T:
        """
        Wait for one's turn, and ask; after a fault that may pass, again in turns of their own.

        :raises AuthenticationError, Throttled: then it may be asked again; that waits as long as it has to.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self.attempt(ask)
            except MetaStudioError as error:
                if (pause := self.pause_after(error, attempt)) is None:
                    raise
            await asyncio.sleep(pause)

    async def pages(
        self, filters: AllJobsFilters, most: int = MAX_ENTRIES // PAGE_SIZE
    ) -> AsyncIterator[list[SmartLiveJob]]:
        """
        Yield the jobs of all rooms page by page; each page waits for its turn.

        :param filters: of the listing, and its order.
        :param most: how many pages at most.
        :raises MetaStudioError: as :meth:`send`.
        """
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
        return await self.send(lambda hook: hook.perform(operations.list_jobs(offset, filters)))

    def pause_after(self, error: MetaStudioError, attempt: int) -> float | None:
        """
        Return the seconds to leave to others before the next attempt; None if the error counts.

        :param attempt: how many were made.
        """
        # What concerns all is waited for by all.
        last = attempt >= settings.usable_number("request_attempts")
        if last or isinstance(error, AuthenticationError | Throttled) or not may_be_asked_again(error):
            return None
        asked = error.retry_after if isinstance(error, ServerError) else None
        return (asked or 0.0) + backoff(attempt, random.uniform)

    async def attempt(self, ask: Callable[[SmartLiveAsyncHook], Awaitable[T]]) -> T:
        """
        Wait for one's turn, and ask once.

        :raises AuthenticationError, Throttled: then it may be asked again; that waits as long as it has to.
        """
        async with self._turn:
            await asyncio.sleep(
                max(0.0, self._sent_at + REQUEST_INTERVAL - loop_time(), self.silent_until - loop_time())
            )
            self._sent_at = loop_time()
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
        elif loop_time() < self._read_at + CONNECTION_AGE:
            return self._hook
        elif await self._has_changed(self._hook):
            log.info("Connection %s was edited.", self.conn_id)
        self._read_at = loop_time()
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
        self.silent_until = loop_time() + seconds
        log.warning("Connection %s: MetaStudio is not asked for %.0f s: %s", self.conn_id, seconds, reason)


def hook_for(conn_id: str) -> SmartLiveAsyncHook:
    """Return the hook of a poller. It sends a request once: attempts are turns, and keep nobody waiting for all."""
    return hooks.SmartLiveAsyncHook(smartlive_conn_id=conn_id, attempts=1)
