"""The local MetaStudio as the benchmark uses it: starts and ends jobs, and tells when what happened."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import httpx

from airflow_provider_smartlive.metastudio.signing import Credentials, sign

#: Most entries of the ledger in one answer.
PAGE = 10_000

#: How often and at which distance, in seconds, the ledger is asked for what must come at once.
LOOKS, LOOK_PAUSE = 100, 0.02

OUTPUT = {"output_urls": ["rtmp://127.0.0.1/live"], "stream_keys": ["fake-stream-key"]}


class Studio:
    """
    A client of the sandbox.

    :param url: where it listens.
    :param project_id: the account's project.
    :param credentials: the account's key pair.
    """

    def __init__(self, url: str, *, project_id: str, credentials: Credentials) -> None:
        self.url = url
        self._project = project_id
        self._credentials = credentials
        self._client = _client()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def job_path(self, room_id: str, job_id: str = "") -> str:
        """Return the path of a job, or of a room's jobs."""
        path = f"/v1/{self._project}/smart-live-rooms/{room_id}/smart-live-jobs"
        return f"{path}/{job_id}" if job_id else path

    def start(self, room_id: str) -> str:
        """Start a job with a bare signed call, and return its id."""
        url = self.url + self.job_path(room_id)
        body = json.dumps(OUTPUT).encode()
        headers = {"Content-Type": "application/json"}
        headers |= sign("POST", url, headers, body, credentials=self._credentials, now=datetime.now(UTC))
        answer = self._client.post(url, content=body, headers=headers).raise_for_status()
        return str(answer.json()["job_id"])

    def time_start(self, room_id: str) -> float:
        """Start a job over a new connection, as a task does that has just begun; return the seconds it took."""
        self._client.close()
        self._client = _client()
        began = time.perf_counter()
        self.start(room_id)
        return time.perf_counter() - began

    def finish(self, job_id: str) -> None:
        """Let a job succeed: END is called back, and the job is SUCCEED, at the same moment."""
        self._client.post(f"{self.url}/sandbox/jobs/{job_id}/finish", json={}).raise_for_status()

    def finish_all(self) -> None:
        """Let all active jobs succeed at once."""
        self._client.post(f"{self.url}/sandbox/jobs/finish", json={}).raise_for_status()

    def hide(self, room_id: str | None) -> str:
        """Answer every show of a room's job (or of any job) with 404, and return the rule's id."""
        rule = {"target": "show", "action": "status", "status": 404, "code": "MSS.20010074", "room": room_id}
        answer = self._client.post(f"{self.url}/sandbox/faults", json=rule).raise_for_status()
        return str(answer.json()["faults"][-1]["id"])

    def reveal(self, rule_id: str) -> None:
        """Remove such a rule."""
        self._client.delete(f"{self.url}/sandbox/faults/{rule_id}").raise_for_status()

    def entries(self, *, after: int = 0, **filters: str) -> list[dict[str, Any]]:
        """Return the ledger's entries, the oldest first."""
        found: list[dict[str, Any]] = []
        while True:
            query: dict[str, str | int] = {**filters, "after": after, "limit": PAGE}
            answer = self._client.get(f"{self.url}/sandbox/ledger", params=query).raise_for_status()
            page = answer.json()["entries"]
            found += page
            if len(page) < PAGE:
                return found
            after = page[-1]["seq"]

    def moment(self, kind: str, job_id: str, state: str) -> float:
        """Return when a job or its link was first in a state, in seconds since the epoch; it must be soon."""
        for _ in range(LOOKS):
            for entry in self.entries(kind=kind, job=job_id):
                if entry["state"] == state:
                    return moment(entry)
            time.sleep(LOOK_PAUSE)
        raise LookupError(f"The ledger has no {kind} {state} of job {job_id}.")

    def position(self) -> int:
        """Return the number of the latest request in the ledger."""
        requests = self.entries(kind="request")
        return int(requests[-1]["seq"]) if requests else 0


def _client() -> httpx.Client:
    return httpx.Client(timeout=30.0, trust_env=False)


def moment(entry: dict[str, Any]) -> float:
    """Return when an entry was written, in seconds since the epoch."""
    return datetime.fromisoformat(entry["at"]).timestamp()
