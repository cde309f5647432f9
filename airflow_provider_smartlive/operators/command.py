"""Talk to a running livestream: insert speech, rewrite what comes next, change when it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_smartlive.livestream import arguments
from airflow_provider_smartlive.livestream.job_operator import JobOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_smartlive.livestream.command import CommandRunner


class SmartLiveCommandOperator(JobOperator):
    """
    Send a command to a running livestream, and wait until inserted speech was spoken, if asked to.

    A command that changes something is sent once, as nobody should hear the same speech twice. A retry goes on
    with what an earlier try has sent; where it cannot be known whether the command took effect, or whether the
    speech was spoken, the task fails without a retry.

    :class:`~airflow_provider_smartlive.livestream.job_operator.JobOperator` has the arguments that name the job.

    :param command: INSERT_PLAY_SCRIPT, INSERT_PLAY_AUDIO, REWRITE_PLAY_SCRIPT, REWRITE_INTERACTION_RULES,
        GET_CURRENT_PLAYING_SCRIPTS, GET_LIVE_JOB_CONFIG_INFO, CLEAN_UP_INSERT_COMMAND, RESET_EXIT_CONFIG,
        REFRESH_OUTPUT_URL, or one that only a later MetaStudio knows. Templated.
    :param command_params: its parameters, with MetaStudio's field names; checked where documented. Airflow stores and
        shows them: they must hold no secret. Templated.
    :param wait_for_reply: whether to wait until the inserted speech was spoken (REPLY_COMMAND_FINISH, to which the
        starter subscribes by default). Name the starter then, or a short speech may be missed.
    :param reply_timeout: how long to wait for that, as a timedelta or in seconds; then the task fails without a retry.
    :param deferrable: whether to wait in the triggerer instead of on a worker.
    """

    template_fields: Sequence[str] = (*JobOperator.template_fields, "command", "command_params")
    template_fields_renderers = {"command_params": "json"}

    def __init__(
        self,
        *,
        command: str,
        command_params: Mapping[str, Any] | None = None,
        wait_for_reply: bool = False,
        reply_timeout: timedelta | float = timedelta(minutes=10),
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.command = command
        self.command_params = command_params
        self.wait_for_reply = wait_for_reply
        self.reply_timeout = arguments.duration("reply_timeout", reply_timeout) or timedelta(minutes=10)
        self.deferrable = deferrable

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Send the command.

        :return: ``command``, ``command_id`` and ``result`` (decoded; left out where it holds stream keys).
        :raises AirflowFailException: if an argument is wrong, the job is not there and will not be, the command cannot
            be waited for, or if it cannot be known whether it took effect.
        :raises AirflowException: if the task that starts the job has none yet.
        :raises MetaStudioError: if MetaStudio refuses the command.
        """
        return self._runner(context).send()

    def execute_complete(
        self, context: Context, event: dict[str, Any], result: dict[str, Any]
    ) -> dict[str, Any]:
        """
        Go on after a wake-up.

        :param event: a :class:`~airflow_provider_smartlive.callbacks.messages.ResumeEvent`.
        :param result: what the task returns when the speech was spoken.
        :raises AirflowFailException: if it was not, or nobody knows.
        """
        return self._runner(context).resume(event, result)

    def _runner(self, context: Context) -> CommandRunner:
        from airflow_provider_smartlive.livestream.command import CommandRunner

        return CommandRunner(
            self,
            context,
            command=self.command,
            params=self.command_params,
            waits=self.wait_for_reply,
            reply_timeout=self.reply_timeout,
            defer=self._defer if self.deferrable else None,
        )

    def _defer(self, trigger: dict[str, Any], result: dict[str, Any]) -> NoReturn:
        from airflow_provider_smartlive.triggers import SmartLiveStreamTrigger

        self.defer(
            trigger=SmartLiveStreamTrigger(**trigger),
            method_name="execute_complete",
            kwargs={"result": result},
            timeout=None,
        )
