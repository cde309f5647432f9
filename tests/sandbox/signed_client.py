"""A small client that signs: what a program of a few lines would do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from airflow_provider_smartlive.metastudio.signing import Credentials, sign
from airflow_provider_smartlive.sandbox.testing import LocalSandbox

ROOM = "24bad716-87b1-45e5-8912-6102f7693265"


class SignedClient:
    """Calls a sandbox with the keys of its account."""

    def __init__(self, sandbox: LocalSandbox) -> None:
        self.sandbox = sandbox
        account = sandbox.account
        self.keys = Credentials(account.access_key, account.secret_key, account.security_token)
        self.http = httpx.Client(base_url=sandbox.url, trust_env=False, timeout=5)

    def path(self, rest: str) -> str:
        return f"/v1/{self.sandbox.account.project_id}{rest}"

    def call(
        self,
        method: str,
        rest: str,
        content: Any = None,
        *,
        late: timedelta = timedelta(),
        headers: dict[str, str] | None = None,
        timeout: float = 5,
    ) -> httpx.Response:
        """Call ``/v1/PROJECT`` + rest with a signed request; a text or bytes go out as they are."""
        body = (
            content
            if isinstance(content, bytes)
            else b""
            if content is None
            else json.dumps(content).encode()
        )
        request = self.http.build_request(
            method, self.path(rest), content=body, headers=headers, timeout=timeout
        )
        known = {"Content-Type": "application/json", "Host": request.headers["host"], **(headers or {})}
        signed = sign(
            method, str(request.url), known, body, credentials=self.keys, now=datetime.now(UTC) - late
        )
        request.headers.update(known | signed)
        return self.http.send(request)

    def start(self, content: Any = None, *, room: str = ROOM, **options: Any) -> httpx.Response:
        return self.call("POST", f"/smart-live-rooms/{room}/smart-live-jobs", content or {}, **options)

    def job(self, job_id: str, *, room: str = ROOM) -> dict[str, Any]:
        answer: dict[str, Any] = self.call("GET", f"/smart-live-rooms/{room}/smart-live-jobs/{job_id}").json()
        return answer

    def jobs(self, query: str = "") -> dict[str, Any]:
        answer: dict[str, Any] = self.call("GET", f"/smart-live-jobs{query}").json()
        return answer

    def control(self, method: str, path: str, content: Any = None) -> httpx.Response:
        return self.http.request(method, f"/sandbox{path}", json=content)
