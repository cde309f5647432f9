"""Call MetaStudio from a trigger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack
from urllib.parse import urlsplit

from airflow.providers.common.compat.connection import get_async_connection
from airflow.sdk import BaseHook
from airflow.sdk.log import amask_secret

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.client import operations
from airflow_provider_smartlive.client.async_transport import AiohttpTransport
from airflow_provider_smartlive.client.connection import ConnectionProfile
from airflow_provider_smartlive.client.errors import TransportFailure
from airflow_provider_smartlive.client.flow import RequestFlow, utc_now
from airflow_provider_smartlive.client.listing import AllJobsFilters, JobFilters, RoomFilters, next_offset
from airflow_provider_smartlive.client.lookup import naming
from airflow_provider_smartlive.client.operations import Operation
from airflow_provider_smartlive.client.tokens import TOKENS
from airflow_provider_smartlive.metastudio.errors import MetaStudioError
from airflow_provider_smartlive.metastudio.jobs import LiveWarningInfo, SmartLiveJob, StartJobResponse
from airflow_provider_smartlive.provider_info import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from airflow_provider_smartlive.metastudio.commands import CommandRequest, CommandResponse
    from airflow_provider_smartlive.metastudio.ids import JobRef
    from airflow_provider_smartlive.metastudio.reports import LiveEvent
    from airflow_provider_smartlive.metastudio.rooms import CreateRoomRequest, CreateRoomResponse, Room
    from airflow_provider_smartlive.metastudio.start import StartJobRequest

T = TypeVar("T")


class SmartLiveAsyncHook(BaseHook):
    """
    The operations of :class:`~airflow_provider_smartlive.hooks.SmartLiveHook`, awaitable; see there.

    It is no :class:`~airflow.providers.http.hooks.http.HttpAsyncHook`: that one makes headers of the
    connection's ``extra``, lets the HTTP library re-encode URLs after they were signed, and repeats a POST
    after a server error.

    It holds one HTTP session, between ``async with`` and its end.

    :param smartlive_conn_id: the connection.
    :param attempts: how often a request that may be repeated is sent before its error counts; default: ``[smartlive]
        request_attempts``.
    :param sleep: waits between two attempts, in seconds.
    :param now: the clock, aware.
    """

    conn_name_attr = "smartlive_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = "smartlive"
    hook_name = "MetaStudio smart live"

    def __init__(
        self,
        smartlive_conn_id: str = DEFAULT_CONN_ID,
        *,
        attempts: int | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__()
        self.smartlive_conn_id = smartlive_conn_id
        self._attempts = attempts
        self._sleep = sleep
        self._now = now
        self._profile: ConnectionProfile | None = None
        self._transport: AiohttpTransport | None = None

    async def __aenter__(self) -> Self:
        await self.profile()
        self._transport = AiohttpTransport()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.close()

    async def profile(self) -> ConnectionProfile:
        """
        Return the parsed connection.

        :raises MissingConnectionError: if there is no such connection.
        :raises InvalidConnectionError: if a field is missing or malformed.
        """
        if self._profile is None:
            with naming(self.smartlive_conn_id, argument=self.conn_name_attr):
                connection = await get_async_connection(self.smartlive_conn_id, hook=self)
            self._profile = ConnectionProfile.from_connection(connection)
            for secret in self._profile.secrets:
                await amask_secret(secret)
        return self._profile

    async def reload(self) -> bool:
        """Read the connection again, when MetaStudio refuses the credentials; tell whether it has changed."""
        before, self._profile = self._profile, None
        try:
            profile = await self.profile()
        except BaseException:
            self._profile = before  # better the old one than none
            raise
        return profile != before

    async def perform(self, operation: Operation[T]) -> T:
        """
        Carry out an operation (:mod:`~airflow_provider_smartlive.client.operations`); the methods below are made of it.

        :raises MetaStudioError: if MetaStudio refused, or gave no answer that could be read.
        """
        if self._transport is None:
            raise RuntimeError("SmartLiveAsyncHook holds an HTTP session: use it with `async with`.")
        profile = await self.profile()
        timeout = settings.usable_number("request_timeout")
        flow = RequestFlow(
            profile,
            attempts=self._attempts or settings.usable_number("request_attempts"),
            tokens=TOKENS,
            now=self._now,
            log=self.log,
        )
        steps = flow.run(operation)
        try:
            step = next(steps)
            while True:
                if step.pause:
                    await self._sleep(step.pause)
                late = step.is_late(self._now())
                reply = TransportFailure.LATE if late else await self._transport.send(profile, step, timeout)
                step = steps.send(reply)
        except StopIteration as done:
            result: T = done.value
            return result

    async def start_job(
        self,
        room_id: str,
        request: StartJobRequest | Mapping[str, Any],
        *,
        send_by: datetime | None = None,
    ) -> StartJobResponse:
        """Start a livestream."""
        return await self.perform(operations.start_job(room_id, request, send_by=send_by))

    async def show_job(self, job_ref: JobRef) -> SmartLiveJob:
        """Return a job as it is now."""
        return await self.perform(operations.show_job(job_ref))

    async def stop_job(self, job_ref: JobRef) -> None:
        """Ask MetaStudio to end a job."""
        await self.perform(operations.stop_job(job_ref))

    async def list_room_jobs(
        self, room_id: str, **filters: Unpack[JobFilters]
    ) -> AsyncIterator[SmartLiveJob]:
        """Return the jobs of a room, page by page as they are consumed."""
        offset: int | None = 0
        while offset is not None:
            page = await self.perform(operations.list_room_jobs(room_id, offset, filters))
            for job in page.smart_live_jobs:
                yield job
            offset = next_offset(offset, page)

    async def list_jobs(self, **filters: Unpack[AllJobsFilters]) -> AsyncIterator[SmartLiveJob]:
        """Return the jobs of all rooms, page by page as they are consumed."""
        offset: int | None = 0
        while offset is not None:
            page = await self.perform(operations.list_jobs(offset, filters))
            for job in page.smart_live_jobs:
                yield job
            offset = next_offset(offset, page)

    async def execute_command(
        self, job_ref: JobRef, command: CommandRequest | Mapping[str, Any]
    ) -> CommandResponse:
        """Give a command to a running job, such as something to say."""
        return await self.perform(operations.execute_command(job_ref, command))

    async def list_rooms(self, **filters: Unpack[RoomFilters]) -> AsyncIterator[Room]:
        """Return the rooms, page by page as they are consumed."""
        offset: int | None = 0
        while offset is not None:
            page = await self.perform(operations.list_rooms(offset, filters))
            for room in page.smart_live_rooms:
                yield room
            offset = next_offset(offset, page)

    async def show_room(self, room_id: str) -> Room:
        """Return a room."""
        return await self.perform(operations.show_room(room_id))

    async def create_room(self, request: CreateRoomRequest | Mapping[str, Any]) -> CreateRoomResponse:
        """Make a room."""
        return await self.perform(operations.create_room(request))

    async def live_warnings(self, room_id: str) -> LiveWarningInfo:
        """Return what may make a platform take the room's livestream for a recording."""
        return await self.perform(operations.live_warnings(room_id))

    async def report_events(
        self,
        job_ref: JobRef,
        events: Iterable[LiveEvent],
        *,
        report_url: str | None = None,
        refresh_url: bool = False,
    ) -> str | None:
        """Report live events (chat, gifts, ...), in order and 1000 at a time; none is sent twice."""
        reported = 0
        for report in operations.split_events(events):
            if report_url is not None:
                await amask_secret(urlsplit(report_url).query)
            operation = operations.report_events(
                job_ref, report, report_url=report_url, refresh_url=refresh_url
            )
            try:
                report_url = (await self.perform(operation)).live_event_report_url or report_url
            except MetaStudioError as error:
                error.add_note(f"{reported} live events were reported before.")
                raise
            reported += report.total
        return report_url
