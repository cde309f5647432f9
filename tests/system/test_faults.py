"""
A small part of the fault harness, the same each time: what matters most, and that the harness can fail.

``make faults`` plays the whole matrix.
"""

from __future__ import annotations

import pytest

from dev.faults.controls import ROUNDS as CONTROLS
from dev.faults.controls import Control, report
from dev.faults.count import judge
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

pytestmark = pytest.mark.processes


def plan(number: int, victim: Victim, point: Point, **faults: object) -> Run:
    facts = {
        "start": StartFault.NONE,
        "listing": Listing.NONE,
        "callbacks": Callbacks.NONE,
        "fate": Fate.PLAIN,
        "show_seconds": ENDLESS if point is Point.STREAMING else 10.0,
        "hold_seconds": 1.0,
        "down_seconds": 1.0,
    }
    room_id = f"00000000-0000-4000-9000-{number:012d}"
    return Run(number=number, round=1, room_id=room_id, cell=Cell(victim, point), **{**facts, **faults})  # type: ignore[arg-type]  # the defaults above are of the right types


ROUNDS = {
    "killed around the start": (
        plan(801, Victim.TASK, Point.AFTER_ACCEPT, listing=Listing.LAG),
        plan(802, Victim.WORKER, Point.BEFORE_STORE, callbacks=Callbacks.DUPLICATED),
        plan(803, Victim.TASK, Point.BEFORE_DEFER, start=StartFault.TIMEOUT_AFTER, show_seconds=20.0),
        plan(804, Victim.MARK_FAILED, Point.AFTER_STORE, show_seconds=ENDLESS),
    ),
    "killed on the air": (
        plan(805, Victim.TRIGGERER, Point.STREAMING, callbacks=Callbacks.END_DROPPED),
        plan(806, Victim.SANDBOX, Point.STREAMING, callbacks=Callbacks.REORDERED),
        plan(807, Victim.CLEAR, Point.STREAMING),
        plan(808, Victim.DELETE, Point.STREAMING, callbacks=Callbacks.DROPPED),
    ),
    "begun anew, somewhere else": (
        plan(809, Victim.MOVED, Point.AFTER_STORE, show_seconds=20.0),
        plan(810, Victim.CLEAR_MOVED, Point.STREAMING),
        plan(811, Victim.TRIGGERED_AGAIN, Point.STREAMING),
    ),
    "nobody to stop it": (
        plan(812, Victim.PAUSED, Point.STREAMING),
        plan(813, Victim.MARKED_RESUMED, Point.STREAMING),
        plan(814, Victim.START_TIMEOUT, Point.AFTER_ACCEPT, show_seconds=ENDLESS),
        plan(815, Victim.LOCKED_ROW, Point.STREAMING),
        plan(816, Victim.DRIP, Point.STREAMING, callbacks=Callbacks.END_DROPPED),
    ),
}


@pytest.mark.parametrize("runs", ROUNDS.values(), ids=ROUNDS)
def test_no_promise_is_broken(scene: Scene, runs: tuple[Run, ...]) -> None:
    said: list[str] = []
    outcomes = Player(scene, said.append).play_round(runs)
    broken = [violation for outcome in outcomes for violation in judge(outcome)]
    assert broken == [], "\n".join(said)


@pytest.mark.parametrize("controls", CONTROLS, ids=lambda controls: f"without {controls[0].without}")
def test_the_harness_reports_what_breaks(scene: Scene, controls: tuple[Control, ...]) -> None:
    said: list[str] = []
    broken = report(scene, controls, said.append)
    missed = [control.without for control in controls if control.breaks not in broken[control.without]]
    assert missed == [], "\n".join(said)
