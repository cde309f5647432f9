"""The remote task logs of a deployment: a folder instead of a bucket. Airflow's own processes import it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from airflow.config_templates.airflow_local_settings import DEFAULT_LOGGING_CONFIG

LOGGING_CONFIG = DEFAULT_LOGGING_CONFIG


class CopiedLogs:
    """Copies what a task has logged, and removes the original, as the machine of a worker that goes away would."""

    processors = ()

    def __init__(self) -> None:
        self._folder = Path(os.environ["COPIED_LOGS"])
        self._local = Path(os.environ["AIRFLOW__LOGGING__BASE_LOG_FOLDER"])

    def upload(self, path: os.PathLike[str] | str, ti: Any = None) -> None:
        original = self._local / path
        copy = self._folder / original.relative_to(self._local)
        copy.parent.mkdir(parents=True, exist_ok=True)
        with copy.open("ab") as file:
            file.write(original.read_bytes())
        original.unlink()

    def read(self, relative_path: str, ti: Any) -> tuple[list[str], list[str] | None]:
        found = sorted(self._folder.glob(f"{relative_path}*"))
        return [str(path) for path in found], [path.read_text() for path in found] or None


REMOTE_TASK_LOG = CopiedLogs() if "COPIED_LOGS" in os.environ else None
