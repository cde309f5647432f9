"""A sensor for the state of a livestream's RTMP link."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn, cast

from airflow.sdk import BaseSensorOperator, PokeReturnValue
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)
from airflow.sdk.timezone import utcnow

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.lifecycle import Progress, WakeSource, progress
from airflow_provider_smartlive.livestream import arguments
from airflow_provider_smartlive.livestream.job_operator import JobOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_smartlive.livestream.sighting import Sighting
    from airflow_provider_smartlive.livestream.starter import Starter, StarterStatus

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

    Deferred (the default), the callback itself ends the task, without a worker, in well under a second. Such
    an end skips the task's log, its listeners and asset events: a task with outlets or callbacks, or
    ``needs_worker=True``, is resumed on a worker instead.

    What MetaStudio can tell without callbacks: that the stream was up (CONNECTING, CONNECTED), and that it
    must be over (END). DISCONNECTED and RECONNECTING are seen by callback only, so every state but END needs
    a ``timeout``.

    A callback's signature does not cover its body. Whoever captured a callback URL and signature could, for
    the few minutes that it is valid, report an END that did not happen. The operator that owns the job always
    asks MetaStudio before it believes an END; this sensor does so with ``confirm=True``.

    :class:`~airflow_provider_smartlive.livestream.job_operator.JobOperator` has the arguments that name the job.

    :param room_id: its room; saves a search of MetaStudio's listing if only ``job_id`` is given. Templated.
    :param target_state: CONNECTING, CONNECTED, DISCONNECTED, RECONNECTING or END.
    :param deferrable: whether to wait in the triggerer; if not, ``mode`` decides.
    :param needs_worker: whether the task ends on a worker although it has no outlets or callbacks.
    :param confirm: whether MetaStudio has to confirm an END.
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
        confirm: bool = False,
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
        self.confirm = confirm
        self.reconcile_interval = arguments.seconds("reconcile_interval", reconcile_interval, minimum=1)
        self._since: dict[str, str] | None = None

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
            return self._wait_here(context)
        found = self.poke(context)
        if isinstance(found, PokeReturnValue):
            return found.xcom_value
        self.register(context, self.target_state, needs_worker=self._needs_worker())
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
        starter, status, job_id = self.find_starter(context), None, self.job_id
        if starter is not None and job_id is None:
            status = starter.status()
            job_id = self._job_of(context, starter, status)
        if job_id is None:
            return False
        callbacks = starter.callbacks(job_id) if starter else None
        if not self.confirm and callbacks is not None and callbacks.has_reached(self.target_state):
            return PokeReturnValue(is_done=True, xcom_value=self._result(job_id, WakeSource.CALLBACK))
        sighting = self._look(context, job_id)
        if sighting is None:
            return False
        self._check_budget(context, sighting)
        found = progress(self.target_state, sighting.sight, seen=False, streamed=sighting.streamed)
        if found is Progress.REACHED:
            return PokeReturnValue(is_done=True, xcom_value=self._result(job_id, WakeSource.RECONCILIATION))
        if found is Progress.MISSED:
            if status is None or status.is_over:
                raise self._missed(job_id, f"MetaStudio says {sighting}")
            self.log.info(
                "Job %s is over (%s), and the %s goes on: waiting for its next job.",
                job_id,
                sighting,
                starter,
            )
        return False

    def _job_of(self, context: Context, starter: Starter, status: StarterStatus) -> str | None:
        """Return the job that the starter has by now; None if it has none, or may still show an earlier one."""
        from airflow_provider_smartlive.livestream.starter import OWN_XCOMS_AFTER

        if status.problem is not None:
            raise self._failure(status.problem)
        running_for = self._seconds_since(context, "running", status.is_running)
        job_id = starter.job_id() if status.has_own_xcoms or running_for >= OWN_XCOMS_AFTER else None
        if job_id is None and status.was_skipped:
            raise AirflowSkipException(f"The {starter} was skipped: there is no livestream to wait for.")
        if job_id is None and status.is_over:
            raise self._failure(
                f"The {starter} is over ({status}) and has no job: its stream will never be {self.target_state}."
            )
        if job_id is None:
            self.log.info("The %s has no job yet; it is %s.", starter, status)
        return job_id

    def _check_budget(self, context: Context, sighting: Sighting) -> None:
        """Say at once what MetaStudio refuses; on workers, give up after ``failure_budget`` as a trigger does."""
        if not sighting.is_clear:
            self.log.warning("MetaStudio gives no clear answer: %s. The callback may still come.", sighting)
        unclear_for = self._seconds_since(context, "unclear", sighting.is_lost)
        if unclear_for >= settings.number("failure_budget"):
            raise self._unreachable(sighting)

    def _seconds_since(self, context: Context, name: str, holds: bool) -> float:
        """
        Return for how many seconds something has held in all pokes of this try, also if each has its own process.

        A sensor that waits deferred leaves that to its trigger.
        """
        if self.deferrable:
            return 0.0
        store: Any = context["task_state_store"]
        try_number = context["ti"].try_number
        if self._since is None:
            known = store.get(STORE_KEY)
            is_ours = isinstance(known, dict) and known.get("try_number") == try_number
            self._since = dict(known["since"]) if is_ours else {}
        if holds != (name in self._since):
            if holds:
                self._since[name] = utcnow().astimezone(UTC).isoformat()
            else:
                del self._since[name]
            store.set(STORE_KEY, {"version": 1, "try_number": try_number, "since": self._since})
        return (utcnow() - datetime.fromisoformat(self._since[name])).total_seconds() if holds else 0.0

    def execute_complete(self, context: Context, event: dict[str, Any], timeout_at: str) -> dict[str, Any]:
        """
        Go on after a wake-up on a worker.

        :param event: a :class:`~airflow_provider_smartlive.callbacks.waiter.Wake`.
        :param timeout_at: when the sensor's time is over (ISO 8601).
        """
        from airflow_provider_smartlive.callbacks.waiter import Wake

        wake = Wake.load(event)
        if wake.source == WakeSource.TIMEOUT:
            raise AirflowSensorTimeout(self._timeout_text(context, wake.job_id))
        if wake.source == WakeSource.BUDGET_OVER:
            raise self._unreachable(self._look(context, wake.job_id) if wake.job_id else None)
        if wake.state == self.target_state and not (
            self.confirm and wake.source != WakeSource.RECONCILIATION
        ):
            self.log.info("Job %s reached %s (%s).", wake.job_id, self.target_state, wake.source)
            return event
        # Either it will not come to the state any more, which this look says in words, or MetaStudio has to confirm.
        found = self.poke(context)
        if isinstance(found, PokeReturnValue):
            return cast("dict[str, Any]", found.xcom_value)
        if wake.state is not None:
            return self._defer(context, timeout_at, job_id=wake.job_id, believe_callbacks=False)
        if self.job_id is not None and self.find_room(context) is None:
            raise self._missed(wake.job_id, "MetaStudio no longer lists it as running")
        return self._defer(context, timeout_at)

    def _defer(
        self,
        context: Context,
        timeout_at: str,
        *,
        job_id: str | None = None,
        believe_callbacks: bool = True,
    ) -> NoReturn:
        from airflow_provider_smartlive.livestream.wait_state import ENDING_INTERVAL
        from airflow_provider_smartlive.triggers import SmartLiveStreamTrigger

        interval = self.reconcile_interval or settings.number("reconcile_interval")
        starter = self.find_starter(context)
        self.defer(
            trigger=SmartLiveStreamTrigger(
                smartlive_conn_id=self.smartlive_conn_id,
                target_state=self.target_state,
                job_id=job_id or self.job_id,
                room_id=self.room_id,
                starter=asdict(starter) if starter else None,
                interval=interval if believe_callbacks else ENDING_INTERVAL,
                timeout_at=timeout_at,
                failure_budget=settings.number("failure_budget"),
                needs_worker=self._needs_worker(),
                believe_callbacks=believe_callbacks,
            ),
            method_name="execute_complete",
            kwargs={"timeout_at": timeout_at},
            timeout=None,
        )

    def _needs_worker(self) -> bool:
        """Whether ending the task from the API server would leave something out that somebody asked for."""
        return bool(
            self.needs_worker
            or self.confirm
            or self.outlets
            or self.on_success_callback
            or self.on_execute_callback
            or self.on_failure_callback
        )

    def _look(self, context: Context, job_id: str) -> Sighting | None:
        """Ask MetaStudio; None without a room, because a search of the listing is the reconciler's business."""
        from airflow_provider_smartlive.livestream.stop import look

        room_id = self.find_room(context)
        if room_id is None:
            return None
        return look(self.hook, room_id, job_id, address=self.find_address(context, job_id))

    def _missed(self, job_id: str, proof: str) -> AirflowException:
        return self._failure(f"Job {job_id} is over ({proof}), and its stream was never {self.target_state}.")

    def _unreachable(self, sighting: Sighting | None) -> AirflowException:
        """
        Return the error of a MetaStudio that gave no clear answer for too long.

        :param sighting: a look at the job; None without one.
        """
        text = f"MetaStudio was unreachable for {settings.number('failure_budget'):.0f} s ([smartlive] failure_budget)."
        reason = sighting.error if sighting is not None and not sighting.is_clear else None
        return self._failure(f"{text} {reason}" if reason else text)

    def _failure(self, text: str) -> AirflowException:
        """Return what no retry can change, or the skip that the sensor was told to make of it."""
        return AirflowSkipException(text) if self.soft_fail or self.never_fail else AirflowFailException(text)

    def _timeout_text(self, context: Context, job_id: str | None) -> str:
        starter = self.find_starter(context)
        started_by = f" The {starter} is {starter.status()}." if starter is not None else ""
        return (
            f"The stream of job {job_id or '(not started)'} did not reach {self.target_state} within "
            f"{self.timeout:.0f} s.{started_by}"
        )

    def _result(self, job_id: str, source: WakeSource) -> dict[str, Any]:
        from airflow_provider_smartlive.callbacks.waiter import Wake

        return Wake(source=source, job_id=job_id, state=self.target_state, at=utcnow()).dump()


def _stream_state(value: object) -> str:
    """Read a state of a stream, in capitals or not."""
    state = value.strip().upper() if isinstance(value, str) else ""
    if state not in STREAM_STATES:
        raise arguments.ArgumentError(
            "target_state", f"is {value!r}", f"Pass one of {', '.join(STREAM_STATES)}."
        )
    return state
