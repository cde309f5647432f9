"""
``python -m dev.cluster.soak``, which ``make soak`` runs: many livestreams wait while callbacks come in; and the fan-in.

What grows is what would fill a machine after weeks.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from dev.airflow_api import patiently
from dev.bench.figures import median, percentile
from dev.cluster import fan_in, waiting
from dev.cluster.network import enter_namespace
from dev.cluster.run import network
from dev.cluster.samples import Sampler, Slope, means
from dev.cluster.stack import METASTUDIO, ClusterStack
from dev.command import run_command
from dev.full_stack import PROJECT
from dev.process import Program

DAG_ID = "cluster_soak"

#: Streams that wait all the time, those that end meanwhile, and callbacks a second.
STREAMS, ENDING, RATE = 1000, 120, 50

#: Seconds for which the commits of a cluster are counted that only waits.
QUIET = 30.0

#: Seconds for triggers to begin, and for the last tasks to end.
SETTLE, ENDS = 40.0, 120.0

#: Jobs live until they are ended, cost nothing, and are SUCCEED the moment that END is called back.
SHOW = (
    *("--assume", "show_seconds=1000000"),
    *("--assume", "waiting_seconds=0"),
    *("--assume", "settle_seconds=0"),
)

ENVIRONMENT = {
    "AIRFLOW__CORE__MAX_MAP_LENGTH": "10000",
    "AIRFLOW__API__MAXIMUM_PAGE_LIMIT": "10000",
    # The DAG file is read once: to read it again and again is not what is measured.
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "3600",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
    "AIRFLOW__SMARTLIVE__RECONCILE_INTERVAL": "300",
    "AIRFLOW__SMARTLIVE__REQUEST_TIMEOUT": "30",
}


class Soak:
    """
    One soak.

    :param stack: the cluster.
    :param tell: is called with what happens, a line each time.
    """

    def __init__(self, stack: ClusterStack, tell: Callable[[str], None]) -> None:
        self._stack = stack
        self._tell = tell

    def run(self, *, streams: int, ending: int, rate: float, minutes: float) -> dict[str, Any]:
        """Let streams wait, send callbacks, end some of them, and return what was measured."""
        stack, seconds = self._stack, minutes * 60
        run_id, all_streams = waiting.begin(stack, DAG_ID, streams + ending)
        stack.airflow.api.unpause(DAG_ID)
        time.sleep(SETTLE)
        self._tell(f"{len(all_streams)} livestreams wait")
        held = all_streams[ending:]
        before, quiet = stack.database.commits(), time.monotonic()
        time.sleep(QUIET)
        idle = (stack.database.commits() - before) / (time.monotonic() - quiet)
        rows, size = stack.database.row_counts(), sum(stack.database.sizes().values())
        sender = self._sender(held, rate, seconds)
        commits = stack.database.commits()
        with Sampler(self._programs()) as sampler:
            sender.start()
            given_up = threading.Event()
            began = time.monotonic()
            for number, stream in enumerate(all_streams[:ending]):
                given_up.wait(max(0.0, began + number * 0.95 * seconds / max(1, ending) - time.monotonic()))
                stack.sandbox_client.finish(stream.job_id)
            given_up.wait(max(0.0, began + seconds - time.monotonic()))
            commits = stack.database.commits() - commits
        self._tell("the time is over")
        sender.finish(60)
        sent = json.loads(sender.log_text().splitlines()[-1])
        lags, undelivered = self._lags(run_id, all_streams[:ending])
        series = sampler.lasting()
        return {
            "minutes": minutes,
            "streams": streams,
            "slopes": {
                name: {what: asdict(Slope.of(getattr(one, what))) for what in ("memory", "files", "sockets")}
                for name, one in series.items()
            },
            "memory": {name: means(one.memory) for name, one in series.items()},
            "callbacks": sent["statuses"],
            "commits a second, before": idle,
            "commits a second": commits / seconds,
            "callbacks a second": sum(sent["statuses"].values()) / sent["seconds"],
            "answer, median": median(sent["times"]),
            "answer, p99": percentile(sent["times"], 99),
            "rows": {
                name: (rows.get(name, 0), count)
                for name, count in stack.database.row_counts().items()
                if count != rows.get(name, 0)
            },
            "database": (size, sum(stack.database.sizes().values())),
            "ends": ending,
            "undelivered": undelivered,
            "lags": lags,
        }

    def _programs(self) -> dict[str, Program]:
        stack = self._stack
        return {
            **stack.airflow.programs,
            "postgres": stack.database.program,
            "valkey": stack.broker,
            "proxy": stack.proxy,
            "sandbox": stack.sandbox,
        }

    def _sender(self, streams: list[waiting.Stream], rate: float, seconds: float) -> Program:
        """Return the program that calls back from MetaStudio's host."""
        stack = self._stack
        spec = {
            "rate": rate,
            "seconds": seconds,
            "certificate": str(stack.certificate),
            "streams": [
                {"url": each.route.url, "key": each.route.key, "room": each.room_id, "job": each.job_id}
                for each in streams
            ],
        }
        file = stack.home / "sender.json"
        file.write_text(json.dumps(spec))
        argv = [sys.executable, "-m", "dev.cluster.sender", str(file)]
        env = stack.airflow.environment()
        return stack.network.program(METASTUDIO, argv, env=env, log_folder=stack.home, name="sender")

    def _lags(self, run_id: str, ended: list[waiting.Stream]) -> tuple[list[float], int]:
        """Return the seconds from each END to the end of its task, and how many tasks wait on."""
        deadline = time.monotonic() + ENDS
        api = self._stack.airflow.api
        while True:
            tasks = {
                task["map_index"]: task for task in patiently(lambda: api.task_instances(DAG_ID, run_id))
            }
            left = [each for each in ended if tasks[each.number]["state"] != "success"]
            if not left or time.monotonic() > deadline:
                break
            time.sleep(2)
        at = {
            entry["room_id"]: datetime.fromisoformat(entry["at"])
            for entry in self._stack.sandbox_client.ledger(kind="link")
            if entry["state"] == "END"
        }
        lags = [
            (datetime.fromisoformat(tasks[each.number]["end_date"]) - at[each.room_id]).total_seconds()
            for each in ended
            if each not in left
        ]
        return lags, len(left)


