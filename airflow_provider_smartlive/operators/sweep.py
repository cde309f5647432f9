"""Stop the jobs that no task wants any more: the last backstop, as a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_smartlive.provider_info import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from airflow.sdk import Context


class SmartLiveSweepOperator(BaseOperator):
    """
    Stop the running jobs that a task of this deployment started and that no task wants any more.

    Behind every owner of a job stands its own stop on a kill, and MetaStudio's ``max_live_duration``. This is
    for what falls between them: a triggerer that died while its task was killed, a deleted run, a ``kill
    -9``, a planned end that nobody kept.

    :param smartlive_conn_id: connection to MetaStudio. Templated.
    :param only_report: whether to only report what would be stopped.
    """

    template_fields: Sequence[str] = ("smartlive_conn_id",)
    ui_color = "#ffe3e0"

    def __init__(
        self, *, smartlive_conn_id: str = DEFAULT_CONN_ID, only_report: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.smartlive_conn_id = smartlive_conn_id
        self.only_report = only_report

    def execute(self, context: Context) -> list[dict[str, str]]:
        """
        Sweep.

        :return: the jobs that were found, each with the reason.
        :raises SmartLiveJobFailedError: if one of them still runs after ``[smartlive] stop_grace``.
        """
        from airflow_provider_smartlive.livestream.sweeper import sweep

        return sweep(self.smartlive_conn_id, only_report=self.only_report, log=self.log)
