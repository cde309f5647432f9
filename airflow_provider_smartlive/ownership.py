"""Whose job is it? A job of ours is recognised by opening the token in its callback URL, never by comparing text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from airflow_provider_smartlive.callbacks.route import Identity, Route, open_url

if TYPE_CHECKING:
    from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob


def callback_url_of(job: SmartLiveJob) -> str | None:
    """Return the callback URL that MetaStudio's listing gives for a job, if it gives one."""
    config = job.live_event_callback_config
    return config.live_event_type_callback_url if config is not None else None


def route_of(job: SmartLiveJob, secrets: Sequence[str]) -> Route | None:
    """
    Return the task instance and generation that started a job; None for a job that is not ours.

    :param job: the job, from a listing or by itself.
    :param secrets: ``[smartlive] callback_secrets``; any of them may have issued the URL.
    """
    url = callback_url_of(job)
    opened = open_url(url, secrets=secrets) if url else None
    return opened.route if opened else None


def active_jobs_of(identity: Identity, jobs: Iterable[SmartLiveJob], secrets: Sequence[str]) -> list[str]:
    """Return the ids of the jobs that run in the name of a task instance, of whatever generation."""
    found: list[str] = []
    for job in jobs:
        route = route_of(job, secrets) if job.is_active else None
        if route is not None and route.identity == identity:
            found.append(job.job_id)
    return found
