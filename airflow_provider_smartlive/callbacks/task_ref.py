"""The name of a task instance, as callback URLs and messages carry it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self


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

    @classmethod
    def of(cls, ti: Any) -> Self:
        """Name a task instance as Airflow hands it to tasks and triggers."""
        return cls(ti.dag_id, ti.run_id, ti.task_id, -1 if ti.map_index is None else ti.map_index)

    def __str__(self) -> str:
        """Return its name, for messages."""
        index = f"[{self.map_index}]" if self.map_index >= 0 else ""
        return f"task {self.task_id}{index} of DAG {self.dag_id}, run {self.run_id}"
