"""A sensor for the state of a livestream's RTMP link."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from airflow.sdk import BaseSensorOperator, PokeReturnValue
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)
from airflow.sdk.timezone import utcnow

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.decisions import JobStatus, Progress, WakeSource, progress
from airflow_provider_smartlive.livestream import arguments
from airflow_provider_smartlive.livestream.airflow_api import ask
from airflow_provider_smartlive.livestream.end_check import EndCheck
from airflow_provider_smartlive.livestream.job_operator import JobOperator
from airflow_provider_smartlive.metastudio.ids import JobRef, same_id

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_smartlive.callbacks.messages import ResumeEvent
    from airflow_provider_smartlive.livestream.snapshot import JobSnapshot
    from airflow_provider_smartlive.livestream.starter import Starter, StarterStatus

T = TypeVar("T")

#: The states of an RTMP link, as MetaStudio calls them back.
STREAM_STATES = ("CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING", "END")

#: Key in Airflow's task state store: since when something holds that a sensor on a worker has seen in each poke.
STORE_KEY = "smartlive_sensor"


class SmartLiveStreamStateSensor(JobOperator, BaseSensorOperator):
    """
    Wait until the stream of a livestream has reached a state.

    Name the job by ``job_id``, or name the task that starts it: that task need not have started yet. A state
    counts as reached once it was observed, whatever came after it; END counts when every output has ended that
    the job was started with, or that a command put in its place.

    The sensor follows the task that it names. As long as that task waits to run, first or again, it has no job. If its
    job is over without the state and the task goes on, its next job is waited for. If the task is over, this one
    is, too: it is skipped if that task was skipped, and fails otherwise.

    Deferred (the default), the callback itself ends the task, without a worker, in well under a second, unless an END
    has to be confirmed, which a worker begins. An end without a worker skips the task's log, its listeners and asset
    events: a task with outlets or callbacks, or ``needs_worker=True``, is resumed on a worker instead.

    What MetaStudio can tell without callbacks: that the stream was up (CONNECTING, CONNECTED), and that it
    must be over (END). DISCONNECTED and RECONNECTING are seen by callback only, so every state but END needs
    a ``timeout``.

    An END that was called back may be that of a link which somebody exchanges in MetaStudio's console, and a callback's
    signature does not cover its body. So the sensor asks MetaStudio before it believes an END, as the operator does
    that owns the job: END is true when the job is over, or has gone on for ``[smartlive] end_grace`` without a stream.
    As long as MetaStudio does not answer, the sensor waits, and fails when ``[smartlive] failure_budget`` is over.
    With ``confirm=False`` the callback alone ends the task.

    :class:`~airflow_provider_smartlive.livestream.job_operator.JobOperator` has the arguments that name the job.

    :param room_id: its room; saves a search of MetaStudio's listing if only ``job_id`` is given. Templated.
    :param target_state: CONNECTING, CONNECTED, DISCONNECTED, RECONNECTING or END.
    :param deferrable: whether to wait in the triggerer; if not, ``mode`` decides.
    :param needs_worker: whether the task ends on a worker although it has no outlets or callbacks.
    :param confirm: whether MetaStudio has to confirm an END that was called back; default: yes.
    :param reconcile_interval: seconds between two questions to MetaStudio, or a timedelta; default
        ``[smartlive] reconcile_interval``. For CONNECTING and CONNECTED it is asked earlier as well, after 20 seconds,
        a minute, and so on.
    :param timeout: how long to wait, as a timedelta or in seconds; mandatory unless ``target_state`` is END,
        where Airflow's default of 7 days counts.
    """

    def __init__(
        self,
        *,
        target_state: str = "END",
        deferrable: bool = True,
        needs_worker: bool = False,
        confirm: bool | None = None,
        reconcile_interval: timedelta | float | None = None,
        timeout: timedelta | float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(timeout=timeout, **kwargs)
        target_state = _stream_state(target_state)
        if target_state != "END" and timeout is None:
            raise ValueError(
                f"A sensor on {target_state} needs a timeout: if its callback is lost, MetaStudio may not be able to "
                "tell that the state was reached."
            )
        if confirm and target_state != "END":
            raise ValueError("confirm is for target_state END: MetaStudio itself can confirm no other state.")
        self.target_state = target_state
        self.deferrable = deferrable
        self.needs_worker = needs_worker
        self.confirm = target_state == "END" if confirm is None else confirm
        self.reconcile_interval = arguments.seconds("reconcile_interval", reconcile_interval, minimum=1)
        self._since: dict[str, str] | None = None
        self._end_check: EndCheck | None = None

    def execute(self, context: Context) -> Any:
        """
        Wait.

        :raises AirflowSensorTimeout: if the state was not reached in time.
        :raises AirflowSkipException: if the task that starts the job was skipped.
        :raises AirflowFailException: if the job and the task that starts it are over and the state was never reached,
            if MetaStudio was unreachable for too long, or if an argument is wrong.
        """
        from airflow_provider_smartlive.retries import failing_for_good

        with failing_for_good(unless=lambda: False):
            self.read_job_arguments()
        if not self.deferrable:
            return self._told(context, self._wait_here(context))
        found = self.poke(context)
        if isinstance(found, PokeReturnValue):
            return self._told(context, found.xcom_value)
        self.register(context, self.target_state, needs_worker=self._needs_worker() or self.confirm)
        timeout_at = utcnow().astimezone(UTC) + timedelta(seconds=self.timeout)
        return self._defer(context, timeout_at.isoformat())

    def _wait_here(self, context: Context) -> Any:
        """Wait on workers, as ``mode`` says."""
        if self.starter_task_id is None and self.room_id is None:
            # A look needs the room; only the poller of the triggerer searches for a job.
            raise AirflowFailException(
                "room_id is missing: pass it beside job_id, name starter_task_id, or wait deferred."
            )
        try:
            return super().execute(context)
        except AirflowSensorTimeout as timeout:
            text = self._timeout_text(context, self.job_id)
            if self.never_fail:
                raise AirflowSkipException(text) from timeout
            raise AirflowSensorTimeout(text) from timeout

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Look once: at the starter, at the callback table, and at MetaStudio if that does not tell."""
        return self._poke(context)

    def _poke(self, context: Context, wake: ResumeEvent | None = None) -> bool | PokeReturnValue:
        """
        Look once.

        :param wake: what has resumed the task: END was called back, or the trigger has seen that the state will not
            come.
        """
        starter, status, job_id = self.find_starter(context), None, self.job_id
        is_told = wake is not None and wake.state == self.target_state
        if starter is not None and job_id is None:
            status = ask(starter.status)
            job_id = wake.job_id if wake and is_told else self._job_of(context, starter, status)
        if job_id is None:
            return False
        is_called_back = self._is_called_back(starter, job_id, if_unknown=is_told)
        if is_called_back and not self.confirm:
            return self._reached(job_id, WakeSource.CALLBACK)
        snapshot = self._look(context, job_id, may_lag=wake is None or is_told)
        if snapshot is None:
            self._end_check = EndCheck(job_id, WakeSource.CALLBACK) if is_told else None
            return False
        self._check_budget(context, snapshot)
        found = progress(self.target_state, snapshot.status, streamed=snapshot.streamed)
        if found is Progress.MISSED and not is_called_back:
            # It may have been called back while MetaStudio was asked.
            is_called_back = self._is_called_back(starter, job_id)
        if is_called_back:
            source = WakeSource(wake.source) if wake and is_told else WakeSource.CALLBACK
            return self._confirm(context, EndCheck(job_id, source), snapshot)
        self._keep(context, None)
        if found is Progress.REACHED:
            return self._reached(job_id, WakeSource.RECONCILIATION, confirmed=True)
        if found is Progress.MISSED:
            if status is None or status.is_over:
                raise self._missed(job_id, f"MetaStudio says {snapshot}")
            self.log.info(
                "Job %s is over (%s), and the %s goes on: waiting for its next job.",
                job_id,
                snapshot,
                starter,
            )
        return False

    def _is_called_back(self, starter: Starter | None, job_id: str, *, if_unknown: bool = False) -> bool:
        """
        Read whether the state was called back.

        :param if_unknown: what counts if there is no table, or nothing in it about the job.
        """
        callbacks = ask(partial(starter.callbacks, job_id)) if starter else None
        return if_unknown if callbacks is None else callbacks.has_reached(self.target_state)

    def _confirm(self, context: Context, check: EndCheck, snapshot: JobSnapshot) -> bool | PokeReturnValue:
        """
        Judge what was called back by what MetaStudio says.

        :param check: a new one; the one that was begun in an earlier poke goes on.
        """
        if not self.confirm:
            return self._reached(check.job_id, WakeSource(check.source))
        known = self._kept(context)
        check = known if known is not None and same_id(known.job_id, check.job_id) else check
        check = check.begun(snapshot, utcnow())
        is_true = check.judge(snapshot, utcnow(), grace=settings.number("end_grace"))
        self.log.info("END of job %s was called back; MetaStudio says %s.", check.job_id, snapshot)
        self._keep(context, check if is_true is None else None)
        return self._reached(check.job_id, WakeSource(check.source), confirmed=True) if is_true else False

    def _job_of(self, context: Context, starter: Starter, status: StarterStatus) -> str | None:
        """Return the job that the starter has by now; None if it has none, or may still show an earlier one."""
        if status.problem is not None:
            raise self._failure(status.problem)
        running_for = self._seconds_since(context, "running", status.is_running)
        job_id = ask(partial(starter.own_job_id, status, running_for=running_for))
        if job_id is None and status.was_skipped:
            raise AirflowSkipException(f"The {starter} was skipped: there is no livestream to wait for.")
        if job_id is None and status.is_over:
            raise self._failure(
                f"The {starter} is over ({status}) and has no job: its stream will never be {self.target_state}."
            )
        if job_id is None:
            self.log.info("The %s has no job yet; it is %s.", starter, status)
        return job_id

    def _check_budget(self, context: Context, snapshot: JobSnapshot) -> None:
        """Say at once what MetaStudio refuses; on workers, give up after ``failure_budget`` as a trigger does."""
        if not snapshot.is_clear:
            self.log.warning("MetaStudio gives no clear answer: %s. The callback may still come.", snapshot)
        unclear_for = self._seconds_since(context, "unclear", snapshot.is_lost)
        if unclear_for >= settings.number("failure_budget"):
            raise self._unreachable(snapshot)

    def _seconds_since(self, context: Context, name: str, holds: bool) -> float:
        """
        Return for how many seconds something has held in all pokes of this try, also if each has its own process.

        A sensor that waits deferred leaves that to its trigger.
        """
        if self.deferrable:
            return 0.0
        since = self._recall(context)
        if holds != (name in since):
            if holds:
                since[name] = utcnow().astimezone(UTC).isoformat()
            else:
                del since[name]
            self._remember(context)
        return (utcnow() - datetime.fromisoformat(since[name])).total_seconds() if holds else 0.0

    def _kept(self, context: Context) -> EndCheck | None:
        """Return the check of an END that an earlier poke has begun."""
        if not self.deferrable:
            self._recall(context)
        return self._end_check

    def _keep(self, context: Context, check: EndCheck | None) -> None:
        """Keep the check of an END for the next poke, or for the trigger; None: there is none any more."""
        if check != self._kept(context):
            self._end_check = check
            if not self.deferrable:
                self._remember(context)

    def _recall(self, context: Context) -> dict[str, str]:
        """Read what earlier pokes of this try have left, if this process has not yet."""
        if self._since is None:
            store: Any = context["task_state_store"]
            known = ask(partial(store.get, STORE_KEY))
            if not isinstance(known, dict) or known.get("try_number") != context["ti"].try_number:
                known = {"since": {}}
            self._since = dict(known["since"])
            self._end_check = EndCheck.load(check) if (check := known.get("end_check")) else None
        return self._since

    def _remember(self, context: Context) -> None:
        """Leave for the next poke what holds since when, and the check of an END."""
        known = {"version": 1, "try_number": context["ti"].try_number, "since": self._since}
        if self._end_check is not None:
            known["end_check"] = self._end_check.dump()
        store: Any = context["task_state_store"]
        ask(partial(store.set, STORE_KEY, known))

    def execute_complete(self, context: Context, event: dict[str, Any], timeout_at: str) -> dict[str, Any]:
        """
        Go on after a wake-up on a worker.

        :param event: a :class:`~airflow_provider_smartlive.callbacks.messages.ResumeEvent`.
        :param timeout_at: when the sensor's time is over (ISO 8601).
        """
        from airflow_provider_smartlive.callbacks.messages import ResumeEvent

        wake = ResumeEvent.load(event)
        if wake.source == WakeSource.TIMEOUT:
            raise AirflowSensorTimeout(self._timeout_text(context, wake.job_id))
        if wake.source == WakeSource.BUDGET_OVER:
            snapshot = self._look(context, wake.job_id) if wake.job_id else None
            if snapshot is None or snapshot.is_lost:
                raise self._unreachable(snapshot)
        if wake.state == self.target_state and (wake.confirmed or not self.confirm):
            self.log.info("Job %s reached %s (%s).", wake.job_id, self.target_state, wake.source)
            return self._told(context, event)
        # Either it will not come to the state any more, which this look says in words, or MetaStudio has to confirm.
        found = self._poke(context, wake)
        if isinstance(found, PokeReturnValue):
            return self._told(context, cast("dict[str, Any]", found.xcom_value))
        if wake.state is None and self.job_id is not None and self.find_room(context) is None:
            raise self._missed(wake.job_id, "MetaStudio no longer lists it as running")
        return self._defer(context, timeout_at)

    def _defer(self, context: Context, timeout_at: str) -> NoReturn:
        from airflow_provider_smartlive.livestream.wait_state import WaitLimits
        from airflow_provider_smartlive.triggers import SmartLiveStreamTrigger

        limits = WaitLimits(
            interval=self.reconcile_interval or settings.number("reconcile_interval"),
            end_grace=settings.number("end_grace"),
            failure_budget=settings.number("failure_budget"),
            look_again_window=settings.number("look_again_window"),
        )
        starter = self.find_starter(context)
        self.defer(
            trigger=SmartLiveStreamTrigger(
                smartlive_conn_id=self.smartlive_conn_id,
                target_state=self.target_state,
                job_id=self.job_id,
                room_id=self.find_room(context) if self._end_check else self.room_id,
                starter=asdict(starter) if starter else None,
                limits=limits.dump(),
                timeout_at=timeout_at,
                needs_worker=self._needs_worker(),
                confirm=self.confirm,
                end_check=self._end_check.dump() if self._end_check else None,
            ),
            method_name="execute_complete",
            kwargs={"timeout_at": timeout_at},
            timeout=None,
        )

    def _told(self, context: Context, result: T) -> T:
        """Tell the result to whatever waits for the outlets, and return it."""
        if self.outlets and isinstance(result, dict):
            from airflow_provider_smartlive.livestream.asset_events import describe

            room_id = self.find_room(context)
            describe(context, self.outlets, {**result, "room_id": room_id}, room_id=room_id)
        return result

    def _needs_worker(self) -> bool:
        """Whether ending the task from the API server would leave something out that somebody asked for."""
        return bool(
            self.needs_worker
            or self.outlets
            or self.on_success_callback
            or self.on_execute_callback
            or self.on_failure_callback
        )

    def _look(self, context: Context, job_id: str, *, may_lag: bool = False) -> JobSnapshot | None:
        """
        Ask MetaStudio; None without a room, because a search of the listing is the reconciler's business.

        :param may_lag: whether MetaStudio may not show the job yet; on workers, for ``look_again_window`` only.
        """
        from airflow_provider_smartlive.livestream.stop import look

        room_id = self.find_room(context)
        if room_id is None:
            return None
        snapshot = look(self.hook, JobRef(room_id, job_id), address=self.find_address(context, job_id))
        missing_for = self._seconds_since(context, "missing", snapshot.status is JobStatus.NOT_FOUND)
        return snapshot.believed(may_lag=may_lag and missing_for < settings.number("look_again_window"))

    def _missed(self, job_id: str, proof: str) -> AirflowException:
        return self._failure(f"Job {job_id} is over ({proof}), and its stream was never {self.target_state}.")

    def _unreachable(self, snapshot: JobSnapshot | None) -> AirflowException:
        """
        Return the error of a MetaStudio that gave no clear answer for too long.

        :param sighting: a look at the job; None without one.
        """
        text = f"MetaStudio was unreachable for {settings.number('failure_budget'):.0f} s ([smartlive] failure_budget)."
        reason = snapshot.error if snapshot is not None and not snapshot.is_clear else None
        return self._failure(f"{text} {reason}" if reason else text)

    def _failure(self, text: str) -> AirflowException:
        """Return what no retry can change, or the skip that the sensor was told to make of it."""
        return AirflowSkipException(text) if self.soft_fail or self.never_fail else AirflowFailException(text)

    def _timeout_text(self, context: Context, job_id: str | None) -> str:
        starter = self.find_starter(context)
        started_by = f" The {starter} is {ask(starter.status)}." if starter is not None else ""
        return (
            f"The stream of job {job_id or '(not started)'} did not reach {self.target_state} within "
            f"{self.timeout:.0f} s.{started_by}"
        )

    def _reached(self, job_id: str, source: WakeSource, *, confirmed: bool = False) -> PokeReturnValue:
        """Return that the state was reached, with the task's result."""
        from airflow_provider_smartlive.callbacks.messages import ResumeEvent

        wake = ResumeEvent(
            source=source, job_id=job_id, state=self.target_state, confirmed=confirmed, at=utcnow()
        )
        return PokeReturnValue(is_done=True, xcom_value=wake.dump())


def _stream_state(value: object) -> str:
    """Read a state of a stream, in capitals or not."""
    state = value.strip().upper() if isinstance(value, str) else ""
    if state not in STREAM_STATES:
        raise arguments.ArgumentError(
            "target_state", f"is {value!r}", f"Pass one of {', '.join(STREAM_STATES)}."
        )
    return state
