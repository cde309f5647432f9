"""The receiver as Airflow mounts it, on a real database."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
from fastapi import FastAPI

from airflow_provider_smartlive.callbacks.messages import XCOM_TABLE_KEY
from airflow_provider_smartlive.callbacks.table import CallbackTable
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.url import CallbackTarget, IssuedUrl, issue
from airflow_provider_smartlive.metastudio.callback_auth import AuthType, sign
from airflow_provider_smartlive.receiver.app import Receiver, create_app
from airflow_provider_smartlive.receiver.keyring import Keyring
from airflow_provider_smartlive.receiver.store import Store
from tests.support.database import Database

SECRET = "fake-callback-secret-for-races-0000000000"
BASE = "https://airflow.example.com"


class MountedReceiver:
    """The receiver, mounted as Airflow does it, with the real store behind it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        store = Store(sessions=database.sessions)
        self.app = FastAPI()
        self.app.mount(
            "/smartlive", create_app(Receiver(store=store, keyring=Keyring(read=lambda: (SECRET,))))
        )

    def issued(self, owner: TaskRef, generation: int = 0) -> IssuedUrl:
        """Return the callback URL and key of a task instance."""
        return issue(
            CallbackTarget(owner, str(generation), generation),
            base_url=BASE,
            secrets=[SECRET],
            auth_type=AuthType.MSS_A_HEAD,
        )

    def signature(self, issued: IssuedUrl, at: datetime | None = None) -> dict[str, str]:
        """Return the headers that MetaStudio signs with."""
        return dict(
            sign(issued.url, auth_type=issued.auth_type, key=issued.key, now=at or datetime.now(UTC))[1]
        )

    async def post(
        self, issued: IssuedUrl, content: bytes, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Deliver an event, well signed if nothing else is said."""
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://internal") as client:
            return await client.post(
                issued.url.removeprefix(BASE),
                content=content,
                headers=self.signature(issued) if headers is None else headers,
            )

    def table(self, task: TaskRef) -> CallbackTable:
        """Return what was called back to a task instance."""
        return CallbackTable.load(self.database.xcom(task, XCOM_TABLE_KEY))
