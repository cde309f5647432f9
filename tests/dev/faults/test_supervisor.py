"""What of Airflow ends by itself in a run is started again, and counted."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.faults.supervisor import Supervisor
from dev.process import Program, wait_until


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """A program that runs until it is stopped."""
    argv = [sys.executable, "-c", "import signal; signal.pause()"]
    program = Program("scheduler", argv, env={}, log_folder=tmp_path)
    program.start()
    yield program
    program.stop()


def test_what_ended_by_itself_is_started_again(program: Program) -> None:
    with Supervisor({"scheduler": program}, threading.Lock(), look=0.01) as supervisor:
        first = program.pid
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: program.pid != first, "the next one", timeout=10)
    assert supervisor.restarts == {"scheduler": 1}


def test_what_the_harness_kills_is_left_to_it(program: Program) -> None:
    hands = threading.Lock()
    with Supervisor({"scheduler": program}, hands, look=0.01) as supervisor:
        with hands:
            program.kill()
            program.start()
        assert program.running
    assert not supervisor.restarts
