"""A sensor for the state of a livestream's RTMP link."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from airflow_provider_smartlive.livestream import arguments
from airflow_provider_smartlive.livestream.job_operator import JobOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_smartlive.livestream.end_check import EndCheck
    from airflow_provider_smartlive.livestream.stream_wait import StreamWait

#: The states of an RTMP link, as MetaStudio calls them back.
STREAM_STATES = ("CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING", "END")


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
    :param needs_worker: whether the task ends on a worker, with log and listeners, although it has no outlets or
        callbacks.
    :param confirm: whether MetaStudio has to confirm an END that was called back; default: yes.
    :param reconcile_interval: seconds between two questions to MetaStudio, or a timedelta; default
        ``[smartlive] reconcile_interval``. CONNECTING and CONNECTED are asked for earlier as well: after 20 seconds, a
        minute, and so on.
    :param timeout: how long to wait, as a timedelta or in seconds; mandatory but for END, where Airflow's default of 7
        days counts.
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
        #: Since when what holds that earlier pokes of this try have seen; None: not read yet.
        self.since: dict[str, str] | None = None
        #: The check of an END that was called back, as long as it goes on.
        self.end_check: EndCheck | None = None

    def execute(self, context: Context) -> Any:
        """
        Wait.

        :raises AirflowSensorTimeout: if the state was not reached in time.
        :raises AirflowSkipException: if the task that starts the job was skipped.
        :raises AirflowFailException: if the job and the task that starts it are over and the state was never reached,
            if MetaStudio was unreachable for too long, or if an argument is wrong.
        """
        return self._wait(context).start(partial(super().execute, context))

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Look once: at the starter, at the callback table, and at MetaStudio if that does not tell."""
        return self._wait(context).poke()

    def execute_complete(self, context: Context, event: dict[str, Any], timeout_at: str) -> dict[str, Any]:
        """
        Go on after a wake-up on a worker.

        :param event: a :class:`~airflow_provider_smartlive.callbacks.messages.ResumeEvent`.
        :param timeout_at: when the sensor's time is over (ISO 8601).
        """
        return self._wait(context).resume(event, timeout_at)

    def _wait(self, context: Context) -> StreamWait:
        from airflow_provider_smartlive.livestream.stream_wait import StreamWait

        return StreamWait(self, context, defer=self._defer)

    def _defer(self, trigger: dict[str, Any], timeout_at: str) -> NoReturn:
        from airflow_provider_smartlive.triggers import SmartLiveStreamTrigger

        self.defer(
            trigger=SmartLiveStreamTrigger(**trigger),
            method_name="execute_complete",
            kwargs={"timeout_at": timeout_at},
            timeout=None,
        )


def _stream_state(value: object) -> str:
    """Read a state of a stream, in capitals or not."""
    state = value.strip().upper() if isinstance(value, str) else ""
    if state not in STREAM_STATES:
        raise arguments.ArgumentError(
            "target_state", f"is {value!r}", f"Pass one of {', '.join(STREAM_STATES)}."
        )
    return state
