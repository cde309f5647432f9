"""
Sends callbacks at a rate, as MetaStudio would, from a process on its host.

``python -m dev.cluster.sender FILE`` prints one line of JSON. The file holds ``rate``, ``seconds``, ``certificate`` and
``streams``: url, key, room and job of each.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from airflow_provider_smartlive.metastudio.callback_auth import AuthType, sign
from airflow_provider_smartlive.sandbox.model.callbacks import encode_event

#: Of twenty callbacks the first is badly signed, the third repeats the second, and the next two tell of the link.
MIX = 20

#: Seconds that MetaStudio waits for an answer.
TIMEOUT = 5.0

_LINK_KINDS = {3: "DISCONNECTED", 4: "CONNECTED"}


def requests(streams: list[dict[str, str]]) -> Iterator[tuple[str, tuple[str, dict[str, str], bytes]]]:
    """Yield what each callback is, and its URL, headers and body."""
    number = 0
    while True:
        stream, kind = streams[number // MIX % len(streams)], number % MIX
        ids = {"room_id": stream["room"], "job_id": stream["job"]}
        if kind in _LINK_KINDS:
            message = {"output_url": "rtmp://127.0.0.1/live", "stream_key": "fake-stream-key"}
            body = encode_event("RTMP_STREAM_STATE_CHANGE", {**ids, **message, "state": _LINK_KINDS[kind]})
        else:
            stream = streams[number % len(streams)]
            ids = {"room_id": stream["room"], "job_id": stream["job"]}
            body = encode_event("SHOOT_SCRIPT_SWITCH", {**ids, "scene_script_name": str(number)})
        key = "not-the-key-that-was-agreed-upon" if kind == 0 else stream["key"]
        url, headers = sign(stream["url"], auth_type=AuthType.MSS_A_HEAD, key=key, now=datetime.now(UTC))
        request = url, {"Content-Type": "application/json", **headers}, body
        yield "badly signed" if kind == 0 else "link" if kind in _LINK_KINDS else "script", request
        if kind == 1:
            yield "repeated", request
            number += 1
        number += 1


async def send_all(spec: dict[str, Any]) -> dict[str, Any]:
    """Send at the rate until the time is over; return the statuses of each kind, and the times of all answers."""
    statuses: Counter[str] = Counter()
    times: list[float] = []
    context = ssl.create_default_context(cafile=spec["certificate"])
    pending: set[asyncio.Task[None]] = set()
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)

    async def post(kind: str, request: tuple[str, dict[str, str], bytes]) -> None:
        url, headers, body = request
        sent = time.perf_counter()
        try:
            async with session.post(url, data=body, headers=headers, ssl=context) as answer:
                await answer.read()
                statuses[f"{kind} {answer.status}"] += 1
        except (aiohttp.ClientError, TimeoutError) as error:
            statuses[f"{kind} {type(error).__name__}"] += 1
        times.append(time.perf_counter() - sent)

    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
        began = time.perf_counter()
        for number, (kind, request) in enumerate(requests(spec["streams"])):
            due = began + number / spec["rate"]
            if due > began + spec["seconds"]:
                break
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            task = asyncio.create_task(post(kind, request))
            pending.add(task)
            task.add_done_callback(pending.discard)
        await asyncio.gather(*pending)
    return {"statuses": dict(statuses), "times": times, "seconds": time.perf_counter() - began}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(send_all(json.loads(Path(sys.argv[1]).read_text())))))
