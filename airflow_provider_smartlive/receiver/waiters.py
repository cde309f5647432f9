"""
Find the tasks that wait for a job, and end or resume them, in few statements for all of them.

A thousand sensors may wait for one END. Their rows are read, locked and written together; Airflow's own way of ending a
deferred task is for one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from airflow.models.xcom import XCOM_RETURN_KEY
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from airflow_provider_smartlive.callbacks.messages import (
    CALLBACK,
    ResumeEvent,
    WaiterRegistration,
    is_ours,
)
from airflow_provider_smartlive.callbacks.table import JobCallbacks
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.receiver import statements

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class WaitingTask:
    """
    A deferred task that has registered as a waiter.

    :param id: Of its task instance.
    :param deferred_at: When its trigger was created.
    """

    id: UUID
    task_ref: TaskRef
    dag_run_id: int
    waiter: WaiterRegistration
    deferred_at: datetime


def wake_waiters(
    session: Session,
    keys: Sequence[str],
    job: JobCallbacks,
    at: datetime,
    *,
    may_resume: Callable[[datetime], bool],
) -> int:
    """
    End or resume the tasks that wait for what a job has reached.

    :param keys: The XCom keys under which they may have registered.
    :param at: When the event was accepted.
    :param may_resume: Tells whether a task that deferred then may go back to a worker.
    :return: How many were woken.
    """
    found = [
        task
        for task in _find(session, keys)
        if job.has_reached(task.waiter.target_state)
        and (not task.waiter.needs_worker or may_resume(task.deferred_at))
    ]
    if not found:
        return 0
    locked = statements.lock_deferred(session, [task.id for task in found])
    found = [task for task in found if task.id in locked]
    ended = [task for task in found if not task.waiter.needs_worker]
    resumed = [task for task in found if task.waiter.needs_worker]
    return _end(session, ended, job, at) + _resume(session, resumed, job, at)


def _find(session: Session, keys: Sequence[str]) -> Iterator[WaitingTask]:
    """Yield the tasks that registered under one of the keys and are deferred, with a trigger of ours."""
    for *task_ref, run, value, task_id, deferred_at, classpath in statements.waiters(session, keys):
        waiter = _registration(value, TaskRef(*task_ref))
        if waiter is not None and is_ours(classpath):
            yield WaitingTask(task_id, TaskRef(*task_ref), run, waiter, deferred_at)


def _registration(value: object, task_ref: TaskRef) -> WaiterRegistration | None:
    try:
        return WaiterRegistration.load(value)
    except ValueError:
        log.warning("smartlive: a task's registration as a waiter cannot be read", **vars(task_ref))
        return None


def _end(session: Session, tasks: Sequence[WaitingTask], job: JobCallbacks, at: datetime) -> int:
    """
    End tasks without a worker.

    As Airflow does by a ``TaskSuccessEvent``, but in few statements, with the results in the same transaction, and
    without a callback request: tasks with callbacks ask for a worker.
    """
    if not tasks:
        return 0
    wakes = [(task, _wake(task, job, at).dump()) for task in tasks]
    statements.save_all(
        session,
        [(task.id, task.dag_run_id, task.task_ref, XCOM_RETURN_KEY, wake) for task, wake in wakes],
        at,
    )
    statements.succeed(session, [task.id for task in tasks], at)
    return len(tasks)


def _resume(session: Session, tasks: Sequence[WaitingTask], job: JobCallbacks, at: datetime) -> int:
    """Send tasks back to a worker."""
    if not tasks:
        return 0
    # Read at once, so that Airflow's way to resume one finds it in the session.
    instances = statements.task_instances(session, [task.id for task in tasks])
    woken = 0
    for task in tasks:
        with _isolated(session, task.task_ref):
            statements.resume(session, instances[task.id], _wake(task, job, at))
            woken += 1
    return woken


def _wake(task: WaitingTask, job: JobCallbacks, at: datetime) -> ResumeEvent:
    return ResumeEvent(source=CALLBACK, job_id=job.job_id, state=task.waiter.target_state, at=at)


@contextmanager
def _isolated(session: Session, task_ref: TaskRef) -> Iterator[None]:
    """Let one waiter that cannot be woken cost neither the others nor the event."""
    try:
        with session.begin_nested():
            yield
    except (OperationalError, InterfaceError):
        raise  # the whole transaction is lost, not this waiter
    except Exception:
        log.exception("smartlive: a waiting task could not be woken", **vars(task_ref))
