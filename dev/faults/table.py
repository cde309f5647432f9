"""The table at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from statistics import median

from dev.faults.count import STARTER, Broken, RunResult, Violation, starts
from dev.faults.schedule import MATRIX, Callbacks, JobOutcome, Listing, Point, StartFault, Target

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
    Point.REFUSED: "refused",
    Point.BEFORE_STANDBY: "pre-note",
    Point.STANDBY_POST: "its POST",
}


def table(results: Sequence[RunResult], violations: Sequence[Violation]) -> str:
    """Return the whole table as text."""
    parts = [_matrix(results), _faults(results), counts(results, violations)]
    if violations:
        lines = [f"{each.run.text()}\n     {each.kind}: {each.text}" for each in violations]
        parts.append("\n".join(["BROKEN PROMISES", *lines]))
    return "\n\n".join(parts)


def _matrix(results: Sequence[RunResult]) -> str:
    hits = Counter(run_result.run.case for run_result in results if run_result.is_hit)
    rows = [f"{'hits, by what is hit and where':<31}" + "".join(f"{head:>11}" for head in _HEADS.values())]
    for target in Target:
        cells = [
            str(sum(hits[case] for case in hits if (case.target, case.point) == (target, point)))
            if point in MATRIX[target]
            else "."
            for point in _HEADS
        ]
        rows.append(f"{target:<31}" + "".join(f"{cell:>11}" for cell in cells))
    return "\n".join(rows)


def _faults(results: Sequence[RunResult]) -> str:
    runs = [run_result.run for run_result in results]
    kinds: dict[str, Counter[str]] = {
        "first start answered by": Counter(run.start for run in runs if run.start != StartFault.NONE),
        "listing": Counter(run.listing for run in runs if run.listing != Listing.NONE),
        "callbacks": Counter(run.callbacks for run in runs if run.callbacks != Callbacks.NONE),
        "job": Counter(run.job_outcome for run in runs if run.job_outcome != JobOutcome.PLAIN),
    }
    lines = [
        f"{kind:<24}{', '.join(f'{name} {count}' for name, count in sorted(counts.items())) or '-'}"
        for kind, counts in kinds.items()
    ]
    return "\n".join(["other faults, in runs", *lines])


def counts(results: Sequence[RunResult], violations: Sequence[Violation]) -> str:
    """Return how much there was, and how many promises were broken."""
    broken = Counter(each.kind for each in violations)
    woken = Counter(
        (run_result.result or {}).get("woken_by") or "at the start"
        for run_result in results
        if run_result.result
    )
    started = starts(results)
    rows: list[tuple[str, object]] = [
        ("runs", len(results)),
        ("livestreams (identity and generation)", started["livestreams"]),
        ("starts that made a job", started["starts"]),
        ("results, by what told of the end", ", ".join(f"{name} {n}" for name, n in sorted(woken.items()))),
        ("END to the task's end, seconds", _delays(results)),
        ("tries of the starting tasks", _tries(results)),
        ("jobs ended by the sweep", sum(len(run_result.swept) for run_result in results)),
        *((str(kind), broken[kind]) for kind in Broken),
    ]
    return "\n".join(f"{name:<40}{value}" for name, value in rows)


def _tries(results: Sequence[RunResult]) -> str:
    """Each of a task's own faults takes a try, and a retry makes up for it: many of them would hide a fault of ours."""
    tries = Counter(
        run_result.tasks[STARTER]["try_number"] for run_result in results if STARTER in run_result.tasks
    )
    return ", ".join(f"{number}: {count} tasks" for number, count in sorted(tries.items()))


def _delays(results: Sequence[RunResult]) -> str:
    delays = []
    for run_result in results:
        task = run_result.tasks.get(STARTER)
        job = run_result.jobs[-1] if run_result.jobs else None
        if task and job and job.ended_at and task["end_date"] and task["state"] == "success":
            delays.append((datetime.fromisoformat(task["end_date"]) - job.ended_at).total_seconds())
    return f"median {median(delays):.1f}, longest {max(delays):.1f}" if delays else "-"
