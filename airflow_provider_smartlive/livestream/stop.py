"""
Look at a job, and stop it until MetaStudio says that it is over.

Pure inside: :func:`_look` and :func:`_stop` are generators that yield the next operation and are sent its answer, be it
an error. One driver performs it by a task's hook and one by a trigger's, so both follow the same rules to the letter.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from airflow_provider_smartlive.client import operations
from airflow_provider_smartlive.client.flow import was_not_carried_out
from airflow_provider_smartlive.client.listing import next_offset
from airflow_provider_smartlive.client.operations import Operation
from airflow_provider_smartlive.client.project import OtherProjectError, check_project
from airflow_provider_smartlive.decisions import JobStatus
from airflow_provider_smartlive.livestream.snapshot import ACTIVE_STATES, JobSnapshot
from airflow_provider_smartlive.metastudio.errors import Conflict, MetaStudioError, NotFound
from airflow_provider_smartlive.metastudio.ids import JobRef, same_id

if TYPE_CHECKING:
    from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook
    from airflow_provider_smartlive.hooks import SmartLiveAsyncHook
    from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob

log = logging.getLogger(__name__)

#: Seconds between two looks for a job that MetaStudio may not show yet.
LOOK_AGAIN_INTERVAL = 3.0

#: Seconds between two looks at a job that is being stopped.
CONFIRM_INTERVAL = 2.0

#: Seconds that ``on_kill`` of a trigger has: Airflow allows 30 by default (``[triggerer] on_kill_timeout``).
KILL_GRACE = 20.0

T = TypeVar("T")


@dataclass(frozen=True)
class Note:
    """Write down that the job is about to be stopped: it runs."""


@dataclass(frozen=True)
class Pause:
    """Wait."""

    seconds: float


_Step: TypeAlias = Operation[Any] | Note | Pause
_Steps: TypeAlias = Generator[_Step, Any, T]


def look(
    hook: SmartLiveTaskHook, job_ref: JobRef, *, address: str | None, may_lag: bool = False
) -> JobSnapshot:
    """
    Ask MetaStudio about a job; an error is part of the answer.

    :param job_ref: the job. If it is not in that room, it is looked for among the active jobs of all rooms: the
        snapshot's job then names its real room.
    :param address: where the job was started; None if that is not known. Elsewhere nobody is asked
        (``JobStatus.OTHER_PROJECT``).
    :param may_lag: whether MetaStudio may not show the job yet, so that "not found" means "not known".
    """
    try:
        check_project(hook.profile(), address, job_ref)
    except OtherProjectError as error:
        return JobSnapshot(JobStatus.OTHER_PROJECT, error=error)
    return _drive(hook, _look(job_ref, may_lag=may_lag))


async def look_async(
    conn_id: str, job_ref: JobRef, *, address: str | None, may_lag: bool = False
) -> JobSnapshot:
    """Do the same as :func:`look` from a trigger, with a hook of its own for a connection."""
    async with _hook(conn_id) as hook:
        try:
            check_project(await hook.profile(), address, job_ref)
        except OtherProjectError as error:
            return JobSnapshot(JobStatus.OTHER_PROJECT, error=error)
        return await _drive_async(hook, _look(job_ref, may_lag=may_lag))


def stop_and_confirm(
    hook: SmartLiveTaskHook,
    job_ref: JobRef,
    *,
    address: str | None,
    grace: float,
    lag: float = 0.0,
) -> JobSnapshot:
    """
    Stop a job and wait until MetaStudio says that it is over.

    A job that is over already is left alone: that is what was wanted. A stop that does not get through is sent
    again.

    :param hook: the hook.
    :param job_ref: the job. If it is not found in that room, it is stopped in the room where MetaStudio lists it.
    :param address: where the job was started; None if that is not known, or it has just been listed by this hook.
    :param grace: seconds that the job gets to end.
    :param lag: seconds for which MetaStudio may not show the job yet, so that "not found" does not mean "over".
    :return: the last snapshot; its ``status.is_over`` tells whether the job is over, ``stopped`` whether that is our
        doing.
    :raises MetaStudioError: if MetaStudio refuses the stop of an active job.
    :raises OtherProjectError: if the connection leads elsewhere by now.
    """
    check_project(hook.profile(), address, job_ref)
    return _drive(hook, _stop(job_ref, grace=grace, lag=lag, now=time.monotonic))


def stop_each(
    hook: SmartLiveTaskHook, jobs: Iterable[JobRef], *, grace: float
) -> Iterator[tuple[JobRef, JobSnapshot]]:
    """
    Stop jobs one after the other, and yield the last snapshot of each. One whose stop fails saves no other.

    :param jobs: the jobs, as this hook has listed them.
    :param grace: seconds that each job gets to end.
    """
    for job_ref in jobs:
        try:
            yield job_ref, stop_and_confirm(hook, job_ref, address=None, grace=grace)
        except MetaStudioError as error:
            log.error("Job %s could not be stopped: %s", job_ref.job_id, error)
            yield job_ref, JobSnapshot.failed(error)


async def stop_and_confirm_async(
    conn_id: str,
    job_ref: JobRef,
    *,
    address: str | None,
    grace: float = KILL_GRACE,
    lag: float = 0.0,
    note: Callable[[], Awaitable[None]] | None = None,
) -> JobSnapshot:
    """
    Do the same as :func:`stop_and_confirm` from a trigger, with a hook of its own.

    :param conn_id: the connection.
    :param job_ref: the job.
    :param address: where the job was started; None if that is not known.
    :param grace: seconds that the whole may take.
    :param lag: seconds for which MetaStudio may not show the job yet.
    :param note: called before the job is told to stop, unless it is over already.
    """
    now = asyncio.get_running_loop().time
    async with _hook(conn_id) as hook:
        check_project(await hook.profile(), address, job_ref)
        return await _drive_async(hook, _stop(job_ref, grace=grace, lag=lag, now=now), note)


def _hook(conn_id: str) -> SmartLiveAsyncHook:
    from airflow_provider_smartlive.hooks import SmartLiveAsyncHook

    return SmartLiveAsyncHook(smartlive_conn_id=conn_id)


def _perform(operation: Operation[T]) -> _Steps[T | MetaStudioError]:
    """Have an operation carried out, and return its answer or its error."""
    answer: T | MetaStudioError = yield operation
    return answer


def _look(job_ref: JobRef, *, may_lag: bool) -> _Steps[JobSnapshot]:
    answer = yield from _perform(operations.show_job(job_ref))
    if not isinstance(answer, NotFound):
        return _sighting(answer)
    # "Not found" may be a wrong room, or a fault: only what no listing of active jobs has does not run.
    found = yield from _find(job_ref.job_id)
    if found is None:
        return JobSnapshot(JobStatus.NOT_FOUND, error=answer).believed(may_lag=may_lag)
    if isinstance(found, NotFound):
        return JobSnapshot(JobStatus.UNKNOWN, error=found)
    return _sighting(found)


def _find(job_id: str) -> _Steps[SmartLiveJob | MetaStudioError | None]:
    """Return a job that is among the active jobs of all rooms; None if it is not there."""
    offset: int | None = 0
    while offset is not None:
        page = yield from _perform(operations.list_jobs(offset, {"state": ACTIVE_STATES}))
        if isinstance(page, MetaStudioError):
            return page
        for job in page.smart_live_jobs:
            if same_id(job.job_id, job_id):
                return job
        try:
            offset = next_offset(offset, page)
        except MetaStudioError as error:
            return error
    return None


def _sighting(answer: SmartLiveJob | MetaStudioError) -> JobSnapshot:
    return JobSnapshot.failed(answer) if isinstance(answer, MetaStudioError) else JobSnapshot.of(answer)


def _stop(job_ref: JobRef, *, grace: float, lag: float, now: Callable[[], float]) -> _Steps[JobSnapshot]:
    began, job_id = now(), job_ref.job_id
    snapshot = yield from _look(job_ref, may_lag=lag > 0)
    if snapshot.status.is_over:
        log.info("Job %s is over already; MetaStudio says %s.", job_id, snapshot)
        return snapshot
    log.info("Stopping job %s.", job_id)
    yield Note()
    accepted = stopped = False
    while True:
        # A listing may have told another room than the one in which the job was thought to be.
        job_ref = replace(job_ref, room_id=(snapshot.job and snapshot.job.room_id) or job_ref.room_id)
        if not accepted:
            answer = yield from _perform(operations.stop_job(job_ref))
            accepted = _is_accepted(answer, job_id)
            stopped = stopped or _may_be_done(answer, ran=snapshot.status is JobStatus.ACTIVE)
        seen = yield from _look(job_ref, may_lag=now() < began + lag)
        snapshot = replace(seen, stopped=stopped)
        if snapshot.status.is_over or now() >= began + grace:
            break
        yield Pause(CONFIRM_INTERVAL)
    _report(job_id, snapshot)
    return snapshot


def _is_accepted(answer: MetaStudioError | None, job_id: str) -> bool:
    """Pass over what does not decide: a fault that passes, or an answer that the look after it will explain."""
    if not isinstance(answer, MetaStudioError):
        return True
    if isinstance(answer, Conflict | NotFound):
        # What MetaStudio answers to the stop of a finished job is not documented.
        log.debug("Job %s may be over already.", job_id)
    elif answer.is_transient:
        log.warning("The stop of job %s did not get through: %s", job_id, answer)
    else:
        raise answer
    return False


def _may_be_done(answer: MetaStudioError | None, *, ran: bool) -> bool:
    """
    Tell whether a job that is over after a stop was ended by it, as far as its answer tells.

    :param ran: whether the job ran right before. A refusal is then the answer to a repetition, whose first answer was
        lost.
    """
    if isinstance(answer, Conflict | NotFound):
        return ran
    return not isinstance(answer, MetaStudioError) or not was_not_carried_out(answer)


def _report(job_id: str, snapshot: JobSnapshot) -> None:
    if snapshot.status.is_over:
        log.info("Job %s is stopped; MetaStudio says %s.", job_id, snapshot)
    else:
        log.error(
            "Job %s was told to stop, but MetaStudio still says %s. Its max_live_duration and "
            "`airflow smartlive sweep` stand behind it.",
            job_id,
            snapshot,
        )


def _drive(hook: SmartLiveTaskHook, steps: _Steps[T]) -> T:
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as done:
            result: T = done.value
            return result
        answer = None
        try:
            match step:
                case Operation():
                    answer = hook.perform(step)
                case Note():
                    pass  # on a worker it is written whether the job runs or not
                case Pause(seconds):
                    time.sleep(seconds)
        except MetaStudioError as error:
            answer = error


async def _drive_async(
    hook: SmartLiveAsyncHook, steps: _Steps[T], note: Callable[[], Awaitable[None]] | None = None
) -> T:
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as done:
            result: T = done.value
            return result
        answer = None
        try:
            match step:
                case Operation():
                    answer = await hook.perform(step)
                case Note():
                    if note is not None:
                        await note()
                case Pause(seconds):
                    await asyncio.sleep(seconds)
        except MetaStudioError as error:
            answer = error
