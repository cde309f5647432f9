"""What only the hook for triggers has: one session, a connection read without blocking, and read again."""

from __future__ import annotations

import asyncio

import pytest
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_provider_smartlive.client.async_hook import SmartLiveAsyncHook
from airflow_provider_smartlive.client.connection import InvalidConnectionError
from airflow_provider_smartlive.client.errors import Unreachable
from airflow_provider_smartlive.metastudio.errors import ServerError
from airflow_provider_smartlive.metastudio.ids import JobRef
from tests.client.hook_connection import CONN_ID
from tests.client.recording_server import answer

JOB = answer(200, {"job_id": "job-1", "state": "PROCESSING"})


async def test_it_needs_async_with(connect):
    with pytest.raises(RuntimeError, match="async with"):
        await SmartLiveAsyncHook(CONN_ID).show_job(JobRef("room-1", "job-1"))


async def test_the_session_is_closed(server, connect):
    server.will(JOB)
    async with SmartLiveAsyncHook(CONN_ID) as hook:
        await hook.show_job(JobRef("room-1", "job-1"))
        transport = hook._transport
    assert transport is not None
    assert transport.closed


async def test_the_connection_is_read_without_blocking(server, connect, monkeypatch):
    monkeypatch.setattr(SmartLiveAsyncHook, "get_connection", lambda conn_id: pytest.fail("a blocking read"))
    server.will(JOB)
    async with SmartLiveAsyncHook(CONN_ID) as hook:
        await hook.show_job(JobRef("room-1", "job-1"))


async def test_many_at_once(server, connect):
    server.will(*[JOB] * 20)
    async with SmartLiveAsyncHook(CONN_ID) as hook:
        jobs = await asyncio.gather(
            *[hook.show_job(JobRef("room-1", f"job-{number}")) for number in range(20)]
        )
    assert len(jobs) == 20
    assert all(request.accepted_by_us() for request in server.requests)


async def test_reload_finds_a_changed_key(server, connect):
    server.will(JOB, JOB)
    async with SmartLiveAsyncHook(CONN_ID) as hook:
        await hook.show_job(JobRef("room-1", "job-1"))
        assert not await hook.reload()
        connect(login="FAKEACCESSKEY0000002")
        assert await hook.reload()
        await hook.show_job(JobRef("room-1", "job-1"))
    assert "Access=FAKEACCESSKEY0000002," in server.requests[1].headers["authorization"]


@pytest.mark.parametrize("break_it", ["delete", "spoil"])
async def test_a_reload_that_fails_keeps_what_there_was(server, connect, monkeypatch, break_it):
    server.will(JOB)
    async with SmartLiveAsyncHook(CONN_ID) as hook:
        if break_it == "delete":
            monkeypatch.delenv(f"AIRFLOW_CONN_{CONN_ID.upper()}")
        else:
            connect(login=None)
        with pytest.raises((AirflowNotFoundException, InvalidConnectionError)):
            await hook.reload()
        await hook.show_job(JobRef("room-1", "job-1"))


async def test_reload_trusts_a_changed_ca_bundle(tls_server, connect, certificate):
    connect(host=tls_server.url)
    tls_server.will(JOB)
    async with SmartLiveAsyncHook(CONN_ID) as hook:
        with pytest.raises(Unreachable):
            await hook.show_job(JobRef("room-1", "job-1"))
        connect(host=tls_server.url, extra={"ca_bundle": str(certificate)})
        assert await hook.reload()
        await hook.show_job(JobRef("room-1", "job-1"))


async def test_a_bad_connection_opens_nothing(connect):
    connect(login=None)
    with pytest.raises(InvalidConnectionError, match="login"):
        async with SmartLiveAsyncHook(CONN_ID):
            pytest.fail("entered")


async def test_a_caller_that_repeats_by_itself_sends_each_request_once(server, connect):
    server.will(answer(503, {}), JOB)
    async with SmartLiveAsyncHook(CONN_ID, attempts=1) as hook:
        with pytest.raises(ServerError):
            await hook.show_job(JobRef("room-1", "job-1"))
        await hook.show_job(JobRef("room-1", "job-1"))
    assert len(server.requests) == 2
