"""The demo, run as a person runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import psutil
import pytest

from dev.demo import RESUME_LIMIT
from dev.full_stack import PROJECT

#: Seconds. A second `make demo` takes at most 75 on two idle cores.
TIME_LIMIT = 400


def processes_of(run: str) -> list[str]:
    """Return the command lines of what still runs with this run's mark in its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("DEMO_RUN") == run:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


@pytest.mark.processes
def test_the_demo_keeps_its_promises_and_leaves_nothing_behind(tmp_path: Path) -> None:
    run = uuid.uuid4().hex
    report = tmp_path / "summary.json"
    demo = subprocess.Popen(
        [sys.executable, "-m", "dev.demo", "--home", str(tmp_path / "demo"), "--json", str(report)],
        cwd=PROJECT,
        env={**os.environ, "DEMO_RUN": run},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output, _ = demo.communicate(timeout=TIME_LIMIT)

    assert demo.returncode == 0, output
    summary = json.loads(report.read_text())
    assert summary["broken_promises"] == []
    assert summary["run_state"] == "success"
    assert [state for state, _ in summary["states"]] == ["CONNECTING", "CONNECTED", "END"]
    assert summary["video_frames"] > 0
    assert summary["woken_by"] == "callback"
    assert 0 < summary["resumed_after"] < RESUME_LIMIT
    assert summary["job_id"] in output
    assert "/plugin/livestreams" in output
    assert processes_of(run) == []


@pytest.mark.processes
def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    run = uuid.uuid4().hex
    demo = subprocess.Popen(
        [sys.executable, "-m", "dev.demo", "--home", str(tmp_path / "demo")],
        cwd=PROJECT,
        env={**os.environ, "DEMO_RUN": run},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert demo.stdout is not None
    for line in demo.stdout:
        if "four processes" in line:
            break
    assert len(processes_of(run)) > 1
    demo.terminate()
    output, _ = demo.communicate(timeout=TIME_LIMIT)

    assert demo.returncode == 130, output
    assert processes_of(run) == []
