"""The task instance that owns a job, without Airflow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from virtual_time import NOON

from airflow_provider_smartlive.callbacks.route import Identity, Route
from airflow_provider_smartlive.callbacks.table import JobCallbacks
from airflow_provider_smartlive.livestream.record import JobRecord

IDENTITY = Identity("nightly", "scheduled__2026-01-01", "go_live")


@dataclass
class FakeTask:
    """
    What the code asks :class:`~airflow_provider_smartlive.livestream.own_task.OwnTask` for.

    :param store: the task state store; tries and lives of one task share it.
    :param before_save: called with the record that is about to be saved; may raise.
    """

    generation: int = 0
    store: dict[str, Any] = field(default_factory=dict)
    due_at: datetime = NOON
    called_back: JobCallbacks | None = None
    before_save: Callable[[JobRecord], None] = lambda record: None
    killed: bool = False

    @property
    def route(self) -> Route:
        return Route(IDENTITY, self.generation)

    def record(self) -> JobRecord | None:
        return JobRecord.load(self.store.get("record"))

    def save(self, record: JobRecord) -> None:
        self.before_save(record)
        self.store["record"] = record.dump()

    def forswear(self, job_id: str) -> None:
        if record := self.record():
            self.save(record.with_stopped(job_id))

    def note_end(self, job_id: str) -> None:
        if record := self.record():
            self.save(replace(record, ended=True))

    def callbacks(self, job_id: str) -> JobCallbacks | None:
        return self.called_back

    def is_ended_from_outside(self) -> bool:
        return self.killed
