"""Recognise a task's jobs by the token in their callback URL."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from airflow.sdk.log import mask_secret

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.task_ref import (
    TaskRef,
)
from airflow_provider_smartlive.callbacks.url import (
    CallbackTarget,
    IssuedUrl,
    is_callback_url,
    issue,
    open_url,
)
from airflow_provider_smartlive.metastudio.callback_auth import AuthType

if TYPE_CHECKING:
    from airflow_provider_smartlive.client.connection import ConnectionProfile
    from airflow_provider_smartlive.livestream.rtmp_output import RtmpOutput
    from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob


def issue_url_for(
    target: CallbackTarget, profile: ConnectionProfile, rtmp_outputs: Sequence[RtmpOutput] = ()
) -> IssuedUrl:
    """
    Make the callback URL and key of a task instance as this deployment is set up, and mask both in logs.

    :param target: the task instance, its generation and the terms of its job.
    :param profile: the connection, whose own callback settings come first.
    :param rtmp_outputs: the RTMP outputs of the job.
    :raises CallbackUrlError: if a setting does not allow it.
    """
    issued = issue(
        target,
        base_url=profile.callback_base_url or settings.callback_base_url(),
        secrets=settings.callback_secrets(),
        auth_type=profile.callback_auth_type or AuthType(settings.choice("callback_auth_type")),
        outputs=[(output.url, output.stream_key) for output in rtmp_outputs],
    )
    mask_secret(issued.url)
    mask_secret(issued.key)
    return issued


def callback_url_of(job: SmartLiveJob) -> str | None:
    """Return the callback URL that MetaStudio's listing gives for a job, if it gives one."""
    config = job.live_event_callback_config
    return config.live_event_type_callback_url if config is not None else None


def target_of(job: SmartLiveJob, secrets: Sequence[str]) -> CallbackTarget | None:
    """
    Return the task instance and generation that started a job; None for a job that is not ours.

    :param job: the job, from a listing or by itself.
    :param secrets: ``[smartlive] callback_secrets``; any of them may have issued the URL.
    """
    url = callback_url_of(job)
    opened = open_url(url, secrets=secrets) if url else None
    return opened.target if opened else None


def is_unreadable(job: SmartLiveJob, secrets: Sequence[str]) -> bool:
    """Tell whether a job carries a callback URL of this provider that no secret opens: one that was thrown away may."""
    url = callback_url_of(job)
    return url is not None and is_callback_url(url) and open_url(url, secrets=secrets) is None


def active_jobs_of(
    task_refs: Collection[TaskRef], jobs: Iterable[SmartLiveJob], *, secrets: Sequence[str], deployment: str
) -> list[SmartLiveJob]:
    """
    Return the jobs that run in the name of task instances of one deployment, of whatever generation.

    :param identities: the task instances.
    :param jobs: jobs as MetaStudio lists them.
    :param secrets: ``[smartlive] callback_secrets``.
    :param deployment: the mark of the deployment: another one may have the same secrets, and the same DAGs.
    """
    found: list[SmartLiveJob] = []
    for job in jobs:
        target = target_of(job, secrets) if job.is_active else None
        if target is not None and target.task_ref in task_refs and target.deployment == deployment:
            found.append(job)
    return found
