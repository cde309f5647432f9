"""Events that arrive together: none is lost, none counts twice, whoever is killed."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from airflow_provider_smartlive.callbacks.apply import apply_event
from airflow_provider_smartlive.callbacks.messages import (
    JOB_ID_KEY,
    XCOM_TABLE_KEY,
    WaiterRegistration,
    waiter_key,
)
from airflow_provider_smartlive.callbacks.table import CallbackTable
from airflow_provider_smartlive.callbacks.url import CallbackTarget, OpenedUrl, issue
from airflow_provider_smartlive.metastudio.callback_auth import AuthType, sign
from airflow_provider_smartlive.receiver import statements
from airflow_provider_smartlive.receiver.store import Locked, Store
from tests.support.callback_events import JOB, stream, stream_body
from tests.support.figures import count

SECRET = "fake-callback-secret-for-concurrency-0000"
SENDERS = 32
AT = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


def _two_at_once(database) -> int:
    """Let two transactions meet between load and save if they can, and return how many events are left."""
    owner = database.task(xcoms={JOB_ID_KEY: JOB})
    opened = OpenedUrl(CallbackTarget(owner, "0", 0), "https://fake", "fake-key", AuthType.NONE, b"fake")
    inside = [threading.Event(), threading.Event()]

    def meeting(number):
        def change(session, table, current_job):
            inside[number].set()
            inside[1 - number].wait(timeout=0.5)  # the lock is what makes this wait in vain
            return apply_event(table, stream("CONNECTED"), at=AT, fingerprint_key=b"fake")

        return change

    store = Store(sessions=database.sessions)

    def commit(change):
        while True:
            try:
                return store._commit(opened, change, AT)
            except Locked:  # tried again, as the receiver does
                time.sleep(0.05)

    threads = [threading.Thread(target=commit, args=(meeting(number),)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return CallbackTable.load(database.xcom(owner, XCOM_TABLE_KEY)).events


def test_two_events_that_meet_are_both_kept(database):
    assert _two_at_once(database) == 2


def test_without_the_lock_one_of_them_is_lost(database, monkeypatch):
    """The control of the test above: it can fail."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance

    def only_look(session, task_ref):
        columns = (
            TaskInstance.id,
            TaskInstance.state,
            TaskInstance.next_method,
            TaskInstance.max_tries,
            TaskInstance.trigger_id,
            DagRun.id,
        )
        statement = select(*columns).join(TaskInstance.dag_run).where(TaskInstance.dag_id == task_ref.dag_id)
        return statements.LockedTask(*session.execute(statement).one())

    monkeypatch.setattr(statements, "lock", only_look)

    assert _two_at_once(database) == 1


class Server:
    """The receiver in a process of its own."""

    def __init__(self, url: str) -> None:
        env = os.environ | {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
            "AIRFLOW__SMARTLIVE__CALLBACK_SECRETS": SECRET,
            "AIRFLOW__SMARTLIVE__CALLBACK_RATE_LIMIT": "100000",
        }
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parents[1] / "support" / "receiver_process.py")],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def address(self) -> str:
        """Where it listens; waits until it does."""
        line = self._process.stdout.readline()
        return f"http://127.0.0.1:{int(line)}"

    def kill(self) -> None:
        """End it as a machine that fails would."""
        self._process.kill()
        self._process.wait(timeout=30)

    def stop(self) -> None:
        """End it in order, if it is still there."""
        self._process.stdin.close()
        self._process.wait(timeout=30)


@contextmanager
def _servers(database, number: int) -> Iterator[list[tuple[Server, str]]]:
    servers = [Server(database.url) for _ in range(number)]
    try:
        yield [(server, server.address) for server in servers]
    finally:
        for server in servers:
            server.stop()


def _issued(owner):
    return issue(
        CallbackTarget(owner, "0", 0),
        base_url="https://airflow.example.com",
        secrets=[SECRET],
        auth_type=AuthType.MSS_A_HEAD,
    )


