"""
A triggerer that is late: it reads that a task is deferred, and submits its event when the task already runs again.

Started beside a stack, with its environment: ``python resume_again.py <dag> <run> <task>``. Prints the state of the
task at the moment at which the event was submitted.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import Any

from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.models.xcom import XComModel
from airflow.triggers.base import TriggerEvent
from airflow.utils.session import create_session
from sqlalchemy import event, select

from airflow_provider_smartlive.callbacks.messages import JOB_ID_KEY, ResumeEvent

#: Seconds for the task to run again.
PATIENCE = 60


def main(dag_id: str, run_id: str, task_id: str) -> None:
    names = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id}
    states: list[Any] = []

    def wait_until_it_runs(*_: Any) -> None:
        print("has read", flush=True)  # noqa: T201 - the parent reads it
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            with create_session(scoped=False) as other:
                state = other.scalar(select(TaskInstance.state).filter_by(**names))
            if state == "running":
                break
            time.sleep(0.02)
        states.append(state)

    with create_session(scoped=False) as session:
        trigger_id = session.scalar(select(TaskInstance.trigger_id).filter_by(**names))
        job_id = session.scalar(select(XComModel.value).filter_by(**names, key=JOB_ID_KEY))
        wake = ResumeEvent(source="reconciliation", job_id=job_id, at=datetime.now(UTC))
        event.listen(session, "before_flush", wait_until_it_runs, once=True)
        Trigger.submit_event(trigger_id, TriggerEvent(wake.dump()), session=session)
    print(*states, flush=True)  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    main(*sys.argv[1:])
