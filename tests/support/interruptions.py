"""A stream that is interrupted, as MetaStudio calls it back; the links of a quick sandbox never are by themselves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import requests

from airflow_provider_smartlive.sandbox.testing import LocalSandbox


@contextmanager
def interrupting(sandbox: LocalSandbox, *states: str) -> Iterator[None]:
    """Let MetaStudio say, once the stream is CONNECTED, that its link has these states, one after the other."""
    over = threading.Event()

    def told(state: str) -> bool:
        sent = sandbox.ledger(kind="callback")
        return any((entry.get("state"), entry["outcome"]) == (state, "answered") for entry in sent)

    def interrupt() -> None:
        for before, state in pairwise(("CONNECTED", *states)):
            while not told(before) and not over.wait(0.05):
                pass
            # In one second the same words would be the same event.
            if over.wait(1.1):
                return
            (job,) = requests.get(f"{sandbox.url}/sandbox/jobs", timeout=10).json()["jobs"]
            event = {"event_type": "RTMP_STREAM_STATE_CHANGE", "message": {"state": state}}
            url = f"{sandbox.url}/sandbox/jobs/{job['job_id']}/event"
            requests.post(url, json=event, timeout=10).raise_for_status()

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
