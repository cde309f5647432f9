"""
Negative controls: a part of the provider is taken away, and the harness has to report what then breaks.

Without them a table of zeros would prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dev.faults.count import Broken, judge
from dev.faults.injections import Without
from dev.faults.runner import Runner
from dev.faults.schedule import (
    ENDLESS,
    Callbacks,
    Case,
    JobOutcome,
    Listing,
    Point,
    Run,
    StartFault,
    Target,
)
from dev.faults.stack import FaultStack

#: Seconds until an END counts as lost: the interval of the reconciliation, many times over.
PATIENCE = 75.0

_PLAIN = Run(
    number=0,
    round=0,
    room_id="",
    case=Case(Target.TASK, Point.AFTER_ACCEPT),
    start=StartFault.NONE,
    listing=Listing.NONE,
    callbacks=Callbacks.NONE,
    job_outcome=JobOutcome.PLAIN,
    show_seconds=8,
    hold_seconds=0,
    down_seconds=0,
)


@dataclass(frozen=True)
class Control:
    """
    One control.

    :param without: what is taken away.
    :param breaks: the promise that breaks then.
    :param runs: in which it shows.
    """

    without: Without
    breaks: Broken
    runs: tuple[Run, ...]


CONTROLS = (
    Control(
        "lookup",
        Broken.DUPLICATE,
        (
            replace(_PLAIN, number=901, show_seconds=20),
            replace(_PLAIN, number=902, show_seconds=20, start=StartFault.RESET_AFTER),
        ),
    ),
    Control(
        "kill",
        Broken.ORPHAN,
        (
            replace(
                _PLAIN,
                number=903,
                case=Case(Target.MARK_FAILED, Point.STREAMING),
                show_seconds=ENDLESS,
            ),
            replace(_PLAIN, number=904, case=Case(Target.DELETE, Point.STREAMING), show_seconds=ENDLESS),
        ),
    ),
    Control(
        "reconciliation",
        Broken.LOST,
        (
            replace(
                _PLAIN,
                number=905,
                case=Case(Target.TASK, Point.BEFORE_DEFER),
                callbacks=Callbacks.DROPPED,
                show_seconds=14,
            ),
        ),
    ),
    Control(
        "the job's own room",
        Broken.DUPLICATE,
        (replace(_PLAIN, number=906, case=Case(Target.MOVED, Point.AFTER_ACCEPT), show_seconds=45),),
    ),
    Control(
        "the look for other lives",
        Broken.DUPLICATE,
        (
            replace(
                _PLAIN,
                number=907,
                case=Case(Target.TRIGGERED_AGAIN, Point.STREAMING),
                show_seconds=ENDLESS,
            ),
        ),
    ),
    Control(
        "the trigger's stop",
        Broken.LATE,
        (
            replace(_PLAIN, number=908, case=Case(Target.PAUSED, Point.STREAMING), show_seconds=ENDLESS),
            replace(
                _PLAIN,
                number=909,
                case=Case(Target.MARKED_RESUMED, Point.STREAMING),
                show_seconds=ENDLESS,
            ),
        ),
    ),
    Control(
        "the stop after a time-out",
        Broken.ORPHAN,
        (
            replace(
                _PLAIN,
                number=910,
                case=Case(Target.START_TIMEOUT, Point.AFTER_ACCEPT),
                show_seconds=ENDLESS,
            ),
        ),
    ),
    Control(
        "the total time-out",
        Broken.LOST,
        (
            replace(
                _PLAIN,
                number=911,
                case=Case(Target.DRIP, Point.STREAMING),
                callbacks=Callbacks.END_DROPPED,
                show_seconds=ENDLESS,
            ),
        ),
    ),
    Control(
        "the bounds of a locked row",
        Broken.DEAF,
        (replace(_PLAIN, number=912, case=Case(Target.LOCKED_ROW, Point.STREAMING), show_seconds=ENDLESS),),
    ),
)


#: Which of them are run at once, because no run of one needs what another takes away.
ROUNDS = tuple(
    tuple(control for control in CONTROLS if control.without in parts)
    for parts in (
        ("lookup",),
        ("kill",),
        ("reconciliation",),
        (
            "the job's own room",
            "the look for other lives",
            "the trigger's stop",
            "the stop after a time-out",
        ),
        ("the total time-out", "the bounds of a locked row"),
    )
)


def check(stack: FaultStack, tell: Callable[[str], None]) -> list[str]:
    """Run all controls and return a sentence about each that was not caught."""
    uncaught = []
    for controls in ROUNDS:
        caught = report(stack, controls, tell)
        for control in controls:
            broken = caught[control.without]
            tell(f"without {control.without}: {', '.join(sorted(broken)) or 'nothing'} reported")
            if control.breaks not in broken:
                uncaught.append(f"Without {control.without} no {control.breaks} was reported.")
    return uncaught


def report(
    stack: FaultStack, controls: Sequence[Control], tell: Callable[[str], None]
) -> dict[Without, set[Broken]]:
    """Run some controls at once and return the promises whose breach was reported, by what was taken away."""
    rooms = {run.number: f"00000000-0000-4000-8000-{run.number:012d}" for c in controls for run in c.runs}
    runs = [replace(run, room_id=rooms[run.number]) for control in controls for run in control.runs]
    runner = Runner(stack, tell, without=[control.without for control in controls], end_patience=PATIENCE)
    violations = [violation for run_result in runner.run_round(runs) for violation in judge(run_result)]
    stack.injections.take_away()
    return {
        control.without: {
            violation.kind
            for violation in violations
            if violation.run.number in {run.number for run in control.runs}
        }
        for control in controls
    }
