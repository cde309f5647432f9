"""
Start the one job of a task.

MetaStudio knows no idempotency key: a start that is sent twice is two jobs and two bills. So whoever wants a
job looks first, for the job of an earlier try, and sends only when there surely is none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_provider_smartlive.client.errors import StartOutcomeUnknown
from airflow_provider_smartlive.client.flow import backoff, may_be_sent_again
from airflow_provider_smartlive.decisions import JobStatus
from airflow_provider_smartlive.exceptions import AmbiguousStartError, SmartLiveKilledError
from airflow_provider_smartlive.livestream.acquired_job import AcquiredJob, Origin
from airflow_provider_smartlive.livestream.snapshot import ACTIVE_STATES, JobSnapshot
from airflow_provider_smartlive.livestream.standby import StartOutcome, start_outcome
from airflow_provider_smartlive.livestream.stop import stop_and_confirm
from airflow_provider_smartlive.metastudio.errors import Conflict, MetaStudioError, Throttled
from airflow_provider_smartlive.metastudio.ids import JobRef

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger as Logger

    from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook
    from airflow_provider_smartlive.livestream.current_task import CurrentTask
    from airflow_provider_smartlive.livestream.job_search import JobSearch
    from airflow_provider_smartlive.livestream.record import JobRecord
    from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob, StartJobResponse
    from airflow_provider_smartlive.metastudio.start import StartJobRequest

#: Time within which a start is sent after it was noted. Airflow takes the note from the current try of a task only. A
#: worker that was frozen does not know that another try has begun, but Airflow begins one only after a longer time
#: (``[scheduler] task_instance_heartbeat_timeout``).
SEND_WITHIN = timedelta(seconds=10)

#: How often a start is sent that made no job: its outcome stayed unknown and its job was surely not there, or it was
#: not carried out, as it was throttled, did not get through or came with an expired token.
SENDS = 3


class JobStart:
    """
    Acquires the one job of a task instance, and ends the jobs that it must not have.

    :param hook_of: returns the hook for a connection id.
    :param task: the task instance that wants the job.
    :param job_search: searches for its jobs.
    :param deployment: the mark of this deployment: another one's jobs are not touched.
    :param stop_grace: seconds that a job gets to stop.
    :param single_job_in: connection and room of the start that is wanted, if MetaStudio is asked to refuse a second
        job there: then a start with an unknown outcome in that room cannot be doubled.
    :param timeout_at: returns when a job that this try has from a time on is stopped by ``execution_timeout``.
    """

    def __init__(
        self,
        hook_of: Callable[[str], SmartLiveTaskHook],
        *,
        task: CurrentTask,
        job_search: JobSearch,
        deployment: str,
        stop_grace: float,
        single_job_in: tuple[str, str] | None = None,
        timeout_at: Callable[[datetime], datetime | None] = lambda now: None,
        log: Logger,
        now: Callable[[], datetime],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.hook_of = hook_of
        self.task = task
        self.job_search = job_search
        self.deployment = deployment
        self.stop_grace = stop_grace
        self.single_job_in = single_job_in
        self.timeout_at = timeout_at
        self.log = log
        self.now = now
        self.sleep = sleep
        #: The record with the job, before anything else can fail.
        self.latest: JobRecord | None = None
        #: Why the start that was sent last made no job.
        self.problem: MetaStudioError | None = None
        #: The jobs of a start with an unknown outcome that were found and not taken up: their end is nobody's result.
        self.passed_over: tuple[str, ...] = ()
        self._has_record = False
        #: The start of an earlier try whose outcome is unknown, and its job surely not recognisable.
        self._unclear: JobRecord | None = None

    # -- the job of an earlier try

    def take_up(self, record: JobRecord) -> AcquiredJob | None:
        """
        Return the job of an earlier try of this life, wherever it was started; None if there surely is none.

        :raises OtherProjectError: if the connection leads elsewhere by now.
        :raises AmbiguousStartError: if a start may have been received and that cannot be found out.
        :raises MetaStudioError: if MetaStudio cannot be asked.
        """
        self._has_record = True
        self.job_search.check_connection(record)
        if record.job_id is None:
            return self._search(record) if record.is_unsettled else None
        snapshot = self.job_search.look(record, record.job_id)
        if record.is_discarded(record.job_id):
            self._stop(record, JobRef(record.room_id, record.job_id), snapshot)
            return None
        return self._claim(record, record.job_id, snapshot)

    def end(self, record: JobRecord) -> JobRecord:
        """
        Make sure that no job of a record runs, whether its start has an answer or not.

        For the life before a clear, and for a try that fails for good: its job would stream without an owner.

        :return: the record with those jobs discarded; none of them runs.
        :raises OtherProjectError: if the connection leads elsewhere by now.
        :raises AmbiguousStartError: if a job may run that cannot be recognised.
        :raises AirflowException: if a job still runs although it was told to stop.
        :raises MetaStudioError: if MetaStudio cannot be asked.
        """
        self._has_record = True
        self.job_search.check_connection(record)
        if record.job_id is not None:
            snapshot = self.job_search.look(record, record.job_id)
            self._stop(record, JobRef(record.room_id, record.job_id), snapshot)
            return replace(record.without(record.job_id), is_over=True)
        if not record.is_unsettled:
            return record
        for jobs in self.job_search.listings(record):
            if found := self.job_search.of_start(record, jobs):
                for job in found:
                    self._stop(record, JobRef(record.room_id, job.job_id), JobSnapshot.of(job))
                    record = record.without(job.job_id)
                return replace(record, sent_at=None, is_over=True)
        self._refuse_if_unrecognisable(record, jobs, [job for job in jobs if job.is_active])
        if self._unclear:
            return self._unclear
        # It is not looked for again, but that it was unclear stays remembered.
        return replace(record, sent_at=None, is_over=True, unclear_start=True)

    def _search(self, record: JobRecord, *, own_failure: bool = False) -> AcquiredJob | None:
        """
        Look for the job of a start with an unknown outcome, in the room to which it was sent.

        :param own_failure: whether a job that has failed is this try's own; one of an earlier try is what this try
            is for.
        """
        for jobs in self.job_search.listings(record):
            if found := self.job_search.of_start(record, jobs):
                acquired = self._claim_one(record, found, own_failure=own_failure)
                self.passed_over = () if acquired else tuple(job.job_id for job in found)
                return acquired
        self._refuse_if_unrecognisable(record, jobs, jobs)
        return None

    def _refuse_if_unrecognisable(
        self, record: JobRecord, jobs: list[SmartLiveJob], candidates: list[SmartLiveJob]
    ) -> None:
        """
        Refuse to go on if a job may be the one of an unclear start, and nothing tells.

        :param jobs: all jobs that were made since.
        :param candidates: those of them that must not be the one.
        """
        doubt = self.job_search.doubt(record, jobs, candidates)
        if doubt is None:
            return
        here = (record.smartlive_conn_id, record.room_id)
        if record.single_job_in_room and here == self.single_job_in:
            self._unclear = replace(record, unclear_start=True)
            return
        raise AmbiguousStartError(
            f"A start in room {record.room_id} has an unknown outcome, and {doubt}. "
            "Not started again, because that could stream twice. Look at the room's jobs (`airflow smartlive jobs "
            "list`), stop what should not run, and clear the task; or trigger a new run. `job_run_config: "
            "{single_job_in_room: true}` makes such a restart safe."
        )

    def _claim_one(
        self, record: JobRecord, jobs: list[SmartLiveJob], *, own_failure: bool
    ) -> AcquiredJob | None:
        """Claim one that runs before one that is over; there are two only if MetaStudio made two of one request."""
        jobs = sorted(jobs, key=lambda job: not job.is_active)
        for other in jobs[1:]:
            self._stop(record, JobRef(record.room_id, other.job_id), JobSnapshot.of(other))
        return self._claim(record, jobs[0].job_id, JobSnapshot.of(jobs[0]), own_failure=own_failure)

    def _claim(
        self, record: JobRecord, job_id: str, snapshot: JobSnapshot, *, own_failure: bool = False
    ) -> AcquiredJob | None:
        running = {JobStatus.ACTIVE, JobStatus.UNKNOWN}  # one whose state cannot be read may run
        if snapshot.status is JobStatus.NOT_FOUND and record.has_ended(job_id):
            # MetaStudio has forgotten a show that an earlier try saw end.
            return self._remember(record, job_id, record.started_at or self.now(), Origin.FINISHED)
        claimable = (
            running | {JobStatus.SUCCEED, JobStatus.BLOCKED} | ({JobStatus.FAILED} if own_failure else set())
        )
        if snapshot.status not in claimable and not record.planned_stop:
            return None
        timed_out = not record.planned_stop and snapshot.job and record.timed_out(snapshot.job.end_time)
        if snapshot.status is JobStatus.SUCCEED and timed_out:
            self.log.info("Job %s was stopped at the execution_timeout of an earlier try.", job_id)
            return None
        record = replace(record, timeout_at=self.timeout_at(self.now()))
        origin = Origin.ADOPTED if snapshot.status in running else Origin.FINISHED
        self.log.info("Job %s of this task was found in room %s: %s.", job_id, record.room_id, origin)
        created_at = snapshot.job.create_time if snapshot.job else None
        return self._remember(record, job_id, record.started_at or created_at or self.now(), origin)

    # -- a job of its own

    def send(
        self,
        planned: JobRecord,
        request: StartJobRequest,
        *,
        may_send: Callable[[], None],
        deadline: Callable[[datetime], datetime | None],
    ) -> AcquiredJob:
        """
        Start a job.

        :param planned: the record to write before the request leaves, without its times.
        :param request: the request, complete with outputs and callbacks.
        :param may_send: raises if it is too late to go live; asked right before a start is sent.
        :param deadline: returns when a job that is started at a time is to be stopped as planned.
        :raises AmbiguousStartError: if a start may have been received and that cannot be found out.
        :raises MetaStudioError: if MetaStudio refuses.
        """
        hook = self.hook_of(planned.smartlive_conn_id)
        self._stop_others(hook, planned)
        for send in range(1, SENDS + 1):
            may_send()
            sent_at = self.now()
            record = replace(
                planned, sent_at=sent_at, deadline=deadline(sent_at), timeout_at=self.timeout_at(sent_at)
            )
            self.latest = record
            self.task.save(record)
            try:
                # From before the record was written: Airflow's answer may have waited for a process that was frozen.
                response = hook.start_job(record.room_id, request, send_by=sent_at + SEND_WITHIN)
            except StartOutcomeUnknown as error:
                self.log.warning(
                    "The start in room %s has an unknown outcome: %s Looking.", record.room_id, error
                )
                if acquired := self._search(record, own_failure=True):
                    return acquired
                planned, self.problem = replace(planned, unclear_start=True), error
                continue
            except Conflict as error:
                if self._unclear:
                    raise AmbiguousStartError(
                        f"Room {record.room_id} has a job already, and an earlier start of this task has an unknown "
                        f"outcome: it may be that job. {error}"
                    ) from error
                self._note_refusal(planned, error)
                raise
            except MetaStudioError as error:
                # A clear answer, or surely not sent: nothing runs, and a retry need not wait for a listing.
                self._note_refusal(planned, error)
                self._pause_after(error, send)
                self.ensure_goes_on()
                continue
            # MetaStudio may not show it yet: that counts from its answer, before which a token may have been fetched.
            return self._remember(record, response.job_id, self.now(), Origin.STARTED, response)
        raise AirflowException(
            f"MetaStudio gave no clear answer to {SENDS} starts in room {planned.room_id}, and none of them made a "
            "job."
        )

    def _note_refusal(self, planned: JobRecord, error: MetaStudioError) -> None:
        if start_outcome(error) is StartOutcome.UNKNOWN:
            # A proxy's word: enough not to look for a job, and not enough to start another one in the standby.
            planned = replace(planned, unclear_start=True)
        # What an earlier start may have made stays remembered.
        self.latest, self.problem = self._unclear or planned, error
        self.task.save(self.latest)

    def _pause_after(self, error: MetaStudioError, send: int) -> None:
        """
        Wait until a start that was not carried out may be sent again; raise its error if that makes no sense.

        :param send: which one it was, counted from 1.
        """
        if send >= SENDS or not may_be_sent_again(error):
            raise error
        asked = error.retry_after if isinstance(error, Throttled) else None
        pause = (asked or 0.0) + backoff(send)
        self.log.warning("The start was not carried out: %s; again in %.1f s.", error, pause)
        self.sleep(pause)

    def ensure_goes_on(self) -> None:
        """
        Make sure that the task was not ended, before a start is sent again.

        Airflow takes the record of a task that has ended, too, if no later try has taken its place.

        :raises SmartLiveKilledError: if it was.
        """
        if self.task.is_ended_meanwhile():
            raise SmartLiveKilledError("The task was ended from outside before its livestream was started.")

    def _stop_others(self, hook: SmartLiveTaskHook, planned: JobRecord) -> None:
        """Stop what this task left running, in whatever room, although no record tells of it."""
        others = []
        for job in hook.list_jobs(state=ACTIVE_STATES):
            target = self.job_search.target_of(job)
            if target is None or self.deployment != target.deployment:
                continue
            # Without a record its run was deleted, and generations were named by the clocks of different machines.
            if self._has_record and target.generation > planned.generation:
                raise AirflowFailException(
                    f"Job {job.job_id} belongs to a later life of this task: it was cleared while this process ran."
                )
            others.append(job)
        if others:
            # Airflow takes this from the current try only: in a process that was frozen they may be the jobs of a
            # later one. What an earlier start may have made stays remembered.
            self.task.save(self._unclear or planned)
        for job in others:
            self._stop(planned, JobRef(job.room_id or planned.room_id, job.job_id), JobSnapshot.of(job))

    def _remember(
        self,
        record: JobRecord,
        job_id: str,
        started_at: datetime,
        origin: Origin,
        response: StartJobResponse | None = None,
    ) -> AcquiredJob:
        record = replace(record, job_id=job_id, started_at=started_at)
        self.latest = record
        self.task.save(record)
        return AcquiredJob(record, job_id, started_at, origin, response)

    def _stop(self, record: JobRecord, job_ref: JobRef, snapshot: JobSnapshot) -> None:
        """
        Stop a job that nobody owns, unless it is over.

        :param record: the record of its start, or of the start that it stands in the way of.
        """
        if snapshot.status.is_over:
            return
        self.log.info("Stopping %s, which nobody owns any more.", job_ref)
        hook = self.hook_of(record.smartlive_conn_id)
        stopped = stop_and_confirm(
            hook,
            job_ref,
            address=record.address_to_ask,
            grace=self.stop_grace,
            lag=self.job_search.lag(record),
        )
        if not stopped.status.is_over:
            raise AirflowException(
                f"Job {job_ref.job_id} of this task is still running in room {job_ref.room_id} although it was told to "
                "stop; starting another one would stream twice."
            )
