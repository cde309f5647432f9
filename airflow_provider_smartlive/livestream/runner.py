"""Run one livestream of a task, from its start to its result."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from airflow.sdk.exceptions import AirflowFailException, AirflowTaskTimeout
from airflow.sdk.timezone import utcnow

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.messages import ResumeEvent
from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook
from airflow_provider_smartlive.decisions import WakeSource, may_end_with_task
from airflow_provider_smartlive.livestream.acquired_job import AcquiredJob
from airflow_provider_smartlive.livestream.current_task import CurrentTask
from airflow_provider_smartlive.livestream.failure import FailureHandler
from airflow_provider_smartlive.livestream.manager import JobManager
from airflow_provider_smartlive.livestream.rivals import rival_warnings
from airflow_provider_smartlive.livestream.snapshot import ACTIVE_STATES
from airflow_provider_smartlive.livestream.start_arguments import StartArguments
from airflow_provider_smartlive.livestream.summary import announce
from airflow_provider_smartlive.livestream.wait_state import StoredByOtherRelease, WaitLimits, WaitState
from airflow_provider_smartlive.livestream.worker_wait import next_source
from airflow_provider_smartlive.metastudio.errors import MetaStudioError
from airflow_provider_smartlive.metastudio.ids import same_id
from airflow_provider_smartlive.retries import failing_for_good

if TYPE_CHECKING:
    from airflow.sdk import Context
    from structlog.typing import FilteringBoundLogger as Logger

    from airflow_provider_smartlive.livestream.acquisition import Acquisition
    from airflow_provider_smartlive.livestream.kill import KillHandler

T = TypeVar("T")

#: What resumes a task without saying whether the job was being stopped.
_NO_REASON_TO_STOP = (WakeSource.CALLBACK, WakeSource.FIRST_READ, WakeSource.RECONCILIATION)

#: Warnings about other jobs that a result holds.
MAX_RIVAL_WARNINGS = 5


class LivestreamRunner:
    """
    Runs one livestream: starts its job or takes up the one of an earlier try, waits, and returns the result.

    Whatever goes wrong in between, a job is left running only for a retry that will take it up.

    :param task: the task instance.
    :param read: reads and checks the operator's arguments.
    :param kill: tells when the task is to end.
    :param secrets: returns the secrets of the outputs, for texts that may repeat them.
    :param defer: hands the wait to a trigger: takes the :class:`WaitState` and the :class:`WaitLimits`.
    """

    def __init__(
        self,
        task: CurrentTask,
        *,
        read: Callable[[], StartArguments],
        kill: KillHandler,
        defer: Callable[[WaitState, WaitLimits], NoReturn] | None,
        secrets: Callable[[], Iterable[str]],
        log: Logger,
    ) -> None:
        self.task = task
        self.read = read
        self.kill = kill
        self.defer = defer
        self.secrets = secrets
        self.log = log
        self.now = utcnow
        self.failure = FailureHandler(task, end_job=self._end_job, has_seen_end=self._has_seen_end, log=log)
        self.hook_of = cache(lambda conn_id: SmartLiveTaskHook(smartlive_conn_id=conn_id))
        #: Acquires the job; a process that goes on after a deferral needs none.
        self.acquisition: Acquisition | None = None
        #: Decides for the job, as soon as there is one.
        self.manager: JobManager | None = None

    @classmethod
    def of(
        cls,
        operator: Any,
        context: Context,
        *,
        resumed: bool,
        kill: KillHandler,
        defer: Callable[[WaitState, WaitLimits], NoReturn] | None,
    ) -> Self:
        """
        Return what runs the livestream of an operator.

        :param operator: a :class:`~airflow_provider_smartlive.operators.StartSmartLiveJobOperator`.
        :param context: the context of its task.
        :param resumed: whether the task goes on after a deferral.
        :param kill: tells when the task is to end.
        :param defer: hands the wait to a trigger; None: waits on the worker.
        """
        task = CurrentTask(
            context,
            retries=operator.retries or 0,
            retry_policy=operator.retry_policy,
            resumed=resumed,
            sleep=kill.sleep,
        )

        def secrets() -> list[str]:
            # Only a task that fails asks for them.
            from airflow_provider_smartlive.livestream import request

            return request.secrets_of_outputs(operator)

        return cls(
            task,
            read=lambda: StartArguments.read(operator, task),
            kill=kill,
            defer=defer,
            secrets=secrets,
            log=operator.log,
        )

    # -- from the first line of the task

    def start(self) -> dict[str, Any]:
        """
        Start the livestream, unless one of this task runs already, and wait for its end.

        :raises AirflowSkipException: if the run is a backfill, or it is too late.
        :raises AirflowFailException: if no retry can help.
        """
        from airflow_provider_smartlive.livestream.acquisition import Acquisition

        acquisition = self.acquisition = Acquisition(
            self.task, self.hook_of, kill=self.kill, log=self.log, now=self.now
        )
        with self.failure.leaving_no_job_behind():
            with failing_for_good(unless=self.task.may_have_job):
                self.task.note_earlier_end()
                wanted = self.read()
                acquired = acquisition.acquire(wanted)
            manager = self.manager = self._make_manager(acquired.first_wait(), wanted.limits)
            self._publish(manager, acquired, wanted)
            return self._result(lambda: self._go_on(manager, acquired, wanted))

    def _publish(self, manager: JobManager, acquired: AcquiredJob, wanted: StartArguments) -> None:
        """Make the job known before the task waits: to sensors, to tear-downs, to people."""
        wait = manager.wait
        announcement = announce(
            acquired.record, planned_start=wanted.time_limits.due_at, start_info=wait.start_info
        )
        link = manager.hook.profile().console_link(wait.job_ref)
        self.task.publish(announcement, link)
        self.log.info("Job %s in room %s: %s.", wait.job_id, wait.room_id, acquired.origin)

    def _go_on(self, manager: JobManager, acquired: AcquiredJob, wanted: StartArguments) -> dict[str, Any]:
        self.kill.end_if_requested()
        if acquired.response is not None:
            self._look_for_rivals(manager)
        self._judge_livestream(manager, wanted)
        if not wanted.waits:
            self._ensure_not_killed(manager)
            return manager.started()
        if acquired.response is None:
            # A job of an earlier try may have ended; its callbacks went with the XComs of that try.
            stopped_by = acquired.record.stop_source(self.now())
            source = stopped_by or WakeSource.RECONCILIATION
            return self._check_or_wait(manager, source, stopped=stopped_by is not None)
        if manager.has_ended(manager.callbacks()):
            return self._check_or_wait(manager, WakeSource.CALLBACK)
        return self._wait(manager)

    def _look_for_rivals(self, manager: JobManager) -> None:
        """
        Add a warning for each active job in the same room or on the same output.

        Looked for after the start: tasks that start at the same time do not see each other before it.
        """
        wait = manager.wait
        try:
            jobs = manager.hook.list_jobs(state=ACTIVE_STATES)
            others = [job for job in jobs if not same_id(job.job_id, wait.job_id)]
        except MetaStudioError as error:
            self.log.info("Not known whether other jobs use the room or the outputs of this one: %s", error)
            return
        found = rival_warnings(
            others,
            room_id=wait.room_id,
            outputs=self.acquisition.outputs if self.acquisition else (),
            secrets=settings.callback_secrets(),
        )
        warnings = [*wait.start_info["warnings"], *islice(found, MAX_RIVAL_WARNINGS)]
        manager.wait = replace(wait, start_info={**wait.start_info, "warnings": warnings})

    def _judge_livestream(self, manager: JobManager, wanted: StartArguments) -> None:
        warnings = manager.wait.start_info["warnings"]
        for warning in warnings:
            self.log.warning("This livestream: %s", warning)
        if warnings and wanted.warnings_as_errors:
            manager.stop_for_good("The livestream has warnings")
            raise AirflowFailException(
                f"Job {manager.wait.job_id} was stopped, as it has warnings (warnings_as_errors): {'; '.join(warnings)}"
            )

    # -- after a wake-up

    def resume(
        self, event: dict[str, Any], wait: dict[str, Any] | None, limits: dict[str, Any] | None
    ) -> dict[str, Any]:
        """
        Go on after a wake-up.

        :param event: a :class:`~airflow_provider_smartlive.callbacks.messages.ResumeEvent`.
        :param wait: what :meth:`WaitState.dump` gave; None if Airflow has lost it, as ``dag.test()`` does: the record
            then says what is known of the job.
        :param limits: likewise of :class:`WaitLimits`.
        """
        with self.failure.leaving_no_job_behind():
            manager = self.manager = self._make_manager(
                self._stored(WaitState.load, wait) or self._remembered_wait(),
                self._stored(WaitLimits.load, limits) or self.read().limits,
            )
            wake = self._event(event, manager.wait.job_id)
            # An event of another job says nothing about ours; looking is always right.
            is_ours = same_id(wake.job_id, manager.wait.job_id)
            source = WakeSource(wake.source) if is_ours else WakeSource.RECONCILIATION
            stopped = is_ours and wake.stopped
            if source in _NO_REASON_TO_STOP and (reason := self._reason_of_stop(manager)):
                source, stopped = reason, True
            return self._result(lambda: self._check_or_wait(manager, source, stopped=stopped))

    def _stored(self, load: Callable[[dict[str, Any]], T], value: dict[str, Any] | None) -> T | None:
        """Read what was stored with the wait; None if there is nothing, or if another release stored it."""
        try:
            return load(value) if value else None
        except StoredByOtherRelease as error:
            self.log.warning("%s This task goes on by its record and its arguments.", error)
            return None

    def _event(self, event: dict[str, Any], job_id: str) -> ResumeEvent:
        """Read what woke the task; an event that another release wrote is only a reason to look at the job."""
        try:
            return ResumeEvent.load(event)
        except ValueError:
            self.log.warning(
                "This task was woken by an event that another release of airflow-provider-smartlive wrote: its job is "
                "looked at. Install the same release for all of Airflow's processes."
            )
            return ResumeEvent(source=WakeSource.RECONCILIATION, job_id=job_id, at=self.now())

    def fail(self, raise_error: Callable[[], object]) -> NoReturn:
        """
        Fail as Airflow demands it, and leave the job to a retry only.

        :param raise_error: raises Airflow's own error.
        """
        with self.failure.leaving_no_job_behind():
            self.manager = self._make_manager(self._remembered_wait(), self._limits_or_defaults())
            raise_error()
        raise AssertionError("unreachable: Airflow has raised its error")

    def _limits_or_defaults(self) -> WaitLimits:
        """Return the limits of the wait; arguments that cannot be read must not keep a job from being stopped."""
        try:
            return self.read().limits
        except ValueError:
            return WaitLimits(interval=0)

    def _reason_of_stop(self, manager: JobManager) -> WakeSource | None:
        """
        Return why the trigger was stopping the job, if it was, when the end of that stop resumed the task.

        The END that was called back may do so, or a trigger in another triggerer that took over and found the job over.

        Of most tasks nothing can have been due, and Airflow is not asked.
        """
        moment = manager.wait.next_moment()
        sources = [moment[1]] if moment is not None and moment[0] <= self.now() else []
        sources += manager.limits.of_link
        return self.task.why_stopped(manager.wait.job_id, sources)

    def _remembered_wait(self) -> WaitState:
        return AcquiredJob.remembered(self.task.record()).first_wait()

    # -- the wait

    def _result(self, go_on: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Wait to the end, and remember that the task has its result."""
        try:
            result = go_on()
        except AirflowTaskTimeout:
            # On a worker Airflow itself keeps execution_timeout: the same end as in a trigger.
            assert self.manager is not None  # noqa: S101 - it is there before anybody goes on
            result = self._check_or_wait(self.manager, WakeSource.TIMEOUT)
        self.task.note_result(is_over=self._has_seen_end())
        return result

    def _make_manager(self, wait: WaitState, limits: WaitLimits) -> JobManager:
        hook = self.hook_of(wait.smartlive_conn_id)
        return JobManager(
            hook, wait, limits, task=self.task, secrets=self.secrets, log=self.log, now=self.now
        )

    def _check_or_wait(
        self, manager: JobManager, source: WakeSource, *, stopped: bool = False
    ) -> dict[str, Any]:
        result = manager.check(source, stopped=stopped)
        return self._wait(manager) if result is None else result

    def _wait(self, manager: JobManager) -> dict[str, Any]:
        if self.defer is not None:
            self._ensure_not_killed(manager)
            self.defer(manager.wait, manager.limits)
        while (result := manager.check(next_source(manager, self.kill, now=self.now))) is None:
            pass
        return result

    # -- the end of the process

    def _ensure_not_killed(self, manager: JobManager) -> None:
        if may_end_with_task(cancel_on_kill=manager.limits.cancel_on_kill):
            manager.ensure_not_killed()

    def handle_kill(self, identified: Callable[[], None]) -> None:
        """Stop the job if the task was ended from outside (for :class:`KillHandler`)."""
        if self.manager is not None:
            self.manager.handle_kill(identified)

    def _has_seen_end(self) -> bool:
        return self.manager is not None and self.manager.has_seen_end

    def _end_job(self, for_good: bool) -> None:
        """
        End whatever this task has running.

        :param for_good: remember that the job's end is nobody's result.
        """
        if self.manager is not None and for_good:
            self.manager.stop_for_good("execution_timeout was reached")
        elif self.manager is not None:
            self.manager.end()
        elif self.acquisition is not None:
            self.acquisition.end(for_good=for_good)
