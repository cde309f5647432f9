"""``python -m dev.cluster``, which ``make cluster`` runs: Airflow on hosts that are killed, frozen and cut off."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from dev.cluster.campaign import Campaigns, violations
from dev.cluster.cleaning import clean
from dev.cluster.hits import plan
from dev.cluster.network import enter_namespace
from dev.cluster.run import network
from dev.cluster.stack import ClusterStack
from dev.cluster.table import table
from dev.command import run_command
from dev.full_stack import PROJECT

#: Rooms of the campaign and of its encores, and how many of each send video.
ROOMS, ENCORE, WITH_VIDEO = 50, 12, 2


def main() -> int:
    """Play; 0 if every promise was kept."""
    arguments = _arguments()
    if not arguments.loopback:
        enter_namespace("dev.cluster", sys.argv[1:])
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {text}", flush=True)

    with ExitStack() as exits:
        hosts = exits.enter_context(network())
        print(hosts.text, flush=True)
        rooms = {"campaign": arguments.rooms, "encore": min(ENCORE, arguments.rooms)}
        stack = ClusterStack(
            arguments.home,
            network=hosts,
            rooms=rooms["campaign"],
            encore=rooms["encore"],
            with_video=WITH_VIDEO,
        )
        exits.enter_context(stack)
        tell(f"{len(stack.airflow.programs)} processes of Airflow are up; logs: {stack.home}")
        phases = plan(can_cut=hosts.can_cut, brief=arguments.brief, long=arguments.long)
        played = Campaigns(stack, rooms, tell).play(phases[: arguments.phases])
        cleaned = clean(stack).text(sum(len(phase.results) for phase in played))
    print(f"\n{table(played, can_cut=hosts.can_cut)}\n\n{cleaned}\n")
    print(f"{time.monotonic() - began:.0f} s")
    return 1 if violations(played) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.cluster", description=__doc__)
    parser.add_argument("--rooms", type=int, default=ROOMS, help="of a campaign; default: %(default)s")
    parser.add_argument("--brief", type=float, default=30.0, help="seconds of a brief outage")
    parser.add_argument("--long", type=float, default=300.0, help="seconds of a long one")
    parser.add_argument("--phases", type=int, help="only so many phases; default: all")
    parser.add_argument("--loopback", action="store_true", help="no network namespaces")
    parser.add_argument("--home", type=Path, default=PROJECT / ".cluster", help="folder for all files")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(run_command(main))
