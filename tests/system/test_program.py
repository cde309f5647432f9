"""What the system tests stand on: that a program is stopped, killed, frozen and restarted as one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from dev.process import Program, ProgramError, stop_all, wait_until

pytestmark = pytest.mark.processes

#: Starts a child that leaves the process group, as Airflow's task processes do, and waits.
PARENT = """
import subprocess, sys, time
child = [sys.executable, "-c", "import time; print('child', flush=True); time.sleep(600)"]
subprocess.Popen(child, start_new_session=True)
time.sleep(600)
"""

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""

Start = Callable[[str, str], Program]


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    programs: list[Program] = []

    def start(code: str, ready: str) -> Program:
        program = Program(
            f"program-{len(programs)}", [sys.executable, "-c", code], env=os.environ, log_folder=tmp_path
        )
        programs.append(program)
        program.start()
        wait_until(lambda: ready in program.log_text(), ready, timeout=60, needs=[program])
        return program

    yield start
    stop_all(programs, grace=0)


def test_a_kill_reaches_children_in_other_process_groups(start: Start) -> None:
    program = start(PARENT, "child")
    members = program.members()
    assert len({os.getpgid(member.pid) for member in members}) == 2

    program.kill()

    assert not any(is_alive(member) for member in members)
    assert not program.running


def test_a_stop_reaches_children_in_other_process_groups(start: Start) -> None:
    program = start(PARENT, "child")
    members = program.members()
    assert len(members) == 2

    program.stop()

    assert not any(is_alive(member) for member in members)


def test_a_program_that_ignores_sigterm_is_killed_after_the_grace(start: Start) -> None:
    program = start(STUBBORN, "deaf")
    program.stop(grace=0.2)
    assert not program.running


def test_freeze_stops_all_members_and_thaw_lets_them_go_on(start: Start) -> None:
    program = start(PARENT, "child")

    program.freeze()
    wait_until(
        lambda: {member.status() for member in program.members()} == {psutil.STATUS_STOPPED},
        "frozen members",
        timeout=60,
    )
    program.thaw()
    wait_until(
        lambda: {member.status() for member in program.members()} == {psutil.STATUS_SLEEPING},
        "thawed members",
        timeout=60,
    )


def test_a_frozen_program_can_be_stopped(start: Start) -> None:
    program = start(PARENT, "child")
    program.freeze()
    program.stop()
    assert program.members() == []


def test_restart_starts_a_new_process(start: Start) -> None:
    program = start(PARENT, "child")
    before = program.pid
    program.restart()
    assert program.pid != before
    assert program.running


def test_an_end_while_something_waits_shows_the_log(start: Start) -> None:
    program = start("print('ready', flush=True); input()", "ready")
    with pytest.raises(ProgramError, match="ready"):
        wait_until(lambda: False, "what never comes", timeout=30, needs=[program])


def test_a_failure_is_told_with_the_log(start: Start) -> None:
    program = start("print('ready', flush=True); raise SystemExit(3)", "ready")
    with pytest.raises(ProgramError, match="exit code 3"):
        program.finish(timeout=30)


def test_no_condition_is_waited_for_longer_than_asked() -> None:
    with pytest.raises(ProgramError, match=r"No rain within 0 s"):
        wait_until(lambda: False, "rain", timeout=0)


def test_processes_without_the_marker_are_left_alone(start: Start) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        start(PARENT, "child").kill()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
