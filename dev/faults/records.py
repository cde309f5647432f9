"""What MetaStudio has recorded: the sandbox's ledger, and the jobs that it lists."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.url import CallbackTarget, open_url
from airflow_provider_smartlive.metastudio.ids import normalise_id
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
        self._targets: dict[str, CallbackTarget | None] = {}

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
        jobs: dict[str, Job] = {}
        for entry in self._sandbox.ledger(room=room_id):
            key, at = normalise_id(entry.get("job_id") or ""), datetime.fromisoformat(entry["at"])
            if entry["kind"] == "job":
                job = jobs.setdefault(key, Job(entry["job_id"], room_id, None, at))
                job.state = entry["state"]
                if job.over_at is None and (job.state in _OVER or entry["why"] == "vanished"):
                    job.over_at = at
            elif entry["kind"] == "link" and entry["state"] == "CONNECTED":
                jobs[key].connected_at = jobs[key].connected_at or at
            elif entry["kind"] == "link" and entry["state"] == "END":
                jobs[key].ended_at = at
            elif entry["kind"] == "request" and entry["operation"] == "stop" and key in jobs:
                jobs[key].stops.append(at)
        self._learn_targets(jobs.keys())
        for key, job in jobs.items():
            job.target = self._targets.get(key)
        return list(jobs.values())

    def _learn_targets(self, wanted: Set[str]) -> None:
        """Read the callback URLs of jobs from the listing, once for each: it has all jobs, and none changes its own."""
        if wanted - self._targets.keys():
            for job in self._sandbox.list_jobs():
                self._targets[normalise_id(job["job_id"])] = self._route(job)

    def _route(self, job: dict[str, Any]) -> CallbackTarget | None:
        url = (job.get("live_event_callback_config") or {}).get("live_event_type_callback_url")
        opened = open_url(url, secrets=self._secrets) if url else None
        return opened.target if opened else None
