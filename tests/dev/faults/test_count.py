"""The count of the fault harness: each broken promise is seen, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.url import CallbackTarget, JobTerms
from dev.faults.count import LATE_BOUND, Broken, RunResult, judge
from dev.faults.records import Job
from dev.faults.schedule import (
    PLAIN,
    PLANNED_SECONDS,
    Case,
    JobOutcome,
    Listing,
    Point,
    Run,
    Target,
)
from dev.faults.table import table

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TASK = TaskRef("faults", "faults__001", "go_live")

RUN = replace(PLAIN, number=1, round=1, room_id="00000000-0000-4000-9000-000000000001")


def job(
    job_id: str = "a", *, began: float = 0, ended: float | None = 10, generation: int = 8, **more: Any
) -> Job:
    over_at = None if ended is None else NOON + timedelta(seconds=ended)
    facts = {
        "target": CallbackTarget(TASK, str(generation), generation),
        "state": "SUCCEED" if over_at else "PROCESSING",
        "over_at": over_at,
        "ended_at": over_at,
    }
    accepted_at = NOON + timedelta(seconds=began)
    return Job(job_id, "room", accepted_at=accepted_at, **{**facts, **more})


def run_result(
    *jobs: Job, run: Run = RUN, go_live: str | None = "success", off_air: str = "success", **more: Any
) -> RunResult:
    end = (NOON + timedelta(seconds=12)).isoformat()
    tasks = {
        task_id: {"state": state, "end_date": end, "try_number": 2}
        for task_id, state in (("go_live", go_live), ("off_air", off_air))
        if state != "gone"
    }
    facts: dict[str, Any] = {"result": {"job_id": jobs[-1].job_id, "woken_by": "callback"} if jobs else None}
    return RunResult(run=run, is_hit=True, tasks=tasks, jobs=jobs, **{**facts, **more})


def broken(run_result: RunResult) -> set[Broken]:
    return {violation.kind for violation in judge(run_result)}


def hit_by(target: Target, **changes: Any) -> Run:
    return replace(RUN, case=Case(target, Point.STREAMING), **changes)


def test_a_livestream_that_went_as_it_should_breaks_nothing() -> None:
    assert broken(run_result(job())) == set()


def test_two_jobs_at_once_are_a_duplicate() -> None:
    assert Broken.DUPLICATE in broken(run_result(job("a"), job("b", began=5, ended=20)))


@pytest.mark.parametrize(
    ("point", "room_id", "is_wrong"),
    [
        (Point.STANDBY_POST, RUN.other_room_id, False),
        (Point.STANDBY_POST, RUN.room_id, True),
        (Point.REFUSED, RUN.other_room_id, True),
        (Point.REFUSED, RUN.room_id, False),
    ],
)
def test_a_start_in_the_other_room_than_is_certain_is_wrong(
    point: Point, room_id: str, is_wrong: bool
) -> None:
    run = replace(RUN, case=Case(Target.STANDBY, point))
    assert broken(run_result(replace(job(), room_id=room_id), run=run)) == (
        {Broken.WRONG} if is_wrong else set()
    )


def test_two_lives_at_once_are_a_duplicate_too() -> None:
    run = hit_by(Target.CLEAR)
    assert Broken.DUPLICATE in broken(
        run_result(job("a"), job("b", began=5, ended=20, generation=17), run=run)
    )


def test_a_show_that_is_given_twice_is_a_duplicate() -> None:
    assert Broken.DUPLICATE in broken(run_result(job("a"), job("b", began=15, ended=20)))


@pytest.mark.parametrize(
    "first",
    [job("a", state="FAILED"), job("a", stops=[NOON]), job("a", generation=1)],
    ids=["failed", "stopped", "of an older life"],
)
def test_one_job_after_the_other_may_be_right(first: Job) -> None:
    run = hit_by(Target.CLEAR)
    assert Broken.DUPLICATE not in broken(run_result(first, job("b", began=15, ended=20), run=run))


@pytest.mark.parametrize("state", ["failed", "success", "gone", "skipped"])
def test_a_job_that_outlives_its_task_is_an_orphan(state: str) -> None:
    assert Broken.ORPHAN in broken(run_result(job(ended=None), run=hit_by(Target.MARK_FAILED), go_live=state))


def test_a_job_whose_task_still_waits_is_none() -> None:
    assert Broken.ORPHAN not in broken(run_result(job(ended=None), go_live="deferred"))


@pytest.mark.parametrize("task", ["go_live", "off_air"])
def test_an_end_that_a_task_has_not_heard_of_is_lost(task: str) -> None:
    assert Broken.LOST in broken(run_result(job(), **{task: "deferred"}))


def test_a_task_that_fails_although_its_livestream_succeeded_is_wrong() -> None:
    assert broken(run_result(job(), go_live="failed")) == {Broken.WRONG}


def test_the_result_of_another_job_is_wrong() -> None:
    assert broken(run_result(job("a"), result={"job_id": "b"})) == {Broken.WRONG}


def test_a_stop_that_nobody_asked_for_is_wrong() -> None:
    assert broken(run_result(job(stops=[NOON]))) == {Broken.WRONG}


@pytest.mark.parametrize(
    ("target", "state"),
    [(Target.MARK_FAILED, "failed"), (Target.MARK_SUCCESS, "success"), (Target.DELETE, "gone")],
)
def test_what_a_user_has_decided_counts(target: Target, state: str) -> None:
    stopped = job(stops=[NOON])
    assert broken(run_result(stopped, run=hit_by(target), go_live=state)) == set()
    assert broken(run_result(stopped, run=hit_by(target), go_live="deferred")) == {Broken.WRONG}


def test_two_starts_of_one_life_on_other_terms_are_a_duplicate() -> None:
    """The deadline counts from the start, so the two tokens differ."""
    terms = [JobTerms(deadline=NOON), JobTerms(deadline=NOON + timedelta(minutes=1))]
    one, two = (replace(CallbackTarget(TASK, "8", 8), terms=each) for each in terms)
    assert broken(run_result(job("a", target=one), job("b", began=15, ended=20, target=two))) == {
        Broken.DUPLICATE
    }


PLANNED = hit_by(Target.PAUSED)


def planned(**more: Any) -> Job:
    return job(stops=[NOON], **more)


@pytest.mark.parametrize("ended", [PLANNED_SECONDS, PLANNED_SECONDS + LATE_BOUND - 1])
def test_a_planned_stop_in_time_breaks_nothing(ended: float) -> None:
    assert broken(run_result(planned(ended=ended), run=PLANNED)) == set()


@pytest.mark.parametrize("ended", [PLANNED_SECONDS + LATE_BOUND + 1, None])
def test_a_planned_stop_that_comes_late_or_never_is_told(ended: float | None) -> None:
    assert Broken.LATE in broken(run_result(planned(ended=ended), run=PLANNED))


def test_another_start_after_the_planned_stop_is_a_duplicate() -> None:
    second = planned(job_id="b", began=15, ended=20)
    assert broken(run_result(planned(), second, run=PLANNED)) == {Broken.DUPLICATE}


def test_a_task_that_was_marked_when_its_trigger_had_fired_stays_failed() -> None:
    run = hit_by(Target.MARKED_RESUMED)
    assert broken(run_result(planned(ended=30), run=run, go_live="failed")) == set()
    assert Broken.ORPHAN in broken(run_result(planned(ended=None), run=run, go_live="failed"))
    assert broken(run_result(planned(ended=30), run=run)) == {Broken.WRONG}


def test_a_start_that_ran_into_its_time_out_leaves_no_job() -> None:
    run = hit_by(Target.START_TIMEOUT)
    assert broken(run_result(planned(), run=run, go_live="failed", result=None)) == set()
    assert broken(run_result(planned(ended=None), run=run, go_live="failed")) == {Broken.ORPHAN}


def test_callbacks_of_others_that_a_locked_row_kept_from_an_answer_are_told() -> None:
    run = hit_by(Target.LOCKED_ROW)
    assert broken(run_result(job(), run=run)) == set()
    assert broken(run_result(job(), run=run, unanswered=("END, attempt 1: timeout",))) == {Broken.DEAF}


@pytest.mark.parametrize("target", [Target.CLEAR_MOVED, Target.TRIGGERED_AGAIN])
def test_the_old_life_of_a_run_that_begins_anew_is_stopped_first(target: Target) -> None:
    second = job("b", began=15, ended=20, generation=17)
    assert broken(run_result(planned(), second, run=hit_by(target))) == set()
    assert broken(run_result(planned(ended=18), second, run=hit_by(target))) == {Broken.DUPLICATE}


def test_a_blocked_job_fails_its_task() -> None:
    run = replace(RUN, job_outcome=JobOutcome.BLOCKED)
    blocked = job(state="BLOCKED")
    assert broken(run_result(blocked, run=run, go_live="failed", result=None)) == set()
    assert broken(run_result(blocked, run=run)) == {Broken.WRONG}


def test_a_start_that_cannot_be_looked_up_may_be_refused() -> None:
    run = replace(RUN, listing=Listing.NO_ECHO)
    assert broken(run_result(job(), run=run, go_live="failed", off_air="deferred", result=None)) == set()


def test_a_cell_that_was_not_hit_is_told() -> None:
    assert broken(replace(run_result(job()), is_hit=False)) == {Broken.MISSED}


def test_the_table_shows_hits_and_what_broke() -> None:
    bad = run_result(job("a"), job("b", began=5, ended=20))
    text = table([bad], judge(bad))
    assert "BROKEN PROMISES" in text
    counts = {line[:40].strip(): line[40:] for line in text.splitlines()}
    assert counts["runs"] == "1"
    assert counts["starts that made a job"] == "2"
    assert counts["livestreams (identity and generation)"] == "1"
    assert counts["duplicate"] == "1"
    assert counts["orphan"] == "0"
    assert counts["tries of the starting tasks"] == "2: 1 tasks"
    hits = next(line for line in text.splitlines() if line.startswith("task "))
    assert hits.split() == ["task", "0", "1", *["0"] * 7, *["."] * 3]
