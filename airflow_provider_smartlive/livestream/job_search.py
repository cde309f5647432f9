"""Search MetaStudio for the jobs of a task: by an id, or by the callback URL that a listing shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow_provider_smartlive.client.project import OtherProjectError, check_project
from airflow_provider_smartlive.decisions import JobStatus
from airflow_provider_smartlive.livestream.ownership import callback_url_of, is_unreadable, target_of
from airflow_provider_smartlive.livestream.stop import LOOK_AGAIN_INTERVAL, look
from airflow_provider_smartlive.metastudio.ids import JobRef

if TYPE_CHECKING:
    from airflow_provider_smartlive.callbacks.task_ref import TaskRef
    from airflow_provider_smartlive.callbacks.url import CallbackTarget
    from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook
    from airflow_provider_smartlive.livestream.record import JobRecord
    from airflow_provider_smartlive.livestream.snapshot import JobSnapshot
    from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob

#: Our clock and MetaStudio's may differ by this much (its gateway refuses more), so a listing starts earlier.
CLOCK_DIFFERENCE = timedelta(minutes=15)

#: Why the job of a start cannot be told from others.
_SILENT = "MetaStudio's listing carries no callback URL by which its job could be recognised"
_UNREADABLE = (
    "a job there has a callback URL that no secret of [smartlive] callback_secrets opens, so that it may be its job "
    "(put a secret that was removed back to the end of the list)"
)


class JobSearch:
    """
    Searches for the jobs of one task instance, and changes none.

    :param hook_of: returns the hook for a connection id.
    :param task_ref: the task instance.
    :param secrets: the callback secrets with which callback URLs are recognised; empty if there are none.
    :param look_again_window: seconds for which MetaStudio may not show a job that was started.
    """

    def __init__(
        self,
        hook_of: Callable[[str], SmartLiveTaskHook],
        *,
        task_ref: TaskRef,
        secrets: tuple[str, ...],
        look_again_window: float,
        now: Callable[[], datetime],
        sleep: Callable[[float], None],
    ) -> None:
        self._hook_of = hook_of
        self._task_ref = task_ref
        self._secrets = secrets
        self._look_again_window = timedelta(seconds=look_again_window)
        self._now = now
        self._sleep = sleep

    def check_connection(self, record: JobRecord) -> None:
        """
        Refuse to look for a job where it cannot be.

        :raises OtherProjectError: if the connection leads elsewhere by now.
        """
        if not record.may_run:
            return
        try:
            check_project(self._hook_of(record.smartlive_conn_id).profile(), record.address, record.job_name)
        except OtherProjectError as error:
            raise OtherProjectError(
                f"{error} If nothing runs there any more, delete the task's state `smartlive_job`."
            ) from None

    def look(self, record: JobRecord, job_id: str) -> JobSnapshot:
        """
        Ask for a job by its id; right after its start, that MetaStudio does not know it tells nothing.

        :param record: the record of its start.
        :raises MetaStudioError: if MetaStudio gives no clear answer.
        """
        known_until = self._shown_by(record)
        while True:
            hook = self._hook_of(record.smartlive_conn_id)
            snapshot = look(hook, JobRef(record.room_id, job_id), address=record.address_to_ask)
            if (
                snapshot.status in (JobStatus.UNKNOWN, JobStatus.REFUSED)
                and snapshot.error
                and not snapshot.job
            ):
                raise snapshot.error
            if snapshot.status is not JobStatus.NOT_FOUND or self._now() >= known_until:
                return snapshot
            self._sleep(LOOK_AGAIN_INTERVAL)

    def lag(self, record: JobRecord) -> float:
        """Return for how many more seconds MetaStudio may not show the job of a start."""
        return max(0.0, (self._shown_by(record) - self._now()).total_seconds())

    def _shown_by(self, record: JobRecord) -> datetime:
        """Return by when MetaStudio must show the job of a start."""
        return (record.started_at or record.sent_at or self._now()) + self._look_again_window

    def listings(self, record: JobRecord) -> Iterator[list[SmartLiveJob]]:
        """List the jobs since a start, again and again until the listing must show its job: it may lag behind."""
        until = self._now() + self._look_again_window
        since = (record.sent_at or self._now()) - CLOCK_DIFFERENCE
        hook = self._hook_of(record.smartlive_conn_id)
        while True:
            yield list(
                hook.list_room_jobs(
                    record.room_id, create_since=since, sort_key="create_time", sort_dir="desc"
                )
            )
            if self._now() >= until:
                return
            self._sleep(LOOK_AGAIN_INTERVAL)

    def of_start(self, record: JobRecord, jobs: Iterable[SmartLiveJob]) -> list[SmartLiveJob]:
        """Return the jobs of the life of a record that may be that of its start: earlier ones are discarded."""
        return [
            job
            for job in jobs
            if (target := self.target_of(job)) is not None
            and target.generation == record.generation
            and not record.is_discarded(job.job_id)
        ]

    def target_of(self, job: SmartLiveJob) -> CallbackTarget | None:
        """Return where a job of this task instance belongs, of whatever life; None for all others."""
        target = target_of(job, self._secrets)
        return target if target is not None and target.task_ref == self._task_ref else None

    def doubt(
        self, record: JobRecord, jobs: list[SmartLiveJob], candidates: list[SmartLiveJob]
    ) -> str | None:
        """
        Return why it cannot be told whether one of the jobs is that of an unclear start; None if it can.

        :param record: the record of the start.
        :param jobs: all jobs that were made since.
        :param candidates: those of them that must not be the one.
        """
        if record.calls_back and any(is_unreadable(job, self._secrets) for job in candidates):
            return _UNREADABLE
        listing_tells = record.calls_back and any(map(callback_url_of, jobs))
        return None if listing_tells or all(map(callback_url_of, candidates)) else _SILENT
