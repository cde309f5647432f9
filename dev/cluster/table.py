"""The table at the end."""

from __future__ import annotations

from collections.abc import Sequence

from dev.bench.figures import median
from dev.cluster.campaign import Played, violations
from dev.cluster.hits import Action, Hit, Kind
from dev.faults.table import counts


def table(played: Sequence[Played], *, can_cut: bool) -> str:
    """
    Return the whole table as text.

    :param can_cut: whether hosts could be cut off.
    """
    broken = violations(played)
    results = [result for phase in played for result in phase.results]
    parts = [_hits(played, can_cut=can_cut), _phases(played), counts(results, broken)]
    if broken:
        lines = [f"{each.run.room_id}: {each.kind}: {each.text}" for each in broken]
        parts.append("\n".join(["BROKEN PROMISES", *lines]))
    return "\n\n".join(parts)


def _hits(played: Sequence[Played], *, can_cut: bool) -> str:
    hits = [hit for phase in played for hit in phase.phase.hits]
    lengths = sorted({hit.seconds for hit in hits})
    columns = [(action, seconds) for seconds in lengths for action in Action]
    heads = "".join(f"{f'{action} {seconds:.0f} s':>16}" for action, seconds in columns)
    rows = [f"{'seconds to the hand-over':<26}{heads}"]
    for kind in Kind:
        cells = [_cell(hits, kind, action, seconds, can_cut=can_cut) for action, seconds in columns]
        rows.append(f"{kind:<26}" + "".join(f"{cell:>16}" for cell in cells))
    rows.append(
        "done: hit, nothing to hand over. (n): what the host had, tasks or triggers. kept: nothing was taken"
    )
    rows.append("from it before it came back.")
    return "\n".join(rows)


def _cell(hits: Sequence[Hit], kind: Kind, action: Action, seconds: float, *, can_cut: bool) -> str:
    if action is Action.CUT and not can_cut:
        return "not run"
    found = [hit for hit in hits if (hit.kind, hit.action, hit.seconds) == (kind, action, seconds)]
    if not found:
        return "."
    hit = found[0]
    count = f" ({hit.had})" if hit.had else ""
    if hit.handed_over is not None:
        return f"{hit.handed_over:.1f}{count}"
    return f"kept{count}" if hit.had else "done"


def _phases(played: Sequence[Played]) -> str:
    head = f"{'seconds, median and longest':<26}{'trigger to on air':>22}{'END to the task end':>22}"
    rows = [f"{each.phase.name:<26}{_pair(each.on_air):>22}{_pair(each.ended):>22}" for each in played]
    return "\n".join([head, *rows])


def _pair(seconds: Sequence[float]) -> str:
    return f"{median(seconds):.1f}, {max(seconds):.1f}" if seconds else "-"
