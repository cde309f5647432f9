"""The task instance that owns a job, without Airflow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from airflow_provider_smartlive.callbacks.table import JobCallbacks
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.decisions import WakeSource
from airflow_provider_smartlive.livestream.record import Attempt, JobRecord
from tests.support.virtual_time import NOON

TASK_REF = TaskRef("nightly", "scheduled__2026-01-01", "go_live")
FIRST = Attempt(max_tries=0, retries=0, clear_number=0)


@dataclass
class FakeTask:
    """
    What the code asks :class:`~airflow_provider_smartlive.livestream.current_task.CurrentTask` for.

    :param store: the task state store; tries and lives of one task share it.
    :param before_save: called with the record that is about to be saved; may raise.
    """

    attempt: Attempt = FIRST
    is_last_try: bool = False
    store: dict[str, Any] = field(default_factory=dict)
    due_at: datetime = NOON
    called_back: JobCallbacks | None = None
    before_save: Callable[[JobRecord], None] = lambda record: None
    killed: bool = False
    withdrawn: list[tuple[str, str]] = field(default_factory=list)

    @property
    def task_ref(self) -> TaskRef:
        return TASK_REF

    def fails_for_good(self, error: Exception) -> bool:
        return self.is_last_try

    def record(self) -> JobRecord | None:
        return JobRecord.load(self.store.get("record"))

    def save(self, record: JobRecord) -> None:
        self.before_save(record)
        self.store["record"] = record.dump()

    def mark_stopped(self, job_id: str) -> None:
        if record := self.record():
            self.save(record.without(job_id))

    def note_stop(self, job_id: str, source: WakeSource) -> None:
        if record := self.record():
            self.save(record.stopped_by(source))

    def withdraw_stop(self, job_id: str, source: WakeSource) -> None:
        self.withdrawn.append((job_id, source))

    def note_end(self, job_id: str) -> None:
        if record := self.record():
            self.save(replace(record, ended=True))

    def callbacks(self, job_id: str) -> JobCallbacks | None:
        return self.called_back

    def is_ended_from_outside(self) -> bool:
        return self.killed
