"""
Sends requests to one receiver as fast as it answers, from a process of its own.

``python -m dev.bench.load FILE`` prints one line of JSON. The file holds ``kind`` (a name in :data:`MAKERS`),
``base_url``, ``run_id``, ``tasks``, ``secret``, ``seconds`` and ``callers``.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.url import CallbackTarget, issue
from airflow_provider_smartlive.metastudio.callback_auth import AuthType, sign

STATES = ("CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING")

#: A request: its URL, headers and body.
Request = tuple[str, dict[str, str], bytes]


def body_of(number: int) -> bytes:
    """Return an event of MetaStudio; no two are the same, so that none is taken for a repetition."""
    message = {
        "room_id": "a" * 32,
        "job_id": "b" * 32,
        "output_url": "rtmp://127.0.0.1/live",
        "stream_key": "fake-stream-key",
        "state": STATES[number % 4],
        "number": str(number),
    }
    event = {"event_type": "RTMP_STREAM_STATE_CHANGE", "message": json.dumps(message)}
    return json.dumps(event).encode()


def callbacks(spec: dict[str, Any]) -> Iterator[Request]:
    """Yield signed callbacks for all tasks in turn."""
    routes = [
        issue(
            CallbackTarget(TaskRef("bench_events", spec["run_id"], "wait", number), "bench"),
            base_url=spec["base_url"],
            secrets=(spec["secret"],),
            auth_type=AuthType.MSS_A_HEAD,
        )
        for number in range(spec["tasks"])
    ]
    for number in itertools.count():
        route = routes[number % len(routes)]
        url, headers = sign(route.url, auth_type=AuthType.MSS_A_HEAD, key=route.key, now=datetime.now(UTC))
        yield url, {"Content-Type": "application/json", **headers}, body_of(number)


def bare(spec: dict[str, Any]) -> Iterator[Request]:
    """Yield requests for the bare route."""
    for number in itertools.count():
        path = f"/bench/{spec['run_id']}/{number % spec['tasks']}"
        yield spec["base_url"] + path, {"Content-Type": "application/json"}, body_of(number)


def deliveries(spec: dict[str, Any]) -> Iterator[Request]:
    """Yield signed deliveries for inbound-webhooks."""
    for number in itertools.count():
        body = body_of(number)
        mac = hmac.new(spec["secret"].encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "X-Hub-Signature-256": f"sha256={mac}",
            "X-GitHub-Event": "push",
            "X-GitHub-Delivery": str(uuid.uuid4()),
        }
        yield f"{spec['base_url']}/webhooks/github", headers, body


MAKERS: dict[str, Callable[[dict[str, Any]], Iterator[Request]]] = {
    "receiver": callbacks,
    "bare": bare,
    "inbound-webhooks": deliveries,
}


async def send_all(spec: dict[str, Any]) -> dict[str, Any]:
    """Send until the time is over; return seconds, the time of each answer, and how many were no success."""
    requests = MAKERS[spec["kind"]](spec)
    times: list[float] = []
    refused = 0
    began = time.perf_counter()
    until = began + spec["seconds"]

    async def caller(session: aiohttp.ClientSession) -> None:
        nonlocal refused
        while time.perf_counter() < until:
            url, headers, body = next(requests)
            sent = time.perf_counter()
            async with session.post(url, data=body, headers=headers) as answer:
                await answer.read()
                refused += not answer.ok
            times.append(time.perf_counter() - sent)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(caller(session) for _ in range(spec["callers"])))
    return {"seconds": time.perf_counter() - began, "times": times, "refused": refused}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(send_all(json.loads(Path(sys.argv[1]).read_text())))))
