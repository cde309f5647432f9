"""Acquire the job of a task: that of an earlier try, or a new one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.url import CallbackTarget, JobTerms, new_generation
from airflow_provider_smartlive.exceptions import SmartLiveKilledError
from airflow_provider_smartlive.livestream import request
from airflow_provider_smartlive.livestream.job_search import JobSearch
from airflow_provider_smartlive.livestream.ownership import issue_url_for
from airflow_provider_smartlive.livestream.record import JobRecord
from airflow_provider_smartlive.livestream.standby import reason_against, start_outcome
from airflow_provider_smartlive.livestream.start import JobStart
from airflow_provider_smartlive.livestream.wait_state import WaitLimits
from airflow_provider_smartlive.metastudio.addresses import is_out_of_reach
from airflow_provider_smartlive.metastudio.errors import MetaStudioError

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger as Logger

    from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook
    from airflow_provider_smartlive.livestream.acquired_job import AcquiredJob
    from airflow_provider_smartlive.livestream.current_task import CurrentTask
    from airflow_provider_smartlive.livestream.kill import KillHandler
    from airflow_provider_smartlive.livestream.start_arguments import StartArguments

_OUT_OF_REACH = (
    "callback_base_url (of the connection, or of [smartlive]) is an address of this machine or network, which "
    "MetaStudio cannot reach: the end of the livestream is only found by asking. Set it to the public https address of "
    "the API server, or pass use_callbacks=False. `airflow smartlive check` tells whether it works."
)


class Acquisition:
    """
    Acquires the job of a task, and ends it if the task fails before the job has a manager.

    :ivar outputs: fingerprints of the outputs of a job that this try has started.
    :param task: the task instance.
    :param hook_of: returns the hook for a connection id.
    :param kill: tells when the task is to end.
    """

    def __init__(
        self,
        task: CurrentTask,
        hook_of: Callable[[str], SmartLiveTaskHook],
        *,
        kill: KillHandler,
        log: Logger,
        now: Callable[[], datetime],
    ) -> None:
        self.task = task
        self.hook_of = hook_of
        self.kill = kill
        self.log = log
        self.now = now
        self.outputs: tuple[str, ...] = ()
        self._start: JobStart | None = None
        self._record: JobRecord | None = None

    def acquire(self, wanted: StartArguments) -> AcquiredJob:
        """
        Take up the job of an earlier try, or start one.

        :raises AirflowSkipException: if the run is a backfill, or it is too late.
        :raises AirflowFailException: if no retry can help.
        """
        record, attempt = self.task.record(), self.task.attempt
        self._record = record
        if record is not None and record.standby and record.continues_in(attempt):
            wanted = wanted.standby or wanted  # the primary was refused in an earlier try of this life
        start = self._start = self._make_start(
            wanted.limits,
            single_job_in=wanted.single_job_in,
            timeout_at=wanted.time_limits.timeout_at if wanted.waits else lambda now: None,
        )
        if record is not None and record.is_later_than(attempt):
            raise AirflowFailException(
                "This task was cleared while its process went on: a later one has its place."
            )
        if record is not None and not record.continues_in(attempt):
            self.log.info("This task was cleared: it begins anew.")
            # If no other start follows, nothing of this life is looked for again.
            record = start.end(record)
            self.task.save(record)
            planned = self._plan(wanted, generation=new_generation(self.now(), after=record.generation))
        elif record is not None:
            # A deadline that was agreed stays; one may still be added.
            due = record.deadline or wanted.time_limits.deadline(record.started_at or self.now())
            if acquired := start.take_up(replace(record, deadline=due)):
                return acquired
            if record.is_unsettled and not start.passed_over:
                record = replace(record, unclear_start=True)
            for job_id in (record.job_id, *start.passed_over):
                record = record.without(job_id)
            planned = self._plan(wanted, generation=record.generation)
            planned = replace(planned, discarded=record.discarded, failure=record.failure)
        else:
            planned = self._plan(wanted, generation=new_generation(self.now()))
        if record is not None:
            planned = replace(planned, unclear_start=record.unclear_start)
        return self._send_or_stand_by(start, planned, wanted)

    def _send_or_stand_by(self, start: JobStart, planned: JobRecord, wanted: StartArguments) -> AcquiredJob:
        """Start a job; if that is refused and surely made none, in the standby."""
        standby = wanted.standby
        if standby is None:
            return self._send(start, planned, wanted)
        if standby.output_conn_ids != wanted.output_conn_ids:
            # A mistake in them is not found only when they are needed.
            request.rtmp_outputs(standby.output_conn_ids, argument="standby_output_conn_ids")
        try:
            return self._send(start, planned, wanted)
        except MetaStudioError as error:
            if error is not start.problem or start.latest is None:
                raise
            reason = reason_against(start_outcome(error), unclear_start=start.latest.unclear_start)
            if reason is not None:
                self.log.warning("The standby is not started: %s.", reason)
                raise
            refusal = error
        start.ensure_goes_on()
        self.log.warning(
            "The start in room %s was refused: %s The standby is started, in room %s.",
            wanted.room_id,
            refusal,
            standby.room_id,
        )
        start.single_job_in = standby.single_job_in
        return self._send(start, replace(planned, room_id=standby.room_id, standby=True), standby)

    def _plan(self, wanted: StartArguments, *, generation: str) -> JobRecord:
        """Return the record of a job that is about to be started, without its times."""
        return JobRecord(
            generation=generation,
            attempt=self.task.attempt,
            smartlive_conn_id=wanted.smartlive_conn_id,
            room_id=wanted.room_id,
            calls_back=wanted.use_callbacks,
            standby=wanted.is_standby,
        )

    def _send(self, start: JobStart, planned: JobRecord, wanted: StartArguments) -> AcquiredJob:
        settings.callback_secrets()  # who cannot recognise the jobs of earlier tries must not start one
        rtmp_outputs = request.rtmp_outputs(wanted.output_conn_ids)
        time_limits = wanted.time_limits
        terms = JobTerms(
            deadline=time_limits.deadline(self.now()),
            waits=wanted.waits and wanted.limits.stop_after_end,
            cancel_on_kill=wanted.limits.cancel_on_kill,
        )
        target = CallbackTarget(
            self.task.task_ref, planned.generation, planned.attempt.max_tries, settings.deployment(), terms
        )
        profile = self.hook_of(planned.smartlive_conn_id).profile()
        issued = issue_url_for(target, profile, rtmp_outputs) if wanted.use_callbacks else None
        self.outputs = issued.target.terms.outputs if issued else ()
        built = request.build(
            wanted.fields,
            rtmp_outputs=rtmp_outputs,
            interaction_callback_url=request.interaction_url(wanted.interaction_conn_id),
            issued=issued,
            event_types=wanted.event_types,
            max_live_duration=request.hours_to_live(
                time_limits.longest(self.now()), cap=wanted.max_live_duration
            ),
        )
        warnings = [*built.warnings(), *filter(None, (output.warning for output in rtmp_outputs))]
        if issued is not None and is_out_of_reach(issued.url, profile.endpoint):
            warnings.append(_OUT_OF_REACH)
        self._judge_request(warnings, wanted)
        planned = replace(
            planned,
            address=profile.base_url,
            outputs=tuple(output.label for output in rtmp_outputs),
            single_job_in_room=bool(built.job_run_config and built.job_run_config.single_job_in_room),
        )

        time_limits.wait_for_start(self.now())
        if wanted.use_callbacks:
            self.task.begin_table(planned.generation, address=profile.base_url)
        return start.send(
            planned,
            built,
            may_send=lambda: self._check_time(planned, wanted, start.problem),
            deadline=time_limits.deadline,
        )

    def _judge_request(self, warnings: list[str], wanted: StartArguments) -> None:
        for warning in warnings:
            self.log.warning("The request: %s", warning)
        if warnings and wanted.warnings_as_errors:
            raise AirflowFailException(
                f"The request has warnings (warnings_as_errors): {'; '.join(warnings)}"
            )

    def _check_time(
        self, planned: JobRecord, wanted: StartArguments, problem: MetaStudioError | None
    ) -> None:
        """
        Refuse to go live when it is not the time; but a livestream that has failed is no skip.

        :param problem: why a start of this try made no job; None if none was sent.
        """
        if self.kill.requested:
            raise SmartLiveKilledError("The task was told to end before its livestream was started.")
        try:
            wanted.time_limits.check(self.now())
        except AirflowSkipException as too_late:
            if problem is None and not planned.has_failed:
                raise
            failure = problem or planned.failure or "The livestream of an earlier try failed."
            raise AirflowFailException(f"{failure} It is too late for another one: {too_late}") from None

    def _make_start(
        self,
        limits: WaitLimits,
        single_job_in: tuple[str, str] | None = None,
        timeout_at: Callable[[datetime], datetime | None] = lambda now: None,
    ) -> JobStart:
        return JobStart(
            self.hook_of,
            task=self.task,
            job_search=JobSearch(
                self.hook_of,
                task_ref=self.task.task_ref,
                secrets=_secrets_or_none(),
                look_again_window=limits.look_again_window,
                now=self.now,
                sleep=self.kill.sleep,
            ),
            deployment=settings.deployment(),
            stop_grace=limits.stop_grace,
            single_job_in=single_job_in,
            timeout_at=timeout_at,
            log=self.log,
            now=self.now,
            sleep=self.kill.sleep,
        )

    def end(self, *, for_good: bool) -> None:
        """
        End whatever job the task has, be its start clear or not, because the task fails.

        :param for_good: remember that the job's end is nobody's result.
        """
        start = self._start or self._make_start(WaitLimits(interval=0))
        # The latest record may be one that Airflow could not store, and Airflow may not be there to be asked again.
        record = start.latest or self._record or self.task.record()
        if record is None or record.is_later_than(self.task.attempt):
            return
        ended = start.end(record)
        self.task.save(ended if for_good else replace(record, is_over=ended.is_over))


def _secrets_or_none() -> tuple[str, ...]:
    """Return the callback secrets; a job whose id is known can be stopped without them."""
    try:
        return settings.callback_secrets()
    except ValueError:
        return ()
