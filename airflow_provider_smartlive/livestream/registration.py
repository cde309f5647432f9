"""Register a task that waits for another task's job with the receiver."""

from __future__ import annotations

from functools import partial
from typing import Any

from airflow_provider_smartlive.callbacks.messages import WaiterRegistration, starter_waiter_key, waiter_key
from airflow_provider_smartlive.livestream import own_xcoms
from airflow_provider_smartlive.livestream.airflow_api import ask
from airflow_provider_smartlive.livestream.starter import Starter


def register(
    ti: Any, starter: Starter | None, job_id: str | None, target_state: str, *, needs_worker: bool
) -> None:
    """
    Ask the receiver to wake a task; before it is deferred, so that no callback finds it missing.

    :param ti: its task instance.
    :param starter: the task that starts the job, if the job is named by it.
    :param job_id: the job, if it is named by its id.
    :param target_state: the state of the stream, or the mark of the reply, that it waits for.
    :param needs_worker: whether it is to be resumed on a worker.
    """
    key = starter_waiter_key(starter.task_ref) if starter else waiter_key(job_id or "")
    waiter = WaiterRegistration(job_id=job_id, target_state=target_state, needs_worker=needs_worker)
    ask(partial(own_xcoms.push, ti, key, waiter.dump()))
