"""What Airflow knows of a task instance, for those who judge whether it still wants its job."""

from __future__ import annotations

from dataclasses import dataclass


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
