"""
Parsing campaigns: this provider beside dag-factory, with the same tasks, in one run.

``python -m dev.bench.parsing`` in an environment with both; ``make bench-parsing`` makes one. Each library makes the
DAGs of a hundred files, a file each, in processes of their own that have imported Airflow's SDK before the clock
starts; what the library itself imports counts. The processes take turns, and the medians are shown. With ``--write``
they stand in ``docs/campaigns.md`` afterwards, and how they were measured.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from airflow_provider_smartlive.campaigns import Campaign, build

ROOT = Path(__file__).parents[2]

#: The campaign that is parsed, under a hundred names: three shows, 23 tasks.
TEMPLATE = ROOT / "dags" / "campaigns" / "evening.yaml"

#: Where the figures stand for readers.
PAGE = ROOT / "docs" / "campaigns.md"
BEGIN = "<!-- begin: figures of parsing (make bench-parsing) -->"
END = "<!-- end: figures of parsing -->"

CAMPAIGNS = 100
REPETITIONS = 5

#: The targets: seconds for all of them, and the share of dag-factory's time.
MOST_SECONDS = 1.0
MOST_SHARE = 0.5

_PROGRAM = """
import json, sys, time
from pathlib import Path
import airflow.sdk
from airflow.sdk import DAG, BaseOperator, TaskGroup
folder = Path(sys.argv[1])
files = sorted(folder.glob("*.yaml"))
wall, cpu = time.perf_counter(), time.process_time()
{parse}
seconds = {{"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}}
dags = [value for value in dags if isinstance(value, DAG)]
print(json.dumps(seconds | {{"dags": len(dags), "tasks": sum(len(dag.tasks) for dag in dags)}}))
"""

PARSERS = {
    "this provider": """
from airflow_provider_smartlive.campaigns import load
dags = [load(str(file.with_suffix(".py"))) for file in files]
""",
    "dag-factory": """
from dagfactory import load_yaml_dags
found = {}
for file in files:
    load_yaml_dags(globals_dict=found, config_filepath=str(file), defaults_config_path=str(folder))
dags = list(found.values())
""",
}


def write_campaigns(folder: Path, count: int) -> None:
    """Write campaign files."""
    text = TEMPLATE.read_text()
    for number in range(count):
        name = f"campaign_{number:03}"
        (folder / f"{name}.yaml").write_text(text.replace("evening_campaign", name))


def write_factory_files(folder: Path, count: int) -> None:
    """Write the files from which dag-factory makes the same tasks, groups and dependencies."""
    dag = build(Campaign.read(TEMPLATE))
    tasks = [_factory_task(task) for task in dag.tasks]
    groups = {name: {"tooltip": name} for name in dag.task_group.children}
    for number in range(count):
        name = f"campaign_{number:03}"
        content = {
            name: {
                "schedule": "50 18 * * 1-5",
                "catchup": False,
                "default_args": {"owner": "airflow", "start_date": "2026-01-01"},
                "task_groups": groups,
                "tasks": tasks,
            }
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def _factory_task(task: Any) -> dict[str, Any]:
    kind = type(task)
    names = {
        name
        for base in kind.__mro__
        if base.__module__.startswith("airflow_provider_smartlive")
        for name in inspect.signature(base.__init__).parameters  # type: ignore[misc]  # of classes, not of instances
    }
    arguments = {name: _plain(getattr(task, name)) for name in sorted(names) if hasattr(task, name)}
    return {
        "task_id": _flat(task.task_id),
        "operator": f"{kind.__module__}.{kind.__qualname__}",
        "task_group_name": task.task_id.partition(".")[0],
        "dependencies": sorted(map(_flat, task.upstream_task_ids)),
        "trigger_rule": "all_done" if task.is_teardown else task.trigger_rule.value,
        "retries": task.retries,
        **{name: value for name, value in arguments.items() if value not in (None, "left out")},
    }


def _flat(task_id: str) -> str:
    return task_id.replace(".", "_")


def _plain(value: Any) -> Any:
    """Return what a file can hold; what an object makes of it costs the same for both."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value if isinstance(value, str | int | float | list | tuple | dict | bool) else "left out"


def measure(repetitions: int = REPETITIONS, count: int = CAMPAIGNS) -> dict[str, dict[str, float]]:
    """
    Return, for each library, the median seconds (``wall``, ``cpu``) and how many DAGs and tasks it made.

    :param repetitions: processes of each library.
    :param count: campaigns.
    """
    with tempfile.TemporaryDirectory() as name:
        folders = {library: Path(name) / str(number) for number, library in enumerate(PARSERS)}
        for folder, write in zip(folders.values(), (write_campaigns, write_factory_files), strict=True):
            folder.mkdir()
            write(folder, count)
        taken: dict[str, list[dict[str, float]]] = {library: [] for library in PARSERS}
        for _ in range(repetitions):
            for library, parse in PARSERS.items():
                taken[library].append(_run(parse, folders[library]))
    return {
        library: {key: median(one[key] for one in all_of_it) for key in ("wall", "cpu", "dags", "tasks")}
        for library, all_of_it in taken.items()
    }


def _run(parse: str, folder: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _PROGRAM.format(parse=parse), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def report(measured: Mapping[str, Mapping[str, float]], factory: str, how: str) -> str:
    """
    Return the figures as a table, and whether the targets were met.

    :param measured: what :func:`measure` has returned.
    :param factory: the version of dag-factory.
    :param how: how it was measured (:func:`how_measured`).
    """
    lines = [how, "", "| | DAGs | tasks | seconds | CPU seconds |", "|---|---|---|---|---|"]
    for library, one in measured.items():
        shown = f"{library} {factory}" if library == "dag-factory" else library
        lines.append(
            f"| {shown} | {one['dags']:.0f} | {one['tasks']:.0f} | {one['wall']:.2f} | {one['cpu']:.2f} |"
        )
    ours, theirs = measured["this provider"], measured["dag-factory"]
    share = ours["cpu"] / theirs["cpu"]
    lines.append("")
    lines.append(
        f"{share:.2f} of dag-factory's CPU time (target: at most {MOST_SHARE}); {ours['cpu']:.2f} CPU seconds for all "
        f"(target: at most {MOST_SECONDS})."
    )
    return "\n".join(lines)


def how_measured(repetitions: int, count: int, *, load: float, day: date) -> str:
    """
    Return how the figures were measured.

    :param repetitions: processes of each library.
    :param count: campaigns.
    :param load: the load of the machine before.
    :param day: when.
    """
    each = "one process each" if repetitions == 1 else f"medians of {repetitions} processes each"
    return (
        f"{count} campaigns of three shows each ({each}, from the import of Airflow's SDK on;\n{day.isoformat()}, "
        f"{os.cpu_count()} cores, load {load:.1f} before):"
    )


def filled(page: str, text: str) -> str:
    """
    Return a page with these figures instead of its own.

    :raises ValueError: if there is no place for them.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"The page has no place for the figures: {BEGIN} ... {END}")
    return f"{before}{begin}\n{text}\n{end}{after}"


def main() -> int:
    """Measure; 0 if the targets are met."""
    parser = argparse.ArgumentParser(prog="python -m dev.bench.parsing", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=REPETITIONS, help="processes of each library")
    parser.add_argument("--write", action="store_true", help="write the figures into docs/campaigns.md")
    arguments = parser.parse_args()
    load, day = os.getloadavg()[0], datetime.now(UTC).date()
    measured = measure(arguments.repetitions)
    how = how_measured(arguments.repetitions, CAMPAIGNS, load=load, day=day)
    text = report(measured, version("dag-factory"), how)
    print(text)
    if arguments.write:
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")
    ours, theirs = measured["this provider"], measured["dag-factory"]
    return 0 if ours["cpu"] <= min(MOST_SECONDS, MOST_SHARE * theirs["cpu"]) else 1


if __name__ == "__main__":
    sys.exit(main())