async def _deliver(client, addresses, issued, content) -> bool:
    """Send one event until somebody takes it, as a sender with retries does. False if nobody ever did."""
    _, headers = sign(issued.url, auth_type=issued.auth_type, key=issued.key, now=datetime.now(UTC))
    path = issued.url.removeprefix("https://airflow.example.com")
    for _ in range(20):
        try:
            answer = await client.post(random.choice(addresses) + path, content=content, headers=headers)
        except httpx.TransportError:
            continue  # a server that was killed
        if answer.status_code == 200:
            return True
        assert answer.status_code == 503, answer.text
        await asyncio.sleep(0.05)
    return False


async def _deliver_all(addresses, queue, *, at_half=lambda: None):
    """Let 32 senders empty a queue of deliveries, and return those that were acknowledged."""
    half = len(queue) // 2
    acknowledged = []
    limits = httpx.Limits(max_connections=SENDERS)

    async with httpx.AsyncClient(timeout=60, limits=limits) as client:

        async def sender():
            while queue:
                if len(queue) == half:
                    at_half()
                owner, issued, content = queue.pop()
                if await _deliver(client, addresses, issued, content):
                    acknowledged.append((owner, content))

        await asyncio.gather(*(sender() for _ in range(SENDERS)))
    return acknowledged


def _deliveries(owners, events_each):
    deliveries = []
    for owner in owners:
        issued = _issued(owner)
        contents = [
            stream_body(
                ("CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING")[number % 4], sequence=number
            )
            for number in range(events_each)
        ]
        contents.append(stream_body("END"))
        deliveries += [(owner, issued, content) for content in contents]
    random.shuffle(deliveries)
    return deliveries


@pytest.mark.processes
async def test_32_senders_and_two_servers_lose_nothing(database):
    owners = [database.task(xcoms={JOB_ID_KEY: JOB}) for _ in range(4)]
    waiters = [database.task("watch") for _ in range(4)]
    for waiter in waiters:
        database.push(waiter, waiter_key(JOB), WaiterRegistration(job_id=JOB, target_state="END").dump())
    deliveries = _deliveries(owners, events_each=60)

    with _servers(database, 2) as servers:
        acknowledged = await _deliver_all([address for _, address in servers], list(deliveries))

    assert len(acknowledged) == len(deliveries)
    for owner in owners:
        table = CallbackTable.load(database.xcom(owner, XCOM_TABLE_KEY))
        (row,) = table.job(JOB).streams
        assert table.events == 61
        assert row.counts == {
            "CONNECTING": 15,
            "CONNECTED": 15,
            "DISCONNECTED": 15,
            "RECONNECTING": 15,
            "END": 1,
        }
        assert (row.state, row.ended) == ("END", True)
        assert database.row(owner).state == "scheduled"
        count("32 senders, 2 servers", database.name, sent=61, applied=table.events, lost=61 - table.events)
    assert {database.row(waiter).state for waiter in waiters} == {"success"}


@pytest.mark.processes
async def test_what_was_acknowledged_survives_a_killed_server(database):
    owners = [database.task(xcoms={JOB_ID_KEY: JOB}) for _ in range(2)]
    queue = _deliveries(owners, events_each=150)
    with _servers(database, 2) as servers:
        addresses = [address for _, address in servers]
        acknowledged = await _deliver_all(addresses, queue, at_half=servers[0][0].kill)

    taken = Counter(owner for owner, _ in acknowledged)
    for owner in owners:
        table = CallbackTable.load(database.xcom(owner, XCOM_TABLE_KEY))
        # An event that was committed by the server that died before it could answer was sent again, and is a
        # duplicate then, or a second observation if more than 32 others came between.
        assert table.events >= taken[owner]
        assert table.job(JOB).ended()
        count(
            "32 senders, one of 2 servers killed (-9)",
            database.name,
            acknowledged=taken[owner],
            **{"in the table": table.events, "acknowledged and lost": max(0, taken[owner] - table.events)},
        )
