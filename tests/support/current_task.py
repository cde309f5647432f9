"""The task instance that owns a job, on the Airflow in memory."""

from __future__ import annotations

from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.livestream.current_task import CurrentTask
from airflow_provider_smartlive.livestream.record import Attempt
from tests.support.fake_airflow import DAG, RUN, TASK, FakeSupervisor, a_context
from tests.support.virtual_time import Clock

TASK_REF = TaskRef(DAG, RUN, TASK)

#: The first of two tries.
FIRST = Attempt(max_tries=1, retries=1, clear_number=0)


def a_current_task(supervisor: FakeSupervisor, clock: Clock) -> CurrentTask:
    """Return the task in its first try; what it remembers of another process is in the supervisor's store."""
    context = a_context(supervisor, max_tries=FIRST.max_tries, clear_number=FIRST.clear_number)
    return CurrentTask(context, retries=FIRST.retries, sleep=clock.sleep)  # type: ignore[arg-type]  # the part that is needed
