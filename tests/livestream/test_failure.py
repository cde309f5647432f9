"""What a task that fails does with its job. What becomes of whole livestreams: ``tests/operators/test_failing.py``."""

from __future__ import annotations

from typing import Any

import pytest
import structlog
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, AirflowTaskTimeout

from airflow_provider_smartlive.exceptions import (
    AmbiguousStartError,
    SmartLiveJobFailedError,
    SmartLiveKilledError,
    SmartLiveTimeoutError,
)
from airflow_provider_smartlive.livestream.failure import FailureHandler


class Failing:
    """A task that fails; it notes what is done with its job and what is remembered."""

    def __init__(self, *, is_last_try: bool = True, is_reset: bool | Exception = False) -> None:
        self.is_last_try = is_last_try
        self.reset = is_reset
        self.ends: list[bool] = []
        self.notes: list[str] = []
        self.faults: list[BaseException] = []

    def fails_for_good(self, error: Exception) -> bool:
        return self.is_last_try

    def is_reset(self) -> bool:
        if isinstance(self.reset, Exception):
            raise self.reset
        return self.reset

    def note_failure(self, reason: str, *, is_over: bool) -> None:
        self.notes.append(reason)

    def end_job(self, for_good: bool) -> None:
        self.ends.append(for_good)
        if self.faults:
            raise self.faults.pop(0)

    def fail(self, error: BaseException) -> None:
        handler = FailureHandler(
            self,  # type: ignore[arg-type]  # the part that is needed
            end_job=self.end_job,
            has_seen_end=lambda: False,
            log=structlog.get_logger(),
        )
        with handler.leaving_no_job_behind():
            raise error


def test_a_task_that_fails_for_good_ends_its_job() -> None:
    task = Failing()
    with pytest.raises(SmartLiveJobFailedError):
        task.fail(SmartLiveJobFailedError("it failed"))
    assert (task.ends, task.notes) == ([False], ["it failed"])


def test_a_retry_will_take_the_job_up() -> None:
    task = Failing(is_last_try=False)
    with pytest.raises(RuntimeError):
        task.fail(RuntimeError("with a secret"))
    assert (task.ends, task.notes) == ([], ["An earlier try failed with RuntimeError."])


@pytest.mark.parametrize(
    ("is_reset", "ends"), [(True, []), (False, [False]), (RuntimeError("Airflow is away"), [False])], ids=str
)
def test_so_will_a_task_that_a_new_scheduler_has_reset(is_reset: Any, ends: list[bool]) -> None:
    task = Failing(is_reset=is_reset)
    with pytest.raises(RuntimeError):
        task.fail(RuntimeError("it failed"))
    assert task.ends == ends


@pytest.mark.parametrize("kind", [AirflowSkipException, SmartLiveKilledError, AmbiguousStartError])
def test_what_is_no_failure_or_was_seen_to_leaves_as_it_is(kind: type[Exception]) -> None:
    task = Failing()
    with pytest.raises(kind):
        task.fail(kind("it"))
    assert (task.ends, task.notes) == ([], [])


def test_a_timeout_ends_the_job_for_good_whatever_try_it_is() -> None:
    task = Failing(is_last_try=False)
    with pytest.raises(SmartLiveTimeoutError, match="while the job was started"):
        task.fail(AirflowTaskTimeout("Timeout"))
    assert task.ends == [True]
    assert task.notes == ["execution_timeout was reached while the job was started."]


def test_a_timeout_in_the_middle_of_the_end_of_the_job_begins_it_again() -> None:
    task = Failing()
    task.faults = [AirflowTaskTimeout("Timeout")]
    with pytest.raises(AirflowFailException):
        task.fail(AirflowFailException("it failed"))
    assert task.ends == [False, False]


def test_the_first_error_is_the_one_that_counts() -> None:
    task = Failing()
    task.faults = [SmartLiveJobFailedError("the job does not stop")]
    with pytest.raises(AirflowFailException, match="it failed"):
        task.fail(AirflowFailException("it failed"))
