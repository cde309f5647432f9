"""Talk to a running livestream: insert speech, rewrite what comes next, change when it ends."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.sdk.timezone import utcnow

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.lifecycle import WakeSource
from airflow_provider_smartlive.named_job import NamedJob

if TYPE_CHECKING:
    from airflow.sdk import Context

#: Answers to these commands hold stream keys, so they stay out of the task's result.
_SECRET_RESULTS = frozenset({"GET_LIVE_JOB_CONFIG_INFO"})

#: Commands whose effect is spoken, and reported as REPLY_COMMAND_FINISH when it was.
_SPOKEN = frozenset({"INSERT_PLAY_SCRIPT", "INSERT_PLAY_AUDIO"})

#: Seconds between two looks into the callback table of a task that waits on a worker.
POLL_INTERVAL = 2.0


class SmartLiveCommandOperator(NamedJob, BaseOperator):
    """
    Send a command to a running livestream, and wait until inserted speech was spoken, if asked to.

    A command is sent once: whether one that got no answer took effect cannot be found out, so such a task
    fails without a retry.

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
        :raises AirflowFailException: if the job is not there, or the command cannot be waited for.
        :raises MetaStudioError: if MetaStudio refuses the command.
        """
        if self.wait_for_reply and self.command not in _SPOKEN:
            raise AirflowFailException(
                f"wait_for_reply is for {' and '.join(sorted(_SPOKEN))}: {self.command} is not reported as finished."
            )
        job_id, room_id = self.find_job(context), self.find_room(context)
        if job_id is None or room_id is None:
            raise AirflowFailException(
                "There is no job to talk to: the starter has none, or room_id is missing."
            )
        result = self._send(room_id, job_id)
        if not self.wait_for_reply:
            return result
        until = utcnow() + self.reply_timeout
        if self.deferrable:
            self._defer(context, job_id, room_id, result, until)
        self._wait_here(context, job_id, result, until)
        return result

    def execute_complete(
        self, context: Context, event: dict[str, Any], result: dict[str, Any]
    ) -> dict[str, Any]:
        """Go on after a wake-up."""
        from airflow_provider_smartlive.callbacks.waiter import Wake

        wake = Wake.load(event)
        if wake.state is not None:
            return result
        if wake.source == WakeSource.TIMEOUT:
            raise self._unheard(result)
        raise AirflowFailException(f"The livestream ended before command {result['command_id']} was spoken.")

    def _send(self, room_id: str, job_id: str) -> dict[str, Any]:
        from airflow_provider_smartlive.metastudio.commands import CommandRequest

        request = CommandRequest.model_validate({"command": self.command, "params": self.command_params})
        response = self.hook.execute_command(room_id, job_id, request)
        self.log.info("Job %s took command %s as %s.", job_id, self.command, response.command_id)
        result: dict[str, Any] = {"command": self.command, "command_id": response.command_id}
        if self.command not in _SECRET_RESULTS and response.result:
            result["result"] = response.decoded_result()
        return result

    def _defer(
        self, context: Context, job_id: str, room_id: str, result: dict[str, Any], until: datetime
    ) -> NoReturn:
        from airflow_provider_smartlive.callbacks.table import reply_mark
        from airflow_provider_smartlive.triggers import SmartLiveStreamTrigger

        mark = reply_mark(str(result["command_id"]))
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
                needs_worker=True,
            ),
            method_name="execute_complete",
            kwargs={"result": result},
            timeout=None,
        )

    def _wait_here(self, context: Context, job_id: str, result: dict[str, Any], until: datetime) -> None:
        from airflow_provider_smartlive.callbacks.table import reply_mark

        starter = self.find_starter(context)
        if starter is None:
            raise AirflowFailException(
                "Waiting for a reply on a worker needs starter_task_id; or wait deferred."
            )
        mark = reply_mark(str(result["command_id"]))
        while (callbacks := starter.callbacks(job_id)) is None or not callbacks.has_reached(mark):
            if utcnow() >= until:
                raise self._unheard(result)
            time.sleep(POLL_INTERVAL)

    def _unheard(self, result: dict[str, Any]) -> AirflowException:
        return AirflowException(
            f"Command {result['command_id']} was not reported as spoken within {self.reply_timeout}."
        )
