"""What the run of a job needs around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from airflow_provider_smartlive.metastudio.events import EventType
from airflow_provider_smartlive.sandbox.clock import Clock
from airflow_provider_smartlive.sandbox.model.jobs import StoredJob
from airflow_provider_smartlive.sandbox.model.ledger import Kind, Ledger
from airflow_provider_smartlive.sandbox.options import Assumptions
from airflow_provider_smartlive.sandbox.video.links import LinkFactory


@dataclass(frozen=True)
class RunContext:
    """
    The surroundings of all runs.

    :param save: keeps what changed in the job.
    :param notify: calls an event back: job, type, message.
    :param kick: cuts the publisher of an ingest URL and stream key at the built-in platform; tells whether it could.
    :param vanish: forgets a job and its room as if they had never been.
    """

    clock: Clock
    assumptions: Assumptions
    ledger: Ledger
    open_link: LinkFactory
    save: Callable[[StoredJob], None]
    notify: Callable[[StoredJob, EventType, dict[str, str]], None]
    kick: Callable[[str, str], bool]
    vanish: Callable[[StoredJob], None]

    def note(self, kind: Kind, job: StoredJob, **facts: Any) -> None:
        """Write something about a job into the ledger."""
        self.ledger.add(kind, job_id=job.job_id, room_id=job.room_id, **facts)
