"""An Airflow API server with seeded livestreams: below a path prefix, with a login, and without any other process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from dev.full_stack import PROJECT
from dev.process import Program, wait_until
from dev.stack import MIGRATE_TIMEOUT, AirflowStack

#: Users and their roles in Airflow's simple auth manager; the last one has none.
USERS = {"admin": "ADMIN", "viewer": "VIEWER", "stranger": ""}

#: Seconds until an API server answers; 8 on two idle cores.
START_TIMEOUT = 240.0


class _Stack(AirflowStack):
    """A stack whose programs run in an environment of choice."""

    python = sys.executable

    def _run(self, name: str, *arguments: str) -> Program:
        argv = [self.python, "-m", "airflow", *arguments]
        self.programs[name] = Program(name, argv, env=self.environment(), log_folder=self._log_folder)
        self.programs[name].start()
        return self.programs[name]


class BoardServer:
    """
    One API server on SQLite; a context manager that stops it.

    :param home: its AIRFLOW_HOME.
    :param prefix: the path below which Airflow is served.
    :param env: more environment variables.
    :param python: the interpreter of the environment to run it in.
    """

    def __init__(
        self,
        home: Path,
        *,
        prefix: str = "/ops/airflow",
        env: dict[str, str] | None = None,
        python: Path = Path(sys.executable),
    ) -> None:
        passwords = home / "passwords.json"
        users = ",".join(f"{name}:{role}" for name, role in USERS.items())
        settings = {
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": users,
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            **(env or {}),
        }
        self.stack = _Stack(home, dags_folder=home / "dags", env=settings)
        self.stack.python = str(python)
        self.url = f"{self.stack.base_url}{prefix}"
        self.stack._own_env["AIRFLOW__API__BASE_URL"] = self.url
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
        self.run("tests.board.seeding", str(order))

    def run(self, module: str, *arguments: str) -> None:
        """Run a module of the tests in Airflow's environment, to its end."""
        argv = [self.stack.python, "-m", module, *arguments]
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
            f"{self.url}/auth/token", json={"username": user, "password": user}, timeout=60, trust_env=False
        )
        return str(answer.raise_for_status().json()["access_token"])
