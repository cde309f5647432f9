"""Call MetaStudio from a task."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, Unpack
from urllib.parse import urlsplit

from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.client import operations
from airflow_provider_smartlive.client.connection import ConnectionProfile
from airflow_provider_smartlive.client.errors import TransportFailure
from airflow_provider_smartlive.client.flow import RequestFlow, Steps, utc_now
from airflow_provider_smartlive.client.listing import AllJobsFilters, JobFilters, RoomFilters, next_offset
from airflow_provider_smartlive.client.lookup import naming
from airflow_provider_smartlive.client.operations import Operation
from airflow_provider_smartlive.client.tokens import TOKENS
from airflow_provider_smartlive.client.transport import send_with_requests
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


class SmartLiveTaskHook(BaseHook):
    """
    The operations of MetaStudio, for the processes of tasks.

    Everything has a timeout, and redirects are not followed. Operators use it as it is:
    :class:`~airflow_provider_smartlive.hooks.SmartLiveHook` adds what Airflow's HttpHook has, whose import, a second
    HTTP library with it, takes longer than all that a resumed task has to do.

    :param smartlive_conn_id: the connection.
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
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__()
        self.smartlive_conn_id = smartlive_conn_id
        self._sleep = sleep
        self._now = now
        self._profile: ConnectionProfile | None = None

    def profile(self) -> ConnectionProfile:
        """
        Return the parsed connection.

        :raises MissingConnectionError: if there is no such connection.
        :raises InvalidConnectionError: if a field is missing or malformed.
        """
        if self._profile is None:
            with naming(self.smartlive_conn_id, argument=self.conn_name_attr):
                connection = self.get_connection(self.smartlive_conn_id)
            self._profile = ConnectionProfile.from_connection(connection)
            for secret in self._profile.secrets:
                mask_secret(secret)
        return self._profile

    def reload(self) -> bool:
        """Read the connection again, when MetaStudio refuses the credentials; tell whether it has changed."""
        before, self._profile = self._profile, None
        try:
            return self.profile() != before
        except BaseException:
            self._profile = before  # better the old one than none
            raise

    def perform(self, operation: Operation[T]) -> T:
        """
        Carry out an operation (:mod:`~airflow_provider_smartlive.client.operations`); the methods below are made of it.

        :raises MetaStudioError: if MetaStudio refused, or gave no answer that could be read.
        """
        return self._drive(self._flow().run(operation))

    def start_job(
        self,
        room_id: str,
        request: StartJobRequest | Mapping[str, Any],
        *,
        send_by: datetime | None = None,
    ) -> StartJobResponse:
        """
        Start a livestream.

        It is sent once, whatever comes of it: whoever starts jobs has to know when each start was sent.

        :param send_by: the time, aware, from which on it is not sent any more, by this machine's clock.
        :raises Unreachable: if it was not sent, as with :attr:`TransportFailure.LATE`.
        :raises StartOutcomeUnknown: if the job may run: no answer, a server error, or an unreadable answer.
        :raises MetaStudioError: if MetaStudio refused.
        """
        return self.perform(operations.start_job(room_id, request, send_by=send_by))

    def show_job(self, job_ref: JobRef) -> SmartLiveJob:
        """
        Return a job as it is now.

        :param job_ref: room and job: ``JobRef(room_id, job_id)``.
        :raises NotFound: if MetaStudio does not know it (any more).
        """
        return self.perform(operations.show_job(job_ref))

    def stop_job(self, job_ref: JobRef) -> None:
        """
        Ask MetaStudio to end a job. That it has ended shows in :meth:`show_job` only.

        :raises Conflict, NotFound: what MetaStudio says about a job that has ended already is not documented;
            these two are the candidates, and are passed on.
        """
        self.perform(operations.stop_job(job_ref))

    def list_room_jobs(self, room_id: str, **filters: Unpack[JobFilters]) -> Iterator[SmartLiveJob]:
        """
        Return the jobs of a room, page by page as they are consumed.

        A job that changes between two pages can be seen twice or not at all; ask :meth:`show_job` before
        concluding that one is gone.
        """
        offset: int | None = 0
        while offset is not None:
            page = self.perform(operations.list_room_jobs(room_id, offset, filters))
            yield from page.smart_live_jobs
            offset = next_offset(offset, page)

    def list_jobs(self, **filters: Unpack[AllJobsFilters]) -> Iterator[SmartLiveJob]:
        """Return the jobs of all rooms, page by page as they are consumed (see :meth:`list_room_jobs`)."""
        offset: int | None = 0
        while offset is not None:
            page = self.perform(operations.list_jobs(offset, filters))
            yield from page.smart_live_jobs
            offset = next_offset(offset, page)

    def execute_command(
        self, job_ref: JobRef, command: CommandRequest | Mapping[str, Any]
    ) -> CommandResponse:
        """
        Give a command to a running job, such as something to say.

        Only the two commands that ask for something are repeated after a failure.
        """
        return self.perform(operations.execute_command(job_ref, command))

    def list_rooms(self, **filters: Unpack[RoomFilters]) -> Iterator[Room]:
        """Return the rooms, page by page as they are consumed."""
        offset: int | None = 0
        while offset is not None:
            page = self.perform(operations.list_rooms(offset, filters))
            yield from page.smart_live_rooms
            offset = next_offset(offset, page)

    def show_room(self, room_id: str) -> Room:
        """
        Return a room.

        :raises NotFound: if there is none.
        """
        return self.perform(operations.show_room(room_id))

    def create_room(self, request: CreateRoomRequest | Mapping[str, Any]) -> CreateRoomResponse:
        """Make a room. It is sent again only if it surely did not arrive, as two rooms may have the same name."""
        return self.perform(operations.create_room(request))

    def live_warnings(self, room_id: str) -> LiveWarningInfo:
        """Return what may make a platform take the room's livestream for a recording, before it is started."""
        return self.perform(operations.live_warnings(room_id))

    def report_events(
        self,
        job_ref: JobRef,
        events: Iterable[LiveEvent],
        *,
        report_url: str | None = None,
        refresh_url: bool = False,
    ) -> str | None:
        """
        Report live events (chat, gifts, ...), in order and 1000 at a time; none is sent twice.

        :param report_url: the job's ``live_event_report_url``, which carries its own authorisation; without it the
            report is signed like every other request.
        :param refresh_url: ask for a new URL.
        :returns: the newest URL. It is a secret.
        :raises MetaStudioError: if a call failed; a note says how many events were reported before it.
        """
        reported = 0
        for report in operations.split_events(events):
            if report_url is not None:
                mask_secret(urlsplit(report_url).query)  # urllib3 logs paths and queries at debug level
            operation = operations.report_events(
                job_ref, report, report_url=report_url, refresh_url=refresh_url
            )
            try:
                report_url = self.perform(operation).live_event_report_url or report_url
            except MetaStudioError as error:
                error.add_note(f"{reported} live events were reported before.")
                raise
            reported += report.total
        return report_url

    def _flow(self, attempts: int | None = None) -> RequestFlow:
        return RequestFlow(
            self.profile(),
            attempts=attempts or settings.number("request_attempts"),
            tokens=TOKENS,
            now=self._now,
            log=self.log,
        )

    def _drive(self, steps: Steps[T]) -> T:
        profile, timeout = self.profile(), settings.number("request_timeout")
        try:
            step = next(steps)
            while True:
                if step.pause:
                    self._sleep(step.pause)
                late = step.is_late(self._now())
                reply = TransportFailure.LATE if late else send_with_requests(profile, step, timeout)
                step = steps.send(reply)
        except StopIteration as done:
            result: T = done.value
            return result
