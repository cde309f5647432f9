"""Send a command to a running job once, and wait until its reply was spoken."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import uuid4

from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.sdk.timezone import utcnow

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.messages import ResumeEvent
from airflow_provider_smartlive.callbacks.table import reply_mark
from airflow_provider_smartlive.client.errors import Unreachable
from airflow_provider_smartlive.client.project import check_project
from airflow_provider_smartlive.decisions import WakeSource
from airflow_provider_smartlive.livestream.airflow_api import ask
from airflow_provider_smartlive.livestream.job_operator import JobOperator
from airflow_provider_smartlive.livestream.own_xcoms import announce_refresh, withdraw_refresh
from airflow_provider_smartlive.livestream.record import Attempt
from airflow_provider_smartlive.livestream.registration import register
from airflow_provider_smartlive.livestream.stop import look
from airflow_provider_smartlive.livestream.wait_state import WaitLimits
from airflow_provider_smartlive.metastudio.commands import Command, CommandRequest
from airflow_provider_smartlive.metastudio.errors import MetaStudioError, ServerError, UnexpectedResponse
from airflow_provider_smartlive.metastudio.ids import JobRef, normalise_id
from airflow_provider_smartlive.metastudio.validation import RequestError
from airflow_provider_smartlive.retries import failing_for_good

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_smartlive.livestream.starter import Starter

#: Answers to these commands hold stream keys, so they stay out of the task's result.
_SECRET_RESULTS = frozenset({"GET_LIVE_JOB_CONFIG_INFO"})

#: Commands whose effect is spoken, and reported as REPLY_COMMAND_FINISH when it was.
_SPOKEN = frozenset({"INSERT_PLAY_SCRIPT", "INSERT_PLAY_AUDIO"})

#: Of what the task state store remembers of a command.
_MEMORY_VERSION = 3

#: Key in Airflow's task state store: that the command was sent, and what became of it.
STORE_KEY = "smartlive_command"

_UNCLEAR = "Whether the command took effect is not known, so it is not sent again."

#: Seconds between two looks into the callback table of a task that waits on a worker for a reply, which comes soon.
REPLY_POLL_INTERVAL = 2.0


class CommandRunner:
    """
    Runs one command of a task: sends it, unless an earlier try has, and waits for the reply if that is wanted.

    :param operator: the task, which names the job.
    :param context: its context.
    :param command: the command.
    :param params: its parameters, with MetaStudio's field names.
    :param waits: whether to wait until the inserted speech was spoken.
    :param reply_timeout: how long to wait for that.
    :param defer: hands the wait to a trigger: takes the arguments of the trigger, and the task's result; None: waits on
        the worker.
    """

    def __init__(
        self,
        operator: JobOperator,
        context: Context,
        *,
        command: str,
        params: Mapping[str, Any] | None,
        waits: bool,
        reply_timeout: timedelta,
        defer: Callable[[dict[str, Any], dict[str, Any]], NoReturn] | None,
    ) -> None:
        self.operator = operator
        self.context = context
        self.command = command
        self.params = params
        self.waits = waits
        self.reply_timeout = reply_timeout
        self.defer = defer

    def send(self) -> dict[str, Any]:
        """
        Send the command, and return and raise what the operator's ``execute`` says.

        Unless an earlier try has sent it: then go on from there.
        """
        with failing_for_good(unless=lambda: False):
            self.operator.read_job_arguments()
            request = self._request()
        if self.waits:
            self._check_wait()
        job_ref = self._find()
        with failing_for_good(unless=lambda: False):
            check_project(
                self.operator.hook.profile(),
                self.operator.find_address(self.context, job_ref.job_id),
                job_ref,
            )
            result = self._send_once(job_ref, request)
        if not self.waits:
            return result
        if result["command_id"] is None:
            raise AirflowFailException("MetaStudio took the command without an id: it cannot be waited for.")
        until = utcnow() + self.reply_timeout
        if self.defer is not None:
            self.defer(self._deferral(job_ref, result, until), result)
        self._wait_here(job_ref, result, until)
        self._note_result()
        return result

    def resume(self, event: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
        """
        Go on after a wake-up.

        :param event: a :class:`~airflow_provider_smartlive.callbacks.messages.ResumeEvent`.
        :param result: what the task returns when the speech was spoken.
        :raises AirflowFailException: if it was not, or nobody knows.
        """
        wake = ResumeEvent.load(event)
        if wake.state is not None:
            self._note_result()
            return result
        raise self._unheard(WakeSource(wake.source), result)

    def _find(self) -> JobRef:
        """Return the job."""
        starter, job_id = self.operator.find_starter(self.context), self.operator.job_id
        if job_id is None and starter is not None:
            job_id = self._job_of(starter)
        room_id = self.operator.find_room(self.context)
        if job_id is None or room_id is None:
            raise AirflowFailException(
                "room_id is missing: pass it beside job_id, or name starter_task_id, which has reported none."
            )
        return JobRef(room_id, job_id)

    def _job_of(self, starter: Starter) -> str:
        """
        Return the job of a starter; what one that waits to run has in its XComs is of an earlier try or life.

        The same holds for a while of one that is running: it is waited for until it is sure which.
        """
        began = utcnow()
        while True:
            status = ask(starter.status)
            if status.problem is not None:
                raise AirflowFailException(status.problem)
            running_for = (utcnow() - began).total_seconds()
            if job_id := ask(partial(starter.own_job_id, status, running_for=running_for)):
                return job_id
            if not status.is_running or ask(starter.job_id) is None:
                break
            time.sleep(REPLY_POLL_INTERVAL)
        text = f"There is no job to talk to: the {starter} is {status}"
        if status.is_over:
            raise AirflowFailException(f"{text} and has none.")
        raise AirflowException(f"{text} and has none yet.")

    def _check_wait(self) -> None:
        """Refuse a wait that cannot end well before anything is sent."""
        if self.command not in _SPOKEN:
            raise AirflowFailException(
                f"wait_for_reply is for {' and '.join(sorted(_SPOKEN))}: {self.command} is not reported as finished."
            )
        if not (self.defer or self.operator.starter_task_id):
            raise AirflowFailException(
                "Waiting for a reply on a worker needs starter_task_id; or wait deferred."
            )

    def _send_once(self, job_ref: JobRef, request: CommandRequest) -> dict[str, Any]:
        """Send the command, unless an earlier try of this task has sent it to this job."""
        if request.is_question:
            return self._send(job_ref, request)
        job_id = job_ref.job_id
        store, attempt = self.context["task_state_store"], self._attempt()
        sent: dict[str, Any] = {
            "version": _MEMORY_VERSION,
            "attempt": list(attempt),
            "job_id": normalise_id(job_id),
            "sending": uuid4().hex,
        }
        before: Any = ask(partial(store.get, STORE_KEY))
        if isinstance(before, dict) and before.get("refused"):
            sent["sending"] = str(before["sending"])  # what the receiver knows of it is of this one
        elif isinstance(before, dict) and self._continues(before, attempt, sent["job_id"]):
            self._announce(job_id, request, str(before["sending"]))
            return self._sent_before(before)
        # Before it is remembered as sent: if Airflow fails here, nothing was.
        self._announce(job_id, request, sent["sending"])
        ask(partial(store.set, STORE_KEY, sent))
        try:
            result = self._send(job_ref, request)
        except MetaStudioError as error:
            if _may_have_taken_effect(error):
                raise AirflowFailException(f"{_UNCLEAR} {error}") from error
            ask(partial(store.delete, STORE_KEY))
            if self._announce(job_id, request, sent["sending"], refused=True):
                ask(partial(store.set, STORE_KEY, {**sent, "refused": True}))
            raise
        ask(partial(store.set, STORE_KEY, {**sent, "result": result, "finished": not self.waits}))
        return result

    def _announce(self, job_id: str, request: CommandRequest, sending: str, *, refused: bool = False) -> bool:
        """
        Tell the receiver that the outputs of the job are exchanged: END is counted by those that come up anew.

        :param sending: tells this sending of the command from another one.
        :param refused: whether it was refused, and nothing is exchanged.
        :return: whether the command is one of which the receiver is told.
        """
        if request.command != Command.REFRESH_OUTPUT_URL:
            return False
        ask(partial(withdraw_refresh if refused else announce_refresh, self.context["ti"], job_id, sending))
        return True

    def _attempt(self) -> Attempt:
        return Attempt(
            self.context["ti"].max_tries,
            self.operator.retries or 0,
            self.context["dag_run"].clear_number or 0,
        )

    @staticmethod
    def _continues(before: dict[str, Any], attempt: Attempt, job_id: str) -> bool:
        """Tell whether an earlier try of the same life has sent the command to the same job."""
        if before.get("version") != _MEMORY_VERSION or before.get("job_id") != job_id:
            return False
        return attempt.continues(Attempt(*before["attempt"]), finished=bool(before.get("finished")))

    def _note_result(self) -> None:
        """Remember that this life has its result: what comes after a clear is another one."""
        store = self.context["task_state_store"]
        if isinstance(before := ask(partial(store.get, STORE_KEY)), dict):
            ask(partial(store.set, STORE_KEY, {**before, "finished": True}))

    def _sent_before(self, record: dict[str, Any]) -> dict[str, Any]:
        if "result" not in record:
            raise AirflowFailException(f"{_UNCLEAR} An earlier try sent it and was lost.")
        result: dict[str, Any] = record["result"]
        self.operator.log.info("An earlier try has sent the command as %s.", result["command_id"])
        return result

    def _request(self) -> CommandRequest:
        """
        Put the command together.

        :raises RequestError: naming each parameter that is wrong.
        """
        try:
            return CommandRequest.read({"command": self.command, "params": self.params})
        except RequestError as error:
            raise error.renamed({"params": "command_params"}) from None

    def _send(self, job_ref: JobRef, request: CommandRequest) -> dict[str, Any]:
        response = self.operator.hook.execute_command(job_ref, request)
        self.operator.log.info(
            "Job %s took command %s as %s.", job_ref.job_id, self.command, response.command_id
        )
        result: dict[str, Any] = {"command": self.command, "command_id": response.command_id}
        if self.command not in _SECRET_RESULTS and response.result:
            try:
                result["result"] = response.decoded_result()
            except ValueError:
                result["result"] = response.result
        return result

    def _deferral(self, job_ref: JobRef, result: dict[str, Any], until: datetime) -> dict[str, Any]:
        """Register as a waiter, and return the arguments of the :class:`~.triggers.SmartLiveStreamTrigger`."""
        limits = WaitLimits(
            interval=settings.number("reconcile_interval_without_rtmp"),
            failure_budget=settings.number("failure_budget"),
            look_again_window=settings.number("look_again_window"),
        )
        mark = reply_mark(result["command_id"])
        starter = self.operator.find_starter(self.context)
        register(self.context["ti"], starter, self.operator.job_id, mark, needs_worker=True)
        return {
            "smartlive_conn_id": self.operator.smartlive_conn_id,
            "target_state": mark,
            "job_id": job_ref.job_id,
            "room_id": job_ref.room_id,
            "starter": asdict(starter) if starter else None,
            "limits": limits.dump(),
            "timeout_at": until.astimezone(UTC).isoformat(),
            "needs_worker": True,
        }

    def _wait_here(self, job_ref: JobRef, result: dict[str, Any], until: datetime) -> None:
        """Wait on the worker for what would wake a deferred task."""
        interval = timedelta(seconds=settings.number("reconcile_interval_without_rtmp"))
        budget = timedelta(seconds=settings.number("failure_budget"))
        shown_by = utcnow() + timedelta(seconds=settings.number("look_again_window"))
        ask_at, lost_since = utcnow() + interval, None
        job_id = job_ref.job_id
        address = self.operator.find_address(self.context, job_id)
        while not self._was_spoken(job_id, result["command_id"]):
            now = utcnow()
            if now >= until:
                raise self._unheard(WakeSource.TIMEOUT, result)
            if now >= ask_at:
                ask_at = now + interval
                snapshot = look(self.operator.hook, job_ref, address=address, may_lag=now < shown_by)
                lost_since = lost_since or now if snapshot.is_lost else None
                if snapshot.status.is_over:
                    if self._was_spoken(job_id, result["command_id"]):
                        return
                    raise self._unheard(WakeSource.RECONCILIATION, result)
                if lost_since is not None and now - lost_since >= budget:
                    raise self._unheard(WakeSource.BUDGET_OVER, result)
            time.sleep(REPLY_POLL_INTERVAL)

    def _was_spoken(self, job_id: str, command_id: str) -> bool:
        starter = self.operator.find_starter(self.context)
        callbacks = ask(partial(starter.callbacks, job_id)) if starter else None
        return callbacks is not None and callbacks.has_reached(reply_mark(command_id))

    def _unheard(self, source: WakeSource, result: dict[str, Any]) -> AirflowFailException:
        """Say what it means that the wait is over without the reply."""
        command_id = result["command_id"]
        if source is WakeSource.TIMEOUT:
            return AirflowFailException(
                f"Command {command_id} was not reported as spoken within {self.reply_timeout}."
            )
        if source is WakeSource.BUDGET_OVER:
            return AirflowFailException(
                f"MetaStudio was unreachable for {settings.number('failure_budget'):.0f} s ([smartlive] "
                f"failure_budget); whether command {command_id} was spoken is not known."
            )
        return AirflowFailException(f"The livestream ended before command {command_id} was spoken.")


def _may_have_taken_effect(error: MetaStudioError) -> bool:
    if isinstance(error, Unreachable):
        return error.failure.sent
    if isinstance(error, UnexpectedResponse):
        return error.http_status is not None and 200 <= error.http_status < 300
    return isinstance(error, ServerError)
