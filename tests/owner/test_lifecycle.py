"""The policy, row by row as DESIGN and the docs have it, and what must hold for every combination."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from airflow_provider_smartlive.lifecycle import (
    WANTED_TASK_STATES,
    Action,
    Progress,
    Sight,
    Signal,
    WakeSource,
    decide,
    progress,
    signal_of_cancel,
    went_on,
)

OVER = (Sight.SUCCEED, Sight.FAILED, Sight.BLOCKED, Sight.NOT_FOUND)
UNCLEAR = (Sight.UNKNOWN, Sight.REFUSED)
#: The signals on which the owner goes on to wait, to finish or to fail.
AWAKE = tuple(signal for signal in Signal if signal not in (Signal.KILL, Signal.HAND_OVER))

#: The signals that end a job that may run, whatever MetaStudio says.
ENDS_ITSELF = (Signal.DEADLINE, Signal.TIMEOUT, Signal.DISCONNECTED, Signal.KILL)

#: Row of the transition table, as (text, signals, sights, what else is known, what the owner does).
ROWS: list[tuple[str, tuple[Signal, ...], tuple[Sight, ...], dict[str, Any], Action]] = [
    ("anything, SUCCEED: finish", AWAKE, (Sight.SUCCEED,), {}, Action.FINISH),
    ("anything, SUCCEED after END: finish", AWAKE, (Sight.SUCCEED,), {"ended": True}, Action.FINISH),
    ("anything, FAILED: fail, retry by policy", AWAKE, (Sight.FAILED,), {}, Action.FAIL),
    ("anything, FAILED after END: fail all the same", AWAKE, (Sight.FAILED,), {"ended": True}, Action.FAIL),
    ("anything, BLOCKED: fail, no retry", AWAKE, (Sight.BLOCKED,), {}, Action.FAIL_FOR_GOOD),
    (
        "END on all known outputs, active: ending, ask often",
        (Signal.END, Signal.RECONCILIATION),
        (Sight.ACTIVE,),
        {"ended": True},
        Action.WAIT_FOR_FINISH,
    ),
    (
        "the ending is over, still active: stop, success",
        (Signal.GRACE_OVER,),
        (Sight.ACTIVE,),
        {"ended": True},
        Action.STOP_AND_FINISH,
    ),
    (
        "the same, told to leave it running: success",
        (Signal.GRACE_OVER,),
        (Sight.ACTIVE,),
        {"ended": True, "leave_running": True},
        Action.FINISH,
    ),
    (
        "the ending is over, but by MetaStudio's figures the stream goes on: END was false, the ending begins anew",
        (Signal.GRACE_OVER,),
        (Sight.ACTIVE,),
        {"ended": True, "still_streams": True},
        Action.WAIT_FOR_FINISH,
    ),
    (
        "the same, told to leave it running: somebody has to own it",
        (Signal.GRACE_OVER,),
        (Sight.ACTIVE,),
        {"ended": True, "still_streams": True, "leave_running": True},
        Action.WAIT_FOR_FINISH,
    ),
    (
        "the ending is over, but a new output has appeared: keep waiting",
        (Signal.GRACE_OVER,),
        (Sight.ACTIVE,),
        {"ended": False},
        Action.WAIT,
    ),
    ("END on some outputs, active: keep waiting", (Signal.END,), (Sight.ACTIVE,), {}, Action.WAIT),
    ("reconciliation, active: keep waiting", (Signal.RECONCILIATION,), (Sight.ACTIVE,), {}, Action.WAIT),
    ("not found, END was seen: success", AWAKE, (Sight.NOT_FOUND,), {"ended": True}, Action.FINISH),
    ("not found, END was not seen: vanished", AWAKE, (Sight.NOT_FOUND,), {}, Action.FAIL),
    (
        "deadline, may run: stop, success",
        (Signal.DEADLINE,),
        (Sight.ACTIVE, *UNCLEAR),
        {},
        Action.STOP_AND_FINISH,
    ),
    (
        "execution_timeout, may run: stop, fail",
        (Signal.TIMEOUT,),
        (Sight.ACTIVE, *UNCLEAR),
        {},
        Action.STOP_AND_FAIL,
    ),
    (
        "interrupted for too long, may run: stop, fail",
        (Signal.DISCONNECTED,),
        (Sight.ACTIVE, *UNCLEAR),
        {},
        Action.STOP_AND_FAIL,
    ),
    ("kill, may run: stop", (Signal.KILL,), (Sight.ACTIVE, *UNCLEAR), {}, Action.STOP),
    ("kill, over: nothing", (Signal.KILL,), OVER, {}, Action.NOTHING),
    ("cancelled, task still waits: nothing", (Signal.HAND_OVER,), tuple(Sight), {}, Action.NOTHING),
    (
        "transient errors: keep waiting",
        (Signal.END, Signal.RECONCILIATION, Signal.GRACE_OVER),
        UNCLEAR,
        {},
        Action.WAIT,
    ),
    (
        "transient errors after END: the ending goes on",
        (Signal.END, Signal.RECONCILIATION, Signal.GRACE_OVER),
        UNCLEAR,
        {"ended": True},
        Action.WAIT_FOR_FINISH,
    ),
    (
        "transient errors beyond the budget: fail",
        (Signal.END, Signal.RECONCILIATION, Signal.GRACE_OVER),
        (Sight.UNKNOWN,),
        {"budget_over": True},
        Action.FAIL,
    ),
    (
        "authentication refused beyond the budget: fail, saying so",
        (Signal.END, Signal.RECONCILIATION, Signal.GRACE_OVER),
        (Sight.REFUSED,),
        {"budget_over": True},
        Action.FAIL_FOR_GOOD,
    ),
]


@pytest.mark.parametrize(
    ("signal", "sight", "known", "action"),
    [
        pytest.param(signal, sight, known, action, id=f"{text} [{signal}, {sight}]")
        for text, signals, sights, known, action in ROWS
        for signal, sight in itertools.product(signals, sights)
    ],
)
def test_row(signal: Signal, sight: Sight, known: dict[str, Any], action: Action) -> None:
    assert decide(signal, sight, **known).action is action


def test_every_signal_and_sight_stand_in_a_row() -> None:
    covered = {pair for _, signals, sights, _, _ in ROWS for pair in itertools.product(signals, sights)}
    assert covered == set(itertools.product(Signal, Sight))


def combinations() -> list[Any]:
    """Return every combination of what can be known."""
    flags = ("ended", "still_streams", "budget_over", "leave_running")
    return [
        (signal, sight, dict(zip(flags, values, strict=True)))
        for signal, sight in itertools.product(Signal, Sight)
        for values in itertools.product((False, True), repeat=4)
    ]


def test_every_combination_has_a_verdict_with_a_reason() -> None:
    for signal, sight, known in combinations():
        assert decide(signal, sight, **known).reason, (signal, sight, known)


def test_a_hand_over_never_touches_anything() -> None:
    for signal, sight, known in combinations():
        if signal is Signal.HAND_OVER:
            assert decide(signal, sight, **known).action is Action.NOTHING


def test_what_is_over_is_never_stopped_nor_waited_for() -> None:
    for signal, sight, known in combinations():
        if sight in OVER:
            action = decide(signal, sight, **known).action
            assert action in {Action.FINISH, Action.FAIL, Action.FAIL_FOR_GOOD, Action.NOTHING}


def test_a_job_that_may_run_is_left_alone_only_where_somebody_asked_for_it() -> None:
    for signal, sight, known in combinations():
        if sight is Sight.ACTIVE and decide(signal, sight, **known).action is Action.FINISH:
            assert signal is Signal.GRACE_OVER
            assert known["leave_running"]
            assert known["ended"]


def test_a_stream_that_goes_on_is_never_stopped_because_of_a_callback() -> None:
    for signal, sight, known in combinations():
        if (
            known["still_streams"]
            and sight is Sight.ACTIVE
            and signal not in (*ENDS_ITSELF, Signal.HAND_OVER)
        ):
            assert decide(signal, sight, **known).action in {Action.WAIT, Action.WAIT_FOR_FINISH}


@pytest.mark.parametrize(
    ("before", "after", "elapsed", "expected"),
    [
        (1000, 1120, 120, True),
        (1000, 1061, 120, True),
        (1000, 1060, 120, False),  # lagged behind by a minute
        (1000, 1000, 120, False),
        (0, 0, 120, False),  # MetaStudio does not say
        (1000, 0, 120, False),
        (1000, 1000, 0, False),
    ],
)
def test_whether_a_stream_went_on(before: float, after: float, elapsed: float, expected: bool) -> None:
    assert went_on(before, after, elapsed) is expected


def test_a_planned_or_forced_end_always_stops_what_may_run() -> None:
    stops = {Action.STOP, Action.STOP_AND_FINISH, Action.STOP_AND_FAIL}
    for signal, sight, known in combinations():
        if signal in ENDS_ITSELF and sight not in OVER:
            assert decide(signal, sight, **known).action in stops


def test_a_passing_fault_never_ends_a_wait() -> None:
    for signal, sight, known in combinations():
        if sight in UNCLEAR and not known["budget_over"] and signal not in (*ENDS_ITSELF, Signal.HAND_OVER):
            assert decide(signal, sight, **known).action in {Action.WAIT, Action.WAIT_FOR_FINISH}


def test_a_budget_that_is_over_means_nothing_to_a_good_answer() -> None:
    for signal, sight, known in combinations():
        if sight not in UNCLEAR:
            without = known | {"budget_over": False}
            assert decide(signal, sight, **known) == decide(signal, sight, **without)


@pytest.mark.parametrize(
    ("source", "signal"),
    [
        (WakeSource.CALLBACK, Signal.END),
        (WakeSource.FIRST_READ, Signal.END),
        (WakeSource.RECONCILIATION, Signal.RECONCILIATION),
        (WakeSource.DEADLINE, Signal.DEADLINE),
        (WakeSource.TIMEOUT, Signal.TIMEOUT),
        (WakeSource.GRACE_OVER, Signal.GRACE_OVER),
        (WakeSource.DISCONNECTED, Signal.DISCONNECTED),
        (WakeSource.BUDGET_OVER, Signal.RECONCILIATION),
    ],
)
def test_what_a_wake_up_means(source: WakeSource, signal: Signal) -> None:
    assert source.signal is signal


def test_every_wake_up_means_something() -> None:
    assert {source.signal for source in WakeSource} <= set(Signal)


@pytest.mark.parametrize("state", sorted(WANTED_TASK_STATES))
def test_a_task_that_still_wants_its_job_was_not_killed(state: str) -> None:
    assert signal_of_cancel(state) is Signal.HAND_OVER


@pytest.mark.parametrize("state", [None, "failed", "success", "removed", "skipped", "upstream_failed"])
def test_a_task_that_is_over_cleared_or_gone_was_killed(state: str | None) -> None:
    assert signal_of_cancel(state) is Signal.KILL


def test_every_state_of_airflow_is_judged() -> None:
    from airflow.utils.state import TaskInstanceState

    killed = {"failed", "success", "removed", "skipped", "upstream_failed"}
    unfinished = {state.value for state in TaskInstanceState} - killed
    # A task of ours never waits for a person's input.
    assert unfinished - {"awaiting_input"} == WANTED_TASK_STATES


LINK_WAS_UP = ("CONNECTING", "CONNECTED")
CALLBACK_ONLY = ("DISCONNECTED", "RECONNECTING")
ALL_STATES = (*LINK_WAS_UP, *CALLBACK_ONLY, "END")


@pytest.mark.parametrize("state", ALL_STATES)
@pytest.mark.parametrize("sight", list(Sight))
def test_what_was_seen_is_reached(state: str, sight: Sight) -> None:
    assert progress(state, sight, seen=True, streamed=False) is Progress.REACHED


@pytest.mark.parametrize("state", ALL_STATES)
@pytest.mark.parametrize("sight", [Sight.ACTIVE, *UNCLEAR])
def test_a_state_may_still_come_while_the_job_may_run(state: str, sight: Sight) -> None:
    assert progress(state, sight, seen=False, streamed=False) is Progress.WAITING


@pytest.mark.parametrize("state", LINK_WAS_UP)
@pytest.mark.parametrize("sight", [Sight.ACTIVE, Sight.SUCCEED, Sight.FAILED])
def test_video_that_was_pushed_proves_that_the_link_was_up(state: str, sight: Sight) -> None:
    assert progress(state, sight, seen=False, streamed=True) is Progress.REACHED


@pytest.mark.parametrize("state", CALLBACK_ONLY)
@pytest.mark.parametrize("sight", OVER)
def test_a_lost_link_is_seen_by_callback_only(state: str, sight: Sight) -> None:
    assert progress(state, sight, seen=False, streamed=True) is Progress.MISSED


@pytest.mark.parametrize(
    ("sight", "streamed", "expected"),
    [
        (Sight.SUCCEED, True, Progress.REACHED),
        (Sight.SUCCEED, False, Progress.REACHED),
        (Sight.FAILED, True, Progress.REACHED),
        (Sight.FAILED, False, Progress.MISSED),
        (Sight.BLOCKED, True, Progress.REACHED),
        (Sight.BLOCKED, False, Progress.MISSED),
        (Sight.NOT_FOUND, True, Progress.MISSED),
        (Sight.NOT_FOUND, False, Progress.MISSED),
        (Sight.ACTIVE, True, Progress.WAITING),
    ],
)
def test_what_metastudio_tells_about_the_end(sight: Sight, streamed: bool, expected: Progress) -> None:
    assert progress("END", sight, seen=False, streamed=streamed) is expected
