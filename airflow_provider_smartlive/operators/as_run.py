"""Write what a show was on the air: one row of the as-run log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_smartlive.livestream.job_operator import JobOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class SmartLiveAsRunOperator(JobOperator):
    """
    Write one row of the as-run log about the livestream of a task, when that task is over.

    The row is the task's result, and is written as JSON Lines and as CSV below ``path``. The name of the file follows
    from the job, so a retry or a clear of this task writes the same one again: there is one for each livestream, and
    one for a show that was to have one and had none. A show that was not due (its starting task was skipped) has none.

    The asset events of its ``outlets`` hold the row.

    Give it the trigger rule ``all_done``, or make it a tear-down: shows that failed belong into the log as well.

    :class:`~airflow_provider_smartlive.livestream.job_operator.JobOperator` has the arguments that name the starting
    task.

    :param path: the folder of the log, as ``ObjectStoragePath`` takes it (``s3://aws_default@bucket/as-run``,
        ``file:///var/as-run``); default ``[smartlive] as_run_path``. Without either the row is only the task's result.
        Templated.
    :param campaign: the campaign; default: the DAG. Templated.
    :param show: the show; default: the starting task. Templated.
    :param timezone: the time zone of the ``..._local`` times, such as ``Asia/Shanghai``; default: the DAG's own.
    :param planned_start: when the show was to go live, written as ``stop_at``; default: the time of the run. Templated.
    :param check_before: how long after the time of the run that default is.
    """

    template_fields: Sequence[str] = (
        *JobOperator.template_fields,
        "path",
        "campaign",
        "show",
        "planned_start",
    )

    def __init__(
        self,
        *,
        path: str | None = None,
        campaign: str | None = None,
        show: str | None = None,
        timezone: str | None = None,
        planned_start: datetime | str | None = None,
        check_before: timedelta = timedelta(0),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path = path
        self.campaign = campaign
        self.show = show
        self.timezone = timezone
        self.planned_start = planned_start
        self.check_before = check_before

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Write the row.

        :return: the row.
        :raises AirflowSkipException: if the show was not due.
        :raises AirflowFailException: if an argument is wrong, or there is no such task.
        :raises AirflowException: if the starting task is not over yet.
        """
        from airflow_provider_smartlive.livestream.as_run_writer import AsRunWriter

        return AsRunWriter(self, context).write()
