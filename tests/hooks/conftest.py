"""A recorded MetaStudio, a connection to it, and both hooks behind one handle."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hook_connection import CONN_ID, PROJECT_ID, Connect
from recording_server import ACCESS_KEY, SECRET_KEY, RecordingServer, recording_server


class SyncDriver:
    """Calls operations of the hook for tasks."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def __call__(self, operation: str, *args: Any, **kwargs: Any) -> Any:
        from airflow_provider_smartlive.hooks import SmartLiveHook

        hook = SmartLiveHook(CONN_ID, sleep=self.pauses.append)
        result = getattr(hook, operation)(*args, **kwargs)
        return list(result) if hasattr(result, "__next__") else result


class AsyncDriver:
    """Calls operations of the hook for triggers."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def __call__(self, operation: str, *args: Any, **kwargs: Any) -> Any:
        return asyncio.run(self._call(operation, *args, **kwargs))

    async def _call(self, operation: str, *args: Any, **kwargs: Any) -> Any:
        from airflow_provider_smartlive.hooks import SmartLiveAsyncHook

        async with SmartLiveAsyncHook(CONN_ID, sleep=self._sleep) as hook:
            result = getattr(hook, operation)(*args, **kwargs)
            if hasattr(result, "__anext__"):
                return [item async for item in result]
            return await result

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


@pytest.fixture
def server() -> Iterator[RecordingServer]:
    with recording_server() as server:
        yield server


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch, server: RecordingServer) -> Connect:
    """Define the connection; what is given replaces its fields, ``extra`` is merged."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    # No test waits for a real time-out longer than this.
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__REQUEST_TIMEOUT", "1")

    def define(extra: dict[str, Any] | None = None, **fields: Any) -> None:
        connection = {
            "conn_type": "smartlive",
            "host": server.url,
            "login": ACCESS_KEY,
            "password": SECRET_KEY,
            "extra": {"project_id": PROJECT_ID, **(extra or {})},
            **fields,
        }
        monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(connection))

    define()
    return define


@pytest.fixture(params=[SyncDriver, AsyncDriver], ids=["requests", "aiohttp"])
def driver(request: pytest.FixtureRequest, connect: Connect) -> SyncDriver | AsyncDriver:
    """Either hook, on the connection of the test."""
    return request.param()
