"""Processes that a run of the tests left behind."""

from __future__ import annotations

import contextlib
import os

import psutil

#: Names the run in the environment of all its processes.
RUN = "SMARTLIVE_TEST_RUN"

#: Seconds between SIGTERM, by which a PostgreSQL takes its shared memory along, and SIGKILL.
GRACE = 5.0


def end_processes_of_run() -> list[int]:
    """End all other processes of this run, and return their ids."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(RUN) == os.environ[RUN]:
                process.terminate()
                found.append(process)
    _, living = psutil.wait_procs(found, timeout=GRACE)
    for process in living:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    return [process.pid for process in found]