def report(found: dict[str, Any]) -> str:
    """Return what a soak has found, as text."""
    lines = [f"{'':<22}{'MB':>8}{'MB/hour':>20}{'fds':>8}{'/hour':>16}{'sockets':>9}{'/hour':>16}"]
    for name, slopes in found["slopes"].items():
        cells = [f"{name:<22}"]
        for what, width in (("memory", 20), ("files", 16), ("sockets", 16)):
            slope = Slope(**slopes[what])
            mark = "" if slope.is_flat else " *"
            cells.append(
                f"{slope.mean:>8.1f}" + f"{f'{slope.per_hour:+.1f} ± {slope.error:.1f}{mark}':>{width}}"
            )
        lines.append("".join(cells))
    lines.append("* not flat: 0 is further away than 2.31 standard errors of the slope")
    lines.append(
        "rows that grew: " + ", ".join(f"{name} {a:,} -> {b:,}" for name, (a, b) in found["rows"].items())
    )
    before, after = found["database"]
    lines.append(f"database: {before / 1e6:.1f} MB -> {after / 1e6:.1f} MB")
    lines.append(f"callbacks: {found['callbacks a second']:.1f} a second, {found['callbacks']}")
    lines.append(
        f"commits a second: {found['commits a second, before']:.1f} before the first callback, "
        f"{found['commits a second']:.1f} with them"
    )
    middle, late = found["answer, median"] * 1000, found["answer, p99"] * 1000
    lines.append(f"answered after: median {middle:.0f} ms, p99 {late:.0f} ms")
    lags = found["lags"]
    lines.append(
        f"{found['ends']} ENDs, {found['undelivered']} not delivered; END to the task's end: "
        f"median {median(lags):.1f} s, p99 {percentile(lags, 99):.1f} s"
    )
    return "\n".join(lines)


def draw(found: dict[str, Any], path: Path) -> None:
    """Draw the memory of each program over the time, as SVG."""
    from dev.bench import plots  # matplotlib is in the environment of `make soak` only

    programs: dict[str, list[tuple[float, float]]] = {}
    for name, points in found["memory"].items():
        program = name.partition(" ")[0]
        minutes = [(round(x / 60), y) for x, y in points]
        before = programs.get(program, [(x, 0.0) for x, _ in minutes])
        programs[program] = [(x, y + add) for (x, y), (_, add) in zip(before, minutes, strict=True)]
    rate = found["callbacks a second"]
    title = f"Memory while {found['streams']:,} livestreams wait and {rate:.0f} callbacks a second come"
    labels = ("minutes", "MB, all processes of a program")
    plots.draw_lines(path, title, programs, ours="triggerer-1", labels=labels)


def main() -> int:
    """Run it; 0 if every END was delivered."""
    arguments = _arguments()
    enter_namespace("dev.cluster.soak", sys.argv[1:])
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {text}", flush=True)

    env = ENVIRONMENT | {
        "CLUSTER_SOAK": str(arguments.streams + arguments.ending),
        "CLUSTER_FAN_IN": str(arguments.fan_in),
        "AIRFLOW__TRIGGERER__CAPACITY": str(max(1000, arguments.streams + arguments.ending)),
    }
    results: dict[str, Any] = {}
    try:
        with ExitStack() as exits:
            hosts = exits.enter_context(network())
            print(hosts.text, flush=True)
            numbers = {"triggerer": arguments.triggerers}
            stack = ClusterStack(
                arguments.home, network=hosts, rooms=1, numbers=numbers, env=env, sandbox_arguments=SHOW
            )
            exits.enter_context(stack)
            tell(f"{len(stack.airflow.programs)} processes of Airflow are up; logs: {stack.home}")
            if arguments.fan_in:
                results["fan-in"] = fan_in.measure(stack, arguments.fan_in, tell)
                tell(fan_in.report(results["fan-in"]))
            if arguments.minutes:
                results["soak"] = Soak(stack, tell).run(
                    streams=arguments.streams,
                    ending=arguments.ending,
                    rate=arguments.rate,
                    minutes=arguments.minutes,
                )
                tell(f"\n{report(results['soak'])}")
    finally:
        if results:
            arguments.results.write_text(json.dumps(results))
    if "soak" in results:
        draw(results["soak"], arguments.picture)
    print(f"{time.monotonic() - began:.0f} s; all figures: {arguments.results}")
    return 1 if results.get("soak", {}).get("undelivered") else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.cluster.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0, help="default: %(default)s")
    parser.add_argument("--streams", type=int, default=STREAMS, help="that wait; default: %(default)s")
    parser.add_argument("--ending", type=int, default=ENDING, help="that end meanwhile; default: %(default)s")
    parser.add_argument("--rate", type=float, default=RATE, help="callbacks a second; default: %(default)s")
    parser.add_argument("--fan-in", type=int, default=500, help="ENDs at once; 0: none; default: %(default)s")
    parser.add_argument("--triggerers", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--home", type=Path, default=PROJECT / ".cluster", help="folder for all files")
    parser.add_argument(
        "--results", type=Path, default=PROJECT / ".cluster" / "soak.json", help="all figures"
    )
    parser.add_argument("--picture", type=Path, default=PROJECT / ".cluster" / "soak.svg", help="the picture")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(run_command(main))
