"""The schedule of the fault harness: the same one for the same seed, and nothing left out."""

from __future__ import annotations

import runpy
from collections import Counter
from pathlib import Path

import pytest

from dev import faults
from dev.faults.schedule import (
    ALL_CELLS,
    DAG_IDS,
    OWN_PER_ROUND,
    PLANNED_SECONDS,
    QUIET_PER_ROUND,
    SHARED_PER_ROUND,
    Callbacks,
    Fate,
    Listing,
    Point,
    StartFault,
    Victim,
    digest,
    plan,
)


def test_a_seed_gives_the_same_schedule_again() -> None:
    assert plan(80, 7) == plan(80, 7)
    assert digest(plan(80, 7)) == digest(plan(80, 7))


def test_another_seed_gives_another_one() -> None:
    assert digest(plan(80, 7)) != digest(plan(80, 8))


def test_every_cell_comes_once_before_any_comes_again() -> None:
    cells = Counter(run.cell for run in plan(2 * len(ALL_CELLS), 3))
    assert set(cells.values()) == {2}
    assert set(cells) == set(ALL_CELLS)
    assert {run.cell for run in plan(len(ALL_CELLS), 3)} == set(ALL_CELLS)


def test_there_are_more_cells_than_sixty() -> None:
    assert len(ALL_CELLS) >= 60


def test_every_run_has_a_room_of_its_own() -> None:
    runs = plan(200, 1)
    assert len({run.room_id for run in runs}) == len({run.run_id for run in runs}) == len(runs)


def test_few_runs_of_a_round_bring_down_what_all_of_them_need() -> None:
    runs = plan(len(ALL_CELLS), 5)
    for number in {run.round for run in runs}:
        victims = [run.cell.victim for run in runs if run.round == number]
        shared = [victim.is_shared for victim in victims]
        assert shared.count(True) <= SHARED_PER_ROUND
        assert shared.count(False) <= OWN_PER_ROUND or all(victim.is_quiet for victim in victims)
        assert len(victims) <= QUIET_PER_ROUND


def test_where_it_counts_how_soon_something_happens_nothing_else_is_hit() -> None:
    runs = plan(2 * len(ALL_CELLS), 5)
    quiet = {run.round for run in runs if run.cell.victim.is_quiet}
    assert all(run.cell.victim.is_quiet for run in runs if run.round in quiet)
    others = [run for run in runs if run.round in quiet and run.cell.victim is not Victim.DRIP]
    assert {(run.start, run.listing, run.callbacks, run.fate) for run in others} == {
        (StartFault.NONE, Listing.NONE, Callbacks.NONE, Fate.PLAIN)
    }


@pytest.mark.parametrize("seed", range(20))
def test_no_plan_contradicts_itself(seed: int) -> None:
    for run in plan(len(ALL_CELLS), seed):
        if run.listing is Listing.NO_ECHO:
            assert run.fate in (Fate.PLAIN, Fate.FAILS)  # its job may be left to itself
        if run.fate is Fate.BLOCKED:
            assert run.cell.point not in (Point.BEFORE_DEFER, Point.AFTER_DEFER, Point.BEFORE_RESULT)
        if run.cell.victim is Victim.MOVED:
            assert run.listing is not Listing.NO_ECHO  # nobody could tell then which room a job is in
        # An orphan would end by itself, and not be seen.
        if run.cell.victim.is_user or run.cell.victim.is_stop:
            is_there = run.fate is Fate.LINGERS if run.cell.point is Point.RESUMED else not run.ends_by_itself
            assert is_there
        if run.cell.victim is Victim.WORKER and run.cell.point is Point.STREAMING:
            assert run.dag_id == "faults_on_worker"


def test_every_dag_of_the_schedule_is_built() -> None:
    folder = Path(faults.__file__).parent / "dags"
    built = runpy.run_path(str(folder / "faults.py"))
    assert {run.dag_id for run in plan(len(ALL_CELLS), 1)} == set(DAG_IDS)
    assert {name for name in built if name.startswith("faults")} == set(DAG_IDS) - {"faults_removed"}
    assert built["PLANNED"]["max_duration"].total_seconds() == PLANNED_SECONDS


def test_the_dag_that_is_removed_has_a_file_of_its_own(tmp_path: Path) -> None:
    copy = tmp_path / "faults_removed.py"
    copy.write_text((Path(faults.__file__).parent / "dags" / "faults.py").read_text())
    assert [name for name in runpy.run_path(str(copy)) if name.startswith("faults")] == ["faults_removed"]


def test_only_a_task_that_moves_goes_live_in_two_rooms() -> None:
    for run in plan(len(ALL_CELLS), 1):
        assert run.other_room_id not in (run.room_id, run.again().other_room_id)
        moves = run.cell.victim in (Victim.MOVED, Victim.CLEAR_MOVED)
        assert run.rooms == ((run.room_id, run.other_room_id) if moves else (run.room_id,))


def test_a_run_that_is_played_again_has_a_round_and_a_room_of_its_own() -> None:
    runs = plan(len(ALL_CELLS), 1)
    again = [run.again() for run in runs]
    assert [run.cell for run in again] == [run.cell for run in runs]
    assert len({run.round for run in again}) == len(again)
    assert {run.room_id for run in again}.isdisjoint(run.room_id for run in runs)
    assert {run.run_id for run in again}.isdisjoint(run.run_id for run in runs)
