"""Try one cell: the tests, and one livestream from DAG to END."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from dev.matrix.cells import Cell
from dev.matrix.environment import EnvironmentFailed, make
from dev.process import Program

#: What the short form runs: callbacks, races, and the operators with what they stand on.
SHORT = (
    "tests/callbacks",
    "tests/receiver",
    "tests/races",
    "tests/operators",
    "tests/livestream",
    "tests/triggers",
)

#: Tests that start processes ask one environment what the others answer, too: the browser, the wheel, PostgreSQL.
FAST = ("-m", "not processes")

#: Processes of pytest, each of which is given whole modules.
WORKERS = ("-n", "2", "--no-loadscope-reorder")

#: Seconds for the tests and for the livestream; both take far less.
TESTS_TIMEOUT, LIVESTREAM_TIMEOUT = 3600.0, 400.0

#: Seconds for a program that is interrupted: the livestream has Airflow's processes to stop.
STOP_GRACE = 60.0

#: How many failed tests are named.
NAMED = 20


@dataclass(frozen=True)
class Trial:
    """
    What became of a cell.

    :param on: the day.
    :param tests: what the tests came to, such as ``short: 2821 passed``.
    :param livestream: what the livestream came to.
    :param passed: whether all was well.
    :param details: for whoever has to look: failed tests, the end of a log.
    """

    cell: Cell
    on: str
    tests: str
    livestream: str
    passed: bool
    details: list[str] = field(default_factory=list)


def run(cell: Cell, folder: Path, *, short: bool) -> Trial:
    """
    Make the environment of a cell, and try it.

    :param folder: where everything goes; logs stay there.
    :param short: run only the tests of :data:`SHORT`.
    """
    today = datetime.now(UTC).date().isoformat()
    began = time.monotonic()
    try:
        python = make(cell, folder)
    except (EnvironmentFailed, subprocess.TimeoutExpired) as error:
        return Trial(cell, today, "no environment", "not run", passed=False, details=[str(error)])
    installed = time.monotonic()
    tests, tests_passed, details = _tests(python, folder, short=short)
    tested = time.monotonic()
    livestream, livestream_passed, more = _livestream(python, folder)
    ended = time.monotonic()
    took = (installed - began, tested - installed, ended - tested)
    print("    seconds: environment {:.0f}, tests {:.0f}, livestream {:.0f}".format(*took), flush=True)
    passed = tests_passed and livestream_passed
    return Trial(cell, today, tests, livestream, passed=passed, details=details + more)


def _tests(python: Path, folder: Path, *, short: bool) -> tuple[str, bool, list[str]]:
    report = folder / "tests.xml"
    report.unlink(missing_ok=True)
    chosen = SHORT if short else ()
    # What an interrupted run of another cell has learnt is no business of this one.
    quiet = ("-q", "-p", "no:cacheprovider", "--junitxml", str(report))
    command = (python, "-m", "pytest", *chosen, *FAST, *WORKERS, *quiet)
    program = _run("tests", folder, TESTS_TIMEOUT, *command)
    name = "short" if short else "fast suite"
    if not report.exists():
        return f"{name}: no result", False, [program.log_tail()]
    suite = ET.parse(report).getroot()
    return judged(name, suite)


def judged(name: str, suites: ET.Element) -> tuple[str, bool, list[str]]:
    """Return what a report of pytest says: in one line, whether all is well, and the tests that failed."""
    cases = list(suites.iter("testcase"))
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = sum(case.find("skipped") is not None for case in cases)
    counts = [(len(cases) - len(failed) - skipped, "passed"), (len(failed), "failed"), (skipped, "skipped")]
    line = ", ".join(f"{count} {what}" for count, what in counts if count)
    names = [f"{case.get('classname')}::{case.get('name')}" for case in failed]
    more = [f"and {len(names) - NAMED} more"] if len(names) > NAMED else []
    return f"{name}: {line or 'none ran'}", bool(cases) and not failed, names[:NAMED] + more


def _livestream(python: Path, folder: Path) -> tuple[str, bool, list[str]]:
    summary = folder / "demo.json"
    summary.unlink(missing_ok=True)
    demo = ("-m", "dev.demo", "--home", str(folder / "demo"), "--json", str(summary))
    program = _run("demo", folder, LIVESTREAM_TIMEOUT, python, *demo)
    if not summary.exists():
        return "failed", False, [program.log_tail()]
    facts = json.loads(summary.read_text())
    if broken := facts["broken_promises"]:
        return "failed", False, broken
    return f"END by {facts['woken_by']}, resumed after {facts['resumed_after']} s", True, []


def _run(name: str, folder: Path, timeout: float, *command: str | Path) -> Program:
    """Run a program to its end. One that has to be ended gets the time to stop what it has started."""
    program = Program(name, [str(part) for part in command], env=_environment(), log_folder=folder)
    program.log.unlink(missing_ok=True)
    program.start()
    try:
        program.wait(timeout)
    except subprocess.TimeoutExpired:
        print(f"    {name}: not over after {timeout:.0f} s", flush=True)
    finally:
        program.stop(STOP_GRACE)
    return program


def _environment() -> dict[str, str]:
    """Return this process' environment without what belongs to its own Python."""
    own = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    here = str(Path(sys.executable).parent)
    env = {name: value for name, value in os.environ.items() if name not in own}
    env["PATH"] = os.pathsep.join(part for part in env["PATH"].split(os.pathsep) if part != here)
    return env
