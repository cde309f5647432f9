"""A task that waits on a worker for hours outlives the key that it began with."""

from __future__ import annotations

import pytest

from airflow_provider_smartlive.hooks import InvalidConnectionError, SmartLiveHook
from airflow_provider_smartlive.metastudio.ids import JobRef
from tests.client.hook_connection import CONN_ID, Connect
from tests.client.recording_server import RecordingServer, answer

JOB = answer(200, {"job_id": "job-1", "state": "PROCESSING"})


def test_reload_finds_a_changed_key(server: RecordingServer, connect: Connect) -> None:
    server.will(JOB, JOB)
    hook = SmartLiveHook(CONN_ID)
    hook.show_job(JobRef("room-1", "job-1"))
    assert not hook.reload()
    connect(login="FAKEACCESSKEY0000002")
    assert hook.reload()
    hook.show_job(JobRef("room-1", "job-1"))
    assert "Access=FAKEACCESSKEY0000002," in server.requests[1].headers["authorization"]


def test_a_reload_that_fails_keeps_what_there_was(server: RecordingServer, connect: Connect) -> None:
    server.will(JOB)
    hook = SmartLiveHook(CONN_ID)
    hook.profile()
    connect(login=None)
    with pytest.raises(InvalidConnectionError):
        hook.reload()
    hook.show_job(JobRef("room-1", "job-1"))
