"""What the harness injects fits the package as it is now: every seam is there, and only where it was asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from dev.faults.injections import Injections, Without
from dev.faults.negative_controls import CONTROLS, ROUNDS
from dev.faults.schedule import Point
from dev.full_stack import PROJECT

INJECT = PROJECT / "dev" / "faults" / "inject"

IMPORT_ALL = """
import importlib, sitecustomize
for name, seam in sitecustomize._SEAMS.items():
    module = importlib.import_module(name)
    print(name)
from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook
print(SmartLiveTaskHook.start_job.__code__.co_filename)
"""


def run(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(INJECT), str(PROJECT)]), **env}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


def test_every_seam_is_there(tmp_path: Path) -> None:
    done = run(IMPORT_ALL, **{Injections.VARIABLE: str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(INJECT / "sitecustomize.py")


def test_nothing_is_wrapped_where_nobody_asked_for_it() -> None:
    done = run(IMPORT_ALL)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] != str(INJECT / "sitecustomize.py")


def test_every_point_of_the_schedule_is_one_that_a_process_can_reach() -> None:
    code = (INJECT / "sitecustomize.py").read_text()
    assert [point for point in Point if f'"{point}"' not in code] == []


def test_every_part_that_a_control_takes_away_is_one_that_a_process_knows() -> None:
    code = (INJECT / "sitecustomize.py").read_text()
    assert [part for part in get_args(Without) if f'"{part}"' not in code] == []
    assert {control.without for control in CONTROLS} == set(get_args(Without))
    assert sorted(c.without for controls in ROUNDS for c in controls) == sorted(c.without for c in CONTROLS)


REACH = """
import sitecustomize
sitecustomize._run_id = "faults__001"
sitecustomize.reach("before defer")
sitecustomize.reach("streaming")
print("alive", flush=True)
"""


@pytest.mark.parametrize(("point", "dies"), [("streaming", True), ("resumed", False)])
def test_a_process_dies_at_its_point_and_nowhere_else(tmp_path: Path, point: str, dies: bool) -> None:
    injections = Injections(tmp_path)
    injections.give("faults__001", point, "task")
    done = run(REACH, **{Injections.VARIABLE: str(tmp_path)})
    assert injections.is_obeyed("faults__001") is dies
    assert (done.returncode == -9) is dies
    assert ("alive" in done.stdout) is not dies


def test_an_injection_is_obeyed_once(tmp_path: Path) -> None:
    injections = Injections(tmp_path)
    injections.give("faults__001", "streaming", "task")
    assert run(REACH, **{Injections.VARIABLE: str(tmp_path)}).returncode == -9
    assert run(REACH, **{Injections.VARIABLE: str(tmp_path)}).returncode == 0


def test_a_held_process_goes_on_when_it_is_released(tmp_path: Path) -> None:
    injections = Injections(tmp_path)
    injections.give("faults__001", "streaming", "hold")
    injections.release("faults__001")
    assert run(REACH, **{Injections.VARIABLE: str(tmp_path)}).returncode == 0
    assert injections.is_obeyed("faults__001")


def test_a_part_is_taken_away_from_some_runs_and_given_back(tmp_path: Path) -> None:
    injections = Injections(tmp_path)
    room = "00000000-0000-4000-8000-00000000000A"

    def lacking(part: str) -> str:
        questions = (
            f"lacks({part!r}, 'faults__001')",
            f"lacks({part!r}, {room.replace('-', '').lower()!r})",
            f"lacks({part!r}, 'faults__002')",
            f"lacks({part!r})",
            f"lacks_anywhere({part!r})",
        )
        code = f"from sitecustomize import *; print(*[int(said) for said in ({', '.join(questions)})])"
        return run(code, **{Injections.VARIABLE: str(tmp_path)}).stdout.strip()

    injections.take_away({"faults__001": ["kill"], room: ["kill"], "faults__002": ["lookup"]})
    assert (lacking("kill"), lacking("lookup")) == ("1 1 0 0 1", "0 0 1 0 1")
    injections.take_away({"faults__001": ["lookup"]})
    assert (lacking("kill"), lacking("lookup")) == ("0 0 0 0 0", "1 0 0 0 1")
    injections.take_away({})
    assert lacking("lookup") == "0 0 0 0 0"


def test_a_task_lacks_what_is_taken_away_from_its_run(tmp_path: Path) -> None:
    injections = Injections(tmp_path)
    injections.take_away({"faults__001": ["kill"]})
    code = "import sitecustomize; sitecustomize._run_id = {!r}; print(sitecustomize.lacks('kill'))"
    for run_id, said in (("faults__001", "True"), ("faults__002", "False")):
        assert run(code.format(run_id), **{Injections.VARIABLE: str(tmp_path)}).stdout.strip() == said
