"""Handle the failure of a task: end its job, unless a retry will take it up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import (
    AirflowRescheduleException,
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferred,
)

from airflow_provider_smartlive.exceptions import (
    AmbiguousStartError,
    SmartLiveJobFailedError,
    SmartLiveKilledError,
    SmartLiveTimeoutError,
)
from airflow_provider_smartlive.metastudio.errors import MetaStudioError

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger as Logger

    from airflow_provider_smartlive.livestream.current_task import CurrentTask

#: What leaves a task without a failure, or after whoever raised it has seen to the job.
_NOT_HANDLED = (
    TaskDeferred,
    AirflowRescheduleException,
    AirflowSkipException,
    SmartLiveKilledError,
    AmbiguousStartError,
)


class FailureHandler:
    """
    Handles whatever makes a task fail.

    :param task: the task instance.
    :param end_job: ends whatever job the task has; its argument is whether the job's end is nobody's result.
    :param has_seen_end: tells whether MetaStudio has said that the job is over.
    """

    def __init__(
        self,
        task: CurrentTask,
        *,
        end_job: Callable[[bool], None],
        has_seen_end: Callable[[], bool],
        log: Logger,
    ) -> None:
        self._task = task
        self._end_job = end_job
        self._has_seen_end = has_seen_end
        self._log = log

    @contextmanager
    def leaving_no_job_behind(self) -> Iterator[None]:
        """
        End the job if the task fails for good, whatever the error is; a retry will take it up otherwise.

        :raises SmartLiveTimeoutError: if ``execution_timeout`` was over before there was a job to wait for.
        """
        try:
            yield
        except _NOT_HANDLED:
            raise
        except AirflowTaskTimeout as interrupted:
            self._quietly(lambda: self._end_job(True))
            timeout = SmartLiveTimeoutError("execution_timeout was reached while the job was started.")
            self._note(str(timeout))
            raise timeout from interrupted
        except Exception as error:
            if self._task.fails_for_good(error) and not self._runs_again():
                self._quietly(lambda: self._end_job(False))
            self._note(_reason(error))
            raise

    def _runs_again(self) -> bool:
        """Whether the task runs again although it may not be tried again: a new scheduler has reset it."""
        try:
            return self._task.is_reset()
        except Exception:
            return False  # an Airflow that does not answer must not leave a job without an owner

    def _note(self, reason: str) -> None:
        self._quietly(lambda: self._task.note_failure(reason, is_over=self._has_seen_end()))

    def _quietly(self, action: Callable[[], None]) -> None:
        """Do what can still be done while the task fails: the error that led here is the one that counts."""
        try:
            try:
                action()
            except AirflowTaskTimeout:
                action()  # execution_timeout comes once, be it in the middle of this
        except Exception as error:
            self._log.error("While the task was failing: %s", error)


def _reason(error: Exception) -> str:
    """Return why a try failed, as a later one may repeat it: texts of others may hold anything."""
    ours = isinstance(error, (SmartLiveJobFailedError, SmartLiveTimeoutError, MetaStudioError))
    return str(error) if ours else f"An earlier try failed with {type(error).__name__}."
