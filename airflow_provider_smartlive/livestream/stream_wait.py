"""Wait on a worker until the stream of a job has reached a state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from airflow.sdk import PokeReturnValue
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)
from airflow.sdk.timezone import utcnow

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.messages import ResumeEvent
from airflow_provider_smartlive.decisions import JobStatus, Progress, WakeSource, progress
from airflow_provider_smartlive.livestream.airflow_api import ask
from airflow_provider_smartlive.livestream.asset_events import describe
from airflow_provider_smartlive.livestream.end_check import EndCheck
from airflow_provider_smartlive.livestream.registration import register
from airflow_provider_smartlive.livestream.snapshot import JobSnapshot
from airflow_provider_smartlive.livestream.starter import Starter, StarterStatus
from airflow_provider_smartlive.livestream.stop import look
from airflow_provider_smartlive.livestream.wait_state import WaitLimits
from airflow_provider_smartlive.metastudio.ids import JobRef, same_id
from airflow_provider_smartlive.retries import failing_for_good

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_smartlive.callbacks.table import JobCallbacks

T = TypeVar("T")

#: Key in Airflow's task state store: since when something holds that a sensor on a worker has seen in each poke.
STORE_KEY = "smartlive_sensor"


class StreamWait:
    """
    Waits for a state of a stream, as a sensor says, or hands the wait to a trigger.

    :param sensor: the :class:`~airflow_provider_smartlive.sensors.SmartLiveStreamStateSensor`. What holds from one poke
        to the next stands in its ``since`` and ``end_check``.
    :param context: the context of its task.
    :param defer: hands the wait to a trigger: takes the arguments of the trigger, and when the sensor's time is over
        (ISO 8601).
    """

    def __init__(
        self, sensor: Any, context: Context, *, defer: Callable[[dict[str, Any], str], NoReturn]
    ) -> None:
        self.sensor = sensor
        self.context = context
        self.defer = defer

    def start(self, poke_here: Callable[[], Any]) -> Any:
        """
        Begin to wait.

        :param poke_here: waits on workers, as Airflow does for a sensor.
        :raises AirflowSensorTimeout: if the state was not reached in time.
        :raises AirflowSkipException: if the task that starts the job was skipped.
        :raises AirflowFailException: if the job and the task that starts it are over and the state was never reached,
            if MetaStudio was unreachable for too long, or if an argument is wrong.
        """
        with failing_for_good(unless=lambda: False):
            self.sensor.read_job_arguments()
        if not self.sensor.deferrable:
            return self._told(self._wait_here(poke_here))
        found = self.poke()
        if isinstance(found, PokeReturnValue):
            return self._told(found.xcom_value)
        register(
            self.context["ti"],
            self.sensor.find_starter(self.context),
            self.sensor.job_id,
            self.sensor.target_state,
            needs_worker=self._needs_worker() or self.sensor.confirm,
        )
        timeout_at = utcnow().astimezone(UTC) + timedelta(seconds=self.sensor.timeout)
        return self._defer(timeout_at.isoformat())

    def _wait_here(self, poke_here: Callable[[], Any]) -> Any:
        """Wait on workers, as ``mode`` says."""
        if self.sensor.starter_task_id is None and self.sensor.room_id is None:
            # A look needs the room; only the poller of the triggerer searches for a job.
            raise AirflowFailException(
                "room_id is missing: pass it beside job_id, name starter_task_id, or wait deferred."
            )
        try:
            return poke_here()
        except AirflowSensorTimeout as timeout:
            text = self._timeout_text(self.sensor.job_id)
            if self.sensor.never_fail:
                raise AirflowSkipException(text) from timeout
            raise AirflowSensorTimeout(text) from timeout

    def poke(self, wake: ResumeEvent | None = None) -> bool | PokeReturnValue:
        """
        Look once.

        :param wake: what has resumed the task: END was called back, or the trigger has seen that the state will not
            come.
        """
        starter, status, job_id = self.sensor.find_starter(self.context), None, self.sensor.job_id
        is_told = wake is not None and wake.state == self.sensor.target_state
        if starter is not None and job_id is None:
            status = ask(starter.status)
            job_id = wake.job_id if wake and is_told else self._job_of(starter, status)
        if job_id is None:
            return False
        callbacks = self._callbacks(starter, job_id)
        is_called_back = is_told if callbacks is None else callbacks.has_reached(self.sensor.target_state)
        if is_called_back and not self.sensor.confirm:
            return self._reached(job_id, WakeSource.CALLBACK)
        snapshot = self._look(job_id, may_lag=wake is None or is_told)
        if snapshot is None:
            self.sensor.end_check = (
                self._end_check(job_id, WakeSource.CALLBACK, callbacks) if is_told else None
            )
            return False
        self._check_budget(snapshot)
        found = progress(self.sensor.target_state, snapshot.status, streamed=snapshot.streamed)
        if found is Progress.MISSED and not is_called_back:
            # It may have been called back while MetaStudio was asked.
            callbacks = self._callbacks(starter, job_id)
            is_called_back = callbacks is not None and callbacks.has_reached(self.sensor.target_state)
        if is_called_back:
            source = WakeSource(wake.source) if wake and is_told else WakeSource.CALLBACK
            return self._confirm(self._end_check(job_id, source, callbacks), snapshot)
        self._keep(None)
        if found is Progress.REACHED:
            return self._reached(job_id, WakeSource.RECONCILIATION, confirmed=True)
        if found is Progress.MISSED:
            if status is None or status.is_over:
                raise self._missed(job_id, f"MetaStudio says {snapshot}")
            self.sensor.log.info(
                "Job %s is over (%s), and the %s goes on: waiting for its next job.",
                job_id,
                snapshot,
                starter,
            )
        return False

    @staticmethod
    def _callbacks(starter: Starter | None, job_id: str) -> JobCallbacks | None:
        """Return what was called back about a job; None if there is no table, or nothing in it about the job."""
        return ask(partial(starter.callbacks, job_id)) if starter else None

    @staticmethod
    def _end_check(job_id: str, source: WakeSource, callbacks: JobCallbacks | None) -> EndCheck:
        return EndCheck(job_id, source, ended_links=callbacks.ended_links() if callbacks else None)

    def _confirm(self, check: EndCheck, snapshot: JobSnapshot) -> bool | PokeReturnValue:
        """
        Judge what was called back by what MetaStudio says.

        :param check: a new one; the one that was begun in an earlier poke goes on.
        """
        if not self.sensor.confirm:
            return self._reached(check.job_id, WakeSource(check.source))
        known = self._kept()
        if known is not None and same_id(known.job_id, check.job_id):
            check = known.at(check.ended_links)
        check = check.begun(snapshot, utcnow())
        is_true = check.judge(snapshot, utcnow(), grace=settings.number("end_grace"))
        self.sensor.log.info("END of job %s was called back; MetaStudio says %s.", check.job_id, snapshot)
        self._keep(check if is_true is None else None)
        return self._reached(check.job_id, WakeSource(check.source), confirmed=True) if is_true else False

    def _job_of(self, starter: Starter, status: StarterStatus) -> str | None:
        """Return the job that the starter has by now; None if it has none, or may still show an earlier one."""
        if status.problem is not None:
            raise self._failure(status.problem)
        running_for = self._seconds_since("running", status.is_running)
        job_id = ask(partial(starter.own_job_id, status, running_for=running_for))
        if job_id is None and status.was_skipped:
            raise AirflowSkipException(f"The {starter} was skipped: there is no livestream to wait for.")
        if job_id is None and status.is_over:
            raise self._failure(
                f"The {starter} is over ({status}) and has no job: its stream will never be {self.sensor.target_state}."
            )
        if job_id is None:
            self.sensor.log.info("The %s has no job yet; it is %s.", starter, status)
        return job_id

    def _check_budget(self, snapshot: JobSnapshot) -> None:
        """Say at once what MetaStudio refuses; on workers, give up after ``failure_budget`` as a trigger does."""
        if not snapshot.is_clear:
            self.sensor.log.warning(
                "MetaStudio gives no clear answer: %s. The callback may still come.", snapshot
            )
        unclear_for = self._seconds_since("unclear", snapshot.is_lost)
        if unclear_for >= settings.number("failure_budget"):
            raise self._unreachable(snapshot)

    def _seconds_since(self, name: str, holds: bool) -> float:
        """
        Return for how many seconds something has held in all pokes of this try, also if each has its own process.

        A sensor that waits deferred leaves that to its trigger.
        """
        if self.sensor.deferrable:
            return 0.0
        since = self._recall()
        if holds != (name in since):
            if holds:
                since[name] = utcnow().astimezone(UTC).isoformat()
            else:
                del since[name]
            self._remember()
        return (utcnow() - datetime.fromisoformat(since[name])).total_seconds() if holds else 0.0

    def _kept(self) -> EndCheck | None:
        """Return the check of an END that an earlier poke has begun."""
        if not self.sensor.deferrable:
            self._recall()
        check: EndCheck | None = self.sensor.end_check
        return check

    def _keep(self, check: EndCheck | None) -> None:
        """Keep the check of an END for the next poke, or for the trigger; None: there is none any more."""
        if check != self._kept():
            self.sensor.end_check = check
            if not self.sensor.deferrable:
                self._remember()

    def _recall(self) -> dict[str, str]:
        """Read what earlier pokes of this try have left, if this process has not yet."""
        if self.sensor.since is None:
            store: Any = self.context["task_state_store"]
            known = ask(partial(store.get, STORE_KEY))
            if not isinstance(known, dict) or known.get("try_number") != self.context["ti"].try_number:
                known = {"since": {}}
            self.sensor.since = dict(known["since"])
            self.sensor.end_check = EndCheck.load(check) if (check := known.get("end_check")) else None
        since: dict[str, str] = self.sensor.since
        return since

    def _remember(self) -> None:
        """Leave for the next poke what holds since when, and the check of an END."""
        known = {"version": 1, "try_number": self.context["ti"].try_number, "since": self.sensor.since}
        if self.sensor.end_check is not None:
            known["end_check"] = self.sensor.end_check.dump()
        store: Any = self.context["task_state_store"]
        ask(partial(store.set, STORE_KEY, known))

    def resume(self, event: dict[str, Any], timeout_at: str) -> dict[str, Any]:
        """
        Go on after a wake-up on a worker.

        :param event: a :class:`~airflow_provider_smartlive.callbacks.messages.ResumeEvent`.
        :param timeout_at: when the sensor's time is over (ISO 8601).
        """
        wake = ResumeEvent.load(event)
        if wake.source == WakeSource.TIMEOUT:
            raise AirflowSensorTimeout(self._timeout_text(wake.job_id))
        if wake.source == WakeSource.BUDGET_OVER:
            snapshot = self._look(wake.job_id) if wake.job_id else None
            if snapshot is None or snapshot.is_lost:
                raise self._unreachable(snapshot)
        if wake.state == self.sensor.target_state and (wake.confirmed or not self.sensor.confirm):
            self.sensor.log.info(
                "Job %s reached %s (%s).", wake.job_id, self.sensor.target_state, wake.source
            )
            return self._told(event)
        # Either it will not come to the state any more, which this look says in words, or MetaStudio has to confirm.
        found = self.poke(wake)
        if isinstance(found, PokeReturnValue):
            return self._told(cast("dict[str, Any]", found.xcom_value))
        if (
            wake.state is None
            and self.sensor.job_id is not None
            and self.sensor.find_room(self.context) is None
        ):
            raise self._missed(wake.job_id, "MetaStudio no longer lists it as running")
        return self._defer(timeout_at)

    def _defer(self, timeout_at: str) -> NoReturn:
        limits = WaitLimits(
            interval=self.sensor.reconcile_interval or settings.number("reconcile_interval"),
            end_grace=settings.number("end_grace"),
            failure_budget=settings.number("failure_budget"),
            look_again_window=settings.number("look_again_window"),
        )
        starter, check = self.sensor.find_starter(self.context), self.sensor.end_check
        trigger = {
            "smartlive_conn_id": self.sensor.smartlive_conn_id,
            "target_state": self.sensor.target_state,
            "job_id": self.sensor.job_id,
            "room_id": self.sensor.find_room(self.context) if check else self.sensor.room_id,
            "starter": asdict(starter) if starter else None,
            "limits": limits.dump(),
            "timeout_at": timeout_at,
            "needs_worker": self._needs_worker(),
            "confirm": self.sensor.confirm,
            "end_check": check.dump() if check else None,
        }
        self.defer(trigger, timeout_at)

    def _told(self, result: T) -> T:
        """Tell the result to whatever waits for the outlets, and return it."""
        if self.sensor.outlets and isinstance(result, dict):
            room_id = self.sensor.find_room(self.context)
            describe(self.context, self.sensor.outlets, {**result, "room_id": room_id}, room_id=room_id)
        return result

    def _needs_worker(self) -> bool:
        """Whether ending the task from the API server would leave something out that somebody asked for."""
        return bool(
            self.sensor.needs_worker
            or self.sensor.outlets
            or self.sensor.on_success_callback
            or self.sensor.on_execute_callback
            or self.sensor.on_failure_callback
        )

    def _look(self, job_id: str, *, may_lag: bool = False) -> JobSnapshot | None:
        """
        Ask MetaStudio; None without a room, because a search of the listing is the reconciler's business.

        :param may_lag: whether MetaStudio may not show the job yet; on workers, for ``look_again_window`` only.
        """
        room_id = self.sensor.find_room(self.context)
        if room_id is None:
            return None
        snapshot = look(
            self.sensor.hook, JobRef(room_id, job_id), address=self.sensor.find_address(self.context, job_id)
        )
        missing_for = self._seconds_since("missing", snapshot.status is JobStatus.NOT_FOUND)
        return snapshot.believed(may_lag=may_lag and missing_for < settings.number("look_again_window"))

    def _missed(self, job_id: str, proof: str) -> AirflowException:
        return self._failure(
            f"Job {job_id} is over ({proof}), and its stream was never {self.sensor.target_state}."
        )

    def _unreachable(self, snapshot: JobSnapshot | None) -> AirflowException:
        """
        Return the error of a MetaStudio that gave no clear answer for too long.

        :param snapshot: a look at the job; None without one.
        """
        text = f"MetaStudio was unreachable for {settings.number('failure_budget'):.0f} s ([smartlive] failure_budget)."
        reason = snapshot.error if snapshot is not None and not snapshot.is_clear else None
        return self._failure(f"{text} {reason}" if reason else text)

    def _failure(self, text: str) -> AirflowException:
        """Return what no retry can change, or the skip that the sensor was told to make of it."""
        return (
            AirflowSkipException(text)
            if self.sensor.soft_fail or self.sensor.never_fail
            else AirflowFailException(text)
        )

    def _timeout_text(self, job_id: str | None) -> str:
        starter = self.sensor.find_starter(self.context)
        started_by = f" The {starter} is {ask(starter.status)}." if starter is not None else ""
        return (
            f"The stream of job {job_id or '(not started)'} did not reach {self.sensor.target_state} within "
            f"{self.sensor.timeout:.0f} s.{started_by}"
        )

    def _reached(self, job_id: str, source: WakeSource, *, confirmed: bool = False) -> PokeReturnValue:
        """Return that the state was reached, with the task's result."""
        wake = ResumeEvent(
            source=source, job_id=job_id, state=self.sensor.target_state, confirmed=confirmed, at=utcnow()
        )
        return PokeReturnValue(is_done=True, xcom_value=wake.dump())
