"""
Puts the task instances of a DAG run to wait, as a worker would have done that ran each of them for a second.

Runs in Airflow's environment: ``python -m dev.bench.seeding FILE``. The file holds ``dag_id``, ``run_id``,
``classpath``, and one dict of the trigger's arguments (and a ``job_id`` or null, and ``next_kwargs`` if the task is to
go on) for each map index.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from airflow.models.taskinstance import TaskInstance  # noqa: TID251 - takes the place of workers
from airflow.models.trigger import Trigger  # noqa: TID251 - takes the place of workers
from airflow.models.xcom import XComModel  # noqa: TID251 - takes the place of workers
from airflow.sdk.timezone import utcnow
from airflow.utils.session import create_session  # noqa: TID251 - takes the place of workers
from sqlalchemy import select  # noqa: TID251 - takes the place of workers

from airflow_provider_smartlive.callbacks.messages import JOB_ID_KEY


def seed(order: dict[str, Any]) -> int:
    """Put all task instances of the run to wait, and return how many there are."""
    dag_id, run_id = order["dag_id"], order["run_id"]
    with create_session() as session:
        found = session.scalars(
            select(TaskInstance).where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
        ).all()
        for task in found:
            trigger = Trigger(order["classpath"], order["kwargs"][task.map_index])
            session.add(trigger)
            session.flush()
            task.state = "deferred"
            task.start_date = utcnow()
            task.try_number = 1
            task.trigger_id = trigger.id
            task.next_method = "execute_complete"
            task.next_kwargs = order["next_kwargs"][task.map_index] if "next_kwargs" in order else {}
            if job_id := order["job_ids"][task.map_index]:
                XComModel.set(
                    key=JOB_ID_KEY,
                    value=job_id,
                    dag_id=dag_id,
                    run_id=run_id,
                    task_id=task.task_id,
                    map_index=task.map_index,
                    serialize=False,  # as the API stores what a task pushes
                    session=session,
                )
        return len(found)


if __name__ == "__main__":
    print(seed(json.loads(Path(sys.argv[1]).read_text())))
