"""How many callbacks one API server worker takes: ours, a bare route, and inbound-webhooks, in turns."""

from __future__ import annotations

import math
from typing import Any

from dev.bench import idle_trigger
from dev.bench.figures import median, percentile
from dev.bench.stack import BenchStack

#: Requests that are under way at once.
CALLERS = 8

KINDS = ("receiver", "bare", "inbound-webhooks")


def measure(stack: BenchStack) -> dict[str, Any]:
    """Send callbacks for tasks that wait."""
    plan, airflow = stack.plan, stack.airflow
    run_id = stack.seed("bench_events", idle_trigger.CLASSPATH, [{}] * plan.tasks, ["b" * 32] * plan.tasks)
    secrets = {"receiver": airflow.callback_secret, "bare": "", "inbound-webhooks": stack.webhook_secret}
    rounds: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for number in range(plan.rounds + 1):
        for kind in KINDS:
            spec = {
                "kind": kind,
                "base_url": airflow.base_url,
                "run_id": run_id,
                "tasks": plan.tasks,
                "secret": secrets[kind],
                # The first round warms everything up.
                "seconds": plan.round_seconds if number else min(2.0, plan.round_seconds),
                "callers": CALLERS,
            }
            result = stack.load(spec)
            if number:
                rounds[kind].append(result)
    return {kind: _summary(results) for kind, results in rounds.items()}


def _summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    rates = [len(result["times"]) / result["seconds"] for result in results]
    times = [seconds for result in results for seconds in result["times"]]
    return {
        "rate": median(rates),
        "rates": rates,
        "median": median(times),
        "p99": percentile(times, 99) if times else math.nan,
        "events": len(times),
        "refused": sum(result["refused"] for result in results),
    }
