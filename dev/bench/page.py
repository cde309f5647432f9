"""The page with the results, and its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dev.bench import plots, scaling
from dev.bench.figures import median, percentile
from dev.bench.starts import AIRFLOW, IMPORTS, METASTUDIO
from dev.bench.tables import table
from dev.bench.targets import beyond_idle, judge

REMARKS = Path(__file__).resolve().parent / "remarks.md"

NAMES = {"smartlive": "this trigger", "http": "HttpSensor", "nothing": "a trigger that does nothing"}


def write(results: dict[str, Any], folder: Path) -> str:
    """Write ``benchmarks.md`` and the pictures of the measured parts; return the page."""
    folder.mkdir(parents=True, exist_ok=True)
    sections = {
        "latency": _latency,
        "starts": _starts,
        "waiting": _waiting,
        "ingestion": _ingestion,
        "rooms": _rooms,
        "apply": _apply,
        "signing": _signing,
        "imports": _imports,
    }
    parts = [_head(results)]
    parts += [section(results) for part, section in sections.items() if part in results]
    parts.append(REMARKS.read_text().strip())
    text = "\n\n".join(parts) + "\n"
    (folder / "benchmarks.md").write_text(text)
    if "latency" in results:
        _draw_latency(results["latency"], folder / "benchmarks-latency.svg")
    if "waiting" in results:
        _draw_waiting(results["waiting"], folder)
    if all(part in results for part in ("waiting", "ingestion", "rooms")):
        scaling.write(results, folder)
    return text


def _head(results: dict[str, Any]) -> str:
    intro = (
        "# Benchmarks\n\n"
        "To compare how soon an END wakes a task, and what waiting costs, with what you would otherwise write. Written "
        "by `make bench` (`QUICK=1` to try): Airflow's four processes, PostgreSQL or SQLite, one API server worker, "
        "the sandbox."
    )
    if results["quick"]:
        intro += "\n\n**A quick run: it shows that the benchmark works, its figures say little.**"
    facts = table(("", ""), results["machine"].items())
    targets = table(("what", "target", "measured", ""), [target.row() for target in judge(results)])
    minutes = f"It took {results['seconds'] / 60:.0f} minutes."
    if "apart" in results:
        minutes += f" Measured apart, later: {', '.join(results['apart'])}."
    return f"{intro}\n\n{facts}\n\n{minutes}\n\n## Targets\n\n{targets}"


def _latency(results: dict[str, Any]) -> str:
    latency, rows = results["latency"], []
    on_sqlite = results.get("sqlite", {}).get("latency", {})
    for name, times in latency.items():
        cells = [_spread(times[what]) for what in ("finished", "downstream")]
        if on_sqlite:
            cells.append(_spread(on_sqlite[name]["finished"]) if name in on_sqlite else "")
        rows.append((name, str(len(times["finished"])), *cells))
    heads = (
        "waits by",
        "repetitions",
        "END to task finished",
        "END to next task started",
        "finished, on SQLite",
    )
    shown = table(heads if on_sqlite else heads[:-1], rows)
    return (
        "## From END to the next task\n\n"
        "Seconds, median (95th percentile); at END the job is SUCCEED. Human in the loop, Airflow's own push, is timed "
        "from its REST API's response. The sensor has `confirm=False`. HttpSensor is deferred, and gets 404 until its "
        "job is over.\n\n"
        f"{shown}\n\n![From END to task finished](benchmarks-latency.svg)"
    )


def _starts(results: dict[str, Any]) -> str:
    started = results["starts"]["operator"]
    bare = median(results["starts"]["bare call"])

    def milliseconds(step: str) -> float:
        return median([figures[step] for figures in started]) * 1000

    def calls(step: str) -> str:
        return f"{median([figures['calls'][step] for figures in started]):.0f} {step}"

    whole = milliseconds("all")
    steps = {
        IMPORTS: milliseconds(IMPORTS),
        calls(AIRFLOW): milliseconds(AIRFLOW),
        calls(METASTUDIO): milliseconds(METASTUDIO),
    }
    rows = [
        *steps.items(),
        ("the rest: arguments, checks, signing, the callback URL", whole - sum(steps.values())),
    ]
    return (
        "## From a task's beginning to 202\n\n"
        f"From the call of `execute`, median of {len(started)} starts: **{whole:.0f} ms**; a bare signed call over a "
        f"new connection takes {bare * 1000:.0f} ms.\n\n"
        + table(("step", "ms, median"), [(step, f"{took:.0f}") for step, took in rows])
    )


def _draw_latency(latency: dict[str, Any], path: Path) -> None:
    rows = {name: times["finished"] for name, times in latency.items() if "finished" in times}
    plots.draw_dots(path, "From END to task finished", rows, ours=("operator", "sensor"), unit="s")


def _waiting(results: dict[str, Any]) -> str:
    idle = results["waiting"][0]
    rows = []
    for price in results["waiting"]:
        cpu = sum(price["cpu"].values()) - sum(idle["cpu"].values())
        memory = sum(price["memory"].values()) - sum(idle["memory"].values())
        parts = " + ".join(f"{value:,.0f}" for value in price["cpu"].values())
        name = NAMES.get(price["kind"], price["kind"])
        rows.append(
            (name, price["streams"], f"{cpu:,.0f}", parts, f"{memory:,.0f}", f"{price['requests']:,.0f}")
        )
    columns = (
        "who waits",
        "streams",
        "CPU s/h beyond idle",
        " + ".join(idle["cpu"]),
        "MB beyond idle",
        "requests/h",
    )
    return (
        "## What waiting costs\n\n"
        f"{idle['seconds']:.0f} seconds, scaled to an hour; memory is proportional set size. Each kind has a new "
        "triggerer, and asks every 60 seconds (our default: 300). A trigger that does nothing shows Airflow's "
        "price.\n\n"
        f"{table(columns, rows)}\n\n![What waiting costs](benchmarks-waiting.svg)\n\n"
        "Without the scheduler:\n\n"
        "![What triggers cost](benchmarks-triggers.svg)"
    )


def _draw_waiting(waiting: list[dict[str, Any]], folder: Path) -> None:
    kinds = [kind for kind in NAMES if any(price["kind"] == kind for price in waiting)]
    pictures: dict[str, tuple[str, tuple[str, ...]]] = {
        "waiting": ("Processor time of Airflow, beyond an idle one", ()),
        "triggers": ("Processor time of triggerer and API server, beyond an idle Airflow", ("scheduler",)),
    }
    for name, (title, without) in pictures.items():
        plots.draw_lines(
            folder / f"benchmarks-{name}.svg",
            title,
            {NAMES[kind]: beyond_idle(waiting, kind, without=without) for kind in kinds},
            ours=NAMES["smartlive"],
            labels=("waiting streams", "CPU seconds in an hour"),
        )


def _ingestion(results: dict[str, Any]) -> str:
    on_sqlite = results.get("sqlite", {}).get("ingestion", {})
    rows = [
        (kind, *_taken(found), *(_taken(on_sqlite[kind]) if on_sqlite else ()))
        for kind, found in results["ingestion"].items()
    ]
    heads = ("events/s", "median ms", "p99 ms", "refused")
    columns = ("receiver", *heads, *(f"{head}, SQLite" for head in heads if on_sqlite))
    return (
        "## How many callbacks one API server worker takes\n\n"
        "Eight callers on the same cores send as fast as they are answered. The bare route does one row lock, upsert "
        "and commit with the store's statements; inbound-webhooks 0.2.0 takes signed deliveries to which no DAG "
        "subscribes, its cheapest case.\n\n" + table(columns, rows)
    )


def _taken(found: dict[str, Any]) -> tuple[str, ...]:
    """Return the cells of one receiver on one database."""
    return (
        f"{found['rate']:,.0f}",
        f"{found['median'] * 1000:.1f}",
        f"{found['p99'] * 1000:.1f}",
        f"{found['refused']} of {found['events']:,}",
    )


def _rooms(results: dict[str, Any]) -> str:
    rooms = results["rooms"]
    done = rooms["done"]
    rows = [
        ("rooms mapped in one DAG run", rooms["rooms"]),
        ("run start until the last 202", f"{rooms['all started after']:.0f} s"),
        ("jobs started", rooms["starts"]),
        ("all ENDs within", f"{rooms['burst']:.2f} s"),
        ("first END until the last callback is answered", f"{rooms['answered after']:.2f} s"),
        ("answers", ", ".join(f"{count} x {status}" for status, count in rooms["answers"].items())),
        ("first END until half of the tasks are finished", f"{median(done):.0f} s"),
        ("first END until all tasks are finished", f"{done[-1]:.0f} s"),
        ("tasks in success", rooms["succeeded"]),
        ("woken by", ", ".join(f"{name}: {count}" for name, count in rooms["woken by"].items())),
    ]
    return (
        "## Many rooms at once\n\n"
        "Four tasks run at a time, each start and resume in a process of its own.\n\n" + table(("", ""), rows)
    )


def _apply(results: dict[str, Any]) -> str:
    rows = [
        (name, f"{early:.1f}", f"{late:.1f}", f"{late / early:.2f}")
        for name, (early, late) in ((what, results["apply"][what]) for what in ("apply", "load, apply, dump"))
    ]
    return "## Applying an event\n\n" + table(("microseconds", "event 10", "event 10,000", "ratio"), rows)


def _signing(results: dict[str, Any]) -> str:
    rows = [
        (name, f"{results['signing'][key]:,.0f}")
        for name, key in (("ours", "ours"), ("huaweicloudsdkcore", "sdk"))
    ]
    return "## Signing\n\n" + table(("signer", "start requests/s"), rows)


def _imports(results: dict[str, Any]) -> str:
    rows = [(name, f"{value:.1f}") for name, value in results["imports"].items()]
    text = "By `-X importtime`, beyond `airflow.sdk` and Airflow's plugin base."
    return f"## Imports\n\n{text}\n\n" + table(("import", "ms"), rows)


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.2f} ({percentile(values, 95):.2f})"
