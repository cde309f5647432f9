"""The processes of `make test`: what shares a started Airflow is run by one worker."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from dev.full_stack import PROJECT
from tests.support.left_behind import RUN, end_processes_of_run
from tests.support.scheduler import FIRST, SHARED, SYSTEM, group

MODULES = {path.name: path.read_text() for path in (PROJECT / SYSTEM).glob("test_*.py")}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("stage", "stage: FullStack|airflow_stack: AirflowStack"), ("open_stage", "open_stage: FullStack")],
)
def test_every_module_that_shares_an_airflow_is_in_its_group(name: str, arguments: str) -> None:
    users = {
        module
        for module, text in MODULES.items()
        if re.search(rf"\b({arguments})", text) and f"def {name}(" not in text
    }
    assert users == set(SHARED[name])


def test_what_comes_first_is_there() -> None:
    known = {group(f"{SYSTEM}{name}::test") for name in MODULES}
    assert set(FIRST) <= known


def test_a_module_is_run_by_one_worker() -> None:
    argv = (
        "-m",
        "pytest",
        "-v",
        "-p",
        "no:cacheprovider",
        "-n",
        "2",
        "--no-loadscope-reorder",
    )
    files = ("tests/dev/faults/test_count.py", "tests/dev/faults/test_schedule.py")
    done = subprocess.run(
        [sys.executable, *argv, *files], cwd=PROJECT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout
    ran = set(re.findall(r"\[(gw\d)\].* PASSED (tests/\S+?)::", done.stdout))
    assert sorted(module for _, module in ran) == sorted(files), "each by one worker"
    assert len({worker for worker, _ in ran}) == 2


def test_what_a_worker_leaves_behind_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUN, "a run of this test")
    sleeper = (sys.executable, "-c", "import time; print(flush=True); time.sleep(600)")
    orphan = subprocess.Popen(sleeper, stdout=subprocess.PIPE, start_new_session=True)
    monkeypatch.setenv(RUN, "another run")
    stranger = subprocess.Popen(sleeper, stdout=subprocess.PIPE)
    monkeypatch.setenv(RUN, "a run of this test")
    with orphan, stranger:
        assert orphan.stdout is not None
        orphan.stdout.readline()
        try:
            assert end_processes_of_run() == [orphan.pid]
            assert orphan.poll() is not None
            assert stranger.poll() is None
        finally:
            stranger.kill()
