"""Stop a livestream: by its id, or whatever a starting task left running."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.livestream import arguments
from airflow_provider_smartlive.livestream.job_operator import JobOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_smartlive.livestream.starter import Starter, StarterStatus


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
