"""What Airflow knows of a task instance, for those who judge its job by it."""

from __future__ import annotations

from dataclasses import dataclass

_OVER = frozenset({"success", "failed", "upstream_failed", "skipped", "removed"})

#: A task that ended in one of these states did not run, so that its XComs, if any, are of an earlier life.
_DID_NOT_RUN = frozenset({"upstream_failed", "skipped", "removed"})

_WAITS_FOR_A_WORKER = frozenset({"scheduled", "queued"})


def is_over(state: str | None) -> bool:
    """Tell whether a task instance in this state will start no further job."""
    return state in _OVER


def did_not_run(state: str | None) -> bool:
    """Tell whether a task instance ended in this state without having run."""
    return state in _DID_NOT_RUN


def has_own_xcoms(state: str | None, *, resumes: bool = False) -> bool:
    """
    Tell whether the XComs of a task instance are of the try or life that its state is about.

    Those of a task that waits to run are of an earlier one: Airflow deletes them when the new try begins. A running
    task is not judged here: it depends on how long it has been running.

    :param state: its state; None if it is not scheduled, or was cleared.
    :param resumes: whether it has a ``next_method``: it was deferred, and goes on in the same try when a worker has it.
    """
    waited = resumes and state in _WAITS_FOR_A_WORKER
    return state == "deferred" or waited or (is_over(state) and not did_not_run(state))


@dataclass(frozen=True)
class TaskFacts:
    """
    What Airflow knows of a task instance.

    :param state: its state; None if it was cleared, or reset by a new scheduler.
    :param run_goes_on: whether its DAG run is not over, so that a task without a state will run.
    :param max_tries: its ``max_tries``; None where only the state can be asked for.
    :param job_id: the job that it says it has, if it says so.
    :param generation: the life that its callback table belongs to, if there is one that can be read.
    """

    state: str | None
    run_goes_on: bool
    max_tries: int | None = None
    job_id: str | None = None
    generation: str | None = None
