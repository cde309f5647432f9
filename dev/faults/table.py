"""The table at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from statistics import median

from dev.faults.count import STARTER, Broken, Outcome, Violation, starts
from dev.faults.schedule import MATRIX, Callbacks, Fate, Listing, Point, StartFault, Victim

#: Column heads of the points, short enough for one line.
_HEADS = {
    Point.BEFORE_POST: "pre-POST",
    Point.AFTER_ACCEPT: "accepted",
    Point.BEFORE_STORE: "pre-store",
    Point.AFTER_STORE: "stored",
    Point.BEFORE_DEFER: "pre-defer",
    Point.AFTER_DEFER: "deferred",
    Point.STREAMING: "streaming",
    Point.RESUMED: "resumed",
    Point.BEFORE_RESULT: "pre-result",
}


def table(outcomes: Sequence[Outcome], violations: Sequence[Violation]) -> str:
    """Return the whole table as text."""
    parts = [_matrix(outcomes), _faults(outcomes), _counts(outcomes, violations)]
    if violations:
        lines = [f"{each.run.text()}\n     {each.kind}: {each.text}" for each in violations]
        parts.append("\n".join(["BROKEN PROMISES", *lines]))
    return "\n\n".join(parts)


def _matrix(outcomes: Sequence[Outcome]) -> str:
    hits = Counter(outcome.run.cell for outcome in outcomes if outcome.is_hit)
    rows = [f"{'hits, by what is hit and where':<31}" + "".join(f"{head:>11}" for head in _HEADS.values())]
    for victim in Victim:
        cells = [
            str(sum(hits[cell] for cell in hits if (cell.victim, cell.point) == (victim, point)))
            if point in MATRIX[victim]
            else "."
            for point in _HEADS
        ]
        rows.append(f"{victim:<31}" + "".join(f"{cell:>11}" for cell in cells))
    return "\n".join(rows)


def _faults(outcomes: Sequence[Outcome]) -> str:
    runs = [outcome.run for outcome in outcomes]
    kinds: dict[str, Counter[str]] = {
        "first start answered by": Counter(run.start for run in runs if run.start != StartFault.NONE),
        "listing": Counter(run.listing for run in runs if run.listing != Listing.NONE),
        "callbacks": Counter(run.callbacks for run in runs if run.callbacks != Callbacks.NONE),
        "job": Counter(run.fate for run in runs if run.fate != Fate.PLAIN),
    }
    lines = [
        f"{kind:<24}{', '.join(f'{name} {count}' for name, count in sorted(counts.items())) or '-'}"
        for kind, counts in kinds.items()
    ]
    return "\n".join(["other faults, in runs", *lines])


def _counts(outcomes: Sequence[Outcome], violations: Sequence[Violation]) -> str:
    broken = Counter(each.kind for each in violations)
    woken = Counter(
        (outcome.result or {}).get("woken_by") or "at the start" for outcome in outcomes if outcome.result
    )
    started = starts(outcomes)
    rows: list[tuple[str, object]] = [
        ("runs", len(outcomes)),
        ("livestreams (identity and generation)", started["livestreams"]),
        ("starts that made a job", started["starts"]),
        ("results, by what told of the end", ", ".join(f"{name} {n}" for name, n in sorted(woken.items()))),
        ("END to the task's end, seconds", _delays(outcomes)),
        ("tries of the starting tasks", _tries(outcomes)),
        ("jobs ended by the sweep", sum(len(outcome.swept) for outcome in outcomes)),
        *((str(kind), broken[kind]) for kind in Broken),
    ]
    return "\n".join(f"{name:<40}{value}" for name, value in rows)


def _tries(outcomes: Sequence[Outcome]) -> str:
    """Each of a task's own faults takes a try, and a retry makes up for it: many of them would hide a fault of ours."""
    tries = Counter(outcome.tasks[STARTER]["try_number"] for outcome in outcomes if STARTER in outcome.tasks)
    return ", ".join(f"{number}: {count} tasks" for number, count in sorted(tries.items()))


def _delays(outcomes: Sequence[Outcome]) -> str:
    delays = []
    for outcome in outcomes:
        task = outcome.tasks.get(STARTER)
        job = outcome.jobs[-1] if outcome.jobs else None
        if task and job and job.ended_at and task["end_date"] and task["state"] == "success":
            delays.append((datetime.fromisoformat(task["end_date"]) - job.ended_at).total_seconds())
    return f"median {median(delays):.1f}, longest {max(delays):.1f}" if delays else "-"
