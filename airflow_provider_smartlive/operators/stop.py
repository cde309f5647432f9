"""Stop a livestream: by its id, or whatever a starting task left running."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.exceptions import SmartLiveJobFailedError
from airflow_provider_smartlive.livestream.named_job import NamedJob

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_smartlive.livestream.starter import Starter


class StopSmartLiveJobOperator(NamedJob, BaseOperator):
    """
    Stop a livestream, and wait until MetaStudio confirms that it is over. One that is over already is a
    success.

    As the tear-down of a ``StartSmartLiveJobOperator(wait_for_termination=False)`` it owns the job's end:
    ``stop.as_teardown(setups=start)``. Named by its starter it needs no job id: with ``room_id`` it also
    finds, by their callback URLs, jobs that the starter could not report any more.

    :param job_id: the job. Templated.
    :param room_id: its room; may be left out if ``starter_task_id`` is given. Templated.
    :param starter_task_id: the task that started the job. Templated.
    :param starter_dag_id: its DAG; default: this one. Templated.
    :param starter_run_id: its run; default: this one. Templated.
    :param starter_map_index: its map index; default: that of this task.
    :param smartlive_conn_id: connection to MetaStudio. Templated.
    :param stop_grace: seconds that the job gets to end; default ``[smartlive] stop_grace``.
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
        stop_grace: float | None = None,
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
        self.stop_grace = stop_grace

    def execute(self, context: Context) -> list[str]:
        """
        Stop.

        :return: the ids of the jobs that are over now.
        :raises SmartLiveJobFailedError: if a job is still running after ``stop_grace``.
        """
        from airflow_provider_smartlive.livestream.stop import is_over, stop_and_confirm

        starter, job_id, room_id = self.find_starter(context), self.find_job(context), self.find_room(context)
        if room_id is None:
            if starter is None:
                raise AirflowFailException(
                    "room_id is missing: pass it beside job_id, or name starter_task_id."
                )
            self.log.info("Task %s has started no job: nothing to stop.", starter.task_id)
            return []
        grace = settings.number("stop_grace") if self.stop_grace is None else self.stop_grace
        jobs = self._jobs(room_id, job_id, starter)
        for job in jobs:
            sighting = stop_and_confirm(self.hook, room_id, job, grace=grace)
            if not is_over(sighting):
                raise SmartLiveJobFailedError(
                    f"Job {job} in room {room_id} is still running {grace:.0f} s after it was told to stop "
                    f"(MetaStudio says {sighting})."
                )
        return jobs

    def _jobs(self, room_id: str, job_id: str | None, starter: Starter | None) -> list[str]:
        """Return the job that is named, and those that run in the starter's name."""
        from airflow_provider_smartlive.livestream.ownership import active_jobs_of
        from airflow_provider_smartlive.metastudio.ids import same_id

        jobs = [job_id] if job_id else []
        if starter is not None:
            found = active_jobs_of(
                starter.identity, self.hook.list_room_jobs(room_id), settings.callback_secrets()
            )
            jobs += [job for job in found if job_id is None or not same_id(job, job_id)]
        return jobs
