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
    KillVerdict,
    Progress,
    Verdict,
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

NOT_FINISHED = "the stream ended, the job did not finish by itself"
FINISHING = "the stream ended; MetaStudio is finishing the job"
LEFT = "the stream ended; the job is left to MetaStudio"
GOES_ON = "the stream goes on"
FALSE_END = "END was called back, but MetaStudio's figures do not show it"
NOT_KNOWN = "MetaStudio's answer is not known yet"
ELSEWHERE = "the connection leads to another project; only callbacks tell of the job"
TIME_OUT = "execution_timeout was reached"

Row = tuple[str, tuple[WakeSource, ...], tuple[JobStatus, ...], dict[str, Any], Action, str]

#: Row of the transition table, as (text, what woke the owner, what MetaStudio says, what else is known, what the owner
#: does, what it says in log and summary).
ROWS: list[Row] = [
    (
        "anything, SUCCEED: finish",
        ANY,
        (JobStatus.SUCCEED,),
        {},
        Action.FINISH,
        "the job succeeded; END was not seen",
    ),
    (
        "anything, SUCCEED after END: finish",
        ANY,
        (JobStatus.SUCCEED,),
        {"ended": True},
        Action.FINISH,
        "the job succeeded",
    ),
    ("anything, FAILED: fail, retry by policy", ANY, (JobStatus.FAILED,), {}, Action.FAIL, "the job failed"),
    (
        "anything, FAILED after END: fail all the same",
        ANY,
        (JobStatus.FAILED,),
        {"ended": True},
        Action.FAIL,
        "the job failed",
    ),
    (
        "anything, BLOCKED: fail, no retry",
        ANY,
        (JobStatus.BLOCKED,),
        {},
        Action.FAIL_FOR_GOOD,
        "MetaStudio blocked the job",
    ),
    (
        "END on all known outputs, active: ending, ask often",
        (*END, *ASKED),
        (JobStatus.ACTIVE,),
        {"ended": True},
        Action.WAIT_FOR_FINISH,
        FINISHING,
    ),
    (
        "the ending is over, still active: stop, success",
        (WakeSource.GRACE_OVER,),
        (JobStatus.ACTIVE,),
        {"ended": True},
        Action.STOP_AND_FINISH,
        NOT_FINISHED,
    ),
    (
        "the same, told to leave it running: success",
        (WakeSource.GRACE_OVER,),
        (JobStatus.ACTIVE,),
        {"ended": True, "leave_running": True},
        Action.FINISH,
        LEFT,
    ),
    (
        "the ending is over, but by MetaStudio's figures the stream goes on: END was false, the ending begins anew",
        (WakeSource.GRACE_OVER,),
        (JobStatus.ACTIVE,),
        {"ended": True, "still_streams": True},
        Action.WAIT_FOR_FINISH,
        FALSE_END,
    ),
    (
        "the same, told to leave it running: somebody has to own it",
        (WakeSource.GRACE_OVER,),
        (JobStatus.ACTIVE,),
        {"ended": True, "still_streams": True, "leave_running": True},
        Action.WAIT_FOR_FINISH,
        FALSE_END,
    ),
    (
        "the ending is over, but a new output has appeared: keep waiting",
        (WakeSource.GRACE_OVER,),
        (JobStatus.ACTIVE,),
        {"ended": False},
        Action.WAIT,
        GOES_ON,
    ),
    ("END on some outputs, active: keep waiting", END, (JobStatus.ACTIVE,), {}, Action.WAIT, GOES_ON),
    ("reconciliation, active: keep waiting", ASKED, (JobStatus.ACTIVE,), {}, Action.WAIT, GOES_ON),
    (
        "not found, END was seen: success",
        ANY,
        (JobStatus.NOT_FOUND,),
        {"ended": True},
        Action.FINISH,
        "the stream ended; MetaStudio no longer knows the job",
    ),
    (
        "not found, END was not seen: vanished",
        ANY,
        (JobStatus.NOT_FOUND,),
        {},
        Action.FAIL,
        "the job vanished: MetaStudio no longer knows it, and END was not seen",
    ),
    (
        "deadline, may run: stop, success",
        (WakeSource.DEADLINE,),
        MAY_RUN,
        {},
        Action.STOP_AND_FINISH,
        "stopped as planned",
    ),
    (
        "execution_timeout, may run: stop, fail",
        (WakeSource.TIMEOUT,),
        MAY_RUN,
        {},
        Action.STOP_AND_FAIL,
        TIME_OUT,
    ),
    *(
        (
            f"a limit of the link is reached ({limit}), may run: stop, fail",
            (limit,),
            MAY_RUN,
            {},
            Action.STOP_AND_FAIL,
            reason,
        )
        for limit, reason in LINK_LIMITS.items()
    ),
    (
        "transient errors: keep waiting",
        (*END, *ASKED, WakeSource.GRACE_OVER),
        UNCLEAR,
        {},
        Action.WAIT,
        NOT_KNOWN,
    ),
    (
        "transient errors after END: the ending goes on",
        (*END, *ASKED, WakeSource.GRACE_OVER),
        UNCLEAR,
        {"ended": True},
        Action.WAIT_FOR_FINISH,
        NOT_KNOWN,
    ),
    (
        "transient errors beyond the budget: fail",
        (*END, *ASKED, WakeSource.GRACE_OVER),
        (JobStatus.UNKNOWN,),
        {"budget_over": True},
        Action.FAIL,
        "MetaStudio was unreachable for longer than failure_budget",
    ),
    (
        "authentication refused beyond the budget: fail, saying so",
        (*END, *ASKED, WakeSource.GRACE_OVER),
        (JobStatus.REFUSED,),
        {"budget_over": True},
        Action.FAIL_FOR_GOOD,
        "MetaStudio refuses the credentials",
    ),
    (
        "the connection leads to another project: keep waiting, whatever the budget is",
        (*END, *ASKED, WakeSource.GRACE_OVER),
        (JobStatus.OTHER_PROJECT,),
        {"budget_over": True},
        Action.WAIT,
        ELSEWHERE,
    ),
    (
        "the same after END: the ending goes on",
        (*END, *ASKED),
        (JobStatus.OTHER_PROJECT,),
        {"ended": True, "budget_over": True},
        Action.WAIT_FOR_FINISH,
        ELSEWHERE,
    ),
    (
        "the ending is over, and the job cannot be asked for nor stopped: fail",
        (WakeSource.GRACE_OVER,),
        (JobStatus.OTHER_PROJECT,),
        {"ended": True},
        Action.FAIL,
        "the stream ended, and whether its job did cannot be asked",
    ),
    (
        "the same, told to leave it running: success",
        (WakeSource.GRACE_OVER,),
        (JobStatus.OTHER_PROJECT,),
        {"ended": True, "leave_running": True},
        Action.FINISH,
        LEFT,
    ),
]

