"""The client of a running sandbox: signed calls of MetaStudio's API, and the sandbox's own API beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

import httpx

from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.metastudio.signing import Credentials, sign

#: Seconds for one answer of the sandbox, which may be starting or busy.
TIMEOUT = 30.0

#: Most entries of the ledger, and most jobs of the listing, in one answer.
LEDGER_PAGE = 10_000
JOBS_PAGE = 100


class SandboxClient:
    """
    Calls a sandbox with the keys of its account; a context manager.

    :param url: where it listens.
    :param project_id: the account's project.
    :param credentials: the account's keys. The sandbox's own API needs none.
    """

    def __init__(self, url: str, *, project_id: str, credentials: Credentials) -> None:
        self.url = url
        self._project_id = project_id
        self._credentials = credentials
        self._http = self._connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def reconnect(self) -> None:
        """Let the next call be over a new connection, as that of a program that has just begun."""
        self._http.close()
        self._http = self._connect()

    # --- MetaStudio's API

    def path(self, rest: str) -> str:
        """Return ``/v1/PROJECT`` + rest."""
        return f"/v1/{self._project_id}{rest}"

    def jobs_path(self, room_id: str) -> str:
        """Return the path of a room's jobs."""
        return self.path(f"/smart-live-rooms/{room_id}/smart-live-jobs")

    def job_path(self, job_ref: JobRef) -> str:
        """Return the path of a job."""
        return f"{self.jobs_path(job_ref.room_id)}/{job_ref.job_id}"

    def call(
        self,
        method: str,
        path: str,
        content: Any = None,
        *,
        late: timedelta = timedelta(),
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> httpx.Response:
        """
        Send a signed request and return the answer, whatever its status is.

        :param path: the whole path; see :meth:`path`.
        :param content: bytes go out as they are, None as an empty body, anything else as JSON.
        :param late: how old the signature is.
        :param headers: more headers, which are signed as well.
        :param timeout: seconds; None for :data:`TIMEOUT`.
        """
        body = (
            content
            if isinstance(content, bytes)
            else b""
            if content is None
            else json.dumps(content).encode()
        )
        request = self._http.build_request(
            method, path, content=body, headers=headers, timeout=TIMEOUT if timeout is None else timeout
        )
        known = {"Content-Type": "application/json", "Host": request.headers["host"], **(headers or {})}
        now = datetime.now(UTC) - late
        signed = sign(method, str(request.url), known, body, credentials=self._credentials, now=now)
        request.headers.update(known | signed)
        return self._http.send(request)

    def start(self, room_id: str, content: Mapping[str, Any]) -> str:
        """Start a job, and return its id."""
        answer = self.call("POST", self.jobs_path(room_id), content).raise_for_status()
        return str(answer.json()["job_id"])

    def list_jobs(self) -> list[dict[str, Any]]:
        """Return all jobs as MetaStudio lists them to whoever has the keys, with all that is secret."""
        listed: list[dict[str, Any]] = []
        while True:
            path = self.path(f"/smart-live-jobs?limit={JOBS_PAGE}&offset={len(listed)}")
            page = self.call("GET", path).raise_for_status().json()
            found = page.get("smart_live_jobs", [])
            listed += found
            if not found or len(listed) >= page["count"]:
                return listed

    # --- the sandbox's own API

    def control(self, method: str, path: str, content: Any = None) -> Any:
        """
        Call ``/sandbox`` + path and return the answer.

        :raises httpx.HTTPStatusError: for an error status.
        """
        return self._http.request(method, f"/sandbox{path}", json=content).raise_for_status().json()

    def jobs(self) -> list[dict[str, Any]]:
        """Return the sandbox's own view of all jobs: states, links, callbacks, without secrets."""
        return list(self.control("GET", "/jobs")["jobs"])

    def add_rooms(self, *rooms: Mapping[str, Any]) -> None:
        """Make rooms; each is a room of a scenario (``room_id``, ``name``, ``seconds``, ``room``)."""
        self.control("POST", "/scenario", {"rooms": list(rooms)})

    def add_fault(self, **rule: Any) -> str:
        """Add a fault rule and return its id."""
        return str(self.control("POST", "/faults", rule)["faults"][-1]["id"])

    def remove_fault(self, rule_id: str) -> None:
        """Remove a fault rule."""
        self.control("DELETE", f"/faults/{rule_id}")

    def finish(self, job_id: str) -> None:
        """Let a job succeed: END is called back, then the job is SUCCEED. One that is over, or gone, is left alone."""
        answer = self._http.post(f"/sandbox/jobs/{job_id}/finish", json={})
        if answer.status_code not in (httpx.codes.CONFLICT, httpx.codes.NOT_FOUND):
            answer.raise_for_status()

    def finish_all(self) -> None:
        """Let all active jobs succeed at once."""
        self.control("POST", "/jobs/finish", {})

    def ledger(self, *, after: int = 0, **filters: str) -> list[dict[str, Any]]:
        """
        Return the ledger's entries, the oldest first.

        :param after: only entries with a higher number.
        :param filters: ``kind``, ``job``, ``room``.
        """
        found: list[dict[str, Any]] = []
        while True:
            query = httpx.QueryParams({**filters, "after": str(after), "limit": str(LEDGER_PAGE)})
            page = self.control("GET", f"/ledger?{query}")["entries"]
            found += page
            if len(page) < LEDGER_PAGE:
                return found
            after = page[-1]["seq"]

    def _connect(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=TIMEOUT, trust_env=False)
