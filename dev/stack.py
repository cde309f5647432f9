"""A whole Airflow on this machine: its four processes on 127.0.0.1, free ports and a folder of their own."""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dev.airflow_api import AirflowApi
from dev.process import Program, ProgramError, free_port, stop_all, wait_until

#: Seconds for ``airflow db migrate``, and for the four processes to become healthy: 3 and 15 on two idle
#: cores; the limits leave room for busy ones.
MIGRATE_TIMEOUT = 300.0
START_TIMEOUT = 300.0

#: A migration idles in its transaction while it imports, for longer on a busy machine than a database may allow others.
MIGRATE_ENV = {"PGOPTIONS": "-c idle_in_transaction_session_timeout=0"}

#: Seconds until a DAG file is in the database.
PARSE_TIMEOUT = 180.0

#: Seconds between two questions to the API server: each takes it 20 ms, which its tasks are better served with.
ASK_AGAIN = 0.5

#: The environment of a stack whose DAG files are to be parsed again every 30 seconds, as by default, not 300: for what
#: they read, whose changes nobody watches, and for watchers of assets, which Airflow starts when it parses the DAG that
#: waits for the asset, once that is unpaused.
PARSE_OFTEN = {"AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30"}

#: What ``/monitor/health`` calls the parts that must be healthy.
HEALTHY_PARTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")


