"""An Airflow API server with seeded livestreams: below a path prefix, with a login, and without any other process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from dev.process import Program, wait_until
from dev.stack import MIGRATE_TIMEOUT, AirflowStack
from dev.stage import PROJECT

#: Users and their roles in Airflow's simple auth manager; the last one has none.
USERS = {"admin": "ADMIN", "viewer": "VIEWER", "stranger": ""}

#: Seconds until an API server answers; 8 on two idle cores.
START_TIMEOUT = 120.0


class BoardServer:
    """
    One API server on SQLite; a context manager that stops it.

    :param home: its AIRFLOW_HOME.
    :param prefix: the path below which Airflow is served.
    :param env: more environment variables.
    """

    def __init__(
        self, home: Path, *, prefix: str = "/ops/airflow", env: dict[str, str] | None = None
    ) -> None:
        passwords = home / "passwords.json"
        self.stack = AirflowStack(
            home,
            dags_folder=home / "dags",
            env={
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
                    f"{name}:{role}" for name, role in USERS.items()
                ),
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
                **(env or {}),
            },
        )
        self.url = f"{self.stack.base_url}{prefix}"
        self.stack._own_env.setdefault("AIRFLOW__API__BASE_URL", self.url)
        home.mkdir(parents=True, exist_ok=True)
        (home / "dags").mkdir(exist_ok=True)
        passwords.write_text(json.dumps({name: name for name in USERS}))

    def __enter__(self) -> BoardServer:
        self.stack.begin_migration()
        self.stack.programs.pop("migrate").finish(MIGRATE_TIMEOUT)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.stop()

    @property
    def program(self) -> Program:
        """The API server's process."""
        return self.stack.api_server

    def start(self) -> None:
        """Start the API server and wait until it answers."""
        self.stack._run("api-server", "api-server")
        self.wait()

    def wait(self) -> None:
        """Wait until the API server answers."""
        wait_until(self._answers, "an answer of Airflow", timeout=START_TIMEOUT, needs=[self.program])

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/api/v2/version", timeout=5, trust_env=False).is_success
        except httpx.TransportError:
            return False

    def seed(self, scene: dict[str, Any], *, forget: bool = True) -> None:
        """Put a scene of :mod:`tests.board.scenes` into the database, in the place of what was there."""
        order = self.stack.home / "order.json"
        order.write_text(json.dumps({**scene, "forget": forget}))
        argv = [sys.executable, "-m", "tests.board.seeding", str(order)]
        done = subprocess.run(
            argv,
            env=self.stack.environment(),
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-3000:]

    def token(self, user: str = "admin") -> str:
        """Log a user in and return the token that the browser's cookie holds."""
        answer = httpx.post(
            f"{self.url}/auth/token", json={"username": user, "password": user}, timeout=30, trust_env=False
        )
        return str(answer.raise_for_status().json()["access_token"])
