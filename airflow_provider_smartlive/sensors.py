"""A sensor for the state of a livestream's RTMP link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseSensorOperator, PokeReturnValue
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout, AirflowSkipException
from airflow.sdk.timezone import utcnow

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.lifecycle import Progress, WakeSource, progress
from airflow_provider_smartlive.livestream.named_job import NamedJob

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.sdk import Context

    from airflow_provider_smartlive.livestream.sighting import Sighting

#: The states of an RTMP link, as MetaStudio calls them back.
STREAM_STATES = ("CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING", "END")


class SmartLiveStreamStateSensor(NamedJob, BaseSensorOperator):
    """
    Wait until the stream of a livestream has reached a state.

    Name the job by ``job_id``, or name the task that starts it: that task need not have started yet. A state
    counts as reached once it was observed, whatever came after it; END counts when every known output has
    ended.

    Deferred (the default), the callback itself ends the task, without a worker, in well under a second. Such
    an end skips the task's log, its listeners and asset events: a task with outlets or callbacks, or
    ``needs_worker=True``, is resumed on a worker instead.

    What MetaStudio can tell without callbacks: that the stream was up (CONNECTING, CONNECTED), and that it
    must be over (END). DISCONNECTED and RECONNECTING are seen by callback only, so every state but END needs
    a ``timeout``.

    A callback's signature does not cover its body. Whoever captured a callback URL and signature could, for
    the few minutes that it is valid, report an END that did not happen. The operator that owns the job always
    asks MetaStudio before it believes an END; this sensor does so with ``confirm=True``.

    :param job_id: the job. Templated.
    :param room_id: its room; saves a search of MetaStudio's listing if only ``job_id`` is given. Templated.
    :param starter_task_id: the task that starts the job. Templated.
    :param starter_dag_id: its DAG; default: this one. Templated.
    :param starter_run_id: its run; default: this one. Templated.
    :param starter_map_index: its map index; default: that of this task.
    :param target_state: CONNECTING, CONNECTED, DISCONNECTED, RECONNECTING or END.
    :param smartlive_conn_id: connection to MetaStudio. Templated.
    :param deferrable: whether to wait in the triggerer; if not, ``mode`` decides.
    :param needs_worker: whether the task ends on a worker although it has no outlets or callbacks.
    :param confirm: whether MetaStudio has to confirm an END.
    :param reconcile_interval: seconds between two questions to MetaStudio; default
        ``[smartlive] reconcile_interval``.
    :param timeout: how long to wait, as a timedelta or in seconds; mandatory unless ``target_state`` is END,
        where Airflow's default of 7 days counts.
    """

    template_fields: Sequence[str] = NamedJob.job_template_fields
    ui_color = "#ffe3e0"

    def __init__(
        self,
        *,
        job_id: str | None = None,
        room_id: str | None = None,
        starter_task_id: str | None = None,
        starter_dag_id: str | None = None,
        starter_run_id: str | None = None,
        starter_map_index: int | None = None,
        target_state: str = "END",
        smartlive_conn_id: str = "smartlive_default",
        deferrable: bool = True,
        needs_worker: bool = False,
        confirm: bool = False,
        reconcile_interval: float | None = None,
        timeout: timedelta | float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(timeout=timeout, **kwargs)
        if target_state not in STREAM_STATES:
            raise ValueError(f"target_state must be one of {', '.join(STREAM_STATES)}.")
        if target_state != "END" and timeout is None:
            raise ValueError(
                f"A sensor on {target_state} needs a timeout: if its callback is lost, MetaStudio may not be able to "
                "tell that the state was reached."
            )
        if confirm and target_state != "END":
            raise ValueError("confirm is for target_state END: MetaStudio itself can confirm no other state.")
        self.job_id = job_id
        self.room_id = room_id
        self.starter_task_id = starter_task_id
        self.starter_dag_id = starter_dag_id
        self.starter_run_id = starter_run_id
        self.starter_map_index = starter_map_index
        self.target_state = target_state
        self.smartlive_conn_id = smartlive_conn_id
        self.deferrable = deferrable
        self.needs_worker = needs_worker
        self.confirm = confirm
        self.reconcile_interval = reconcile_interval

    def execute(self, context: Context) -> Any:
        """
        Wait.

        :raises AirflowSensorTimeout: if the state was not reached in time.
        :raises AirflowFailException: if the job is over and the state was never reached, or it is not said which
            job.
        """
        if not self.deferrable:
            self._check_room(context)
            return super().execute(context)
        found = self._first_look(context)
        if isinstance(found, PokeReturnValue):
            return found.xcom_value
        self.register(context, self.target_state, needs_worker=self._needs_worker())
        return self._defer(context, utcnow() + timedelta(seconds=self.timeout))

    def _check_room(self, context: Context) -> None:
        """A look needs the room; only the poller of the triggerer searches for a job."""
        if self.find_starter(context) is None and self.room_id is None:
            raise AirflowFailException(
                "room_id is missing: pass it beside job_id, name starter_task_id, or wait deferred."
            )

    def _first_look(self, context: Context) -> bool | PokeReturnValue:
        """Look before deferring; what a failure means then is what Airflow makes of it in the other modes."""
        try:
            return self.poke(context)
        except AirflowFailException as missed:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(str(missed)) from missed
            raise

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Look once: at the callback table first, at MetaStudio if that does not tell."""
        starter, job_id = self.find_starter(context), self.find_job(context)
        if job_id is None:
            self.log.info("The starter has no job yet.")
            return False
        callbacks = starter.callbacks(job_id) if starter else None
        if not self.confirm and callbacks is not None and callbacks.has_reached(self.target_state):
            return PokeReturnValue(is_done=True, xcom_value=self._result(job_id, WakeSource.CALLBACK))
        sighting = self._look(context, job_id)
        if sighting is not None and self._has_reached(job_id, sighting):
            return PokeReturnValue(is_done=True, xcom_value=self._result(job_id, WakeSource.RECONCILIATION))
        return False

    def execute_complete(self, context: Context, event: dict[str, Any], timeout_at: str) -> dict[str, Any]:
        """
        Go on after a wake-up on a worker.

        :param event: a :class:`~airflow_provider_smartlive.callbacks.waiter.Wake`.
        :param timeout_at: when the sensor's time is over (ISO 8601).
        """
        from datetime import datetime

        from airflow_provider_smartlive.callbacks.waiter import Wake

        wake = Wake.load(event)
        if wake.source == WakeSource.TIMEOUT:
            raise AirflowSensorTimeout(
                f"The stream of job {wake.job_id or '(not started)'} did not reach {self.target_state} "
                f"within {self.timeout:.0f} s."
            )
        if wake.source == WakeSource.BUDGET_OVER:
            raise AirflowFailException(
                f"MetaStudio was unreachable for {settings.number('failure_budget')} s ([smartlive] failure_budget)."
            )
        if wake.state == self.target_state and not (
            self.confirm and wake.source != WakeSource.RECONCILIATION
        ):
            self.log.info("Job %s reached %s (%s).", wake.job_id, self.target_state, wake.source)
            return event
        # Either the job is over without the state, which this look says in words, or MetaStudio has to
        # confirm.
        sighting = self._look(context, wake.job_id)
        if sighting is not None and self._has_reached(wake.job_id, sighting):
            return self._result(wake.job_id, WakeSource.RECONCILIATION)
        if sighting is None and wake.state is None:
            raise self._missed(wake.job_id, "MetaStudio no longer lists it as running")
        return self._defer(
            context, datetime.fromisoformat(timeout_at), job_id=wake.job_id, believe_callbacks=False
        )

    def _defer(
        self,
        context: Context,
        timeout_at: datetime,
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
            kwargs={"timeout_at": timeout_at.isoformat()},
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
        return look(self.hook, room_id, job_id) if room_id else None

    def _has_reached(self, job_id: str, sighting: Sighting) -> bool:
        state = progress(self.target_state, sighting.sight, seen=False, streamed=sighting.streamed)
        if state is Progress.MISSED:
            raise self._missed(job_id, f"MetaStudio says {sighting}")
        return state is Progress.REACHED

    def _missed(self, job_id: str, proof: str) -> AirflowFailException:
        return AirflowFailException(
            f"Job {job_id} is over ({proof}), and its stream was never {self.target_state}."
        )

    def _result(self, job_id: str, source: WakeSource) -> dict[str, Any]:
        from airflow_provider_smartlive.callbacks.waiter import Wake

        return Wake(source=source, job_id=job_id, state=self.target_state, at=utcnow()).dump()
