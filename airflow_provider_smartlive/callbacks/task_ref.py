"""The name of a task instance, as callback URLs and messages carry it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskRef:
    """
    The task instance that owns a job, across its tries.

    :param map_index: Index of a mapped task; -1 for a task that is not mapped, as in Airflow.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
