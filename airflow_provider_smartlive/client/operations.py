"""
The operations of MetaStudio: which request each one is, and how its answer is read. Both hooks share them.

Models of what tasks do every day are imported here, others by the operation that needs them: a task that was woken
imports them all over again.

Source of paths, parameters and success codes: the StartSmartLive page and the SDK.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote

from airflow_provider_smartlive.client.listing import (
    PAGE_SIZE,
    AllJobsFilters,
    JobFilters,
    RoomFilters,
    page_query,
)
from airflow_provider_smartlive.metastudio.iam import CONTENT_TYPE, TOKEN_PATH, Token, TokenRequest
from airflow_provider_smartlive.metastudio.jobs import (
    JobList,
    LiveWarningInfo,
    SmartLiveJob,
    StartJobResponse,
)
from airflow_provider_smartlive.metastudio.text import printable, request_id

if TYPE_CHECKING:
    from airflow_provider_smartlive.metastudio.commands import CommandRequest, CommandResponse
    from airflow_provider_smartlive.metastudio.ids import JobRef
    from airflow_provider_smartlive.metastudio.reports import EventReport, LiveEvent, ReportResponse
    from airflow_provider_smartlive.metastudio.rooms import (
        CreateRoomRequest,
        CreateRoomResponse,
        Room,
        RoomList,
    )
    from airflow_provider_smartlive.metastudio.start import StartJobRequest

T = TypeVar("T")

_ROOMS = "/smart-live-rooms"


@dataclass(frozen=True)
class HttpResponse:
    """
    A complete HTTP response.

    :param headers: names in any case.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> str | None:
        """Return a header, whatever the case of its name."""
        return next((value for known, value in self.headers.items() if known.lower() == name.lower()), None)

    @property
    def request_id(self) -> str | None:
        """What Huawei's support asks for."""
        return request_id(self.header("X-Request-Id"))

    def without_echo(self, secrets: Iterable[str]) -> HttpResponse:
        """
        Return the answer without its request id, if that repeats something of the request.

        :param secrets: what the request held.
        """
        if request_id(self.header("X-Request-Id"), secrets=secrets) == self.request_id:
            return self
        kept = {name: value for name, value in self.headers.items() if name.lower() != "x-request-id"}
        return replace(self, headers=kept)


@dataclass(frozen=True)
class Operation(Generic[T]):
    """
    One operation with its arguments.

    :param name: its name, for logs and messages.
    :param target: path and query below ``/v1/{project_id}``, encoded; or a complete URL. No part of ``repr``,
        as a complete URL may be pre-signed.
    :param parse: reads a successful answer; raises ``ValueError`` if it is not what was announced.
    :param body: the exact bytes to send.
    :param content_type: of the body.
    :param repeatable: doing it twice does no harm. Others are sent again only if they surely did not arrive.
    :param starts_job: an answer that leaves it open whether a job runs now is a ``StartOutcomeUnknown``. It is never
        sent again by itself: whoever starts a job has to know when.
    :param self_authorised: the target or the body carries its own authorisation; ours must not go along.
    :param send_by: the time, aware, from which on it is not sent any more; None: whenever it is ready.
    :param room_id: the room that it names, for messages.
    :param job_id: the job that it names, for messages.
    :param secrets: what it holds and no error or log may hold.
    """

    name: str
    method: str
    target: str = field(repr=False)
    parse: Callable[[HttpResponse], T] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    content_type: str = "application/json"
    repeatable: bool = False
    starts_job: bool = False
    self_authorised: bool = False
    send_by: datetime | None = None
    room_id: str | None = None
    job_id: str | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)


def start_job(
    room_id: str, request: StartJobRequest | Mapping[str, Any], *, send_by: datetime | None = None
) -> Operation[StartJobResponse]:
    """Start a job: every accepted one is a new, billed livestream. The API knows no idempotency key."""
    from airflow_provider_smartlive.metastudio.start import StartJobRequest

    checked = StartJobRequest.read(request)
    return Operation(
        "start_job",
        "POST",
        _jobs(room_id),
        lambda answer: StartJobResponse.from_body(answer.body, request_id=answer.request_id),
        checked.to_body(),
        starts_job=True,
        send_by=send_by,
        room_id=room_id,
        secrets=tuple(checked.secrets()),
    )


def show_job(job_ref: JobRef) -> Operation[SmartLiveJob]:
    """Ask for one job."""
    return Operation(
        "show_job",
        "GET",
        _job(job_ref),
        lambda answer: SmartLiveJob.from_body(answer.body, request_id=answer.request_id),
        repeatable=True,
        room_id=job_ref.room_id,
        job_id=job_ref.job_id,
    )


def stop_job(job_ref: JobRef) -> Operation[None]:
    """Ask a job to end. A second request for the same job cannot stop anything else."""
    return Operation(
        "stop_job",
        "POST",
        f"{_job(job_ref)}/stop",
        lambda answer: None,
        repeatable=True,
        room_id=job_ref.room_id,
        job_id=job_ref.job_id,
    )


def list_room_jobs(
    room_id: str, offset: int, filters: JobFilters, limit: int = PAGE_SIZE
) -> Operation[JobList]:
    """List a page of the jobs of one room."""
    target = _jobs(room_id) + page_query(offset, limit, filters, JobFilters)
    return _list_jobs("list_room_jobs", target, room_id)


