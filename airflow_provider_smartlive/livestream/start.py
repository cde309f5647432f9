"""
Exactly one start.

MetaStudio knows no idempotency key: a start that is sent twice is two jobs and two bills. So whoever wants a
job looks first, for a job that carries our own callback URL, and sends only when there surely is none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_provider_smartlive.lifecycle import Sight
from airflow_provider_smartlive.livestream.ownership import callback_url_of, route_of
from airflow_provider_smartlive.livestream.record import JobRecord
from airflow_provider_smartlive.livestream.sighting import Sighting
from airflow_provider_smartlive.livestream.stop import is_over, look, stop_and_confirm
from airflow_provider_smartlive.metastudio.ids import normalise_id

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger as Logger

    from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook
    from airflow_provider_smartlive.livestream.own_task import OwnTask
    from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob, StartJobResponse
    from airflow_provider_smartlive.metastudio.start import StartJobRequest

#: How far back a job of ours can be that still runs: MetaStudio ends every job of ours within 168 hours.
LONGEST_JOB = timedelta(hours=168 + 24)

#: Our clock and MetaStudio's may differ by this much (its gateway refuses more), so a listing starts earlier.
CLOCK_DIFFERENCE = timedelta(minutes=15)

#: Seconds between two looks for a job whose start has an unknown outcome.
LOOK_AGAIN_INTERVAL = 3.0

#: How often a start is sent whose outcome stayed unknown and whose job was surely not there.
SENDS = 3


class Origin(StrEnum):
    """How a task came by its job."""

    STARTED = "started"
    #: A job of an earlier try was still running.
    ADOPTED = "adopted"
    #: A job of an earlier try had ended while nobody waited.
    FINISHED = "finished"


@dataclass(frozen=True)
class Obtained:
    """
    The job of a task.

    :param job_id: the job.
    :param origin: how the task came by it.
    :param started_at: when it was started.
    :param response: MetaStudio's answer, if this try started it.
    :param ended: whether an earlier try was told that its stream has ended.
    """

    job_id: str
    origin: Origin
    started_at: datetime
    response: StartJobResponse | None = None
    ended: bool = False


class AmbiguousStartError(AirflowFailException):
    """A start has an unknown outcome and cannot be looked up, so that sending it again could stream twice."""


class JobStart:
    """
    Obtains the one job of a task instance.

    :param hook: the hook.
    :param request: the request, complete with outputs and callbacks.
    :param room_id: the room.
    :param task: the task instance that wants the job.
    :param secrets: the callback secrets with which callback URLs are recognised; empty without callbacks.
    :param look_again_window: seconds for which MetaStudio's listing may lag behind a start.
    :param stop_grace: seconds that an older job gets to stop.
    :param may_send: raises if it is too late to go live; asked right before a start is sent, because a job
        that runs already is adopted however late it is.
    """

    def __init__(
        self,
        hook: SmartLiveTaskHook,
        *,
        request: StartJobRequest,
        room_id: str,
        task: OwnTask,
        secrets: tuple[str, ...],
        look_again_window: float,
        stop_grace: float,
        may_send: Callable[[], None],
        log: Logger,
        now: Callable[[], datetime],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.hook = hook
        self.request = request
        self.room_id = room_id
        self.task = task
        self.route = task.route
        self.secrets = secrets
        self.look_again_window = look_again_window
        self.stop_grace = stop_grace
        self.may_send = may_send
        self.log = log
        self.now = now
        self.sleep = sleep
        #: Jobs that were there before this try sent anything; None until it has looked.
        self._earlier: set[str] | None = None

    def obtain(self) -> Obtained:
        """
        Adopt the job of an earlier try, or start one.

        :raises AmbiguousStartError: if a start may have been received and that cannot be found out.
        :raises MetaStudioError: if MetaStudio refuses.
        """
        record = self.task.record()
        unsettled = record is not None and record.is_unsettled
        if record is not None and record.generation != self.route.generation:
            self._leave_behind(record)
            record = None
        record = record or JobRecord(self.route.generation, self.room_id)
        if record.job_id and (obtained := self._remembered(record, record.job_id)):
            return obtained
        # The job of an older life may be one that the listing does not show yet, too.
        if obtained := self._listed(record, window=self.look_again_window if unsettled else 0.0):
            return obtained
        return self._start(record)

    def _leave_behind(self, record: JobRecord) -> None:
        """A new life of the task never adopts the job of an older one, and never streams beside it."""
        if record.job_id:
            self._stop(record.room_id, record.job_id, self._look(record.room_id, record.job_id))

    def _remembered(self, record: JobRecord, job_id: str) -> Obtained | None:
        """Judge the job of the record by MetaStudio's word, not by ours."""
        sighting = self._look(record.room_id, job_id)
        if record.is_stopped(job_id):
            self._stop(record.room_id, job_id, sighting)
            return None
        return self._claim(record, job_id, sighting)

    def _listed(self, record: JobRecord, *, window: float) -> Obtained | None:
        """
        Look for our job in the room's listing, again and again until the window is over.

        A window is only needed when a start has an unknown outcome: the listing may lag behind it.
        """
        until = self.now() + timedelta(seconds=window)
        while True:
            jobs = self._jobs_of_room()
            if obtained := self._recognised(record, jobs):
                return obtained
            if self.now() >= until:
                break
            self.sleep(LOOK_AGAIN_INTERVAL)
        if record.is_unsettled and not self._can_tell(jobs):
            raise AmbiguousStartError(
                f"A start in room {self.room_id} has an unknown outcome, and MetaStudio's listing carries no "
                "callback URL by which its job could be recognised. Not started again, because that could stream "
                "twice. Look at the room's jobs (`airflow smartlive jobs list`), stop what should not run, and "
                "clear the task. `job_run_config: {single_job_in_room: true}` makes such a restart safe."
            )
        if self._earlier is None:
            self._earlier = {normalise_id(job.job_id) for job in jobs}
        return None

    def _recognised(self, record: JobRecord, jobs: Iterable[SmartLiveJob]) -> Obtained | None:
        """Stop what an older life of the task left running, and claim the job of this one, if there is one."""
        claimable: list[tuple[str, Sighting]] = []
        for job in jobs:
            route = route_of(job, self.secrets)
            if route is None or route.identity != self.route.identity:
                continue
            if route.generation != self.route.generation or record.is_stopped(job.job_id):
                self._stop(self.room_id, job.job_id, Sighting.of(job))
            else:
                claimable.append((job.job_id, Sighting.of(job)))
        # One that runs comes before one that is over; the listing has the newest first. There can be two only
        # if MetaStudio made two jobs of one request.
        claimable.sort(key=lambda claim: is_over(claim[1]))
        for other_id, sighting in claimable[1:]:
            self._stop(self.room_id, other_id, sighting)
        return self._claim(record, *claimable[0]) if claimable else None

    def _claim(self, record: JobRecord, job_id: str, sighting: Sighting) -> Obtained | None:
        """Take a job up; but one that failed in an earlier try is what this try is for."""
        is_own_failure = sighting.sight is Sight.FAILED and self._is_new(job_id)
        if sighting.sight not in (Sight.ACTIVE, Sight.SUCCEED, Sight.BLOCKED) and not is_own_failure:
            return None
        origin = Origin.ADOPTED if sighting.sight is Sight.ACTIVE else Origin.FINISHED
        created_at = sighting.job.create_time if sighting.job else None
        started_at = (
            datetime.fromisoformat(record.started_at) if record.started_at else created_at or self.now()
        )
        self._remember(record, job_id, started_at)
        self.log.info("Job %s of this task was found: %s.", job_id, origin)
        return Obtained(job_id, origin, started_at, ended=record.has_ended(job_id))

    def _is_new(self, job_id: str) -> bool:
        return self._earlier is not None and normalise_id(job_id) not in self._earlier

    def _start(self, record: JobRecord) -> Obtained:
        from airflow_provider_smartlive.hooks import AmbiguousStart

        for _ in range(SENDS):
            self.may_send()
            sent_at = self.now()
            record = replace(record, sent_at=sent_at.isoformat(), job_id=None, started_at=None, ended=False)
            self.task.save(record)
            try:
                response = self.hook.start_job(self.room_id, self.request)
            except AmbiguousStart as error:
                self.log.warning(
                    "The start in room %s has an unknown outcome: %s Looking.", self.room_id, error
                )
                if obtained := self._listed(record, window=self.look_again_window):
                    return obtained
                continue
            except Exception:
                # A clear answer, or surely not sent: nothing runs, and a retry need not wait for a listing.
                self.task.save(replace(record, sent_at=None))
                raise
            self._remember(record, response.job_id, sent_at)
            return Obtained(response.job_id, Origin.STARTED, sent_at, response)
        raise AirflowException(
            f"MetaStudio gave no clear answer to {SENDS} starts in room {self.room_id}, and none of them made a job."
        )

    def _remember(self, record: JobRecord, job_id: str, started_at: datetime) -> None:
        self.task.save(replace(record, job_id=job_id, started_at=started_at.isoformat()))

    def _look(self, room_id: str, job_id: str) -> Sighting:
        sighting = look(self.hook, room_id, job_id)
        if sighting.sight in (Sight.UNKNOWN, Sight.REFUSED) and sighting.error:
            raise sighting.error
        return sighting

    def _jobs_of_room(self) -> list[SmartLiveJob]:
        since = max(self.task.due_at - CLOCK_DIFFERENCE, self.now() - LONGEST_JOB)
        return list(
            self.hook.list_room_jobs(
                self.room_id, create_since=since, sort_key="create_time", sort_dir="desc"
            )
        )

    def _can_tell(self, jobs: Iterable[SmartLiveJob]) -> bool:
        """Whether a job of ours would have been recognised: the listing is empty, or it does carry callback URLs."""
        run_config = self.request.job_run_config
        if run_config is not None and run_config.single_job_in_room:
            return True
        urls = [callback_url_of(job) for job in jobs]
        return bool(self.secrets) and (not urls or any(urls))

    def _stop(self, room_id: str, job_id: str, sighting: Sighting) -> None:
        if is_over(sighting):
            return
        self.log.info("Stopping job %s, which an earlier run of this task left running.", job_id)
        if not is_over(stop_and_confirm(self.hook, room_id, job_id, grace=self.stop_grace)):
            raise AirflowException(
                f"Job {job_id} of an earlier run of this task is still running although it was told to stop; "
                "starting another one would stream twice."
            )
