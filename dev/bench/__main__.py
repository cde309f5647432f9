"""
What ``make bench`` runs: this provider beside its peers, in one run on one stack, on this machine only.

Writes every figure to a file of JSON, and from it the page ``docs/benchmarks.md`` with two pictures.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from dev.bench import ingestion, latency, machine, micro, page, rooms, starts, waiting
from dev.bench.plan import FULL, QUICK
from dev.bench.stack import BenchStack
from dev.command import catch_signals
from dev.full_stack import PROJECT
from dev.postgres import Postgres

#: What is measured on the stack, in this order: waiting first, while the stack is fresh.
PARTS: dict[str, Callable[[BenchStack], Any]] = {
    "waiting": waiting.measure,
    "latency": latency.measure,
    "starts": starts.measure,
    "ingestion": ingestion.measure,
    "rooms": rooms.measure,
}

#: What depends on the database, on another one.
SQLITE = "sqlite"

FIRST_DAGS = (
    "bench_operator",
    "bench_sensor",
    "bench_approval",
    "bench_poll_5",
    "bench_poll_60",
    "bench_rooms",
)


def main() -> int:
    """Measure and write."""
    arguments = _arguments()
    catch_signals()
    if not arguments.rewrite:
        _measure(arguments)
    results = json.loads(arguments.results.read_text())
    text = page.write(results, arguments.docs)
    print(text)
    return 0


def _measure(arguments: argparse.Namespace) -> None:
    plan = QUICK if arguments.quick else FULL
    began = time.monotonic()

    def tell(what: str, news: str = "") -> None:
        print(f"{time.monotonic() - began:7.1f} s  {what:<20}{news}", file=sys.stderr, flush=True)

    results: dict[str, Any] = {"machine": machine.describe(), "plan": asdict(plan), "quick": arguments.quick}
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    if arguments.only and arguments.results.exists():
        results = json.loads(arguments.results.read_text())
        results["apart"] = sorted({*results.get("apart", ()), *arguments.only})

    seconds_before = results.get("seconds", 0.0)

    def keep(part: str, figures: Any) -> None:
        results[part] = figures
        results["seconds"] = seconds_before + time.monotonic() - began
        arguments.results.write_text(json.dumps(results, indent=1))

    if not arguments.only:
        tell("apply, signing, imports")
        keep("apply", micro.measure_apply(plan.samples))
        keep("signing", micro.measure_signing(plan.samples))
        keep("imports", micro.measure_imports(plan.starts))
    parts = [part for part in PARTS if part in (arguments.only or PARTS)]
    if parts:
        with Postgres() as database, BenchStack(arguments.home, plan, database_url=database.url) as stack:
            stack.wait_for_dags(FIRST_DAGS)
            for part in parts:
                tell(part)
                keep(part, PARTS[part](stack))
    if SQLITE in (arguments.only or [SQLITE]):
        few = replace(plan, repetitions=plan.repetitions // 2)
        with BenchStack(arguments.home, few, database_url=None) as stack:
            stack.wait_for_dags(FIRST_DAGS)
            tell("latency, ingestion", "on SQLite")
            figures = {"latency": latency.measure_pushed(stack), "ingestion": ingestion.measure(stack)}
            keep(SQLITE, figures)
    tell("done")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repetitions, to try it; says little")
    parser.add_argument(
        "--only",
        action="append",
        choices=(*PARTS, SQLITE),
        help="measure this part of the stack again, keep the others",
    )
    parser.add_argument("--rewrite", action="store_true", help="measure nothing; write the page again")
    parser.add_argument(
        "--home", type=Path, default=PROJECT / ".bench" / "stage", help="folder for all files"
    )
    parser.add_argument(
        "--results", type=Path, default=PROJECT / ".bench" / "results.json", help="all figures"
    )
    parser.add_argument("--docs", type=Path, help="folder of the page; default: docs, or .bench if quick")
    arguments = parser.parse_args()
    arguments.docs = arguments.docs or PROJECT / (".bench" if arguments.quick else "docs")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
