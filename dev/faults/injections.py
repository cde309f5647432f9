"""
Injections into the processes under test: kill yourself at this point, or wait there.

The harness writes them as files; ``inject/sitecustomize.py``, inside of the processes, obeys. Each is obeyed once.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

#: What the task's process does when it reaches its point.
Action = Literal["task", "worker", "hold", "freeze"]

#: What a negative control takes away from the provider.
Without = Literal[
    "lookup",
    "kill",
    "reconciliation",
    "the job's own room",
    "the look for other lives",
    "the trigger's stop",
    "the stop after a time-out",
    "the total time-out",
    "the bounds of a locked row",
    "the doubt before a standby",
]


class Injections:
    """
    The folder of injections.

    :param folder: where the files are; the processes find it in the environment (:data:`VARIABLE`).
    """

    VARIABLE = "SMARTLIVE_FAULTS"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def give(self, run_id: str, point: str, action: Action) -> None:
        """Let the starting task of a DAG run do something at a point."""
        draft = self.folder / f"{run_id}.draft"
        draft.write_text(json.dumps({"point": point, "do": action}))
        draft.rename(self.folder / f"{run_id}.injection")

    def is_obeyed(self, run_id: str) -> bool:
        """Tell whether the point was reached: the process is dead, or waits."""
        return (self.folder / f"{run_id}.obeyed").exists()

    def release(self, run_id: str) -> None:
        """Let a process that waits go on."""
        (self.folder / f"{run_id}.go").touch()

    def thaw(self, run_id: str) -> None:
        """Let a task's process and its supervisor go on, which are frozen."""
        frozen = self.folder / f"{run_id}.frozen"
        for pid in frozen.read_text().split() if frozen.exists() else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGCONT)
        frozen.unlink(missing_ok=True)

    def take_away(self, parts: Mapping[str, Collection[Without]]) -> None:
        """
        Take parts of the provider away from some runs, and give all others back.

        :param parts: the parts, by the id of a DAG run or of a room.
        """
        switch = self.folder / "without"
        if parts:
            draft = switch.with_suffix(".draft")
            draft.write_text(json.dumps({key: list(of_key) for key, of_key in parts.items()}))
            draft.rename(switch)
        else:
            switch.unlink(missing_ok=True)
