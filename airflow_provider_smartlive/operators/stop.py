"""Stop a livestream: by its id, or whatever a starting task left running."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.livestream import arguments
from airflow_provider_smartlive.livestream.named_job import NamedJob

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_smartlive.livestream.starter import Starter, StarterStatus


class StopSmartLiveJobOperator(NamedJob, BaseOperator):
    """
    Stop a livestream, and wait until MetaStudio confirms that it is over. One that is over already is a
    success.

    As the tear-down of a ``StartSmartLiveJobOperator(wait_for_termination=False)`` it owns the job's end:
    ``stop.as_teardown(setups=start)``. Named by its starter it needs no job id, and also finds, by their callback
    URLs, jobs in whatever room that the starter could not report any more.

    It is no success to have stopped nothing, unless nothing was started: a task, run or job that is not there fails it.

    :param job_id: the job. Templated.
    :param room_id: its room; may be left out if ``starter_task_id`` is given. Templated.
    :param starter_task_id: the task that started the job. Templated.
    :param starter_dag_id: its DAG; default: this one. Templated.
    :param starter_run_id: its run; default: this one. Templated.
    :param starter_map_index: its map index; default: that of this task, and all of them if this task has none.
    :param smartlive_conn_id: connection to MetaStudio. Templated.
    :param stop_grace: seconds that the job gets to end, or a timedelta; default ``[smartlive] stop_grace``.
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
        smartlive_conn_id: str = "smartlive_default",
        stop_grace: timedelta | float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_id = job_id
        self.room_id = room_id
        self.starter_task_id = starter_task_id
        self.starter_dag_id = starter_dag_id
        self.starter_run_id = starter_run_id
        self.starter_map_index = starter_map_index
        self.smartlive_conn_id = smartlive_conn_id
        self.stop_grace = arguments.seconds("stop_grace", stop_grace, minimum=0)

    def execute(self, context: Context) -> list[str]:
        """
        Stop.

        :return: the ids of the jobs that are over now.
        :raises AirflowFailException: if an argument is wrong, or the task, its run or the job is not there.
        :raises SmartLiveJobFailedError: if a job is still running after ``stop_grace``, or the starter goes on without
            a job.
        """
        from airflow_provider_smartlive.livestream.teardown import Teardown
        from airflow_provider_smartlive.retries import failing_for_good

        with failing_for_good(unless=lambda: False):
            self.read_job_arguments()
            starters = self._starters(context)
            teardown = Teardown(
                self.hook,
                grace=settings.number("stop_grace") if self.stop_grace is None else self.stop_grace,
                look_again_window=settings.number("look_again_window"),
                secrets=settings.callback_secrets(),
                deployment=settings.deployment(),
                log=self.log,
            )
        with failing_for_good(unless=lambda: teardown.leaves_running):
            if starters:
                teardown.stop_started(starters, room_id=self.room_id)
            if self.job_id is not None:
                teardown.stop_named(self.job_id, self.room_id)
        return teardown.finish()

    def _starters(self, context: Context) -> dict[Starter, StarterStatus]:
        """Return the task instances whose jobs are to be stopped, and how they stand."""
        from airflow_provider_smartlive.livestream.airflow_api import ask

        starter = self.find_starter(context)
        if starter is None:
            return {}
        found = ask(starter.instances)
        for status in found.values():
            if status.problem is not None:
                raise ValueError(status.problem)
            if status.run_is_missing:
                raise ValueError(
                    f"The {starter} is not there: there is no such run. Pass another starter_run_id."
                )
        return found
