"""What MetaStudio has in its books: the sandbox's ledger, and the jobs that it lists."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from airflow_provider_smartlive.callbacks.route import Identity, Route, open_url
from airflow_provider_smartlive.metastudio.ids import normalise_id, same_id
from airflow_provider_smartlive.metastudio.signing import Credentials, sign

#: Seconds for one answer of the sandbox, which may be starting.
TIMEOUT = 10.0

_OVER = ("SUCCEED", "FAILED", "BLOCKED")


@dataclass
class Job:
    """
    One job, as MetaStudio has it in its books.

    :param route: the task instance and generation in its callback URL.
    :param over_at: when it reached a final state; None while it runs.
    :param connected_at: when its link was connected for the first time.
    :param ended_at: when its link ended.
    :param stops: when somebody asked for its stop through the API.
    """

    job_id: str
    room_id: str
    route: Route | None
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
    def life(self) -> tuple[Identity, str] | None:
        """The task instance and which of its lives the job is for; None if its callback URL is not ours."""
        return (self.route.identity, self.route.generation) if self.route else None


class Books:
    """
    Reads what the sandbox knows, and tells it what shall go wrong.

    :param url: the sandbox.
    :param keys: of its account; its own books need none, the listing does.
    :param secrets: the callback secrets, which open the callback URLs of jobs.
    """

    def __init__(self, url: str, project_id: str, keys: Credentials, secrets: Sequence[str]) -> None:
        self._project = f"/v1/{project_id}"
        self._keys = keys
        self._secrets = secrets
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def control(self, method: str, path: str, content: Any = None) -> Any:
        """Call the sandbox's own API."""
        return self._http.request(method, f"/sandbox{path}", json=content).raise_for_status().json()

    def entries(self, room_id: str, kind: str) -> list[dict[str, Any]]:
        """Return the entries of the ledger about a room."""
        path = f"/ledger?room={room_id}&kind={kind}&limit=10000"
        return list(self.control("GET", path)["entries"])

    def jobs(self, *room_ids: str) -> list[Job]:
        """Return the jobs of some rooms, the oldest first."""
        jobs = [job for room_id in room_ids for job in self._jobs_of(room_id)]
        return sorted(jobs, key=lambda job: job.accepted_at)

    def unanswered(self, room_id: str) -> list[str]:
        """Return the callbacks about a room that were not answered with a 2xx status, a text each."""
        return [
            f"{entry.get('state')}, attempt {entry.get('attempt')}: {entry['outcome']} {entry.get('status', '')}"
            for entry in self.entries(room_id, "callback")
            if entry["outcome"] != "answered" or not 200 <= entry["status"] < 300
        ]

    def _jobs_of(self, room_id: str) -> list[Job]:
        listed = [job for job in self.listing() if same_id(job["room_id"], room_id)]
        routes = {normalise_id(job["job_id"]): self._route(job) for job in listed}
        jobs: dict[str, Job] = {}
        for entry in self.entries(room_id, "job"):
            key, at = normalise_id(entry["job_id"]), datetime.fromisoformat(entry["at"])
            job = jobs.setdefault(key, Job(entry["job_id"], room_id, routes.get(key), at))
            job.state = entry["state"]
            if job.over_at is None and (job.state in _OVER or entry["why"] == "vanished"):
                job.over_at = at
        for entry in self.entries(room_id, "link"):
            job, at = jobs[normalise_id(entry["job_id"])], datetime.fromisoformat(entry["at"])
            if entry["state"] == "CONNECTED":
                job.connected_at = job.connected_at or at
            elif entry["state"] == "END":
                job.ended_at = at
        for entry in self.entries(room_id, "request"):
            if entry["operation"] == "stop" and normalise_id(entry["job_id"]) in jobs:
                jobs[normalise_id(entry["job_id"])].stops.append(datetime.fromisoformat(entry["at"]))
        return list(jobs.values())

    def listing(self) -> list[dict[str, Any]]:
        """Return all jobs as MetaStudio lists them to whoever has the keys, with all that is secret."""
        listed: list[dict[str, Any]] = []
        while True:
            page = self._get(f"/smart-live-jobs?limit=100&offset={len(listed)}")
            found = page.get("smart_live_jobs", [])
            listed += found
            if not found or len(listed) >= page["count"]:
                return listed

    def finish(self, job_id: str) -> None:
        """Let the show of a job be over; one that is over already is left alone."""
        self._http.post(f"/sandbox/jobs/{job_id}/finish", json={})

    def _get(self, path: str) -> dict[str, Any]:
        request = self._http.build_request("GET", f"{self._project}{path}")
        known = {"Content-Type": "application/json", "Host": request.headers["host"]}
        signed = sign("GET", str(request.url), known, b"", credentials=self._keys, now=datetime.now(UTC))
        request.headers.update(known | signed)
        answer: dict[str, Any] = json.loads(self._http.send(request).raise_for_status().content)
        return answer

    def _route(self, job: dict[str, Any]) -> Route | None:
        url = (job.get("live_event_callback_config") or {}).get("live_event_type_callback_url")
        opened = open_url(url, secrets=self._secrets) if url else None
        return opened.route if opened else None
