"""A MetaStudio in memory, which stands in for the hooks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from types import SimpleNamespace
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from airflow_provider_smartlive.client.operations import Operation
from airflow_provider_smartlive.metastudio.commands import CommandRequest, CommandResponse
from airflow_provider_smartlive.metastudio.errors import Conflict, MetaStudioError, NotFound
from airflow_provider_smartlive.metastudio.ids import JobRef, same_id
from airflow_provider_smartlive.metastudio.jobs import JobList, SmartLiveJob, StartJobResponse
from airflow_provider_smartlive.metastudio.start import StartJobRequest
from tests.support.virtual_time import Clock

ROOM = "24bad716-87b1-45e5-8912-6102f7693265"


_CHANGES = count(1)


class Crash(BaseException):
    """The process dies here: nothing after this point of the code runs."""


@dataclass
class FakeJob:
    """One job, with what a test may want it to do."""

    job_id: str
    room_id: str
    created_at: datetime
    request: StartJobRequest | None = None
    state: str = "PROCESSING"
    stream_duration: float = 0.0
    more: dict[str, Any] = field(default_factory=dict)
    #: None: it never stops; else how many looks after the stop still find it running.
    looks_until_stopped: int | None = 0
    stopping: bool = False
    #: Where it was started: a hook whose connection leads elsewhere does not see it.
    endpoint: str = ""
    #: Which change of any job's state was this one's last: listings can be sorted by it.
    changed: int = field(init=False, default=0)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "state":
            self.changed = next(_CHANGES)

    @property
    def is_active(self) -> bool:
        return self.state in ("WAITING", "PROCESSING")


@dataclass(frozen=True)
class After:
    """An outcome that comes after the request had its effect: the job is there, its answer is not."""

    outcome: BaseException


@dataclass
class FakeMetaStudio:
    """
    Rooms and jobs.

    :param listing_lag: how long a new job is missing in listings.
    :param echoes_callbacks: whether listings carry the callback configuration.
    :param dashes: whether answers spell ids with dashes, in capitals.
    :param start_outcomes: what happens to the next starts: None (a clear answer), an exception, or
        :class:`After` one.
    :param show_outcomes: what the next shows meet; likewise ``stop_outcomes``.
    :param command_outcomes: what the next commands meet: None (they are carried out), an answer, or an exception.
    :param down: what every request meets.
    :param more: what every answer about a job says besides.
    """

    clock: Clock
    listing_lag: timedelta = timedelta()
    echoes_callbacks: bool = True
    dashes: bool = False
    start_outcomes: list[BaseException | After | None] = field(default_factory=list)
    show_outcomes: list[BaseException | None] = field(default_factory=list)
    stop_outcomes: list[BaseException | None] = field(default_factory=list)
    command_outcomes: list[BaseException | CommandResponse | None] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    down: Exception | None = None
    more: dict[str, Any] = field(default_factory=dict)
    jobs: list[FakeJob] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    #: When which operation was asked for, in seconds since the test began.
    log: list[tuple[float, str]] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    #: The commands that came, whatever became of them, each with its job.
    commands: list[tuple[JobRef, CommandRequest]] = field(default_factory=list)
    reloads: int = 0
    reload_helps: bool = False
    endpoint: str = "https://metastudio.cn-north-4.myhuaweicloud.com"
    before_start: Callable[[], object] = lambda: None
    before_command: Callable[[], object] = lambda: None
    _command_numbers: Iterator[int] = field(default_factory=lambda: count(1))

    # -- what a test looks at and does

    @property
    def running(self) -> list[str]:
        return [job.job_id for job in self.jobs if job.is_active]

    def add(self, *, room_id: str = ROOM, request: StartJobRequest | None = None, **more: Any) -> FakeJob:
        """Make a job, as a start does."""
        number = len(self.jobs) + 1
        job = FakeJob(
            f"{number:032x}", room_id, self.clock.now, request, **{"endpoint": self.endpoint} | more
        )
        self.jobs.append(job)
        return job

    def job(self, job_id: str) -> FakeJob:
        return next(job for job in self.jobs if same_id(job.job_id, job_id))

    # -- what SmartLiveHook has

    def profile(self) -> Any:
        return SimpleNamespace(
            conn_id="smartlive_default",
            endpoint=self.endpoint,
            base_url=f"{self.endpoint}/v1/fake-project",
            callback_base_url=None,
            callback_auth_type=None,
            proxy=None,
            ca_bundle=None,
            console_link=lambda job_ref: f"https://console.example.com/{job_ref.room_id}/{job_ref.job_id}",
        )

    def reload(self) -> bool:
        self.reloads += 1
        if self.reload_helps:
            self.down = None
        return self.reload_helps

    def start_job(
        self, room_id: str, request: StartJobRequest, *, send_by: datetime | None = None
    ) -> StartJobResponse:
        self.before_start()
        if send_by is not None and self.clock() >= send_by:
            raise late()
        self._count("start")
        outcome = self.start_outcomes.pop(0) if self.start_outcomes else None
        if isinstance(outcome, BaseException):
            raise outcome
        run_config = request.job_run_config
        if run_config and run_config.single_job_in_room and any(job.is_active for job in self._of(room_id)):
            raise Conflict("the room has a job already", http_status=400, error_code="MSS.20010046")
        job = self.add(room_id=room_id, request=request)
        if outcome is not None:
            raise outcome.outcome
        warnings = [{"warning_type": warning} for warning in self.warnings]
        return StartJobResponse.model_validate(
            {"job_id": self._spelt(job.job_id), "live_warning_info": warnings, "request_id": "fake-request"}
        )

    def show_job(self, job_ref: JobRef) -> SmartLiveJob:
        self._count("show")
        self._meet(self.show_outcomes)
        job = self._found(job_ref)
        if job.stopping and job.looks_until_stopped is not None:
            if job.looks_until_stopped == 0:
                job.state = "SUCCEED"
            job.looks_until_stopped -= 1
        return self._answer(job)

    def stop_job(self, job_ref: JobRef) -> None:
        self._count("stop")
        self._meet(self.stop_outcomes)
        job = self._found(job_ref)
        if not job.is_active:
            raise Conflict("a finished job cannot be changed", http_status=400, error_code="MSS.20010066")
        self.stopped.append(job.job_id)
        job.stopping = True

    def execute_command(self, job_ref: JobRef, request: CommandRequest) -> CommandResponse:
        self.before_command()
        self._count("command")
        self.commands.append((job_ref, request))
        outcome = self.command_outcomes.pop(0) if self.command_outcomes else None
        if isinstance(outcome, BaseException):
            raise outcome
        if not self._found(job_ref).is_active:
            raise Conflict("a finished job cannot be changed", http_status=400, error_code="MSS.20010066")
        return outcome or command_answer(command_id=f"Command-{next(self._command_numbers)}")

    def perform(self, operation: Operation[Any]) -> Any:
        job_ref = JobRef(operation.room_id or "", operation.job_id or "")
        match operation.name:
            case "show_job":
                return self.show_job(job_ref)
            case "stop_job":
                return self.stop_job(job_ref)
            case "list_jobs":
                filters: dict[str, Any] = dict(parse_qsl(urlsplit(operation.target).query))
                if "create_since" in filters:
                    filters["create_since"] = datetime.fromisoformat(filters["create_since"])
                del filters["limit"]
                return self.list_jobs_page(int(filters.pop("offset")), **filters)
        raise NotImplementedError(operation.name)

    def list_room_jobs(
        self, room_id: str, *, create_since: datetime | None = None, **order: str
    ) -> Iterator[SmartLiveJob]:
        self._count("list")
        visible = [
            job
            for job in self._of(room_id)
            if self.clock.now - job.created_at >= self.listing_lag
            and (create_since is None or job.created_at >= create_since)
        ]
        return iter([self._answer(job) for job in reversed(visible)])

    def list_jobs(self, **filters: Any) -> Iterator[SmartLiveJob]:
        self._count("list_all")
        return map(self._answer, self._select(**filters))

    def list_jobs_page(self, offset: int, **filters: Any) -> JobList:
        self._count("list_all")
        jobs = self._select(**filters)
        page = [self._answer(job) for job in jobs[offset : offset + 100]]
        return JobList(count=len(jobs), smart_live_jobs=page)

    # -- inside

    def _select(
        self,
        *,
        state: str = "",
        sort_key: str = "create_time",
        sort_dir: str = "asc",
        create_since: datetime | None = None,
    ) -> list[FakeJob]:
        states = set(filter(None, state.split(",")))
        found = [
            job
            for job in self._here
            if (not states or job.state in states)
            and (create_since is None or job.created_at >= create_since)
        ]
        if sort_key == "update_time":
            found.sort(key=lambda job: job.changed)
        return found if sort_dir == "asc" else found[::-1]

    def _of(self, room_id: str) -> list[FakeJob]:
        return [job for job in self._here if job.room_id == room_id]

    @property
    def _here(self) -> list[FakeJob]:
        """The jobs of the project to which the connection leads."""
        return [job for job in self.jobs if job.endpoint == self.endpoint]

    def _found(self, job_ref: JobRef) -> FakeJob:
        job = next((job for job in self._of(job_ref.room_id) if same_id(job.job_id, job_ref.job_id)), None)
        if job is None:
            raise not_found()
        return job

    def _count(self, operation: str) -> None:
        self.asked[operation] += 1
        self.log.append((self.clock.seconds, operation))
        if self.down is not None:
            raise self.down

    @staticmethod
    def _meet(outcomes: list[BaseException | None]) -> None:
        if outcomes and (outcome := outcomes.pop(0)) is not None:
            raise outcome

    def _spelt(self, job_id: str) -> str:
        if not self.dashes:
            return job_id
        return "-".join((job_id[:8], job_id[8:12], job_id[12:16], job_id[16:20], job_id[20:])).upper()

    def _answer(self, job: FakeJob) -> SmartLiveJob:
        config = job.request.live_event_callback_config if job.request else None
        return SmartLiveJob.model_validate(
            {
                "job_id": self._spelt(job.job_id),
                "room_id": job.room_id,
                "state": job.state,
                "create_time": job.created_at.isoformat(),
                "stream_duration": job.stream_duration,
                "live_event_callback_config": config.model_dump()
                if config and self.echoes_callbacks
                else None,
            }
            | job.more
            | self.more
        )


class FakeAsyncHook:
    """The same MetaStudio, as triggers see it: each hook reads the connection once, until it is told to do so again."""

    def __init__(self, metastudio: FakeMetaStudio) -> None:
        self.metastudio = metastudio
        self.endpoint = metastudio.endpoint
        self.is_open = False

    async def __aenter__(self) -> Self:
        self.is_open = True
        return self

    async def __aexit__(self, *error: object) -> None:
        self.is_open = False

    async def profile(self) -> Any:
        with self._there():
            return self.metastudio.profile()

    async def reload(self) -> bool:
        before, self.endpoint = self.endpoint, self.metastudio.endpoint
        return self.metastudio.reload() or before != self.endpoint

    async def perform(self, operation: Operation[Any]) -> Any:
        with self._there():
            return self.metastudio.perform(operation)

    @contextmanager
    def _there(self) -> Iterator[None]:
        now, self.metastudio.endpoint = self.metastudio.endpoint, self.endpoint
        try:
            yield
        finally:
            self.metastudio.endpoint = now


def command_answer(**fields: Any) -> CommandResponse:
    """Return the answer to a command."""
    return CommandResponse.model_validate(fields)


def unreachable() -> MetaStudioError:
    """Return the error of a request that got no answer."""
    from airflow_provider_smartlive.hooks import Unreachable

    return Unreachable("metastudio.example.com did not answer in time")


def late() -> MetaStudioError:
    """Return the error of a start that could only have been sent too late."""
    from airflow_provider_smartlive.client.errors import TransportFailure, Unreachable

    return Unreachable("not sent", failure=TransportFailure.LATE)


def not_found() -> MetaStudioError:
    """Return the error of a request about a job that MetaStudio does not know, or not there."""
    return NotFound("job not found", http_status=404, error_code="MSS.20010074")


def ambiguous() -> MetaStudioError:
    """Return the error of a start that may have been received."""
    from airflow_provider_smartlive.hooks import StartOutcomeUnknown

    return StartOutcomeUnknown("metastudio.example.com did not answer in time")
