"""What Airflow knows of a task instance, and what that means for its job."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

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


def waits_for_a_worker(state: str | None) -> bool:
    """Tell whether a task instance in this state is about to run as soon as there is a worker for it."""
    return state in _WAITS_FOR_A_WORKER


def was_cleared_while_waiting(
    state: str | None, announced: object, *, try_number: int, clear_number: int, last_try_ended: bool
) -> bool:
    """
    Tell whether a task that waits for a worker was cleared while it waited for the end of its job.

    A resume goes on in the same try, and a retry comes after a try that has ended. A task that was reset by a new
    scheduler looks like a cleared one, but no task of its run was cleared. To be called a clear although it was none, a
    task must have been reset in a run of which another task was cleared since the job was announced.

    :param announced: the XCom ``smartlive_job`` of the task; whatever else stands there says nothing.
    :param try_number: the task instance's.
    :param clear_number: how often tasks of its run were cleared.
    :param last_try_ended: whether its last try ended; it did not if it was cleared before.
    """
    if not waits_for_a_worker(state) or last_try_ended or not isinstance(announced, dict):
        return False
    said_try, said_clear = announced.get("try_number"), announced.get("clear_number")
    if not isinstance(said_try, int) or not isinstance(said_clear, int):
        return False
    return try_number > said_try and clear_number > said_clear


def timeout_while_waiting(
    state: str | None, announced: object, *, try_number: int | None = None
) -> datetime | None:
    """
    Return when the ``execution_timeout`` is over of a try that waits for the end of its job, or for a worker to go on.

    It counts anew for each try: the time of one that is to be retried is nobody's any more, and that of a process is
    kept by Airflow.

    :param announced: the XCom ``smartlive_job`` of the task; whatever else stands there says nothing.
    :param try_number: the task instance's; may be left out for one that is deferred.
    :return: None, too, if the task has no such limit, or it is not known.
    """
    if not isinstance(announced, dict) or not (state == "deferred" or waits_for_a_worker(state)):
        return None
    said_try, said_time = announced.get("try_number"), announced.get("timeout_at")
    if not isinstance(said_try, int) or try_number not in (said_try, None) or not isinstance(said_time, str):
        return None
    try:
        at = datetime.fromisoformat(said_time)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


@dataclass(frozen=True)
class TaskStatus:
    """
    What Airflow knows of a task instance.

    :param state: its state; None if it was cleared, or reset by a new scheduler.
    :param run_goes_on: whether its DAG run is not over, so that a task without a state will run.
    :param max_tries: its ``max_tries``; None where only the state can be asked for.
    :param job_id: the job that it says it has, if it says so.
    :param generation: the life that its callback table belongs to, if there is one that can be read.
    :param was_cleared: whether it is known to have been cleared while it waited for the end of its job, and waits for
        a worker now (:func:`was_cleared_while_waiting`). No task can read that of another one, only a command.
    :param timeout_at: when the ``execution_timeout`` of the try is over that waits (:func:`timeout_while_waiting`).
    """

    state: str | None
    run_goes_on: bool
    max_tries: int | None = None
    job_id: str | None = None
    generation: str | None = None
    was_cleared: bool = False
    timeout_at: datetime | None = None
