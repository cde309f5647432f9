"""Stopping a job, confirmed: a stop request that was accepted is not yet a job that has ended."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_smartlive.lifecycle import Sight
from airflow_provider_smartlive.livestream.sighting import Sighting
from airflow_provider_smartlive.metastudio.errors import Conflict, MetaStudioError, NotFound

if TYPE_CHECKING:
    from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook

log = logging.getLogger(__name__)

#: Seconds between two looks at a job that is being stopped.
CONFIRM_INTERVAL = 2.0

#: Seconds that ``on_kill`` of a trigger has: Airflow allows 30 by default (``[triggerer] on_kill_timeout``).
KILL_GRACE = 20.0


def look(hook: SmartLiveTaskHook, room_id: str, job_id: str) -> Sighting:
    """Ask MetaStudio about a job; an error is part of the answer."""
    try:
        return Sighting.of(hook.show_job(room_id, job_id))
    except MetaStudioError as error:
        return Sighting.failed(error)


def stop_and_confirm(
    hook: SmartLiveTaskHook,
    room_id: str,
    job_id: str,
    *,
    grace: float,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Sighting:
    """
    Stop a job and wait until MetaStudio says that it is over.

    A job that is over already is left alone: that is what was wanted. A stop that does not get through is sent
    again.

    :param hook: the hook.
    :param room_id: the room.
    :param job_id: the job.
    :param grace: seconds that the job gets to end.
    :return: the last sighting; :func:`is_over` tells whether the stop is confirmed.
    :raises MetaStudioError: if MetaStudio refuses the stop of an active job.
    """
    until = now() + grace
    sighting = look(hook, room_id, job_id)
    if is_over(sighting):
        return sighting
    accepted = False
    while True:
        if not accepted:
            with _passing(job_id):
                hook.stop_job(room_id, job_id)
                accepted = True
        if is_over(sighting := look(hook, room_id, job_id)) or now() >= until:
            break
        sleep(CONFIRM_INTERVAL)
    _report(job_id, sighting)
    return sighting


def stop_each(
    hook: SmartLiveTaskHook, jobs: Iterable[tuple[str, str]], *, grace: float
) -> Iterator[tuple[str, Sighting]]:
    """
    Stop jobs one after the other, and yield the last sighting of each. One whose stop fails saves no other.

    :param jobs: room and job ids.
    :param grace: seconds that each job gets to end.
    """
    for room_id, job_id in jobs:
        try:
            yield job_id, stop_and_confirm(hook, room_id, job_id, grace=grace)
        except MetaStudioError as error:
            log.error("Job %s could not be stopped: %s", job_id, error)
            yield job_id, Sighting.failed(error)


async def stop_and_confirm_async(
    conn_id: str, room_id: str, job_id: str, grace: float = KILL_GRACE
) -> Sighting:
    """
    Do the same from a trigger, with a hook of its own.

    :param conn_id: the connection.
    :param room_id: the room.
    :param job_id: the job.
    :param grace: seconds that the whole may take.
    """
    from airflow_provider_smartlive.hooks import SmartLiveAsyncHook

    now = asyncio.get_running_loop().time
    until = now() + grace
    async with SmartLiveAsyncHook(smartlive_conn_id=conn_id) as hook:

        async def look() -> Sighting:
            try:
                return Sighting.of(await hook.show_job(room_id, job_id))
            except MetaStudioError as error:
                return Sighting.failed(error)

        if is_over(sighting := await look()):
            return sighting
        accepted = False
        while True:
            if not accepted:
                with _passing(job_id):
                    await hook.stop_job(room_id, job_id)
                    accepted = True
            if is_over(sighting := await look()) or now() >= until:
                break
            await asyncio.sleep(CONFIRM_INTERVAL)
    _report(job_id, sighting)
    return sighting


def is_over(sighting: Sighting) -> bool:
    """Whether MetaStudio says that the job no longer runs. A job that it does not know does not run."""
    return sighting.sight in (Sight.SUCCEED, Sight.FAILED, Sight.BLOCKED, Sight.NOT_FOUND)


@contextmanager
def _passing(job_id: str) -> Iterator[None]:
    """Pass over what does not decide: a fault that passes, or an answer that the look after it will explain."""
    try:
        yield
    except (Conflict, NotFound):
        # What MetaStudio answers to the stop of a finished job is not documented.
        log.debug("Job %s may be over already.", job_id)
    except MetaStudioError as error:
        if not error.is_transient:
            raise
        log.warning("The stop of job %s did not get through: %s", job_id, error)


def _report(job_id: str, sighting: Sighting) -> None:
    if is_over(sighting):
        log.info("Job %s is stopped; MetaStudio says %s.", job_id, sighting.sight)
    else:
        log.error(
            "Job %s was told to stop, but MetaStudio still says %s. Its max_live_duration and "
            "`airflow smartlive sweep` stand behind it.",
            job_id,
            sighting.sight,
        )
