"""Everything that a livestream on one machine needs: a local MetaStudio, an RTMP platform, Airflow."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dev.process import Program, wait_until
from dev.rtmp_platform import RtmpPlatform
from dev.stack import AirflowStack

PROJECT = Path(__file__).resolve().parent.parent
DAGS = PROJECT / "dags"

#: What the example DAGs call their connections to the outputs, one for each platform account.
OUTPUT_CONN_ID = "smartlive_output"

#: Seconds for the sandbox to listen; it takes about one.
SANDBOX_TIMEOUT = 60.0

_LISTENING = re.compile(r"^listening on (http://\S+)$", re.MULTILINE)


class Stage:
    """
    A stage for livestreams; a context manager that stops what it has started.

    :param home: where all files go. What an earlier stage left there is removed.
    :param env: more environment variables for Airflow.
    :param sandbox_arguments: more arguments of ``smartlive-sandbox serve``.
    :param tell: is called with (what, where) as parts become ready.
    :param airflow_options: more arguments of :class:`~dev.stack.AirflowStack`.
    """

    def __init__(
        self,
        home: Path,
        *,
        env: Mapping[str, str] | None = None,
        sandbox_arguments: tuple[str, ...] = (),
        tell: Callable[[str, str], None] = lambda what, where: None,
        **airflow_options: Any,
    ) -> None:
        self.home = home.resolve()
        self.platform = RtmpPlatform()
        self.stream_key = self.platform.issue_key()
        self.access_key = f"FAKEAK{secrets.token_hex(7).upper()}"
        self.secret_key = f"fake-secret-key-{secrets.token_hex(12)}"
        self.project_id = secrets.token_hex(16)
        self.sandbox = self._sandbox_program(sandbox_arguments)
        self.sandbox_url = ""
        options = {"dags_folder": DAGS, **airflow_options}
        self.airflow = AirflowStack(self.home / "airflow", env=env, **options)
        self._tell = tell
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        shutil.rmtree(self.home, ignore_errors=True)
        with ExitStack() as exits:
            self._start(exits)
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    def connections(self) -> dict[str, str | dict[str, Any]]:
        """Return the connections of the example DAGs: to MetaStudio, and to the platform's ingest."""
        return {
            "smartlive_default": {
                "conn_type": "smartlive",
                "host": self.sandbox_url,
                "login": self.access_key,
                "password": self.secret_key,
                "extra": {"project_id": self.project_id},
            },
            OUTPUT_CONN_ID: {"conn_type": "generic", "host": self.platform.url, "password": self.stream_key},
        }

    def _start(self, exits: ExitStack) -> None:
        """Start the small parts while the database is migrated, then Airflow, which needs their addresses."""
        # Left in the opposite order: Airflow first, which still wants something of the others.
        exits.enter_context(self.platform)
        exits.callback(self.sandbox.stop)
        exits.enter_context(self.airflow)
        self.airflow.begin_migration()
        self.sandbox.start()
        self._tell("RTMP platform", self.platform.url)
        wait_until(self._sandbox_listens, "sandbox", timeout=SANDBOX_TIMEOUT, needs=[self.sandbox])
        self._tell("local MetaStudio", self.sandbox_url)
        self.airflow.connections.update(self.connections())
        self._tell("Airflow", "starting its four processes, about 15 s")
        self.airflow.start()
        self._tell("Airflow", f"{self.airflow.base_url} (no login needed)")

    def _sandbox_program(self, more: tuple[str, ...]) -> Program:
        argv = [
            str(Path(sys.executable).parent / "smartlive-sandbox"),
            "serve",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
        ]
        argv += [
            "--access-key",
            self.access_key,
            "--secret-key",
            self.secret_key,
            "--project-id",
            self.project_id,
        ]
        return Program(
            "sandbox", [*argv, *more], env={**os.environ, "PYTHONUNBUFFERED": "1"}, log_folder=self.home
        )

    def _sandbox_listens(self) -> bool:
        if match := _LISTENING.search(self.sandbox.log_text()):
            self.sandbox_url = match.group(1)
        return bool(self.sandbox_url)
