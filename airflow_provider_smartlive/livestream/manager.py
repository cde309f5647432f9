"""Manage a running job: check it when its task is woken, and do what the table of decisions says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, assert_never

from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.observability import stats

from airflow_provider_smartlive.client.project import OtherProjectError
from airflow_provider_smartlive.decisions import (
    LINK_LIMITS,
    Action,
    JobStatus,
    Verdict,
    WakeSource,
    decide,
)
from airflow_provider_smartlive.exceptions import (
    SmartLiveJobBlockedError,
    SmartLiveJobFailedError,
    SmartLiveKilledError,
    SmartLiveTimeoutError,
)
from airflow_provider_smartlive.livestream.as_run import JobTimes, on_air
from airflow_provider_smartlive.livestream.snapshot import REFUSED_PAUSE, JobSnapshot
from airflow_provider_smartlive.livestream.stop import look, stop_and_confirm
from airflow_provider_smartlive.livestream.summary import failure_text, summarise
from airflow_provider_smartlive.livestream.wait_state import WaitLimits, WaitState, state_changes

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger as Logger

    from airflow_provider_smartlive.callbacks.table import JobCallbacks
    from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook
    from airflow_provider_smartlive.livestream.current_task import CurrentTask


class JobManager:
    """
    Manages one running job for the task that owns it.

    :ivar pause: seconds for which MetaStudio is better not asked again.
    :param hook: the hook of the connection over which the job was started.
    :param wait: what is known of the job.
    :param limits: the limits of the wait.
    :param task: the task instance that owns it.
    :param secrets: returns what the request held and no text may repeat; asked only when a failure is worded.
    """

    def __init__(
        self,
        hook: SmartLiveTaskHook,
        wait: WaitState,
        limits: WaitLimits,
        *,
        task: CurrentTask,
        secrets: Callable[[], Iterable[str]] = tuple,
        log: Logger,
        now: Callable[[], datetime],
    ) -> None:
        self.hook = hook
        self.wait = wait
        self.limits = limits
        self.task = task
        self.secrets = secrets
        self.pause = 0.0
        self.log = log
        self.now = now
        self._is_over = False
        #: Whether MetaStudio has said that the job is over, not just that it knows none.
        self.has_seen_end = False
        #: Whether it is sure that no stream state was called back.
        self._is_unreported = False
        #: Whether MetaStudio said that the job runs and no video was pushed.
        self._is_idle = False

    def callbacks(self) -> JobCallbacks | None:
        """Return what was called back about the job; None, too, if Airflow cannot tell at the moment."""
        self._is_unreported = False
        try:
            callbacks = self.task.callbacks(self.wait.job_id)
        except AirflowRuntimeError as error:
            self.log.warning("The callback table of this task cannot be read at the moment: %s", error)
            return None
        self._is_unreported = callbacks is None or not callbacks.streams
        return callbacks

    def due(self, callbacks: JobCallbacks | None) -> WakeSource | None:
        """
        Return what is due by now although nobody gave a signal; None to wait on.

        :param callbacks: what :meth:`callbacks` has just returned.
        """
        silent = self._is_unreported and self._is_idle
        return self.wait.due(self.now(), self.limits, callbacks, silent=silent, idle=self._is_idle)

    def has_ended(self, callbacks: JobCallbacks | None) -> bool:
        """Whether every output reported END: in this try, or before it, as an earlier try was told."""
        if callbacks is None or not callbacks.streams:
            return self.wait.ended
        return callbacks.ended()

    def check(self, source: WakeSource, *, stopped: bool = False) -> dict[str, Any] | None:
        """
        Look at the job and do what has to be done.

        :param source: what woke the owner.
        :param stopped: whether the trigger has stopped the job for that reason already.
        :return: the task's result, or None if the wait goes on; :attr:`wait` then holds how.
        :raises SmartLiveJobFailedError: if the job failed or vanished, or MetaStudio stayed unreachable.
        :raises SmartLiveJobBlockedError: if MetaStudio blocked the job or refuses the credentials.
        :raises SmartLiveTimeoutError: if the task's time was over.
        """
        callbacks = self.callbacks()
        self._log_changes(callbacks)
        snapshot = self._look()
        if snapshot.job is not None and self.wait.ended_by_sweep(snapshot.job.end_time):
            source, stopped = WakeSource.TIMEOUT, True
        verdict = decide(
            self._source_by_now(source, callbacks, snapshot, stopped=stopped),
            snapshot.status,
            ended=self.has_ended(callbacks),
            still_streams=self.wait.still_streams(snapshot, self.now()),
            budget_over=source is WakeSource.BUDGET_OVER
            or self.limits.budget_is_over(self.wait.lost_since, self.now()),
            leave_running=not self.limits.stop_after_end,
            stopped=stopped,
        )
        self.log.info("Woken by %s; MetaStudio says %s: %s.", source, snapshot, verdict.reason)
        # How often callbacks win over reconciliation tells whether they arrive.
        stats.incr("smartlive.resumed", tags={"source": str(source)})
        return self._act(verdict, snapshot, callbacks, source)

    def _source_by_now(
        self, source: WakeSource, callbacks: JobCallbacks | None, snapshot: JobSnapshot, *, stopped: bool
    ) -> WakeSource:
        """
        Return what a wake-up means by now: a stream that was down may have come back.

        So may that of a job which an earlier try told to stop, as it did not finish after END, and which still runs.
        """
        if stopped:
            back = source is WakeSource.GRACE_OVER and snapshot.status is JobStatus.ACTIVE
        else:
            back = source in LINK_LIMITS and self.due(callbacks) is None
        return WakeSource.RECONCILIATION if back else source

    def _act(
        self, verdict: Verdict, snapshot: JobSnapshot, callbacks: JobCallbacks | None, source: WakeSource
    ) -> dict[str, Any] | None:
        if source in LINK_LIMITS and verdict.action in (Action.WAIT, Action.WAIT_FOR_FINISH):
            self.task.withdraw_stop(self.wait.job_id, source)
        match verdict.action:
            case Action.WAIT:
                self.wait = replace(self.wait, grace_until=None, grace_since=None, end_source=None)
                return None
            case Action.WAIT_FOR_FINISH:
                self.task.note_end(self.wait.job_id)
                self.wait = replace(self.wait, end_source=self.wait.end_source or str(source))
                self._give_grace(snapshot, anew=source is WakeSource.GRACE_OVER)
                return None
            case Action.STOP_AND_FINISH:
                snapshot = self._stop(verdict.reason, note=self._note_planned_stop)
            case Action.STOP_AND_FAIL:
                self.stop_for_good(verdict.reason)
                error = SmartLiveTimeoutError if source is WakeSource.TIMEOUT else SmartLiveJobFailedError
                raise error(f"{verdict.reason}; job {self.wait.job_id} was stopped.")
            case Action.FAIL:
                raise SmartLiveJobFailedError(self._failure(verdict, snapshot))
            case Action.FAIL_FOR_GOOD:
                raise SmartLiveJobBlockedError(self._failure(verdict, snapshot))
            case Action.FINISH:
                pass
            case unknown:
                assert_never(unknown)
        if source is not WakeSource.DEADLINE:
            self._check_on_air(verdict.reason, snapshot, callbacks)
        return self._summary(verdict.reason, source, snapshot, callbacks)

    def _check_on_air(self, reason: str, snapshot: JobSnapshot, callbacks: JobCallbacks | None) -> None:
        """
        Refuse an end that came before ``min_on_air``. A retry starts another livestream.

        :raises SmartLiveJobFailedError: if it did.
        """
        least = self.limits.min_on_air
        if least is None:
            return
        told = on_air(callbacks, JobTimes.of(snapshot.job)).on_air_seconds
        seconds = snapshot.stream_seconds if snapshot.streamed else told
        if seconds is None:
            self.log.warning("It is not known how long job %s was on the air (min_on_air).", self.wait.job_id)
        elif seconds < least:
            self.task.mark_stopped(self.wait.job_id)
            raise SmartLiveJobFailedError(
                f"Job {self.wait.job_id} was on the air for {seconds:.0f} s; min_on_air is {least:.0f} s ({reason})."
            )

    def _look(self) -> JobSnapshot:
        """Ask MetaStudio; if that is in vain, read the connection again: somebody may have mended it."""
        snapshot = self._look_once()
        if snapshot.status in (JobStatus.REFUSED, JobStatus.OTHER_PROJECT) and self.hook.reload():
            snapshot = self._look_once()
        if snapshot.status is JobStatus.OTHER_PROJECT:
            self.log.error("%s", snapshot.error)
        snapshot = snapshot.believed(may_lag=self.wait.lag(self.limits, self.now()) > 0)
        self.pause = REFUSED_PAUSE if snapshot.status is JobStatus.REFUSED else 0.0
        self._note_over(snapshot)
        self._is_idle = snapshot.status is JobStatus.ACTIVE and not snapshot.streamed
        lost_since = self.wait.lost_since or self.now() if snapshot.is_lost else None
        self.wait = replace(self.wait, lost_since=lost_since)
        return snapshot

    def _look_once(self) -> JobSnapshot:
        wait = self.wait
        return look(self.hook, wait.job_ref, address=wait.address)

    def _note_over(self, snapshot: JobSnapshot) -> None:
        self._is_over = snapshot.status.is_over
        self.has_seen_end = self._is_over and snapshot.job is not None

    def _give_grace(self, snapshot: JobSnapshot, *, anew: bool) -> None:
        """
        Give MetaStudio its time to finish the job.

        :param anew: it is over, but MetaStudio could not be asked what became of the job, or shows that the stream
            goes on.
        """
        if self.wait.grace_until is not None and not anew:
            return
        if anew and snapshot.is_clear:
            self.log.warning(
                "END was called back for job %s, but it is not stopped: its stream had lasted %s s then, and %s s now. "
                "If MetaStudio did not send that END, somebody else did; see the docs page Security.",
                self.wait.job_id,
                "?" if self.wait.streamed is None else round(self.wait.streamed),
                round(snapshot.stream_seconds),
            )
        self.wait = self.wait.in_grace(self.limits, snapshot, self.now())

    def started(self) -> dict[str, Any]:
        """Return the result of a task that does not wait."""
        return self._summary("started; not waited for")

    def stop_for_good(self, reason: str) -> None:
        """
        Stop the job for good: neither it nor its end is a result.

        :param reason: for the log and for the error.
        :raises SmartLiveJobFailedError: if the job does not stop.
        """
        self._stop(reason, note=lambda: self.task.mark_stopped(self.wait.job_id))

    def end(self) -> None:
        """
        Stop the job, unless it is over, because its task fails for good and nobody will own it.

        :raises SmartLiveJobFailedError: if the job does not stop.
        """
        if self._is_over:
            return
        if self.pause:
            self.hook.reload()  # MetaStudio refused the credentials: somebody may have mended them
        self._stop("The task failed")

    def ensure_not_killed(self) -> None:
        """
        Make sure, before the process leaves a running job behind, that its task was not ended meanwhile.

        Airflow tells a process so by its heartbeat, some seconds later. If the process wants to defer by then, it
        is refused without a word to the operator, and there is no trigger that would stop the job.

        :raises SmartLiveKilledError: if the task was ended; the job is stopped then.
        """
        if self.task.is_ended_meanwhile():
            self.stop_for_good("The task was ended from outside")
            raise SmartLiveKilledError("The task was ended from outside.")

    def handle_kill(self, identified: Callable[[], None]) -> None:
        """
        Stop the job if the task was ended from outside.

        :param identified: called as soon as that is known.
        """
        killed = self.task.is_ended_from_outside()
        identified()
        if killed:
            self.stop_for_good("The task was ended from outside")
        else:
            self.log.info(
                "This process is told to end, its task is not: job %s is left alone.", self.wait.job_id
            )

    def _summary(
        self,
        outcome: str,
        source: WakeSource | None = None,
        snapshot: JobSnapshot | None = None,
        callbacks: JobCallbacks | None = None,
    ) -> dict[str, Any]:
        return summarise(
            self.wait.job_ref,
            outcome=outcome,
            # Whoever asks wants to know whether callbacks arrive, not who looked last.
            woken_by=self.wait.end_source
            if source is WakeSource.RECONCILIATION and self.wait.end_source
            else source,
            job=snapshot.job if snapshot else None,
            callbacks=callbacks,
            is_over=snapshot is not None and snapshot.status.is_over,
            settled_at=self.now().isoformat(),
            **self.wait.start_info,
        )

    def _note_planned_stop(self) -> None:
        """Remember that the end of the job is the result: a planned end, or one that MetaStudio did not come to."""
        self.task.note_stop(self.wait.job_id, WakeSource.DEADLINE)

    def _stop(self, reason: str, *, note: Callable[[], None] = lambda: None) -> JobSnapshot:
        """
        Stop the job, and make sure that it is over.

        :param note: writes down what that makes of the job's end, before it comes.
        """
        try:
            note()
        finally:
            # An Airflow that cannot take the note must not cost the stop.
            snapshot = self._stop_and_confirm(reason)
        return snapshot

    def _stop_and_confirm(self, reason: str) -> JobSnapshot:
        grace = self.limits.stop_grace
        wait = self.wait
        lag = wait.lag(self.limits, self.now())
        try:
            snapshot = stop_and_confirm(self.hook, wait.job_ref, address=wait.address, grace=grace, lag=lag)
        except OtherProjectError as error:
            raise SmartLiveJobFailedError(f"{reason}, but the job cannot be stopped. {error}") from None
        self._note_over(snapshot)
        if not self._is_over:
            raise SmartLiveJobFailedError(
                f"{reason}, but job {self.wait.job_id} is still running {grace:.0f} s after it was told to "
                f"stop (MetaStudio says {snapshot}). A retry will stop it again; "
                "`airflow smartlive jobs stop` does so by hand."
            )
        return snapshot

    def _failure(self, verdict: Verdict, snapshot: JobSnapshot) -> str:
        return failure_text(self.wait.job_ref, verdict.reason, snapshot, secrets=self._known_secrets)

    def _known_secrets(self) -> Iterable[str]:
        try:
            return tuple(self.secrets())
        except Exception:
            # A connection that cannot be read any more must not hide the failure.
            self.log.warning(
                "The outputs' connections cannot be read, so that their keys are not known here."
            )
            return ()

    def _log_changes(self, callbacks: JobCallbacks | None) -> None:
        """Write the state changes of the stream into the log: one line each, and each of them once."""
        changes = state_changes(callbacks, after=self.wait.logged_until)
        for at, label, state in changes:
            self.log.info("RTMP %s: %s at %s.", label, state, at.isoformat())
        if changes:
            self.wait = replace(self.wait, logged_until=changes[-1][0])
