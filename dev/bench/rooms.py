"""Many rooms mapped in one DAG run: until all are live, and until all tasks are done after one burst of ENDs."""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime
from typing import Any

from dev.bench import jobs
from dev.bench.latency import SETTLE
from dev.bench.stack import BenchStack

DAG_ID = "bench_rooms"


def measure(stack: BenchStack) -> dict[str, Any]:
    """Run the DAG once."""
    count, client = stack.plan.rooms, stack.sandbox_client
    before = jobs.latest_request(client)
    run_id = stack.begin(DAG_ID)
    stack.wait_for_tasks(DAG_ID, "deferred", count)
    starts = [e for e in client.ledger(kind="request", after=before) if e["operation"] == "start"]
    run_began = datetime.fromisoformat(stack.airflow.api.dag_run(DAG_ID, run_id)["start_date"]).timestamp()
    time.sleep(SETTLE)

    client.finish_all()
    stack.wait_for_tasks(DAG_ID, "success", count)

    ends = [e for e in client.ledger(kind="link", after=before) if e["state"] == "END"]
    answers = [e for e in client.ledger(kind="callback", after=before) if e.get("state") == "END"]
    tasks = stack.tasks(DAG_ID, run_id=run_id)
    first_end = min(map(jobs.written_at, ends))
    done = [datetime.fromisoformat(task["end_date"]).timestamp() - first_end for task in tasks]
    results = [
        stack.airflow.api.xcom(DAG_ID, run_id, "wait", "return_value", number) for number in range(count)
    ]
    return {
        "rooms": count,
        "all started after": max(map(jobs.written_at, starts)) - run_began,
        "starts": len(starts),
        "burst": max(map(jobs.written_at, ends)) - first_end,
        "answered after": max(map(jobs.written_at, answers)) - first_end,
        "answers": dict(Counter(str(entry.get("status") or entry["outcome"]) for entry in answers)),
        "done": sorted(done),
        "woken by": dict(Counter(result["woken_by"] for result in results)),
        "succeeded": sum(task["state"] == "success" for task in tasks),
    }
