"""The schedule of the fault harness: the same one for the same seed, and nothing left out."""

from __future__ import annotations

import runpy
from collections import Counter
from pathlib import Path

import pytest

from dev import faults
from dev.faults.schedule import (
    ALL_CASES,
    DAG_IDS,
    OWN_PER_ROUND,
    PLANNED_SECONDS,
    QUIET_PER_ROUND,
    SHARED_PER_ROUND,
    Callbacks,
    JobOutcome,
    Listing,
    Point,
    StartFault,
    Target,
    digest,
    plan,
)

STANDBY = (Target.STANDBY, Target.STANDBY_FROZEN, Target.STANDBY_CLEARED)


def test_a_seed_gives_the_same_schedule_again() -> None:
    assert plan(80, 7) == plan(80, 7)
    assert digest(plan(80, 7)) == digest(plan(80, 7))


def test_another_seed_gives_another_one() -> None:
    assert digest(plan(80, 7)) != digest(plan(80, 8))


def test_every_cell_comes_once_before_any_comes_again() -> None:
    cases = Counter(run.case for run in plan(2 * len(ALL_CASES), 3))
    assert set(cases.values()) == {2}
    assert set(cases) == set(ALL_CASES)
    assert {run.case for run in plan(len(ALL_CASES), 3)} == set(ALL_CASES)


def test_there_are_more_cells_than_sixty() -> None:
    assert len(ALL_CASES) >= 60


def test_every_run_has_a_room_of_its_own() -> None:
    runs = plan(200, 1)
    assert len({run.room_id for run in runs}) == len({run.run_id for run in runs}) == len(runs)


def test_few_runs_of_a_round_bring_down_what_all_of_them_need() -> None:
    runs = plan(len(ALL_CASES), 5)
    for number in {run.round for run in runs}:
        targets = [run.case.target for run in runs if run.round == number]
        shared = [target.is_shared for target in targets]
        assert shared.count(True) <= SHARED_PER_ROUND
        assert shared.count(False) <= OWN_PER_ROUND or all(target.is_quiet for target in targets)
        assert len(targets) <= QUIET_PER_ROUND


def test_where_it_counts_how_soon_something_happens_nothing_else_is_hit() -> None:
    runs = plan(2 * len(ALL_CASES), 5)
    quiet = {run.round for run in runs if run.case.target.is_quiet}
    assert all(run.case.target.is_quiet for run in runs if run.round in quiet)
    others = [
        run for run in runs if run.round in quiet and run.case.target not in (Target.DRIP, Target.THROTTLED)
    ]
    assert {(run.start, run.listing, run.callbacks, run.job_outcome) for run in others} == {
        (StartFault.NONE, Listing.NONE, Callbacks.NONE, JobOutcome.PLAIN)
    }


@pytest.mark.parametrize("seed", range(20))
def test_no_plan_contradicts_itself(seed: int) -> None:
    for run in plan(len(ALL_CASES), seed):
        if run.listing is Listing.NO_ECHO:
            assert run.job_outcome in (JobOutcome.PLAIN, JobOutcome.FAILS)  # its job may be left to itself
        if run.job_outcome is JobOutcome.BLOCKED:
            assert run.case.point not in (Point.BEFORE_DEFER, Point.AFTER_DEFER, Point.BEFORE_RESULT)
        if run.case.target is Target.MOVED:
            assert run.listing is not Listing.NO_ECHO  # nobody could tell then which room a job is in
        if run.case.target is Target.FROZEN_WORKER:
            assert run.listing is not Listing.NO_ECHO  # its retry would be refused, and nothing thaws it
        is_refused = run.start in (StartFault.REFUSED, StartFault.REFUSED_TWICE)
        assert is_refused is (run.case.target in STANDBY)
        # An orphan would end by itself, and not be seen.
        if run.case.target.is_user or run.case.target.is_stop:
            is_there = (
                run.job_outcome is JobOutcome.LINGERS
                if run.case.point is Point.RESUMED
                else not run.ends_by_itself
            )
            assert is_there
        if run.case.target is Target.WORKER and run.case.point is Point.STREAMING:
            assert run.dag_id == "faults_on_worker"


def test_every_dag_of_the_schedule_is_built() -> None:
    folder = Path(faults.__file__).parent / "dags"
    built = runpy.run_path(str(folder / "faults.py"))
    assert {run.dag_id for run in plan(len(ALL_CASES), 1)} == set(DAG_IDS)
    assert {name for name in built if name.startswith("faults")} == set(DAG_IDS) - {"faults_removed"}
    assert built["PLANNED"]["max_duration"].total_seconds() == PLANNED_SECONDS


def test_the_dag_that_is_removed_has_a_file_of_its_own(tmp_path: Path) -> None:
    copy = tmp_path / "faults_removed.py"
    copy.write_text((Path(faults.__file__).parent / "dags" / "faults.py").read_text())
    assert [name for name in runpy.run_path(str(copy)) if name.startswith("faults")] == ["faults_removed"]


def test_only_a_task_that_moves_or_has_a_standby_goes_live_in_two_rooms() -> None:
    for run in plan(len(ALL_CASES), 1):
        assert run.other_room_id not in (run.room_id, run.again().other_room_id)
        moves = run.case.target in (Target.MOVED, Target.CLEAR_MOVED, *STANDBY)
        assert run.rooms == ((run.room_id, run.other_room_id) if moves else (run.room_id,))


def test_a_run_that_is_played_again_has_a_round_and_a_room_of_its_own() -> None:
    runs = plan(len(ALL_CASES), 1)
    again = [run.again() for run in runs]
    assert [run.case for run in again] == [run.case for run in runs]
    assert len({run.round for run in again}) == len(again)
    assert {run.room_id for run in again}.isdisjoint(run.room_id for run in runs)
    assert {run.run_id for run in again}.isdisjoint(run.run_id for run in runs)
