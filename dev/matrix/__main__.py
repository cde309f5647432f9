"""``python -m dev.matrix``, which ``make matrix`` runs: cells one after another, then one table."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from dev.command import catch_signals
from dev.full_stack import PROJECT
from dev.matrix import cells, page, trial


def main() -> int:
    """Try the cells; 0 if all those passed whose Airflow is stable."""
    arguments = _arguments()
    catch_signals()
    known = cells.releases(cells.published())
    everything = cells.cells(known)
    try:
        wanted = cells.chosen(known, arguments.cells)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if arguments.list:
        print("\n".join(map(str, wanted)))
        return 0
    trials: list[trial.Trial] = []
    try:
        for cell in wanted:
            trials.append(_try(cell, arguments.home / str(cell).replace("/", "-"), short=arguments.short))
            if arguments.write:
                page.write([trials[-1]], everything)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
    results = {done.cell: page.result(done) for done in trials}
    print(f"\n{page.table(page.rows(results, wanted))}")
    failed = [done.cell for done in trials if not done.passed]
    if reported := [cell for cell in failed if not cell.is_required]:
        print(f"Not all is well, which is only reported before a release: {', '.join(map(str, reported))}")
    if required := [cell for cell in failed if cell.is_required]:
        print(f"Failed: {', '.join(map(str, required))}")
    return 1 if required or len(trials) < len(wanted) else 0


def _try(cell: cells.Cell, folder: Path, *, short: bool) -> trial.Trial:
    began = time.monotonic()
    print(f"{cell}: logs in {folder}", flush=True)
    done = trial.run(cell, folder, short=short)
    print(f"    {done.tests}; livestream: {done.livestream} ({time.monotonic() - began:.0f} s)", flush=True)
    for detail in done.details:
        print("\n".join(f"      {line}" for line in detail.splitlines()), flush=True)
    return done


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.matrix", description=__doc__)
    parser.add_argument(
        "cells",
        nargs="*",
        metavar="AIRFLOW/PYTHON/DEPENDENCIES",
        help="which cells; parts may be *, Airflow may be oldest, newest or newer",
    )
    parser.add_argument("--short", action="store_true", help="callbacks, races and operators only")
    parser.add_argument("--list", action="store_true", help="say which cells these are, and run nothing")
    parser.add_argument("--write", action="store_true", help="put the results into docs/compatibility.md")
    parser.add_argument("--home", type=Path, default=PROJECT / ".matrix", help="folder for all files")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
