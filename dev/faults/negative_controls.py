"""
Negative controls: a part of the provider is taken away, and the harness has to report what then breaks.

Without them a table of zeros would prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dev.faults.count import Broken, judge
from dev.faults.injections import Without
from dev.faults.runner import Runner
from dev.faults.schedule import (
    ENDLESS,
    PLAIN,
    Callbacks,
    Case,
    Point,
    Run,
    StartFault,
    Target,
)
from dev.faults.stack import FaultStack

#: Seconds until an END counts as lost: the interval of the reconciliation, many times over.
PATIENCE = 75.0


def _run(number: int, target: Target, point: Point, **facts: Any) -> Run:
    """Return a run in which nothing else goes wrong; a stream that is hit itself goes on until somebody stops it."""
    show_seconds = ENDLESS if point is Point.STREAMING else PLAIN.show_seconds
    run = replace(PLAIN, number=number, case=Case(target, point), show_seconds=show_seconds)
    return replace(run, **facts)


@dataclass(frozen=True)
class Control:
    """
    One control.

    :param without: what is taken away.
    :param breaks: the promise that breaks then.
    :param runs: in which it shows.
    :param also: what is taken away as well, because it would keep the same promise.
    """

    without: Without
    breaks: Broken
    runs: tuple[Run, ...]
    also: tuple[Without, ...] = ()


CONTROLS = (
    Control(
        "lookup",
        Broken.DUPLICATE,
        (
            _run(901, Target.TASK, Point.AFTER_ACCEPT, show_seconds=20),
            _run(902, Target.TASK, Point.AFTER_ACCEPT, show_seconds=20, start=StartFault.RESET_AFTER),
        ),
    ),
    Control(
        "kill",
        Broken.ORPHAN,
        (
            _run(903, Target.MARK_FAILED, Point.STREAMING),
            _run(904, Target.DELETE, Point.STREAMING),
        ),
    ),
    Control(
        "reconciliation",
        Broken.LOST,
        (_run(905, Target.TASK, Point.BEFORE_DEFER, show_seconds=14, callbacks=Callbacks.DROPPED),),
    ),
    Control(
        "the job's own room",
        Broken.DUPLICATE,
        (_run(906, Target.MOVED, Point.AFTER_ACCEPT, show_seconds=ENDLESS),),
        also=("the look for other lives",),
    ),
    Control(
        "the look for other lives",
        Broken.DUPLICATE,
        (_run(907, Target.TRIGGERED_AGAIN, Point.STREAMING),),
    ),
    Control(
        "the doubt before a standby",
        Broken.DUPLICATE,
        (_run(913, Target.STANDBY, Point.AFTER_ACCEPT, show_seconds=ENDLESS, start=StartFault.RESET_AFTER),),
        also=("the look for other lives",),
    ),
    Control(
        "the trigger's stop",
        Broken.LATE,
        (
            _run(908, Target.PAUSED, Point.STREAMING),
            _run(909, Target.MARKED_RESUMED, Point.STREAMING),
        ),
    ),
    Control(
        "the stop after a time-out",
        Broken.ORPHAN,
        (_run(910, Target.START_TIMEOUT, Point.AFTER_ACCEPT, show_seconds=ENDLESS),),
    ),
    Control(
        "the total time-out",
        Broken.LOST,
        (_run(911, Target.DRIP, Point.STREAMING, callbacks=Callbacks.END_DROPPED),),
    ),
    Control(
        "the bounds of a locked row",
        Broken.DEAF,
        (_run(912, Target.LOCKED_ROW, Point.STREAMING),),
    ),
)


#: What is taken away from a process that works for all runs: no run of another control may need it meanwhile.
_FROM_ALL = ("the total time-out", "the bounds of a locked row")

#: Those that are run at once.
ROUNDS = (
    tuple(control for control in CONTROLS if control.without not in _FROM_ALL),
    tuple(control for control in CONTROLS if control.without in _FROM_ALL),
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
    without: dict[str, list[Without]] = {}
    runs = []
    for control in controls:
        for planned in control.runs:
            run = replace(planned, room_id=f"00000000-0000-4000-8000-{planned.number:012d}")
            runs.append(run)
            for key in (run.run_id, run.room_id, run.other_room_id):
                without.setdefault(key, []).extend((control.without, *control.also))
    # A second job comes when it comes; that something does not come is found out by waiting.
    waiting = [control for control in controls if control.breaks is not Broken.DUPLICATE]
    patience = {run.number: PATIENCE for control in waiting for run in control.runs}
    runner = Runner(stack, tell, without=without, end_patience=patience)
    violations = [violation for run_result in runner.run_round(runs) for violation in judge(run_result)]
    stack.injections.take_away({})
    if any(control.without == "the total time-out" for control in controls):
        # The request that hangs for the lack of it keeps its triggerer from asking, for minutes.
        with stack.hands:
            stack.airflow.triggerer.restart()
        stack.airflow.wait_until_healthy()
    return {
        control.without: {
            violation.kind
            for violation in violations
            if violation.run.number in {run.number for run in control.runs}
        }
        for control in controls
    }
