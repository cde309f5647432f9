"""Many livestreams end within a second, on two API servers: is each END answered in time?"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from dev.bench.figures import median, percentile
from dev.bench.jobs import written_at
from dev.cluster import waiting
from dev.cluster.stack import ClusterStack

DAG_ID = "cluster_fan_in"

#: Seconds that MetaStudio waits for an answer.
BOUND = 5.0

#: Seconds for triggers to begin, and for all ENDs to be answered.
SETTLE, PATIENCE = 30.0, 120.0

#: What Airflow's pool allows one process: 5 connections, and 10 in need.
POOL = 15

_CONNECTIONS = """
SELECT host(client_addr), client_port, state FROM pg_stat_activity
WHERE datname = 'airflow' AND client_addr IS NOT NULL
"""


def measure(stack: ClusterStack, count: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Let all of them end at once, and return what was answered, how soon, and over how many connections."""
    run_id, _ = waiting.begin(stack, DAG_ID, count)
    time.sleep(SETTLE)
    tell(f"{count} livestreams wait, and end at once")
    before = {entry["seq"] for entry in stack.sandbox_client.ledger(kind="callback")}
    counts: list[Counter[str]] = []
    over = threading.Event()
    watch = threading.Thread(target=_watch, args=(stack, counts, over))
    watch.start()
    stack.sandbox_client.finish_all()
    deadline = time.monotonic() + PATIENCE
    while True:
        ends = _ends(stack, before)
        done = sum(entry["outcome"] == "given up" or _is_answered(entry) for entry in ends)
        if done >= count or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    over.set()
    watch.join()
    sent = [written_at(entry) - entry["ms"] / 1000 for entry in ends if entry.get("ms") is not None]
    states = Counter(
        str(state)
        for (state,) in stack.database.rows(
            "SELECT state FROM task_instance WHERE dag_id = :dag AND run_id = :run", dag=DAG_ID, run=run_id
        )
    )
    stack.airflow.api.mark_dag_run(DAG_ID, run_id, "failed")
    servers = {stack.network.address(name): name for name in stack.airflow.names("api-server")}
    return {
        "ends": count,
        "sent within": max(sent) - min(sent),
        "outcomes": dict(
            Counter(f"{entry['outcome']} {entry.get('status') or ''}".strip() for entry in ends)
        ),
        "attempts": dict(Counter(f"attempt {entry['attempt']}" for entry in ends)),
        "times": [entry["ms"] / 1000 for entry in ends if entry.get("ms") is not None],
        "states": dict(states),
        "connections": {
            name: max((count[address] for count in counts), default=0) for address, name in servers.items()
        },
        "connections of all": max((sum(count.values()) for count in counts), default=0),
    }


def report(found: dict[str, Any]) -> str:
    """Return what was found, as text."""
    times = found["times"]
    middle, late = median(times), percentile(times, 99)
    most = f"{found['connections']} (pool: {POOL} a process), {found['connections of all']} of all hosts"
    return "\n".join(
        [
            f"{found['ends']} ENDs sent within {found['sent within']:.1f} s: {found['outcomes']}",
            f"attempts: {found['attempts']}",
            (
                f"answered after: median {middle:.2f} s, p99 {late:.2f} s, longest {max(times):.2f} s; "
                f"{sum(seconds >= BOUND for seconds in times)} of {len(times)} attempts took {BOUND:.0f} s"
            ),
            f"tasks then: {found['states']}",
            f"database connections at most: {most}",
        ]
    )


def _ends(stack: ClusterStack, before: set[int]) -> list[dict[str, Any]]:
    entries = stack.sandbox_client.ledger(kind="callback", after=max(before, default=0))
    return [entry for entry in entries if entry.get("state") == "END"]


def _is_answered(entry: dict[str, Any]) -> bool:
    return entry["outcome"] == "answered" and 200 <= int(entry["status"]) < 300


def _watch(stack: ClusterStack, counts: list[Counter[str]], over: threading.Event) -> None:
    while not over.wait(0.1):
        counts.append(Counter(address for address, _, _ in stack.database.rows(_CONNECTIONS)))
