"""
A small part of the fault harness, the same each time: what matters most, and that the harness can fail.

``make faults`` plays the whole matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from dev.faults.count import judge
from dev.faults.negative_controls import ROUNDS as CONTROLS
from dev.faults.negative_controls import Control, report
from dev.faults.runner import Runner
from dev.faults.schedule import (
    ENDLESS,
    PLAIN,
    Callbacks,
    Case,
    Listing,
    Point,
    Run,
    StartFault,
    Target,
)
from dev.faults.stack import FaultStack

pytestmark = pytest.mark.processes


def plan(number: int, target: Target, point: Point, **faults: Any) -> Run:
    run = replace(
        PLAIN,
        number=number,
        round=1,
        room_id=f"00000000-0000-4000-9000-{number:012d}",
        case=Case(target, point),
        show_seconds=ENDLESS if point is Point.STREAMING else 10.0,
        hold_seconds=1.0,
        down_seconds=1.0,
    )
    return replace(run, **faults)


ROUNDS = {
    "killed around the start, and begun anew somewhere else": (
        plan(801, Target.TASK, Point.AFTER_ACCEPT, listing=Listing.LAG),
        plan(802, Target.WORKER, Point.BEFORE_STORE, callbacks=Callbacks.DUPLICATED),
        plan(803, Target.TASK, Point.BEFORE_DEFER, start=StartFault.TIMEOUT_AFTER, show_seconds=20.0),
        plan(804, Target.MARK_FAILED, Point.AFTER_STORE, show_seconds=ENDLESS),
        plan(817, Target.FROZEN_WORKER, Point.BEFORE_POST, show_seconds=ENDLESS),
        plan(818, Target.STANDBY, Point.STANDBY_POST, start=StartFault.REFUSED),
        plan(819, Target.STANDBY, Point.AFTER_ACCEPT, start=StartFault.REFUSED, show_seconds=20.0),
        plan(809, Target.MOVED, Point.AFTER_STORE, show_seconds=20.0),
        plan(810, Target.CLEAR_MOVED, Point.STREAMING),
        plan(811, Target.TRIGGERED_AGAIN, Point.STREAMING),
    ),
    "killed on the air": (
        plan(805, Target.TRIGGERER, Point.STREAMING, callbacks=Callbacks.END_DROPPED),
        plan(806, Target.SANDBOX, Point.STREAMING, callbacks=Callbacks.REORDERED),
        plan(807, Target.CLEAR, Point.STREAMING),
        plan(808, Target.DELETE, Point.STREAMING, callbacks=Callbacks.DROPPED),
    ),
    "nobody to stop it": (
        plan(812, Target.PAUSED, Point.STREAMING),
        plan(813, Target.MARKED_RESUMED, Point.STREAMING),
        plan(814, Target.START_TIMEOUT, Point.AFTER_ACCEPT, show_seconds=ENDLESS),
        plan(815, Target.LOCKED_ROW, Point.STREAMING),
        plan(816, Target.DRIP, Point.STREAMING, callbacks=Callbacks.END_DROPPED),
    ),
}


@pytest.mark.parametrize("runs", ROUNDS.values(), ids=ROUNDS)
def test_no_promise_is_broken(fault_stack: FaultStack, runs: tuple[Run, ...]) -> None:
    said: list[str] = []
    results = Runner(fault_stack, said.append).run_round(runs)
    broken = [violation for run_result in results for violation in judge(run_result)]
    assert broken == [], "\n".join(said)


@pytest.mark.parametrize("controls", CONTROLS, ids=lambda controls: f"without {controls[0].without}")
def test_the_harness_reports_what_breaks(fault_stack: FaultStack, controls: tuple[Control, ...]) -> None:
    said: list[str] = []
    missed = report_missed(fault_stack, controls, said)
    if missed:
        # A fault that has to meet one request of a trigger may miss it on a busy machine.
        again = [
            replace(control, runs=tuple(replace(run, number=run.number + 1000) for run in control.runs))
            for control in missed
        ]
        missed = report_missed(fault_stack, again, said)
    assert missed == [], "\n".join(said)


def report_missed(stack: FaultStack, controls: Sequence[Control], said: list[str]) -> list[Control]:
    broken = report(stack, controls, said.append)
    return [control for control in controls if control.breaks not in broken[control.without]]
