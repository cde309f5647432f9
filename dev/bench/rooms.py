"""Many rooms mapped in one DAG run: until all are live, and until all tasks are done after one burst of ENDs."""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime
from typing import Any

from dev.bench.ground import Ground
from dev.bench.latency import SETTLE
from dev.bench.studio import moment

DAG_ID = "bench_rooms"


def measure(ground: Ground) -> dict[str, Any]:
    """Run the DAG once."""
    count, studio = ground.plan.rooms, ground.studio
    before = studio.position()
    run_id = ground.begin(DAG_ID)
    ground.wait_for_tasks(DAG_ID, "deferred", count)
    starts = [e for e in studio.entries(kind="request", after=before) if e["operation"] == "start"]
    run_began = datetime.fromisoformat(ground.airflow.api.dag_run(DAG_ID, run_id)["start_date"]).timestamp()
    time.sleep(SETTLE)

    studio.finish_all()
    ground.wait_for_tasks(DAG_ID, "success", count)

    ends = [e for e in studio.entries(kind="link", after=before) if e["state"] == "END"]
    answers = [e for e in studio.entries(kind="callback", after=before) if e.get("state") == "END"]
    tasks = ground.tasks(DAG_ID, run_id=run_id)
    first_end = min(map(moment, ends))
    done = [datetime.fromisoformat(task["end_date"]).timestamp() - first_end for task in tasks]
    results = [
        ground.airflow.api.xcom(DAG_ID, run_id, "wait", "return_value", number) for number in range(count)
    ]
    return {
        "rooms": count,
        "all started after": max(map(moment, starts)) - run_began,
        "starts": len(starts),
        "burst": max(map(moment, ends)) - first_end,
        "answered after": max(map(moment, answers)) - first_end,
        "answers": dict(Counter(str(entry.get("status") or entry["outcome"]) for entry in answers)),
        "done": sorted(done),
        "woken by": dict(Counter(result["woken_by"] for result in results)),
        "succeeded": sum(task["state"] == "success" for task in tasks),
    }
