"""A thousand waiting triggers must not hold up the triggerer's event loop: every other trigger lives there too."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.timezone import utcnow
from airflow.triggers.base import BaseTrigger

from airflow_provider_smartlive.livestream.starter import Starter
from airflow_provider_smartlive.livestream.wait_state import WaitLimits, WaitState
from airflow_provider_smartlive.metastudio.signing import Credentials
from airflow_provider_smartlive.triggers import SmartLiveJobTrigger
from dev.bench.idle_trigger import IdleTrigger
from dev.bench.jobs import latest_request, start
from dev.full_stack import wait_for_address
from dev.process import Program
from dev.sandbox_client import SandboxClient
from tests.support.fake_airflow import FakeSupervisor, FakeTaskInstance

STREAMS = 1000

#: A folder for each thread. Its "schedstat": nanoseconds on a core, nanoseconds in the queue for one, how often it ran.
THREADS = Path("/proc/self/task")

#: Seconds between two questions: sixty times as often as by default, so that a few seconds see many.
INTERVAL = 5.0

#: Seconds for which the loop is watched, and between two looks.
WATCHED, TICK = 10.0, 0.002

#: Seconds that we may add to the stall of the loop, and which of its stalls that is, from the longest on. That is the
#: 99.9th percentile of all looks on an idle machine; on a busy one there are fewer looks.
LIMIT, RANK = 0.05, 5

ACCOUNT = ["--access-key", "FAKEAK", "--secret-key", "fake-secret-key", "--project-id", "fake-project"]
SHOW = ["--any-room", "--link", "simulated", "--assume", "show_seconds=1000000"]


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxClient]:
    """A MetaStudio in a process of its own."""
    command = [
        str(Path(sys.executable).parent / "smartlive-sandbox"),
        "serve",
        "--port",
        "0",
        *ACCOUNT,
        *SHOW,
    ]
    program = Program("sandbox", command, env={}, log_folder=tmp_path)
    program.start()
    try:
        credentials = Credentials("FAKEAK", "fake-secret-key")
        url = wait_for_address(program)
        with SandboxClient(url, project_id="fake-project", credentials=credentials) as client:
            yield client
    finally:
        program.stop()


@asynccontextmanager
async def waiting(waiters: list[BaseTrigger]) -> AsyncIterator[None]:
    """Let triggers wait, as a triggerer does."""

    async def wait(trigger: BaseTrigger) -> None:
        async for event in trigger.run():
            raise AssertionError(f"nothing was to happen, but: {event}")

    tasks = [asyncio.create_task(wait(trigger)) for trigger in waiters]
    try:
        yield
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def stalls() -> list[float]:
    """Return how late the loop was, again and again, without what it waited for a core that others had."""
    late: list[float] = []
    until = time.perf_counter() + WATCHED
    while (now := time.perf_counter()) < until:
        queued = seconds_in_queue()
        await asyncio.sleep(TICK)
        late.append(time.perf_counter() - now - TICK - (seconds_in_queue() - queued))
    return late


def seconds_in_queue() -> float:
    """
    Return for how long threads of this process have been ready to run and had no core.

    All of them count: one that loses its core may hold the lock of the interpreter. Linux counts it, elsewhere it is 0.
    """
    queued = 0
    for file in THREADS.glob("*/schedstat"):
        with contextlib.suppress(OSError):  # a thread that has ended meanwhile
            queued += int(file.read_text().split()[1])
    return queued / 1e9


@pytest.mark.processes
async def test_a_thousand_triggers_add_no_stall(
    sandbox: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = {
        "conn_type": "smartlive",
        "host": sandbox.url,
        "login": "FAKEAK",
        "password": "fake-secret-key",
        "extra": {"project_id": "fake-project"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_SMARTLIVE_DEFAULT", json.dumps(connection))
    monkeypatch.setattr("airflow_provider_smartlive.triggers.job.first_read", lambda: 0.01)

    async def nothing_called_back(starter: Starter, job_id: str) -> None:
        return None

    monkeypatch.setattr(Starter, "callbacks_async", nothing_called_back)
    ours = [make_trigger(sandbox, f"room-{number:04}") for number in range(STREAMS)]
    before = latest_request(sandbox)

    async with waiting([IdleTrigger() for _ in range(STREAMS)]):
        idle = await stalls()
    async with waiting(ours):
        busy = await stalls()
        # A very busy machine has not even begun to ask by then.
        while len(pages := sandbox.ledger(kind="request", after=before)) < STREAMS / 100:
            busy = await stalls()

    assert {page["operation"] for page in pages} == {"list_all"}
    assert sorted(busy)[-RANK] - sorted(idle)[-RANK] <= LIMIT, sorted(busy)[-2 * RANK :]


def make_trigger(sandbox: SandboxClient, room_id: str) -> Any:
    wait = WaitState(
        "smartlive_default", room_id, start(sandbox, room_id), expected_outputs=1, started_at=utcnow()
    )
    trigger: Any = SmartLiveJobTrigger(wait=wait.dump(), limits=WaitLimits(interval=INTERVAL).dump())
    trigger.task_instance = FakeTaskInstance(FakeSupervisor(), task_id=room_id)
    return trigger


def test_the_probe_sees_a_stall() -> None:
    async def stalled() -> list[float]:
        asyncio.get_running_loop().call_later(0.05, time.sleep, 0.2)
        return await stalls()

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "WATCHED", 0.5)
        assert max(asyncio.run(stalled())) > 0.15
