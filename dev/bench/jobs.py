"""Jobs of the local MetaStudio as the benchmark uses them: started, hidden, ended, and when what happened."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from dev.sandbox_client import SandboxClient

#: How often and at which distance, in seconds, the ledger is asked for what must come at once.
LOOKS, LOOK_PAUSE = 100, 0.02

OUTPUT = {"output_urls": ["rtmp://127.0.0.1/live"], "stream_keys": ["fake-stream-key"]}


def start(client: SandboxClient, room_id: str) -> str:
    """Start a job with a bare signed call, and return its id."""
    return client.start(room_id, OUTPUT)


def time_start(client: SandboxClient, room_id: str) -> float:
    """Start a job over a new connection, as a task does that has just begun; return the seconds it took."""
    client.reconnect()
    began = time.perf_counter()
    start(client, room_id)
    return time.perf_counter() - began


def hide(client: SandboxClient, room_id: str | None) -> str:
    """Answer every show of a room's job (or of any job) with 404, and return the id of the fault rule."""
    return client.add_fault(target="show", action="status", status=404, code="MSS.20010074", room=room_id)


def latest_request(client: SandboxClient) -> int:
    """Return the number of the latest request in the ledger."""
    requests = client.ledger(kind="request")
    return int(requests[-1]["seq"]) if requests else 0


def first_time(client: SandboxClient, kind: str, job_id: str, state: str) -> float:
    """
    Return when a job or its link was first in a state, in seconds since the epoch.

    :param kind: of the ledger's entries: ``job`` or ``link``.
    :raises LookupError: if that does not come soon.
    """
    for _ in range(LOOKS):
        for entry in client.ledger(kind=kind, job=job_id):
            if entry["state"] == state:
                return written_at(entry)
        time.sleep(LOOK_PAUSE)
    raise LookupError(f"The ledger has no {kind} {state} of job {job_id}.")


def written_at(entry: dict[str, Any]) -> float:
    """Return when an entry of the ledger was written, in seconds since the epoch."""
    return datetime.fromisoformat(entry["at"]).timestamp()