NOT_BLOCKED = (JobStatus.SUCCEED, JobStatus.FAILED, JobStatus.NOT_FOUND)
QUIET = (JobStatus.SUCCEED, JobStatus.NOT_FOUND)

#: Rows for a job that was stopped already for what woke its owner, and is found over: the same columns.
STOPPED_ROWS: list[Row] = [
    (
        "stopped as planned: success, whatever MetaStudio calls it",
        (WakeSource.DEADLINE,),
        NOT_BLOCKED,
        {},
        Action.STOP_AND_FINISH,
        "stopped as planned",
    ),
    (
        "stopped after END: success, and no second show because MetaStudio calls it FAILED",
        (WakeSource.GRACE_OVER,),
        (JobStatus.FAILED, JobStatus.NOT_FOUND),
        {"ended": True},
        Action.FINISH,
        NOT_FINISHED,
    ),
    (
        "stopped after END, and MetaStudio says that it succeeded: success",
        (WakeSource.GRACE_OVER,),
        (JobStatus.SUCCEED,),
        {"ended": True},
        Action.FINISH,
        "the job succeeded",
    ),
    (
        "stopped for execution_timeout: fail, although it ended well",
        (WakeSource.TIMEOUT,),
        QUIET,
        {},
        Action.STOP_AND_FAIL,
        TIME_OUT,
    ),
    *(
        (
            f"stopped for a limit of the link ({limit}): fail, although it ended well",
            (limit,),
            QUIET,
            {},
            Action.STOP_AND_FAIL,
            reason,
        )
        for limit, reason in LINK_LIMITS.items()
    ),
    (
        "stopped for a failure, and FAILED: that is said",
        (WakeSource.TIMEOUT, *LINK_LIMITS),
        (JobStatus.FAILED,),
        {},
        Action.FAIL,
        "the job failed",
    ),
    (
        "stopped, and BLOCKED: a block is nobody's plan",
        ANY,
        (JobStatus.BLOCKED,),
        {},
        Action.FAIL_FOR_GOOD,
        "MetaStudio blocked the job",
    ),
    (
        "stopped, and what woke the owner stops no job: the end is judged as always",
        (*END, *ASKED),
        (JobStatus.FAILED,),
        {},
        Action.FAIL,
        "the job failed",
    ),
]


