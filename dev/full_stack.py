"""Everything that a livestream on one machine needs: a local MetaStudio, an RTMP platform, Airflow."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from airflow_provider_smartlive.metastudio.signing import Credentials
from dev.process import Program, wait_until
from dev.sandbox_client import SandboxClient
from dev.stack import AirflowStack

PROJECT = Path(__file__).resolve().parent.parent
DAGS = PROJECT / "dags"

#: Connections to RTMP outputs, each with a stream key of its own: what the example DAGs stream to.
OUTPUT_CONN_IDS = ("smartlive_output", "smartlive_output_2", "smartlive_output_3")

#: Seconds for a sandbox program to listen; it takes about one on an idle core.
LISTEN_TIMEOUT = 180.0

#: Seconds between two counts that the platform prints.
COUNT_INTERVAL = 0.5

_LISTENING = re.compile(r"^listening on (\S+)$", re.MULTILINE)


class FullStack:
    """
    A stack for livestreams; a context manager that stops what it has started.

    :param home: where all files go. What an earlier stack left there is removed.
    :param sandbox_arguments: more arguments of ``smartlive-sandbox serve``.
    :param tell: is called with (what, where) as parts become ready.
    :param airflow_class: what Airflow is started by.
    :param airflow_options: more arguments of ``airflow_class``.
    """

    def __init__(
        self,
        home: Path,
        *,
        sandbox_arguments: Sequence[str] = (),
        tell: Callable[[str, str], None] = lambda what, where: None,
        airflow_class: type[AirflowStack] = AirflowStack,
        airflow_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.home = home.resolve()
        self.stream_keys = {conn_id: f"fake-stream-key-{secrets.token_hex(8)}" for conn_id in OUTPUT_CONN_IDS}
        self.access_key = f"FAKEAK{secrets.token_hex(7).upper()}"
        self.secret_key = f"fake-secret-key-{secrets.token_hex(12)}"
        self.project_id = secrets.token_hex(16)
        self.sandbox_url = ""
        self.platform_url = ""
        self.account = ("--access-key", self.access_key, "--project-id", self.project_id)
        self.sandbox = self.program("sandbox", "serve", *self.account, *sandbox_arguments)
        admitted = [argument for key in self.stream_keys.values() for argument in ("--key", key)]
        self.platform = self.program("platform", "rtmp", *admitted, "--every", str(COUNT_INTERVAL))
        self.airflow = airflow_class(
            self.home / "airflow", **{"dags_folder": DAGS, **(airflow_options or {})}
        )
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
        outputs: dict[str, str | dict[str, Any]] = {
            conn_id: {"conn_type": "generic", "host": self.platform_url, "password": key}
            for conn_id, key in self.stream_keys.items()
        }
        metastudio = {
            "conn_type": "smartlive",
            "host": self.sandbox_url,
            "login": self.access_key,
            "password": self.secret_key,
            "extra": {"project_id": self.project_id},
        }
        # The second one is for what MetaStudio refuses: over that connection nobody is asked for minutes then.
        return outputs | {"smartlive_default": metastudio, "smartlive_refused": metastudio}

    def arrived(self) -> list[dict[str, Any]]:
        """Return the platform's latest counts (``video_frames``, ``bytes``, ...), one dict for each stream."""
        counts = [line for line in self.platform.log_text().splitlines() if line.startswith("{")]
        return list(json.loads(counts[-1])["streams"]) if counts else []

    def _start(self, exits: ExitStack) -> None:
        """Start the small parts while the database is migrated, then Airflow, which needs their addresses."""
        # Left in the opposite order: Airflow first, which still wants something of the others.
        exits.callback(self.platform.stop)
        exits.callback(self.sandbox.stop)
        exits.enter_context(self.airflow)
        self.airflow.begin_migration()
        self.platform.start()
        self.sandbox.start()
        self.platform_url = wait_for_address(self.platform)
        self._tell("RTMP platform", self.platform_url)
        self.sandbox_url = wait_for_address(self.sandbox)
        credentials = Credentials(self.access_key, self.secret_key)
        client = SandboxClient(self.sandbox_url, project_id=self.project_id, credentials=credentials)
        self.sandbox_client = exits.enter_context(client)
        self._tell("local MetaStudio", self.sandbox_url)
        self.airflow.connections.update(self.connections())
        self._tell("Airflow", "starting its four processes, about 15 s")
        self.airflow.start()
        self._tell("Airflow", f"{self.airflow.base_url} (no login needed)")

    def program(self, name: str, command: str, *arguments: str) -> Program:
        """Return a command of the sandbox's program, which is not started yet."""
        sandbox = Path(sys.executable).parent / "smartlive-sandbox"
        argv = [str(sandbox), command, "--host", "127.0.0.1", "--port", "0", *arguments]
        env = {**os.environ, "SMARTLIVE_SANDBOX_SECRET_KEY": self.secret_key}
        return Program(name, argv, env=env, log_folder=self.home)


def wait_for_address(program: Program) -> str:
    wait_until(
        lambda: _LISTENING.search(program.log_text()) is not None,
        f"address of the {program.name}",
        timeout=LISTEN_TIMEOUT,
        needs=[program],
    )
    match = _LISTENING.search(program.log_text())
    return match.group(1) if match else ""
