"""Stop the jobs that no task wants any more: the last backstop, as a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.exceptions import SmartLiveJobFailedError
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.provider_info import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_smartlive.callbacks.task_ref import TaskRef
    from airflow_provider_smartlive.callbacks.task_status import TaskStatus


class SmartLiveSweepOperator(BaseOperator):
    """
    Stop the running jobs that a task of this deployment started and that no task wants any more.

    Behind every owner of a job stands its own stop on a kill, and MetaStudio's ``max_live_duration``. This is
    for what falls between them: a triggerer that died while its task was killed, a deleted run, a ``kill
    -9``, a planned end that nobody kept.

    :param smartlive_conn_id: connection to MetaStudio. Templated.
    :param only_report: whether to only say what would be stopped.
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
        from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook
        from airflow_provider_smartlive.livestream.snapshot import ACTIVE_STATES
        from airflow_provider_smartlive.livestream.stop import stop_each
        from airflow_provider_smartlive.livestream.sweep import unwanted
        from airflow_provider_smartlive.retries import failing_for_good

        with failing_for_good(unless=lambda: False):
            hook = SmartLiveTaskHook(smartlive_conn_id=self.smartlive_conn_id)
            hook.profile()
            grace = settings.number("stop_grace")
            secrets = settings.callback_secrets()
            active = list(hook.list_jobs(state=ACTIVE_STATES))
        found = list(unwanted(active, secrets=secrets, find_task=_find_task))
        for job, reason in found:
            self.log.warning("Job %s in room %s runs unwanted: %s.", job.job_id, job.room_id, reason)
        jobs = (
            [] if self.only_report else [JobRef(job.room_id, job.job_id) for job, _ in found if job.room_id]
        )
        stopped = stop_each(hook, jobs, grace=grace)
        running = [job_ref.job_id for job_ref, snapshot in stopped if not snapshot.status.is_over]
        if running:
            raise SmartLiveJobFailedError(
                f"These jobs were told to stop and still run: {', '.join(running)}."
            )
        return [
            {"job_id": job.job_id, "room_id": job.room_id or "", "reason": reason} for job, reason in found
        ]


def _find_task(task_ref: TaskRef) -> TaskStatus | None:
    """
    Look a task instance up by what a worker may ask Airflow.

    :raises AirflowRuntimeError: if Airflow cannot tell at the moment.
    """
    from airflow_provider_smartlive.livestream.current_task import own_facts
    from airflow_provider_smartlive.livestream.starter import Starter

    task = own_facts(task_ref)
    if task is None:
        return None
    starter = Starter.of(task_ref)
    return replace(
        task,
        job_id=starter.job_id(),
        generation=starter.generation(),
        timeout_at=starter.timeout_while_waiting(task.state),
    )
