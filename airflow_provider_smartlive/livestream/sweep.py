"""The last backstop: jobs that run in the name of a task that does not want them any more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from airflow_provider_smartlive.callbacks.facts import TaskFacts
from airflow_provider_smartlive.callbacks.route import Identity, Route
from airflow_provider_smartlive.lifecycle import Signal, signal_of_cancel
from airflow_provider_smartlive.livestream.ownership import route_of
from airflow_provider_smartlive.metastudio.ids import same_id

if TYPE_CHECKING:
    from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob


def unwanted(
    jobs: Iterable[SmartLiveJob],
    *,
    secrets: Sequence[str],
    find_task: Callable[[Identity], TaskFacts | None],
) -> Iterator[tuple[SmartLiveJob, str]]:
    """
    Yield the running jobs that carry a callback URL of this deployment and that nobody owns, each with the
    reason.

    :param jobs: running jobs, as MetaStudio lists them.
    :param secrets: ``[smartlive] callback_secrets``.
    :param find_task: looks a task instance up; None if there is none.
    """
    for job in jobs:
        route = route_of(job, secrets) if job.is_active else None
        if route is not None and (reason := _reason(job, route, find_task(route.identity))):
            yield job, reason


def _reason(job: SmartLiveJob, route: Route, task: TaskFacts | None) -> str | None:
    if task is None:
        return "its task instance is gone"
    if task.max_tries is not None and task.max_tries != route.max_tries:
        return "its task was cleared and lives on without it"
    if task.job_id is not None and not same_id(task.job_id, job.job_id):
        return "its task has another job"
    if task.run_goes_on and task.state in ("success", None):
        # A tear-down may still own the job of a starter that did not wait; and a task without a state (reset
        # by a new scheduler, or cleared) looks for its job itself when it starts.
        return None
    if signal_of_cancel(task.state) is Signal.KILL:
        return f"its task is {task.state or 'cleared'}"
    return None
