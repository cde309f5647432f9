"""What MetaStudio has recorded: the sandbox's ledger, and the jobs that it lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.url import CallbackTarget, open_url
from airflow_provider_smartlive.metastudio.ids import normalise_id, same_id
from dev.sandbox_client import SandboxClient

_OVER = ("SUCCEED", "FAILED", "BLOCKED")


@dataclass
class Job:
    """
    One job, as MetaStudio has recorded it.

    :param target: the task instance and generation in its callback URL.
    :param over_at: when it reached a final state; None while it runs.
    :param connected_at: when its link was connected for the first time.
    :param ended_at: when its link ended.
    :param stops: when somebody asked for its stop through the API.
    """

    job_id: str
    room_id: str
    target: CallbackTarget | None
    accepted_at: datetime
    state: str = "WAITING"
    over_at: datetime | None = None
    connected_at: datetime | None = None
    ended_at: datetime | None = None
    stops: list[datetime] = field(default_factory=list)

    @property
    def is_active(self) -> bool:
        """Whether it still runs."""
        return self.over_at is None

    @property
    def life(self) -> tuple[TaskRef, str] | None:
        """The task instance and which of its lives the job is for; None if its callback URL is not ours."""
        return (self.target.task_ref, self.target.generation) if self.target else None


class Records:
    """
    Reads what the sandbox has recorded.

    :param sandbox: the sandbox.
    :param secrets: the callback secrets, which open the callback URLs of jobs.
    """

    def __init__(self, sandbox: SandboxClient, secrets: Sequence[str]) -> None:
        self._sandbox = sandbox
        self._secrets = secrets

    def jobs(self, *room_ids: str) -> list[Job]:
        """Return the jobs of some rooms, the oldest first."""
        jobs = [job for room_id in room_ids for job in self._jobs_of(room_id)]
        return sorted(jobs, key=lambda job: job.accepted_at)

    def unanswered(self, room_id: str) -> list[str]:
        """Return the callbacks about a room that were not answered with a 2xx status, a text each."""
        return [
            f"{entry.get('state')}, attempt {entry.get('attempt')}: {entry['outcome']} {entry.get('status', '')}"
            for entry in self._sandbox.ledger(room=room_id, kind="callback")
            if entry["outcome"] != "answered" or not 200 <= entry["status"] < 300
        ]

    def _jobs_of(self, room_id: str) -> list[Job]:
        listed = [job for job in self._sandbox.list_jobs() if same_id(job["room_id"], room_id)]
        targets = {normalise_id(job["job_id"]): self._route(job) for job in listed}
        jobs: dict[str, Job] = {}
        for entry in self._sandbox.ledger(room=room_id, kind="job"):
            key, at = normalise_id(entry["job_id"]), datetime.fromisoformat(entry["at"])
            job = jobs.setdefault(key, Job(entry["job_id"], room_id, targets.get(key), at))
            job.state = entry["state"]
            if job.over_at is None and (job.state in _OVER or entry["why"] == "vanished"):
                job.over_at = at
        for entry in self._sandbox.ledger(room=room_id, kind="link"):
            job, at = jobs[normalise_id(entry["job_id"])], datetime.fromisoformat(entry["at"])
            if entry["state"] == "CONNECTED":
                job.connected_at = job.connected_at or at
            elif entry["state"] == "END":
                job.ended_at = at
        for entry in self._sandbox.ledger(room=room_id, kind="request"):
            if entry["operation"] == "stop" and normalise_id(entry["job_id"]) in jobs:
                jobs[normalise_id(entry["job_id"])].stops.append(datetime.fromisoformat(entry["at"]))
        return list(jobs.values())

    def _route(self, job: dict[str, Any]) -> CallbackTarget | None:
        url = (job.get("live_event_callback_config") or {}).get("live_event_type_callback_url")
        opened = open_url(url, secrets=self._secrets) if url else None
        return opened.target if opened else None
