"""Find the jobs of tasks that do not want them any more: the last backstop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from airflow.sdk.timezone import utcnow

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.task_status import TaskStatus
from airflow_provider_smartlive.callbacks.url import CallbackTarget
from airflow_provider_smartlive.decisions import KillSeenBy, decide_kill
from airflow_provider_smartlive.livestream.ownership import target_of
from airflow_provider_smartlive.livestream.wait_state import SWEEP_MARGIN
from airflow_provider_smartlive.metastudio.ids import same_id

if TYPE_CHECKING:
    from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob

log = logging.getLogger(__name__)


def unwanted(
    jobs: Iterable[SmartLiveJob],
    *,
    secrets: Sequence[str],
    find_task: Callable[[TaskRef], TaskStatus | None],
    deployment: str | None = None,
    now: Callable[[], datetime] = utcnow,
) -> Iterator[tuple[SmartLiveJob, str]]:
    """
    Yield the running jobs that a task of this deployment started and that nobody owns, each with the reason.

    A job whose task cannot be looked up at the moment is left alone.

    :param jobs: running jobs, as MetaStudio lists them.
    :param secrets: ``[smartlive] callback_secrets``.
    :param find_task: looks a task instance up; None if there is none.
    :param deployment: the mark of this deployment; default ``settings.deployment()``.
    """
    mark = settings.deployment() if deployment is None else deployment
    for job in jobs:
        target = target_of(job, secrets) if job.is_active else None
        if target is None:
            continue
        if target.deployment != mark:
            log.info(
                "Job %s is left alone: it was started by deployment %r, and this is %r. If it is the same, set "
                "[smartlive] deployment to a name that stays, and stop the job with `airflow smartlive jobs stop`.",
                job.job_id,
                target.deployment,
                mark,
            )
            continue
        try:
            task = find_task(target.task_ref)
        except Exception as error:
            log.warning("Job %s is left alone: its task cannot be looked up now: %s", job.job_id, error)
            continue
        if reason := reason_to_stop(job, target, task, now=now()):
            yield job, reason


def reason_to_stop(
    job: SmartLiveJob, target: CallbackTarget, task: TaskStatus | None, *, now: datetime
) -> str | None:
    """
    Say what becomes of a running job of this deployment, from its token and from what Airflow knows of its task.

    :param job: the job.
    :param target: what its callback URL says: who started it, in which life, and on which terms.
    :param task: what Airflow knows of the task instance; None if there is none any more.
    :param now: the time.
    :return: why it has to be stopped; None if somebody owns it, or it was left running on purpose.
    """
    terms = target.terms
    if terms.deadline is not None and now > terms.deadline + SWEEP_MARGIN:
        # Whatever the task waits for: in a paused DAG, or one whose file is gone, it may wait for ever.
        return f"its planned end was at {terms.deadline.isoformat(timespec='seconds')}"
    if task is None:
        gone = decide_kill(KillSeenBy.SWEEP, None, cancel_on_kill=terms.cancel_on_kill)
        return "its task instance is gone" if gone.stops else None
    if task.was_cleared or (task.max_tries is not None and task.max_tries != target.max_tries):
        return "its task was cleared and lives on without it"
    if task.generation is not None and task.generation > target.generation:
        return "its task was cleared and has begun anew"
    if task.job_id is not None and not same_id(task.job_id, job.job_id):
        return "its task has another job"
    if task.timeout_at is not None and now > task.timeout_at + SWEEP_MARGIN:
        return f"its task's execution_timeout was over at {task.timeout_at.isoformat(timespec='seconds')}"
    verdict = decide_kill(
        KillSeenBy.SWEEP,
        task.state,
        cancel_on_kill=terms.cancel_on_kill,
        waits=terms.waits,
        run_goes_on=task.run_goes_on,
    )
    return f"its task is {task.state or 'cleared'}" if verdict.stops else None
