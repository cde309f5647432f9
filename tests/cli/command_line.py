"""What tests of commands have in common: a command's output, and a MetaStudio with jobs of tasks."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.messages import XCOM_TABLE_KEY
from airflow_provider_smartlive.callbacks.table import CallbackTable, JobCallbacks, StreamRow
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.url import CallbackTarget, JobTerms, issue
from airflow_provider_smartlive.cli.airflow_core import CommandHook
from airflow_provider_smartlive.metastudio.callback_auth import AuthType
from airflow_provider_smartlive.metastudio.ids import JobRef, normalise_id
from airflow_provider_smartlive.sandbox.testing import LocalSandbox
from tests.support.database import Database

CONN_ID = "smartlive_default"
EVENING = datetime(2026, 1, 1, 20, 0, 4, tzinfo=UTC)
#: Far away: a sweep stops what is past its planned end.
DEADLINE = datetime(2126, 1, 1, 23, tzinfo=UTC)


@dataclass(frozen=True)
class Done:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


@dataclass(frozen=True)
class Connections:
    """Puts connections where Airflow can find them."""

    database: Database
    monkeypatch: pytest.MonkeyPatch

    def into_database(self, fields: dict[str, Any], conn_id: str = CONN_ID) -> None:
        from airflow.models.connection import Connection

        with self.database.sessions() as session:
            session.add(
                Connection(conn_id=conn_id, **{**fields, "extra": json.dumps(fields.get("extra", {}))})
            )

    def into_environment(self, fields: dict[str, Any], conn_id: str = CONN_ID) -> None:
        self.monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))


@dataclass(frozen=True)
class Studio:
    """A MetaStudio with jobs of tasks in Airflow's database."""

    sandbox: LocalSandbox
    database: Database

    @property
    def hook(self) -> CommandHook:
        return CommandHook(CONN_ID)

    def start(self, room_id: str, name: str = "", *, task: TaskRef | None = None, **changes: Any) -> str:
        """
        Start a job in a new room.

        :param task: the task that the job belongs to; None: somebody else's job.
        :param changes: of the route.
        """
        self.sandbox.add_room(room_id, name, seconds=100_000)
        request: dict[str, Any] = {"play_policy": {"play_mode": "NO_PRESET"}}
        if task:
            target = CallbackTarget(task, "0" * 20, 0, settings.deployment(), JobTerms(deadline=DEADLINE))
            issued = issue(
                CallbackTarget(**{**vars(target), **changes}),
                base_url="http://127.0.0.1:9",  # nobody listens there
                secrets=settings.callback_secrets(),
                auth_type=AuthType.MSS_A_HEAD,
            )
            request["live_event_callback_config"] = {
                "live_event_type_callback_url": issued.url,
                "auth_type": issued.auth_type,
                "key": issued.key,
            }
        job_id = self.hook.start_job(room_id, request).job_id
        while self.hook.show_job(JobRef(room_id, job_id)).state == "WAITING":
            self.sandbox.step(1)
        return job_id

    def called_back(self, task: TaskRef, job_id: str, *states: str) -> None:
        """Let events have been called back, a minute after each other."""
        self.database.push(task, XCOM_TABLE_KEY, self.table(job_id, *states).dump())

    @staticmethod
    def table(job_id: str, *states: str) -> CallbackTable:
        """Return the callback table of a task whose stream went through these states."""
        times = [EVENING.replace(minute=minute) for minute in range(len(states))]
        stream = StreamRow(
            label="rtmp://push.example.com/live/***",
            fingerprint="f" * 12,
            state=states[-1],
            first_at=times[0],
            last_at=times[-1],
            counts={state: states.count(state) for state in states},
            transitions=list(zip(states, times, strict=True)),
        )
        job = JobCallbacks(
            job_id=normalise_id(job_id), first_at=times[0], last_at=times[-1], streams=[stream]
        )
        return CallbackTable(jobs=[job])