def list_jobs(offset: int, filters: AllJobsFilters, limit: int = PAGE_SIZE) -> Operation[JobList]:
    """List a page of the jobs of all rooms."""
    return _list_jobs("list_jobs", "/smart-live-jobs" + page_query(offset, limit, filters, AllJobsFilters))


def execute_command(
    job_ref: JobRef, command: CommandRequest | Mapping[str, Any]
) -> Operation[CommandResponse]:
    """Give a command to a running job. Said twice, a text is spoken twice; only a question may be repeated."""
    from airflow_provider_smartlive.metastudio.commands import CommandRequest, CommandResponse

    request = CommandRequest.read(command)
    return Operation(
        "execute_command",
        "POST",
        f"{_job(job_ref)}/command",
        lambda answer: CommandResponse.from_body(answer.body, request_id=answer.request_id),
        request.to_body(),
        repeatable=request.is_question,
        room_id=job_ref.room_id,
        job_id=job_ref.job_id,
    )


def list_rooms(offset: int, filters: RoomFilters) -> Operation[RoomList]:
    """List a page of the rooms."""
    from airflow_provider_smartlive.metastudio.rooms import RoomList

    return Operation(
        "list_rooms",
        "GET",
        _ROOMS + page_query(offset, PAGE_SIZE, filters, RoomFilters),
        lambda answer: RoomList.from_body(answer.body, request_id=answer.request_id),
        repeatable=True,
    )


def show_room(room_id: str) -> Operation[Room]:
    """Ask for one room."""
    from airflow_provider_smartlive.metastudio.rooms import Room

    return Operation(
        "show_room",
        "GET",
        _room(room_id),
        lambda answer: Room.from_body(answer.body, request_id=answer.request_id),
        repeatable=True,
        room_id=room_id,
    )


def create_room(request: CreateRoomRequest | Mapping[str, Any]) -> Operation[CreateRoomResponse]:
    """Make a room. Two rooms may have the same name, so this is not repeated."""
    from airflow_provider_smartlive.metastudio.rooms import CreateRoomRequest, CreateRoomResponse

    checked = CreateRoomRequest.read(request)
    return Operation(
        "create_room",
        "POST",
        _ROOMS,
        lambda answer: CreateRoomResponse.from_body(answer.body, request_id=answer.request_id),
        checked.to_body(),
        secrets=tuple(checked.secrets()),
    )


def live_warnings(room_id: str) -> Operation[LiveWarningInfo]:
    """Ask what may make a platform take the room's livestream for a recording."""
    return Operation(
        "live_warnings",
        "GET",
        f"{_room(room_id)}/live-warning-info",
        lambda answer: LiveWarningInfo.from_body(answer.body, request_id=answer.request_id),
        repeatable=True,
        room_id=room_id,
    )


def split_events(events: Iterable[LiveEvent]) -> Iterator[EventReport]:
    """Split any number of live events into as few reports as possible, in their order."""
    from airflow_provider_smartlive.metastudio.reports import reports

    return reports(events)


def report_events(
    job_ref: JobRef, report: EventReport, *, report_url: str | None, refresh_url: bool
) -> Operation[ReportResponse]:
    """
    Report up to 1000 live events, by the job's pre-signed URL or, without one, signed like the rest.

    :raises ValueError: if the URL is none.
    """
    if report_url is not None and not report_url.startswith(("https://", "http://")):
        raise ValueError("report_url must be a live_event_report_url of MetaStudio.")
    target = report_url or f"{_job(job_ref)}/live-event-report"
    if refresh_url:
        target += f"{'&' if '?' in target else '?'}refresh_url=true"
    return Operation(
        "report_events",
        "POST",
        target,
        lambda answer: report.read_answer(answer.body, request_id=answer.request_id),
        report.to_body(),
        self_authorised=report_url is not None,
        room_id=job_ref.room_id,
        job_id=job_ref.job_id,
        secrets=(report_url,) if report_url else (),
    )


def obtain_token(endpoint: str, request: TokenRequest) -> Operation[Token]:
    """Exchange a password for a token. A second token does not invalidate the first (IAM page)."""
    return Operation(
        "obtain_token",
        "POST",
        f"{endpoint}{TOKEN_PATH}",
        lambda answer: Token.from_answer(answer.headers, answer.body),
        request.to_body(),
        content_type=CONTENT_TYPE,
        repeatable=True,
        self_authorised=True,
        secrets=(request.password,),
    )


def _list_jobs(name: str, target: str, room_id: str | None = None) -> Operation[JobList]:
    return Operation(
        name,
        "GET",
        target,
        lambda answer: JobList.from_body(answer.body, request_id=answer.request_id),
        repeatable=True,
        room_id=room_id,
    )


def _room(room_id: str) -> str:
    return f"{_ROOMS}/{_segment('room_id', room_id)}"


def _jobs(room_id: str) -> str:
    return f"{_room(room_id)}/smart-live-jobs"


def _job(job_ref: JobRef) -> str:
    return f"{_jobs(job_ref.room_id)}/{_segment('job_id', job_ref.job_id)}"


def _segment(name: str, value: str) -> str:
    """
    Return an id as a part of a path.

    :raises ValueError: if MetaStudio's schema refuses it (1 to 64 characters), or if URL libraries would
        resolve it like a folder.
    """
    if not isinstance(value, str) or not 1 <= len(value) <= 64 or value in (".", ".."):
        raise ValueError(
            f"{name} is {printable(repr(value), limit=80)}, but an id is a text of 1 to 64 characters."
        )
    return quote(value, safe="")
