"""The client of the sandbox, for tests that look at whole answers."""

from __future__ import annotations

from typing import Any

import httpx

from airflow_provider_smartlive.metastudio.signing import Credentials
from airflow_provider_smartlive.sandbox.testing import LocalSandbox
from dev.sandbox_client import SandboxClient

ROOM = "24bad716-87b1-45e5-8912-6102f7693265"


class SignedClient:
    """Calls a sandbox with the keys of its account and returns whole answers, errors as well."""

    def __init__(self, sandbox: LocalSandbox) -> None:
        self.sandbox = sandbox
        account = sandbox.account
        self.keys = Credentials(account.access_key, account.secret_key, account.security_token)
        self.http = httpx.Client(base_url=sandbox.url, trust_env=False, timeout=5)
        self._client = SandboxClient(sandbox.url, project_id=account.project_id, credentials=self.keys)

    def path(self, rest: str) -> str:
        return self._client.path(rest)

    def call(
        self, method: str, rest: str, content: Any = None, *, timeout: float = 5, **options: Any
    ) -> httpx.Response:
        """Call ``/v1/PROJECT`` + rest with a signed request; bytes go out as they are."""
        return self._client.call(method, self.path(rest), content, timeout=timeout, **options)

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