class AirflowStack:
    """
    Airflow's api-server, scheduler, dag-processor and triggerer, each its own :class:`~dev.process.Program`.

    Use it as a context manager: whatever happens inside, everything that was started is stopped.

    :param home: AIRFLOW_HOME; logs of the processes are in ``<home>/processes``.
    :param dags_folder: the folder with the DAG files.
    :param database_url: None for SQLite in ``home``; for PostgreSQL with the driver
        (``postgresql+psycopg2://...``).
    :param executor: the executor's name.
    :param connections: Airflow connections, by id, as URI or as a dict of the JSON form. They may be added to
        until :meth:`start`.
    :param env: more environment variables for all processes; they overrule the settings here.
    :param parallelism: tasks that run at the same time.
    :param base_url: where the API server is reached; default: a free port of 127.0.0.1, on which it listens.
    """

    def __init__(
        self,
        home: Path,
        *,
        dags_folder: Path,
        database_url: str | None = None,
        executor: str = "LocalExecutor",
        connections: Mapping[str, str | dict[str, Any]] | None = None,
        env: Mapping[str, str] | None = None,
        parallelism: int = 4,
        base_url: str | None = None,
    ) -> None:
        self.home = home.resolve()
        self.dags_folder = dags_folder.resolve()
        self.base_url = base_url or f"http://127.0.0.1:{free_port()}"
        self.connections = dict(connections or {})
        self.callback_secret = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        self.programs: dict[str, Program] = {}
        self.api = AirflowApi(self.base_url)
        self._log_folder = self.home / "processes"
        self._own_env = dict(env or {})
        self._python = Path(sys.executable)
        self._settings = {
            "core": {
                "dags_folder": str(self.dags_folder),
                "executor": executor,
                "parallelism": str(parallelism),
                "load_examples": "False",
                "test_connection": "Enabled",
                "simple_auth_manager_all_admins": "True",
                "fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
                "execution_api_server_url": f"{self.base_url}/execution/",
                "min_serialized_dag_update_interval": "2",
            },
            "database": {"sql_alchemy_conn": database_url or f"sqlite:///{self.home}/airflow.db"},
            "api": {
                "host": "127.0.0.1",
                "port": self.base_url.rpartition(":")[2],
                "base_url": self.base_url,
                "workers": "1",
                "secret_key": secrets.token_hex(16),
            },
            "api_auth": {"jwt_secret": secrets.token_hex(32)},
            # Nothing runs by its schedule here: a nightly DAG that is unpaused shortly after its hour would
            # go live at once.
            "scheduler": {"scheduler_idle_sleep_time": "0.5", "use_job_schedule": "False"},
            "dag_processor": {
                "refresh_interval": "5",
                "bundle_refresh_check_interval": "1",
                # A file that changes is parsed at once; that all are parsed again costs a tenth of a core at 30 s.
                "min_file_process_interval": "300",
                "parsing_processes": "1",
            },
            "smartlive": {"callback_secrets": self.callback_secret, "callback_base_url": self.base_url},
            "usage_data_collection": {"enabled": "False"},
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def api_server(self) -> Program:
        """The API server's process."""
        return self.programs["api-server"]

    @property
    def scheduler(self) -> Program:
        """The scheduler's process, with the LocalExecutor's task processes."""
        return self.programs["scheduler"]

    @property
    def dag_processor(self) -> Program:
        """The DAG processor's process."""
        return self.programs["dag-processor"]

    @property
    def triggerer(self) -> Program:
        """The first triggerer's process."""
        return self.programs["triggerer"]

    def environment(self) -> dict[str, str]:
        """Return the environment of Airflow's processes, also for ``airflow`` commands beside them."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
        env["PATH"] = f"{self._python.parent}{os.pathsep}{env.get('PATH', '')}"
        env["AIRFLOW_HOME"] = str(self.home)
        for section, options in self._settings.items():
            for option, value in options.items():
                env[f"AIRFLOW__{section.upper()}__{option.upper()}"] = value
        for conn_id, connection in self.connections.items():
            value = connection if isinstance(connection, str) else json.dumps(connection)
            env[f"AIRFLOW_CONN_{conn_id.upper()}"] = value
        return env | self._own_env

    def begin_migration(self) -> None:
        """Start ``airflow db migrate`` and do not wait, so that other things can start beside it."""
        self.home.mkdir(parents=True, exist_ok=True)
        self._run("migrate", "db", "migrate")

    def start(self) -> None:
        """
        Start everything and wait until it is healthy.

        :raises ProgramError: if something does not start, with the end of its log.
        """
        if "migrate" not in self.programs:
            self.begin_migration()
        self.programs["migrate"].finish(MIGRATE_TIMEOUT)
        del self.programs["migrate"]
        self.start_programs()
        self.wait_until_healthy()
        self.warm_up()

    def warm_up(self) -> None:
        """Let the API server do now what would delay the first task."""
        self.api.warm_up()

    def start_programs(self) -> None:
        """Start Airflow's processes, and do not wait."""
        self._run("api-server", "api-server")
        self._run("scheduler", "scheduler", "--skip-serve-logs")
        self._run("dag-processor", "dag-processor")
        self._run("triggerer", "triggerer", "--skip-serve-logs")

    def add_triggerer(self, name: str) -> Program:
        """
        Start one more triggerer.

        :param name: its name among :attr:`programs`.
        """
        return self._run(name, "triggerer", "--skip-serve-logs")

    def wait_until_healthy(self, timeout: float = START_TIMEOUT) -> None:
        """
        Wait until every part of Airflow says that it is healthy.

        :param timeout: seconds to wait.
        """

        def healthy() -> bool:
            health = self.api.health()
            return all(health.get(part) == "healthy" for part in HEALTHY_PARTS)

        self._wait_until(healthy, "healthy Airflow", timeout)

    def wait_for_dag(self, dag_id: str, timeout: float = PARSE_TIMEOUT) -> None:
        """
        Wait until the DAG is in the database, and let it run.

        :param timeout: seconds to wait.
        :raises ProgramError: if it does not come, with the import errors.
        """
        try:
            self._wait_until(
                lambda: self.api.has_dag(dag_id), f"DAG {dag_id}", timeout, needs=[self.dag_processor]
            )
        except ProgramError as error:
            traces = [problem["stack_trace"] for problem in self.api.import_errors()]
            raise ProgramError("\n".join([f"{error}", *traces])) from None
        self.api.unpause(dag_id)

    def run_dag(self, dag_id: str, *, conf: dict[str, Any] | None = None) -> str:
        """Trigger the DAG as soon as it is there, and return the run id."""
        self.wait_for_dag(dag_id)
        return self.api.trigger_dag(dag_id, run_id=f"dev__{uuid.uuid4().hex[:8]}", conf=conf)

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float) -> str:
        """
        Wait for the DAG run's end and return its state.

        :param timeout: seconds to wait.
        """
        state = ""

        def finished() -> bool:
            nonlocal state
            state = self.api.dag_run(dag_id, run_id)["state"]
            return state in ("success", "failed")

        self._wait_until(finished, f"end of DAG run {run_id}", timeout)
        return state

    def wait_for_task(
        self, dag_id: str, run_id: str, task_id: str, states: set[str], timeout: float, *, map_index: int = -1
    ) -> str:
        """
        Wait until the task instance is in one of the states, and return that state.

        :param timeout: seconds to wait.
        """
        state = ""

        def reached() -> bool:
            nonlocal state
            state = str(self.api.task_instance(dag_id, run_id, task_id, map_index)["state"])
            return state in states

        what = f"task {task_id} in {' or '.join(sorted(states))}"
        self._wait_until(reached, what, timeout)
        return state

    def _wait_until(
        self,
        condition: Callable[[], bool],
        what: str,
        timeout: float,
        *,
        needs: Iterable[Program] | None = None,
    ) -> None:
        """Ask Airflow until a condition holds; without ``needs``, none of its programs may end meanwhile."""
        needed = self.programs.values() if needs is None else needs
        wait_until(condition, what, timeout=timeout, needs=needed, every=ASK_AGAIN)

    def stop(self) -> None:
        """Stop everything that was started here. The API server goes last: the others report to it."""
        others = [program for name, program in self.programs.items() if name != "api-server"]
        stop_all(others)
        stop_all(self.programs.values())
        self.api.close()

    def change_version(self, python: Path) -> None:
        """
        Let the next :meth:`start` be of another Airflow, which migrates the database. Everything has to be stopped.

        :param python: the Python of the environment that it is installed in.
        """
        self._python = python
        self.programs.clear()
        self.api = AirflowApi(self.base_url)

    def _run(self, name: str, *arguments: str) -> Program:
        argv = [str(self._python), "-m", "airflow", *arguments]
        env = self.environment() | (MIGRATE_ENV if name == "migrate" else {})
        program = Program(name, argv, env=env, log_folder=self._log_folder)
        self.programs[name] = program
        program.start()
        return program
