"""The base of operators that work with another task's job."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_provider_smartlive.livestream import arguments
from airflow_provider_smartlive.livestream.airflow_api import ask
from airflow_provider_smartlive.provider_info import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook
    from airflow_provider_smartlive.livestream.starter import Starter, StarterStatus


class JobOperator(BaseOperator):
    """
    An operator that works with a job that it did not start.

    :param job_id: the job. Templated.
    :param room_id: its room; may be left out if ``starter_task_id`` is given. Templated.
    :param starter_task_id: the task that started the job. Templated.
    :param starter_dag_id: its DAG; default: this one. Templated.
    :param starter_run_id: its run; default: this one. Templated.
    :param starter_map_index: its map index; default: that of this task.
    :param smartlive_conn_id: connection to MetaStudio. Templated.
    """

    template_fields: Sequence[str] = (
        "job_id",
        "room_id",
        "starter_task_id",
        "starter_dag_id",
        "starter_run_id",
        "smartlive_conn_id",
    )

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
        smartlive_conn_id: str = DEFAULT_CONN_ID,
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

    @cached_property
    def hook(self) -> SmartLiveTaskHook:
        """Return the hook of this task."""
        from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook

        return SmartLiveTaskHook(smartlive_conn_id=self.smartlive_conn_id)

    def read_job_arguments(self) -> None:
        """
        Read the arguments that name the job, as templates have left them, before anything is done with them.

        :raises ValueError: if one of them is wrong, the job is named in no way, or there is no such connection.
        """
        self.job_id = arguments.ident("job_id", self.job_id)
        self.room_id = arguments.ident("room_id", self.room_id)
        self.starter_task_id = arguments.airflow_id("starter_task_id", self.starter_task_id)
        self.starter_dag_id = arguments.airflow_id("starter_dag_id", self.starter_dag_id)
        self.starter_run_id = arguments.airflow_id("starter_run_id", self.starter_run_id)
        index = self.starter_map_index
        if index is not None and (isinstance(index, bool) or not isinstance(index, int) or index < -1):
            fix = "Pass the index of a mapped task, or -1 for one that is not mapped."
            raise arguments.ArgumentError("starter_map_index", f"is {index!r}", fix)
        if self.starter_task_id is None and self.job_id is None:
            raise ValueError("Name the job: pass job_id (and room_id), or starter_task_id.")
        conn_id = arguments.conn_id("smartlive_conn_id", self.smartlive_conn_id)
        if conn_id is None:
            raise arguments.ArgumentError("smartlive_conn_id", "is None", "Pass the id of a connection.")
        self.smartlive_conn_id = conn_id
        self.hook.profile()

    def find_starter(self, context: Context) -> Starter | None:
        """Return the task that starts the job, if the job is named by it."""
        from airflow_provider_smartlive.livestream.starter import Starter

        if not self.starter_task_id:
            return None
        return Starter.named(
            context,
            self.starter_task_id,
            dag_id=self.starter_dag_id,
            run_id=self.starter_run_id,
            map_index=self.starter_map_index,
        )

    def status_when_over(self, starter: Starter) -> StarterStatus:
        """
        Return how the task stands that has started the job, which has to be over.

        :raises AirflowFailException: if there is no such task.
        :raises AirflowException: if it is not over yet.
        """
        status = ask(starter.status)
        if status.problem is not None:
            raise AirflowFailException(status.problem)
        if not status.is_over:
            raise AirflowException(
                f"The {starter} is not over ({status}). Let this task come after it, with trigger_rule='all_done'."
            )
        return status

    def find_room(self, context: Context) -> str | None:
        """
        Return the room of the job; None if nobody has said it.

        The task that has started it knows better than an argument: it may have gone live in its standby.
        """
        starter = self.find_starter(context)
        if starter is None or (self.job_id is not None and self.room_id is not None):
            return self.room_id
        return ask(starter.room_id) or self.room_id

    def find_address(self, context: Context, job_id: str) -> str | None:
        """Return where the job was started, so that it is not asked for elsewhere; None if nobody has said it."""
        starter = self.find_starter(context)
        return ask(partial(starter.address, job_id)) if starter else None
