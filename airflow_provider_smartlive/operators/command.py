"""Talk to a running livestream: insert speech, rewrite what comes next, change when it ends."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.timezone import utcnow

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.lifecycle import WakeSource
from airflow_provider_smartlive.livestream.named_job import NamedJob

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_smartlive.metastudio.commands import CommandRequest
    from airflow_provider_smartlive.metastudio.errors import MetaStudioError

#: Answers to these commands hold stream keys, so they stay out of the task's result.
_SECRET_RESULTS = frozenset({"GET_LIVE_JOB_CONFIG_INFO"})

#: Commands whose effect is spoken, and reported as REPLY_COMMAND_FINISH when it was.
_SPOKEN = frozenset({"INSERT_PLAY_SCRIPT", "INSERT_PLAY_AUDIO"})

#: Key in Airflow's task state store: that the command was sent, and what became of it.
STORE_KEY = "smartlive_command"

_UNCLEAR = "Whether the command took effect is not known, so it is not sent again."

#: Seconds between two looks into the callback table of a task that waits on a worker.
POLL_INTERVAL = 2.0


class SmartLiveCommandOperator(NamedJob, BaseOperator):
    """
    Send a command to a running livestream, and wait until inserted speech was spoken, if asked to.

    A command that changes something is sent once, as nobody should hear the same speech twice. A retry goes on
    with what an earlier try has sent; where it cannot be known whether the command took effect, or whether the
    speech was spoken, the task fails without a retry.

    :param command: INSERT_PLAY_SCRIPT, INSERT_PLAY_AUDIO, REWRITE_PLAY_SCRIPT, REWRITE_INTERACTION_RULES,
        GET_CURRENT_PLAYING_SCRIPTS, GET_LIVE_JOB_CONFIG_INFO, CLEAN_UP_INSERT_COMMAND, RESET_EXIT_CONFIG,
        REFRESH_OUTPUT_URL, or one that only a later MetaStudio knows. Templated.
    :param command_params: its parameters, with MetaStudio's field names; checked where they are documented.
        Airflow stores and shows them: they must hold no secret. Templated.
    :param wait_for_reply: whether to wait until the inserted speech was spoken (REPLY_COMMAND_FINISH). The
        starter must subscribe to that event, as it does by default.
    :param reply_timeout: how long to wait for that.
    :param deferrable: whether to wait in the triggerer instead of on a worker.
    :param job_id: the job. Templated.
    :param room_id: its room; may be left out if ``starter_task_id`` is given. Templated.
    :param starter_task_id: the task that started the job. Templated.
    :param starter_dag_id: its DAG; default: this one. Templated.
    :param starter_run_id: its run; default: this one. Templated.
    :param starter_map_index: its map index; default: that of this task.
    :param smartlive_conn_id: connection to MetaStudio. Templated.
    """

    template_fields: Sequence[str] = (*NamedJob.job_template_fields, "command", "command_params")
    template_fields_renderers = {"command_params": "json"}
    ui_color = "#ffe3e0"

    def __init__(
        self,
        *,
        command: str,
        command_params: Mapping[str, Any] | None = None,
        wait_for_reply: bool = False,
        reply_timeout: timedelta = timedelta(minutes=10),
        deferrable: bool = True,
        job_id: str | None = None,
        room_id: str | None = None,
        starter_task_id: str | None = None,
        starter_dag_id: str | None = None,
        starter_run_id: str | None = None,
        starter_map_index: int | None = None,
        smartlive_conn_id: str = "smartlive_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.command = command
        self.command_params = command_params
        self.wait_for_reply = wait_for_reply
        self.reply_timeout = reply_timeout
        self.deferrable = deferrable
        self.job_id = job_id
        self.room_id = room_id
        self.starter_task_id = starter_task_id
        self.starter_dag_id = starter_dag_id
        self.starter_run_id = starter_run_id
        self.starter_map_index = starter_map_index
        self.smartlive_conn_id = smartlive_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Send the command.

        :return: ``command``, ``command_id`` and ``result`` (decoded; left out where it holds stream keys).
        :raises AirflowFailException: if the job is not there, the command is wrong or cannot be waited for, or if it
            cannot be known whether it took effect.
        :raises MetaStudioError: if MetaStudio refuses the command.
        """
        if self.wait_for_reply:
            self._check_wait()
        job_id, room_id = self.find_job(context), self.find_room(context)
        if job_id is None or room_id is None:
            raise AirflowFailException(
                "There is no job to talk to: the starter has none, or room_id is missing."
            )
        result = self._send_once(context, room_id, job_id)
        if not self.wait_for_reply:
            return result
        if result["command_id"] is None:
            raise AirflowFailException("MetaStudio took the command without an id: it cannot be waited for.")
        until = utcnow() + self.reply_timeout
        if self.deferrable:
            self._defer(context, job_id, room_id, result, until)
        self._wait_here(context, job_id, result, until)
        return result

    def execute_complete(
        self, context: Context, event: dict[str, Any], result: dict[str, Any]
    ) -> dict[str, Any]:
        """
        Go on after a wake-up.

        :param event: a :class:`~airflow_provider_smartlive.callbacks.waiter.Wake`.
        :param result: what the task returns when the speech was spoken.
        :raises AirflowFailException: if it was not, or nobody knows.
        """
        from airflow_provider_smartlive.callbacks.waiter import Wake

        wake = Wake.load(event)
        if wake.state is not None:
            return result
        if wake.source == WakeSource.TIMEOUT:
            raise self._unheard(result)
        if wake.source == WakeSource.BUDGET_OVER:
            raise AirflowFailException(
                f"MetaStudio was unreachable for {settings.number('failure_budget')} s ([smartlive] failure_budget); "
                f"whether command {result['command_id']} was spoken is not known."
            )
        raise AirflowFailException(f"The livestream ended before command {result['command_id']} was spoken.")

    def _check_wait(self) -> None:
        """Refuse a wait that cannot end well before anything is sent."""
        if self.command not in _SPOKEN:
            raise AirflowFailException(
                f"wait_for_reply is for {' and '.join(sorted(_SPOKEN))}: {self.command} is not reported as finished."
            )
        if not (self.deferrable or self.starter_task_id):
            raise AirflowFailException(
                "Waiting for a reply on a worker needs starter_task_id; or wait deferred."
            )

    def _send_once(self, context: Context, room_id: str, job_id: str) -> dict[str, Any]:
        """Send the command, unless an earlier try of this task has sent it to this job."""
        from airflow_provider_smartlive.metastudio.errors import MetaStudioError
        from airflow_provider_smartlive.metastudio.ids import normalise_id

        request = self._request()
        if request.is_question:
            return self._send(room_id, job_id, request)
        store = context["task_state_store"]
        sent: dict[str, Any] = {
            "version": 1,
            "generation": context["ti"].max_tries,
            "job_id": normalise_id(job_id),
        }
        before = store.get(STORE_KEY)
        if isinstance(before, dict) and all(before.get(name) == value for name, value in sent.items()):
            return self._sent_before(before)
        store.set(STORE_KEY, sent)
        try:
            result = self._send(room_id, job_id, request)
        except MetaStudioError as error:
            if _may_have_taken_effect(error):
                raise AirflowFailException(f"{_UNCLEAR} {error}") from error
            store.delete(STORE_KEY)
            raise
        store.set(STORE_KEY, {**sent, "result": result})
        return result

    def _sent_before(self, record: dict[str, Any]) -> dict[str, Any]:
        if "result" not in record:
            raise AirflowFailException(f"{_UNCLEAR} An earlier try sent it and was lost.")
        result: dict[str, Any] = record["result"]
        self.log.info("An earlier try has sent the command as %s.", result["command_id"])
        return result

    def _request(self) -> CommandRequest:
        from airflow_provider_smartlive.metastudio.commands import CommandRequest

        try:
            return CommandRequest.model_validate({"command": self.command, "params": self.command_params})
        except ValueError as error:
            raise AirflowFailException(f"The command is wrong: {error}") from error

    def _send(self, room_id: str, job_id: str, request: CommandRequest) -> dict[str, Any]:
        response = self.hook.execute_command(room_id, job_id, request)
        self.log.info("Job %s took command %s as %s.", job_id, self.command, response.command_id)
        result: dict[str, Any] = {"command": self.command, "command_id": response.command_id}
        if self.command not in _SECRET_RESULTS and response.result:
            try:
                result["result"] = response.decoded_result()
            except ValueError:
                result["result"] = response.result
        return result

    def _defer(
        self, context: Context, job_id: str, room_id: str, result: dict[str, Any], until: datetime
    ) -> NoReturn:
        from airflow_provider_smartlive.callbacks.table import reply_mark
        from airflow_provider_smartlive.triggers import SmartLiveStreamTrigger

        mark = reply_mark(result["command_id"])
        self.register(context, mark, needs_worker=True)
        starter = self.find_starter(context)
        self.defer(
            trigger=SmartLiveStreamTrigger(
                smartlive_conn_id=self.smartlive_conn_id,
                target_state=mark,
                job_id=job_id,
                room_id=room_id,
                starter=asdict(starter) if starter else None,
                interval=settings.number("reconcile_interval_without_rtmp"),
                timeout_at=until,
                failure_budget=settings.number("failure_budget"),
                needs_worker=True,
            ),
            method_name="execute_complete",
            kwargs={"result": result},
            timeout=None,
        )

    def _wait_here(self, context: Context, job_id: str, result: dict[str, Any], until: datetime) -> None:
        while not self._was_spoken(context, job_id, result["command_id"]):
            if utcnow() >= until:
                raise self._unheard(result)
            time.sleep(POLL_INTERVAL)

    def _was_spoken(self, context: Context, job_id: str, command_id: str) -> bool:
        from airflow_provider_smartlive.callbacks.table import reply_mark

        starter = self.find_starter(context)
        callbacks = starter.callbacks(job_id) if starter else None
        return callbacks is not None and callbacks.has_reached(reply_mark(command_id))

    def _unheard(self, result: dict[str, Any]) -> AirflowFailException:
        return AirflowFailException(
            f"Command {result['command_id']} was not reported as spoken within {self.reply_timeout}."
        )


def _may_have_taken_effect(error: MetaStudioError) -> bool:
    from airflow_provider_smartlive.hooks import Unreachable
    from airflow_provider_smartlive.metastudio.errors import ServerError, UnexpectedResponse

    if isinstance(error, Unreachable):
        return error.trouble.sent
    if isinstance(error, UnexpectedResponse):
        return error.http_status is not None and 200 <= error.http_status < 300
    return isinstance(error, ServerError)
