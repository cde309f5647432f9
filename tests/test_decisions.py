"""The policy, row by row as DESIGN and the docs have it, and what must hold for every combination."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from airflow_provider_smartlive.decisions import (
    LINK_LIMITS,
    WANTED_TASK_STATES,
    Action,
    JobStatus,
    KillSeenBy,
    Progress,
    WakeSource,
    decide,
    decide_kill,
    judge_end,
    may_end_with_task,
    progress,
    went_on,
)

OVER = (JobStatus.SUCCEED, JobStatus.FAILED, JobStatus.BLOCKED, JobStatus.NOT_FOUND)
UNCLEAR = (JobStatus.UNKNOWN, JobStatus.REFUSED)
MAY_RUN = (JobStatus.ACTIVE, *UNCLEAR, JobStatus.OTHER_PROJECT)
ANY = tuple(WakeSource)

#: What ends a job that may run, whatever MetaStudio says.
ENDS_ITSELF = (WakeSource.DEADLINE, WakeSource.TIMEOUT, *LINK_LIMITS)
END = (WakeSource.CALLBACK, WakeSource.FIRST_READ)
ASKED = (WakeSource.RECONCILIATION, WakeSource.BUDGET_OVER)

#: Row of the transition table, as (text, what woke the owner, sights, what else is known, what the owner does).
ROWS: list[tuple[str, tuple[WakeSource, ...], tuple[JobStatus, ...], dict[str, Any], Action]] = [
    ("anything, SUCCEED: finish", ANY, (JobStatus.SUCCEED,), {}, Action.FINISH),
    ("anything, SUCCEED after END: finish", ANY, (JobStatus.SUCCEED,), {"ended": True}, Action.FINISH),
    ("anything, FAILED: fail, retry by policy", ANY, (JobStatus.FAILED,), {}, Action.FAIL),
    ("anything, FAILED after END: fail all the same", ANY, (JobStatus.FAILED,), {"ended": True}, Action.FAIL),
    ("anything, BLOCKED: fail, no retry", ANY, (JobStatus.BLOCKED,), {}, Action.FAIL_FOR_GOOD),
    (
        "END on all known outputs, active: ending, ask often",
        (*END, *ASKED),
        (JobStatus.ACTIVE,),
        {"ended": True},
        Action.WAIT_FOR_FINISH,
    ),
    (
        "the ending is over, still active: stop, success",
        (WakeSource.GRACE_OVER,),
        (JobStatus.ACTIVE,),
        {"ended": True},
        Action.STOP_AND_FINISH,
    ),
    (
        "the same, told to leave it running: success",
        (WakeSource.GRACE_OVER,),
        (JobStatus.ACTIVE,),
        {"ended": True, "leave_running": True},
        Action.FINISH,
    ),
    (
        "the ending is over, but by MetaStudio's figures the stream goes on: END was false, the ending begins anew",
        (WakeSource.GRACE_OVER,),
        (JobStatus.ACTIVE,),
        {"ended": True, "still_streams": True},
        Action.WAIT_FOR_FINISH,
    ),
    (
        "the same, told to leave it running: somebody has to own it",
        (WakeSource.GRACE_OVER,),
        (JobStatus.ACTIVE,),
        {"ended": True, "still_streams": True, "leave_running": True},
        Action.WAIT_FOR_FINISH,
    ),
    (
        "the ending is over, but a new output has appeared: keep waiting",
        (WakeSource.GRACE_OVER,),
        (JobStatus.ACTIVE,),
        {"ended": False},
        Action.WAIT,
    ),
    ("END on some outputs, active: keep waiting", END, (JobStatus.ACTIVE,), {}, Action.WAIT),
    ("reconciliation, active: keep waiting", ASKED, (JobStatus.ACTIVE,), {}, Action.WAIT),
    ("not found, END was seen: success", ANY, (JobStatus.NOT_FOUND,), {"ended": True}, Action.FINISH),
    ("not found, END was not seen: vanished", ANY, (JobStatus.NOT_FOUND,), {}, Action.FAIL),
    (
        "deadline, may run: stop, success",
        (WakeSource.DEADLINE,),
        MAY_RUN,
        {},
        Action.STOP_AND_FINISH,
    ),
    (
        "execution_timeout, may run: stop, fail",
        (WakeSource.TIMEOUT,),
        MAY_RUN,
        {},
        Action.STOP_AND_FAIL,
    ),
    (
        "a limit of the link is reached, may run: stop, fail",
        tuple(LINK_LIMITS),
        MAY_RUN,
        {},
        Action.STOP_AND_FAIL,
    ),
    (
        "transient errors: keep waiting",
        (*END, *ASKED, WakeSource.GRACE_OVER),
        UNCLEAR,
        {},
        Action.WAIT,
    ),
    (
        "transient errors after END: the ending goes on",
        (*END, *ASKED, WakeSource.GRACE_OVER),
        UNCLEAR,
        {"ended": True},
        Action.WAIT_FOR_FINISH,
    ),
    (
        "transient errors beyond the budget: fail",
        (*END, *ASKED, WakeSource.GRACE_OVER),
        (JobStatus.UNKNOWN,),
        {"budget_over": True},
        Action.FAIL,
    ),
    (
        "authentication refused beyond the budget: fail, saying so",
        (*END, *ASKED, WakeSource.GRACE_OVER),
        (JobStatus.REFUSED,),
        {"budget_over": True},
        Action.FAIL_FOR_GOOD,
    ),
    (
        "the connection leads to another project: keep waiting, whatever the budget is",
        (*END, *ASKED, WakeSource.GRACE_OVER),
        (JobStatus.OTHER_PROJECT,),
        {"budget_over": True},
        Action.WAIT,
    ),
    (
        "the same after END: the ending goes on",
        (*END, *ASKED),
        (JobStatus.OTHER_PROJECT,),
        {"ended": True, "budget_over": True},
        Action.WAIT_FOR_FINISH,
    ),
    (
        "the ending is over, and the job cannot be asked for nor stopped: fail",
        (WakeSource.GRACE_OVER,),
        (JobStatus.OTHER_PROJECT,),
        {"ended": True},
        Action.FAIL,
    ),
    (
        "the same, told to leave it running: success",
        (WakeSource.GRACE_OVER,),
        (JobStatus.OTHER_PROJECT,),
        {"ended": True, "leave_running": True},
        Action.FINISH,
    ),
]


NOT_BLOCKED = (JobStatus.SUCCEED, JobStatus.FAILED, JobStatus.NOT_FOUND)
QUIET = (JobStatus.SUCCEED, JobStatus.NOT_FOUND)
AFTER_END = {"stopped": True, "ended": True}

#: The same for a job that was stopped already for what woke its owner, and is found over.
STOPPED_ROWS: list[tuple[str, tuple[WakeSource, ...], tuple[JobStatus, ...], dict[str, Any], Action]] = [
    (
        "stopped as planned: success, whatever MetaStudio calls it",
        (WakeSource.DEADLINE,),
        NOT_BLOCKED,
        {"stopped": True},
        Action.STOP_AND_FINISH,
    ),
    (
        "stopped after END: success, and no second show because MetaStudio calls it FAILED",
        (WakeSource.GRACE_OVER,),
        NOT_BLOCKED,
        AFTER_END,
        Action.FINISH,
    ),
    (
        "stopped for a failure: fail, although it ended well",
        (WakeSource.TIMEOUT, *LINK_LIMITS),
        QUIET,
        {"stopped": True},
        Action.STOP_AND_FAIL,
    ),
    (
        "stopped for a failure, and FAILED: fail",
        (WakeSource.TIMEOUT, *LINK_LIMITS),
        (JobStatus.FAILED,),
        {"stopped": True},
        Action.FAIL,
    ),
    (
        "stopped, and BLOCKED: nobody planned that",
        ANY,
        (JobStatus.BLOCKED,),
        {"stopped": True},
        Action.FAIL_FOR_GOOD,
    ),
    (
        "woken by what stops no job: FAILED is a failure",
        (*END, *ASKED),
        (JobStatus.FAILED,),
        {"stopped": True},
        Action.FAIL,
    ),
]


@pytest.mark.parametrize(
    ("source", "status", "known", "action"),
    [
        pytest.param(source, status, known, action, id=f"{text} [{source}, {status}]")
        for text, sources, sights, known, action in [*ROWS, *STOPPED_ROWS]
        for source, status in itertools.product(sources, sights)
    ],
)
def test_row(source: WakeSource, status: JobStatus, known: dict[str, Any], action: Action) -> None:
    assert decide(source, status, **known).action is action


def test_a_stop_changes_nothing_while_the_job_may_still_run() -> None:
    for source, status, known in combinations():
        if status not in OVER:
            assert decide(source, status, **known, stopped=True) == decide(source, status, **known)


def test_everything_that_wakes_and_every_sight_stand_in_a_row() -> None:
    covered = {pair for _, sources, sights, _, _ in ROWS for pair in itertools.product(sources, sights)}
    assert covered == set(itertools.product(WakeSource, JobStatus))


def combinations() -> list[Any]:
    """Return every combination of what can be known."""
    flags = ("ended", "still_streams", "budget_over", "leave_running")
    return [
        (source, status, dict(zip(flags, values, strict=True)))
        for source, status in itertools.product(WakeSource, JobStatus)
        for values in itertools.product((False, True), repeat=4)
    ]


def test_every_combination_has_a_verdict_with_a_reason() -> None:
    for source, status, known in combinations():
        assert decide(source, status, **known).reason, (source, status, known)


def test_what_is_over_is_never_stopped_nor_waited_for() -> None:
    for source, status, known in combinations():
        if status in OVER:
            action = decide(source, status, **known).action
            assert action in {Action.FINISH, Action.FAIL, Action.FAIL_FOR_GOOD}


def test_a_job_that_may_run_is_left_alone_only_where_somebody_asked_for_it() -> None:
    for source, status, known in combinations():
        if status is JobStatus.ACTIVE and decide(source, status, **known).action is Action.FINISH:
            assert source is WakeSource.GRACE_OVER
            assert known["leave_running"]
            assert known["ended"]


def test_a_stream_that_goes_on_is_never_stopped_because_of_a_callback() -> None:
    for source, status, known in combinations():
        if known["still_streams"] and status is JobStatus.ACTIVE and source not in ENDS_ITSELF:
            assert decide(source, status, **known).action in {Action.WAIT, Action.WAIT_FOR_FINISH}


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
    stops = {Action.STOP_AND_FINISH, Action.STOP_AND_FAIL}
    for source, status, known in combinations():
        if source in ENDS_ITSELF and status not in OVER:
            assert decide(source, status, **known).action in stops


def test_a_passing_fault_never_ends_a_wait() -> None:
    for source, status, known in combinations():
        if status in UNCLEAR and not known["budget_over"] and source not in ENDS_ITSELF:
            assert decide(source, status, **known).action in {Action.WAIT, Action.WAIT_FOR_FINISH}


def test_a_budget_that_is_over_means_nothing_to_a_good_answer() -> None:
    for source, status, known in combinations():
        if status not in UNCLEAR:
            without = known | {"budget_over": False}
            assert decide(source, status, **known) == decide(source, status, **without)


STATES_OVER = ("failed", "success", "removed", "skipped", "upstream_failed")
EVERYBODY = tuple(KillSeenBy)
PROCESSES = (KillSeenBy.WORKER, KillSeenBy.LEAVING)
OTHERS = (KillSeenBy.TRIGGER, KillSeenBy.SWEEP)
GOES_ON = tuple(sorted(WANTED_TASK_STATES - {"running", "restarting"}))

#: Row of the table of kills, as (text, who asks, states of the task, what else is known, whether the job is stopped).
KILLS: list[tuple[str, tuple[KillSeenBy, ...], tuple[str | None, ...], dict[str, bool], bool]] = [
    ("ended from outside: stop", EVERYBODY, STATES_OVER, {}, True),
    ("cleared or gone: stop", EVERYBODY, (None,), {}, True),
    ("goes on: leave", EVERYBODY, GOES_ON, {}, False),
    ("runs, elsewhere: leave", (*OTHERS, KillSeenBy.LEAVING), ("running",), {}, False),
    ("cleared while it ran: its own process stops", PROCESSES, ("restarting",), {}, True),
    ("cleared while it ran: leave it to its process", OTHERS, ("restarting",), {}, False),
    ("a worker ends, a retry is left", (KillSeenBy.WORKER,), ("running",), {}, False),
    ("a worker ends, no retry", (KillSeenBy.WORKER,), ("running",), {"is_last_try": True}, True),
    (
        "resumed twice, the older process ends",
        (KillSeenBy.WORKER,),
        ("running",),
        {"is_last_try": True, "resumed": True},
        False,
    ),
    (
        "told to outlive its task",
        EVERYBODY,
        (None, *STATES_OVER),
        {"cancel_on_kill": False},
        False,
    ),
    (
        "told to, but its time is over",
        EVERYBODY,
        (None, *STATES_OVER),
        {"cancel_on_kill": False, "time_is_over": True},
        True,
    ),
    ("started without waiting", (KillSeenBy.SWEEP,), ("success",), {"waits": False}, False),
    ("the same, but it failed", (KillSeenBy.SWEEP,), ("failed", "skipped"), {"waits": False}, True),
    ("reset by a new scheduler", (*PROCESSES, KillSeenBy.SWEEP), (None,), {"run_goes_on": True}, False),
    (
        "the same, no retry left: it runs all the same",
        PROCESSES,
        (None,),
        {"run_goes_on": True, "is_last_try": True, "resumed": True},
        False,
    ),
    ("cleared while it was deferred", (KillSeenBy.TRIGGER,), (None,), {"run_goes_on": True}, True),
]


@pytest.mark.parametrize(
    ("seen_by", "state", "known", "stops"),
    [
        pytest.param(seen_by, state, known, stops, id=f"{text} [{seen_by}, {state}]")
        for text, who, states, known, stops in KILLS
        for seen_by, state in itertools.product(who, states)
    ],
)
def test_row_of_kills(seen_by: KillSeenBy, state: str | None, known: dict[str, bool], stops: bool) -> None:
    assert decide_kill(seen_by, state, **known).stops is stops


def test_everybody_and_every_state_stand_in_a_row_of_kills() -> None:
    covered = {pair for _, who, states, _, _ in KILLS for pair in itertools.product(who, states)}
    assert covered == set(itertools.product(KillSeenBy, (None, *STATES_OVER, *WANTED_TASK_STATES)))


@pytest.mark.parametrize(
    ("cancel_on_kill", "time_is_over", "expected"),
    [(True, True, True), (True, False, True), (False, True, True), (False, False, False)],
)
def test_whether_a_kill_may_stop_a_job_at_all(
    cancel_on_kill: bool, time_is_over: bool, expected: bool
) -> None:
    assert may_end_with_task(cancel_on_kill=cancel_on_kill, time_is_over=time_is_over) is expected


def test_the_time_of_a_job_is_not_over_unless_that_is_said() -> None:
    assert may_end_with_task(cancel_on_kill=False) is False


def test_every_state_of_airflow_is_judged() -> None:
    from airflow.utils.state import TaskInstanceState

    unfinished = {state.value for state in TaskInstanceState} - set(STATES_OVER)
    # A task of ours never waits for a person's input.
    assert unfinished - {"awaiting_input"} == WANTED_TASK_STATES


LINK_WAS_UP = ("CONNECTING", "CONNECTED")
CALLBACK_ONLY = ("DISCONNECTED", "RECONNECTING")
ALL_STATES = (*LINK_WAS_UP, *CALLBACK_ONLY, "END")


@pytest.mark.parametrize("state", ALL_STATES)
@pytest.mark.parametrize("status", MAY_RUN)
def test_a_state_may_still_come_while_the_job_may_run(state: str, status: JobStatus) -> None:
    assert progress(state, status, streamed=False) is Progress.WAITING


@pytest.mark.parametrize("state", LINK_WAS_UP)
@pytest.mark.parametrize("status", [JobStatus.ACTIVE, JobStatus.SUCCEED, JobStatus.FAILED])
def test_video_that_was_pushed_proves_that_the_link_was_up(state: str, status: JobStatus) -> None:
    assert progress(state, status, streamed=True) is Progress.REACHED


@pytest.mark.parametrize("state", CALLBACK_ONLY)
@pytest.mark.parametrize("status", OVER)
def test_a_lost_link_is_seen_by_callback_only(state: str, status: JobStatus) -> None:
    assert progress(state, status, streamed=True) is Progress.MISSED


@pytest.mark.parametrize(
    ("status", "streamed", "expected"),
    [
        (JobStatus.SUCCEED, True, Progress.REACHED),
        (JobStatus.SUCCEED, False, Progress.REACHED),
        (JobStatus.FAILED, True, Progress.REACHED),
        (JobStatus.FAILED, False, Progress.MISSED),
        (JobStatus.BLOCKED, True, Progress.REACHED),
        (JobStatus.BLOCKED, False, Progress.MISSED),
        (JobStatus.NOT_FOUND, True, Progress.MISSED),
        (JobStatus.NOT_FOUND, False, Progress.MISSED),
        (JobStatus.ACTIVE, True, Progress.WAITING),
    ],
)
def test_what_metastudio_tells_about_the_end(status: JobStatus, streamed: bool, expected: Progress) -> None:
    assert progress("END", status, streamed=streamed) is expected


@pytest.mark.parametrize("status", list(JobStatus))
@pytest.mark.parametrize("grace_over", [False, True])
@pytest.mark.parametrize("still_streams", [False, True])
def test_an_end_that_was_called_back_is_judged_as_the_owner_does(
    status: JobStatus, grace_over: bool, still_streams: bool
) -> None:
    """What the owner goes on to wait for is not true yet, and what it finishes or stops is."""
    source = WakeSource.GRACE_OVER if grace_over else WakeSource.CALLBACK
    verdict = decide(source, status, ended=True, still_streams=still_streams)
    waits = verdict.action in (Action.WAIT, Action.WAIT_FOR_FINISH)

    is_true = judge_end(status, grace_over=grace_over, still_streams=still_streams)
    assert bool(is_true) == (not waits)
    assert (is_true is False) == (status is JobStatus.ACTIVE and grace_over and still_streams)
