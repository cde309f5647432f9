"""Stop a livestream: by its id, or whatever a starting task left running."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_smartlive.livestream import arguments
from airflow_provider_smartlive.livestream.job_operator import JobOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class StopSmartLiveJobOperator(JobOperator):
    """
    Stop a livestream, and wait until MetaStudio confirms that it is over. One that is over already is a
    success.

    As the tear-down of a ``StartSmartLiveJobOperator(wait_for_termination=False)`` it owns the job's end:
    ``stop.as_teardown(setups=start)``. Named by its starter it needs no job id, and also finds, by their callback
    URLs, jobs in whatever room that the starter could not report any more.

    It is no success to have stopped nothing, unless nothing was started: a task, run or job that is not there fails it.

    :class:`~airflow_provider_smartlive.livestream.job_operator.JobOperator` has the arguments that name the job.

    :param starter_map_index: its map index; default: that of this task, and all of them if this task has none.
    :param stop_grace: seconds that the job gets to end, or a timedelta; default ``[smartlive] stop_grace``.
    """

    def __init__(
        self,
        *,
        stop_grace: timedelta | float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.stop_grace = arguments.seconds("stop_grace", stop_grace, minimum=0)

    def execute(self, context: Context) -> list[str]:
        """
        Stop.

        :return: the ids of the jobs that are over now.
        :raises AirflowFailException: if an argument is wrong, or the task, its run or the job is not there.
        :raises SmartLiveJobFailedError: if a job is still running after ``stop_grace``, or the starter goes on without
            a job.
        """
        from airflow_provider_smartlive.livestream.teardown import tear_down

        return tear_down(self, context, grace=self.stop_grace)
