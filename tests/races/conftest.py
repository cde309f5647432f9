"""The door on a real database, and from other folders: events, and a MetaStudio and an Airflow in memory."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from airflow_provider_smartlive.callbacks.messages import XCOM_TABLE_KEY
from airflow_provider_smartlive.callbacks.table import CallbackTable
from airflow_provider_smartlive.callbacks.task_ref import Identity
from airflow_provider_smartlive.callbacks.url import IssuedRoute, Route, issue
from airflow_provider_smartlive.metastudio.callback_auth import AuthType, sign
from airflow_provider_smartlive.receiver.app import Receiver, create_app
from airflow_provider_smartlive.receiver.keyring import Keyring
from airflow_provider_smartlive.receiver.store import Store
from tests.metadata_database import Database

for folder in ("callbacks", "owner"):
    sys.path.insert(0, str(Path(__file__).parent.parent / folder))

SECRET = "fake-callback-secret-for-races-0000000000"
BASE = "https://airflow.example.com"


class Door:
    """The receiver, mounted as Airflow does it, with the real store behind it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        store = Store(sessions=database.sessions)
        self.app = FastAPI()
        self.app.mount(
            "/smartlive", create_app(Receiver(store=store, keyring=Keyring(read=lambda: (SECRET,))))
        )

    def issued(self, owner: Identity, generation: int = 0) -> IssuedRoute:
        """Return the callback URL and key of a task instance."""
        return issue(
            Route(owner, str(generation), generation),
            base_url=BASE,
            secrets=[SECRET],
            auth_type=AuthType.MSS_A_HEAD,
        )

    def signature(self, issued: IssuedRoute, at: datetime | None = None) -> dict[str, str]:
        """Return the headers that MetaStudio signs with."""
        return dict(
            sign(issued.url, auth_type=issued.auth_type, key=issued.key, now=at or datetime.now(UTC))[1]
        )

    async def post(
        self, issued: IssuedRoute, content: bytes, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Deliver an event, well signed if nothing else is said."""
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://internal") as client:
            return await client.post(
                issued.url.removeprefix(BASE),
                content=content,
                headers=self.signature(issued) if headers is None else headers,
            )

    def table(self, task: Identity) -> CallbackTable:
        """Return what was called back to a task instance."""
        return CallbackTable.load(self.database.xcom(task, XCOM_TABLE_KEY))


@pytest.fixture
def door(database: Database) -> Door:
    return Door(database)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A MetaStudio and an Airflow in memory, with the connection of an output."""
    from airflow_stage import Stage, set_up, stop_by
    from fake_airflow import FakeSupervisor
    from fake_callbacks import STREAM_KEY
    from fake_metastudio import FakeMetaStudio
    from virtual_time import Clock

    clock, supervisor = Clock(), FakeSupervisor()
    supervisor.install(monkeypatch)
    stop_by(clock, monkeypatch)
    output = {"conn_type": "rtmp", "host": "rtmp://push.example.com/live/main", "password": STREAM_KEY}
    monkeypatch.setenv("AIRFLOW_CONN_RTMP_MAIN", json.dumps(output))
    return set_up(Stage(clock, FakeMetaStudio(clock), supervisor), monkeypatch)