@pytest.mark.parametrize(
    ("source", "status", "known", "expected"),
    [
        pytest.param(source, status, known, Verdict(action, reason), id=f"{text} [{source}, {status}]")
        for text, sources, statuses, known, action, reason in [
            *ROWS,
            *((*row[:3], {**row[3], "stopped": True}, *row[4:]) for row in STOPPED_ROWS),
        ]
        for source, status in itertools.product(sources, statuses)
    ],
)
def test_row(source: WakeSource, status: JobStatus, known: dict[str, Any], expected: Verdict) -> None:
    assert decide(source, status, **known) == expected


def test_a_stop_changes_nothing_while_the_job_may_still_run() -> None:
    for source, status, known in combinations():
        if status not in OVER:
            assert decide(source, status, **known, stopped=True) == decide(source, status, **known)


def test_everything_that_wakes_and_every_sight_stand_in_a_row() -> None:
    covered = {pair for row in ROWS for pair in itertools.product(row[1], row[2])}
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
WANTED = tuple(sorted(WANTED_TASK_STATES - {"running", "restarting"}))

FROM_OUTSIDE = "the task was ended from outside"
TASK_GOES_ON = "the task goes on"
OUTLIVES = "the job was to outlive its task"
NOT_MINE = "the end of the job is a tear-down's, or another DAG's"
LOOKS_AGAIN = "the task looks for its job when it starts"
CLEARED = "the task was cleared while it ran, and begins anew"

#: Row of the table of kills, as (text, who asks, states of the task, what else is known, whether the job is stopped,
#: what is said).
KILLS: list[tuple[str, tuple[KillSeenBy, ...], tuple[str | None, ...], dict[str, bool], bool, str]] = [
    ("ended from outside: stop", EVERYBODY, STATES_OVER, {}, True, FROM_OUTSIDE),
    ("cleared or gone: stop", EVERYBODY, (None,), {}, True, FROM_OUTSIDE),
    ("goes on: leave", EVERYBODY, WANTED, {}, False, TASK_GOES_ON),
    ("runs, elsewhere: leave", (*OTHERS, KillSeenBy.LEAVING), ("running",), {}, False, TASK_GOES_ON),
    ("cleared while it ran: its own process stops", PROCESSES, ("restarting",), {}, True, CLEARED),
    ("cleared while it ran: leave it to its process", OTHERS, ("restarting",), {}, False, TASK_GOES_ON),
    (
        "a worker ends, a retry is left",
        (KillSeenBy.WORKER,),
        ("running",),
        {},
        False,
        "the worker ends, and a retry takes up the job",
    ),
    (
        "a worker ends, no retry",
        (KillSeenBy.WORKER,),
        ("running",),
        {"is_last_try": True},
        True,
        "the worker ends, and no retry is left",
    ),
    (
        "resumed twice, the older process ends",
        (KillSeenBy.WORKER,),
        ("running",),
        {"is_last_try": True, "resumed": True},
        False,
        "another process may have the task",
    ),
    (
        "told to outlive its task",
        EVERYBODY,
        (None, *STATES_OVER),
        {"cancel_on_kill": False},
        False,
        OUTLIVES,
    ),
    (
        "told to, but its time is over",
        EVERYBODY,
        (None, *STATES_OVER),
        {"cancel_on_kill": False, "time_is_over": True},
        True,
        FROM_OUTSIDE,
    ),
    ("started without waiting", (KillSeenBy.SWEEP,), ("success",), {"waits": False}, False, NOT_MINE),
    (
        "the same, but it failed",
        (KillSeenBy.SWEEP,),
        ("failed", "skipped"),
        {"waits": False},
        True,
        FROM_OUTSIDE,
    ),
    (
        "reset by a new scheduler",
        (*PROCESSES, KillSeenBy.SWEEP),
        (None,),
        {"run_goes_on": True},
        False,
        LOOKS_AGAIN,
    ),
    (
        "the same, no retry left: it runs all the same",
        PROCESSES,
        (None,),
        {"run_goes_on": True, "is_last_try": True, "resumed": True},
        False,
        LOOKS_AGAIN,
    ),
    (
        "cleared while it was deferred",
        (KillSeenBy.TRIGGER,),
        (None,),
        {"run_goes_on": True},
        True,
        FROM_OUTSIDE,
    ),
]


@pytest.mark.parametrize(
    ("seen_by", "state", "known", "expected"),
    [
        pytest.param(seen_by, state, known, KillVerdict(stops, reason), id=f"{text} [{seen_by}, {state}]")
        for text, who, states, known, stops, reason in KILLS
        for seen_by, state in itertools.product(who, states)
    ],
)
def test_row_of_kills(
    seen_by: KillSeenBy, state: str | None, known: dict[str, bool], expected: KillVerdict
) -> None:
    assert decide_kill(seen_by, state, **known) == expected


def test_everybody_and_every_state_stand_in_a_row_of_kills() -> None:
    covered = {pair for row in KILLS for pair in itertools.product(row[1], row[2])}
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
