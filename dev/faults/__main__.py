"""``python -m dev.faults``, which ``make faults`` runs."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from dev.command import run_command
from dev.faults import negative_controls
from dev.faults.count import Broken, RunResult, Violation, judge
from dev.faults.runner import Runner
from dev.faults.schedule import ALL_CASES, Run, Target, digest, plan
from dev.faults.stack import FaultStack
from dev.faults.table import table
from dev.full_stack import PROJECT


def main() -> int:
    """Run the schedule; 0 if every promise was kept and every control was caught."""
    arguments = _arguments()
    runs = plan(arguments.runs, arguments.seed)
    print(f"seed {arguments.seed}: {len(runs)} runs, schedule {digest(runs)}", flush=True)
    if arguments.database == "sqlite":
        runs = [run for run in runs if run.case.target is not Target.LOCKED_ROW]  # SQLite locks no rows
    if arguments.only:
        runs = [run for run in runs if run.number in arguments.only]
    if arguments.plan:
        print("\n".join(f"round {run.round:<3} {run.text()}" for run in runs))
        return 0
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {text}", flush=True)

    with FaultStack(arguments.home, database=arguments.database) as stack:
        tell(f"Airflow is up on {arguments.database}; logs: {stack.home}")
        results, violations = _run_schedule(Runner(stack, tell), runs, tell)
        uncaught = [] if arguments.only or not arguments.controls else negative_controls.check(stack, tell)
        restarts = stack.supervisor.restarts
    print(f"\n{table(results, violations)}\n")
    print("\n".join(uncaught) or "Every negative control that was run was caught.")
    for name, count in restarts.items():
        print(f"Airflow's {name} ended by itself and was started again: {count}")
    print(f"seed {arguments.seed}, {time.monotonic() - began:.0f} s. One run again: ONLY=number.")
    return 1 if violations or uncaught else 0


def _run_schedule(
    runner: Runner, runs: Sequence[Run], tell: Callable[[str], None]
) -> tuple[list[RunResult], list[Violation]]:
    results = _run_rounds(runner, runs, tell)
    violations = [
        each for run_result in results for each in judge(run_result) if each.kind is not Broken.MISSED
    ]
    # What missed its point counts in all other respects, and is run again by itself.
    again = _run_rounds(
        runner, [run_result.run.again() for run_result in results if not run_result.is_hit], tell
    )
    violations += [each for run_result in again for each in judge(run_result)]
    return results + again, violations


def _run_rounds(runner: Runner, runs: Sequence[Run], tell: Callable[[str], None]) -> list[RunResult]:
    results: list[RunResult] = []
    for number, group in groupby(runs, key=lambda run: run.round):
        of_round = list(group)
        tell(f"round {number}")
        for run in of_round:
            tell(f"  {run.text()}")
        for run_result in runner.run_round(of_round):
            results.append(run_result)
            for violation in judge(run_result):
                tell(f"  #{violation.run.number}: {violation.kind}: {violation.text}")
    return results


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.faults", description=__doc__)
    parser.add_argument("--runs", type=int, default=len(ALL_CASES), help="default: %(default)s, one a case")
    parser.add_argument("--seed", type=int, default=1, help="decides the schedule; default: %(default)s")
    parser.add_argument("--only", type=int, nargs="+", metavar="N", help="only these runs of the schedule")
    parser.add_argument("--plan", action="store_true", help="print the schedule and run nothing")
    parser.add_argument(
        "--controls", action=argparse.BooleanOptionalAction, default=True, help="run the negative controls"
    )
    parser.add_argument("--database", choices=("postgresql", "sqlite"), default="postgresql")
    parser.add_argument("--home", type=Path, default=PROJECT / ".faults", help="folder for all files")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(run_command(main))
