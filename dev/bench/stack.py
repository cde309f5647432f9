"""The stack that everything is measured on: Airflow's four processes, PostgreSQL, the sandbox, the peers."""

from __future__ import annotations

import json
import secrets
import sys
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dev.airflow_api import patiently
from dev.bench.plan import Plan
from dev.full_stack import PROJECT, FullStack
from dev.process import Program, ProgramError, wait_until
from dev.stack import AirflowStack

HERE = Path(__file__).resolve().parent

#: Jobs live until they are ended, cost nothing, and are SUCCEED the moment that END is called back.
SHOW = (
    "--any-room",
    *("--link", "simulated"),
    *("--assume", "show_seconds=1000000"),
    *("--assume", "waiting_seconds=0"),
    *("--assume", "settle_seconds=0"),
)

#: Seconds for tasks to begin to wait, and to finish.
TASK_TIMEOUT = 600.0

#: Seconds between two looks at many tasks.
LOOK_INTERVAL = 2.0


class BenchStack(FullStack):
    """
    The stack of the benchmark; a context manager.

    :param home: where all files go.
    :param plan: how much is measured.
    :param database_url: of an empty PostgreSQL; None for a SQLite of its own.
    """

    def __init__(self, home: Path, plan: Plan, *, database_url: str | None) -> None:
        self.plan = plan
        self.token = f"fake-token-{secrets.token_hex(8)}"
        self.webhook_secret = f"fake-webhook-secret-{secrets.token_hex(8)}"
        options = {"dags_folder": HERE / "dags", "database_url": database_url, "env": self._env()}
        super().__init__(home, sandbox_arguments=(*SHOW, "--token", self.token), airflow_options=options)

    def _env(self) -> dict[str, str]:
        return {
            "PYTHONPATH": str(PROJECT),
            # As installed: compiled once, not by each of thousands of processes.
            "PYTHONDONTWRITEBYTECODE": "",
            "BENCH_TOKEN": self.token,
            "BENCH_ROOMS": str(self.plan.rooms),
            "BENCH_LEVELS": ",".join(map(str, self.plan.levels)),
            "BENCH_TASKS": str(self.plan.tasks),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(HERE / "plugins"),
            "AIRFLOW__API__MAXIMUM_PAGE_LIMIT": "1000",
            "AIRFLOW__TRIGGERER__CAPACITY": "3000",
            # The DAG file is read once: to read it again and again would be measured along.
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "3600",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
            "AIRFLOW__INBOUND_WEBHOOKS__WEBHOOK_NAMES": "github",
        }

    def connections(self) -> dict[str, str | dict[str, Any]]:
        """Return the connections of our DAGs and of the peers."""
        return super().connections() | {
            "bench_http": {"conn_type": "http", "host": self.sandbox_url},
            "webhook_github": {"conn_type": "inbound_webhook", "password": self.webhook_secret},
        }

    def wait_for_dags(self, dag_ids: Iterable[str]) -> None:
        """Wait until DAGs are there, and let them run."""
        for dag_id in dag_ids:
            self.airflow.wait_for_dag(dag_id)

    def begin(self, dag_id: str, **conf: Any) -> str:
        """Start a run of a DAG that is there, and return its id."""
        run_id = f"bench__{uuid.uuid4().hex[:8]}"
        # On SQLite, Airflow's API fails when another process has kept the database for too long.
        return patiently(lambda: self.airflow.api.trigger_dag(dag_id, run_id=run_id, conf=conf))

    def tasks(self, dag_id: str, *, run_id: str = "~", task_id: str = "wait") -> list[dict[str, Any]]:
        """Return the instances of one task, of one run or of all."""
        found = patiently(lambda: self.airflow.api.task_instances(dag_id, run_id))
        return [task for task in found if task["task_id"] == task_id]

    def wait_for_tasks(self, dag_id: str, state: str, count: int, *, task_id: str = "wait") -> None:
        """Wait until so many instances of a task are in a state, looking seldom: it costs."""
        looked = 0.0

        def reached() -> bool:
            nonlocal looked
            if time.monotonic() - looked < LOOK_INTERVAL:
                return False
            states = [task["state"] for task in self.tasks(dag_id, task_id=task_id)]
            if "failed" in states:
                raise ProgramError(f"A task {dag_id}.{task_id} failed.")
            looked = time.monotonic()
            return states.count(state) >= count

        what = f"{count} tasks {dag_id}.{task_id} {state}"
        wait_until(reached, what, timeout=TASK_TIMEOUT, needs=self.airflow.programs.values())

    def seed(
        self, dag_id: str, classpath: str, kwargs: list[dict[str, Any]], job_ids: list[str | None]
    ) -> str:
        """Put all tasks of a new run to wait with these triggers, without workers, and return the run's id."""
        run_id = self.begin(dag_id)
        order = {
            "dag_id": dag_id,
            "run_id": run_id,
            "classpath": classpath,
            "kwargs": kwargs,
            "job_ids": job_ids,
        }
        seed(self.airflow, order, self.home)
        self.airflow.api.unpause(dag_id)
        return run_id

    def load(self, spec: dict[str, Any]) -> dict[str, Any]:
        """Let a process of its own send requests, and return what it measured."""
        file = self.home / "load.json"
        file.write_text(json.dumps(spec))
        program = self._python("load", str(file), env=stack_free_env(self.airflow))
        program.log.unlink(missing_ok=True)
        program.start()
        program.finish(TASK_TIMEOUT)
        return dict(json.loads(program.log_text().splitlines()[-1]))

    def _python(self, module: str, *arguments: str, env: dict[str, str]) -> Program:
        argv = [self.airflow.api_server.argv[0], "-m", f"dev.bench.{module}", *arguments]
        return Program(f"bench-{module}", argv, env=env, log_folder=self.home)


def seed(airflow: AirflowStack, order: dict[str, Any], folder: Path) -> None:
    """
    Put all tasks of a run to wait, without workers.

    :param order: see :mod:`dev.bench.seeding`.
    :param folder: for the order's file, and the log.
    """
    file = folder / f"seed-{order['dag_id']}.json"
    file.write_text(json.dumps(order))
    argv = [sys.executable, "-m", "dev.bench.seeding", str(file)]
    seeding = Program("bench-seeding", argv, env=airflow.environment(), log_folder=folder)
    seeding.start()
    seeding.finish(TASK_TIMEOUT)


def stack_free_env(stack: AirflowStack) -> dict[str, str]:
    """Return the environment of the stack without Airflow's settings."""
    return {name: value for name, value in stack.environment().items() if not name.startswith("AIRFLOW_")}
