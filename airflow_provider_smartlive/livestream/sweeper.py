"""Stop the jobs that no task wants any more, on a worker."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.task_status import TaskStatus
from airflow_provider_smartlive.client import task_hook
from airflow_provider_smartlive.exceptions import SmartLiveJobFailedError
from airflow_provider_smartlive.livestream.current_task import own_facts
from airflow_provider_smartlive.livestream.snapshot import ACTIVE_STATES
from airflow_provider_smartlive.livestream.starter import Starter
from airflow_provider_smartlive.livestream.stop import stop_each
from airflow_provider_smartlive.livestream.sweep import unwanted
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.retries import failing_for_good

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger as Logger


def sweep(conn_id: str, *, only_report: bool, log: Logger) -> list[dict[str, str]]:
    """
    Stop what no task of this deployment wants any more.

    :param conn_id: the connection to MetaStudio.
    :param only_report: whether to only say what would be stopped.
    :param log: the log of the task.
    :return: the jobs that were found, each with the reason.
    :raises AirflowFailException: if the connection or a setting is wrong.
    :raises SmartLiveJobFailedError: if one of them still runs after ``[smartlive] stop_grace``.
    """
    with failing_for_good(unless=lambda: False):
        hook = task_hook.SmartLiveTaskHook(smartlive_conn_id=conn_id)
        hook.profile()
        grace = settings.number("stop_grace")
        secrets = settings.callback_secrets()
        active = list(hook.list_jobs(state=ACTIVE_STATES))
    found = list(unwanted(active, secrets=secrets, find_task=_find_task))
    for job, reason in found:
        log.warning("Job %s in room %s runs unwanted: %s.", job.job_id, job.room_id, reason)
    jobs = [] if only_report else [JobRef(job.room_id, job.job_id) for job, _ in found if job.room_id]
    stopped = stop_each(hook, jobs, grace=grace)
    running = [job_ref.job_id for job_ref, snapshot in stopped if not snapshot.status.is_over]
    if running:
        raise SmartLiveJobFailedError(f"These jobs were told to stop and still run: {', '.join(running)}.")
    return [{"job_id": job.job_id, "room_id": job.room_id or "", "reason": reason} for job, reason in found]


def _find_task(task_ref: TaskRef) -> TaskStatus | None:
    """
    Look a task instance up by what a worker may ask Airflow.

    :raises AirflowRuntimeError: if Airflow cannot tell at the moment.
    """
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
