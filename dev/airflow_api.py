"""Airflow's public REST API, as far as the demo and the system tests use it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx

T = TypeVar("T")

#: Seconds for which a request is repeated while the API server is down, and between two tries.
PATIENCE, PAUSE = 200.0, 0.7

#: Seconds that one request may take. A loaded two-core machine needs more than usual.
REQUEST_TIMEOUT = 30.0

#: Seconds for the Execution API to build its routes: 5 on two idle cores, and 40 on busy ones.
WARM_UP_TIMEOUT = 150.0

#: How often a request is sent that SQLite refuses, because another process wrote between its read and its write.
SENDS = 5

FINISHED = frozenset({"success", "failed"})


class AirflowApi:
    """
    A client of one Airflow.

    :param base_url: the API server's URL, without a trailing slash.
    """

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._client = httpx.Client(base_url=base_url, timeout=REQUEST_TIMEOUT, trust_env=False)
        self._has_token = False

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def request(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """
        Send one request to ``/api/v2`` with a token, and return the answer whatever its status.

        It is sent again if Airflow rolled its transaction back.

        :param path: the path behind ``/api/v2``.
        """
        self._log_in()
        for _ in range(SENDS):
            response = self._client.request(method, f"/api/v2{path}", **kwargs)
            if not _was_rolled_back(response):
                break
            time.sleep(PAUSE)
        return response

    def fetch(self, path: str) -> bytes:
        """
        Return what the API server answers to a GET, whatever its status.

        :param path: the whole path.
        """
        self._log_in()
        return self._client.get(path).content

    def _log_in(self) -> None:
        if not self._has_token:
            token = self._client.get("/auth/token").raise_for_status().json()["access_token"]
            self._client.headers["Authorization"] = f"Bearer {token}"
            self._has_token = True

    def call(self, method: str, path: str, **kwargs: Any) -> Any:
        """
        Send one request and return the decoded body.

        :raises httpx.HTTPStatusError: if the status is no success.
        """
        response = self.request(method, path, **kwargs)
        if response.is_error:
            message = f"{method} {path}: {response.status_code} {response.text}"
            raise httpx.HTTPStatusError(message, request=response.request, response=response)
        return response.json() if response.content else None

    def health(self) -> dict[str, str | None]:
        """Return the status of each of Airflow's parts; empty while the API server does not answer."""
        try:
            response = self._client.get("/api/v2/monitor/health", timeout=5.0)
        except httpx.TransportError:
            return {}
        if response.is_error:
            return {}
        return {part: details["status"] for part, details in response.json().items()}

    def warm_up(self) -> None:
        """Build the Execution API's routes now: the first task would otherwise wait 5 seconds for them."""
        self._client.get("/execution/health", timeout=WARM_UP_TIMEOUT).raise_for_status()

    def has_dag(self, dag_id: str) -> bool:
        """Tell whether the DAG was parsed and stored."""
        return not self.request("GET", f"/dags/{dag_id}").is_error

    def import_errors(self) -> list[dict[str, Any]]:
        """Return the DAG files that could not be imported, each with its ``stack_trace``."""
        return list(self.call("GET", "/importErrors")["import_errors"])

    def unpause(self, dag_id: str) -> None:
        """Let the DAG run."""
        self.call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def trigger_dag(
        self,
        dag_id: str,
        *,
        run_id: str | None = None,
        logical_date: str | None = None,
        conf: dict[str, Any] | None = None,
    ) -> str:
        """
        Start a run of the DAG now and return its run id.

        :param logical_date: ISO 8601, or None for a run without one.
        """
        body = {"dag_run_id": run_id, "logical_date": logical_date, "conf": conf or {}}
        return str(self.call("POST", f"/dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def dag_run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return the DAG run."""
        return dict(self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}"))

    def delete_dag_run(self, dag_id: str, run_id: str) -> None:
        """Delete the DAG run with its task instances."""
        self.call("DELETE", f"/dags/{dag_id}/dagRuns/{run_id}")

    def mark_dag_run(self, dag_id: str, run_id: str, state: str) -> None:
        """Mark the DAG run as ``success``, ``failed`` or ``queued``."""
        self.call("PATCH", f"/dags/{dag_id}/dagRuns/{run_id}", json={"state": state})

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return all task instances of the run, mapped ones one by one."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        return list(self.call("GET", path, params={"limit": 1000})["task_instances"])

    def task_instance(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """Return one task instance."""
        return dict(self.call("GET", _task_path(dag_id, run_id, task_id, map_index)))

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str, map_index: int = -1) -> Any:
        """Return the value of an XCom, or None if there is none."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        response = self.request("GET", path, params={"map_index": map_index, "stringify": False})
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        return response.raise_for_status().json()["value"]

    def task_log(
        self, dag_id: str, run_id: str, task_id: str, *, try_number: int = 1, map_index: int = -1
    ) -> str:
        """Return the log of one try, one line per event, as Airflow's log view has it."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        params = {"map_index": map_index, "full_content": True}
        response = self.request("GET", path, params=params, headers={"Accept": "application/x-ndjson"})
        return response.raise_for_status().text

    def clear(self, dag_id: str, run_id: str, task_ids: list[str], *, downstream: bool = False) -> None:
        """Clear tasks of the run, whatever their state."""
        body = {
            "dry_run": False,
            "only_failed": False,
            "dag_run_id": run_id,
            "task_ids": task_ids,
            "include_downstream": downstream,
        }
        self.call("POST", f"/dags/{dag_id}/clearTaskInstances", json=body)

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str, map_index: int = -1) -> None:
        """Mark a task instance as ``success``, ``failed`` or ``skipped``."""
        self.call("PATCH", _task_path(dag_id, run_id, task_id, map_index), json={"new_state": state})


def _was_rolled_back(response: httpx.Response) -> bool:
    return response.status_code == httpx.codes.INTERNAL_SERVER_ERROR and "Database error" in response.text


def _task_path(dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
    return path if map_index < 0 else f"{path}/{map_index}"


def patiently(ask: Callable[[], T]) -> T:
    """
    Ask again while the other side is down for :data:`PATIENCE`.

    :raises httpx.HTTPError: what it said last.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return ask()
        except httpx.HTTPStatusError as error:
            if error.response.is_client_error or time.monotonic() > deadline:
                raise
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
        time.sleep(PAUSE)
