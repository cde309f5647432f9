"""
Negative controls: a part of the provider is taken away, and the harness has to report what then breaks.

Without them a table of zeros would prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from dev.faults.count import Broken, judge
from dev.faults.orders import Without
from dev.faults.play import Player
from dev.faults.scene import Scene
from dev.faults.schedule import (
    ENDLESS,
    Callbacks,
    Cell,
    Fate,
    Listing,
    Point,
    Run,
    StartFault,
    Victim,
)

#: Seconds until an END counts as lost: the interval of the reconciliation, many times over.
PATIENCE = 75.0

_PLAIN = Run(
    number=0,
    round=0,
    room_id="",
    cell=Cell(Victim.TASK, Point.AFTER_ACCEPT),
    start=StartFault.NONE,
    listing=Listing.NONE,
    callbacks=Callbacks.NONE,
    fate=Fate.PLAIN,
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
                cell=Cell(Victim.MARK_FAILED, Point.STREAMING),
                show_seconds=ENDLESS,
            ),
            replace(_PLAIN, number=904, cell=Cell(Victim.DELETE, Point.STREAMING), show_seconds=ENDLESS),
        ),
    ),
    Control(
        "reconciliation",
        Broken.LOST,
        (
            replace(
                _PLAIN,
                number=905,
                cell=Cell(Victim.TASK, Point.BEFORE_DEFER),
                callbacks=Callbacks.DROPPED,
                show_seconds=14,
            ),
        ),
    ),
    Control(
        "the job's own room",
        Broken.DUPLICATE,
        (replace(_PLAIN, number=906, cell=Cell(Victim.MOVED, Point.AFTER_STORE), show_seconds=30),),
    ),
    Control(
        "the look for other lives",
        Broken.DUPLICATE,
        (
            replace(
                _PLAIN,
                number=907,
                cell=Cell(Victim.TRIGGERED_AGAIN, Point.STREAMING),
                show_seconds=ENDLESS,
            ),
        ),
    ),
    Control(
        "the trigger's stop",
        Broken.LATE,
        (
            replace(_PLAIN, number=908, cell=Cell(Victim.PAUSED, Point.STREAMING), show_seconds=ENDLESS),
            replace(
                _PLAIN,
                number=909,
                cell=Cell(Victim.MARKED_RESUMED, Point.STREAMING),
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
                cell=Cell(Victim.START_TIMEOUT, Point.AFTER_ACCEPT),
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
                cell=Cell(Victim.DRIP, Point.STREAMING),
                callbacks=Callbacks.END_DROPPED,
                show_seconds=ENDLESS,
            ),
        ),
    ),
)


def play(scene: Scene, tell: Callable[[str], None]) -> list[str]:
    """Play all controls and return a sentence about each that was not caught."""
    uncaught = []
    for control in CONTROLS:
        caught = report(scene, control, tell)
        tell(f"without {control.without}: {', '.join(sorted(caught)) or 'nothing'} reported")
        if control.breaks not in caught:
            uncaught.append(f"Without {control.without} no {control.breaks} was reported.")
    return uncaught


def report(scene: Scene, control: Control, tell: Callable[[str], None]) -> set[Broken]:
    """Play one control and return the promises whose breach was reported."""
    runs = [replace(run, room_id=f"00000000-0000-4000-8000-{run.number:012d}") for run in control.runs]
    player = Player(scene, tell, without=control.without, end_patience=PATIENCE)
    outcomes = player.play_round(runs)
    scene.orders.take_away(None)
    return {violation.kind for outcome in outcomes for violation in judge(outcome)}
