"""Airflow as others deploy it: one livestream by callback each, and what ``airflow smartlive check`` says there."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from dev.airflow_api import AirflowApi
from dev.full_stack import FullStack
from dev.process import free_port, wait_until
from dev.stack import MIGRATE_TIMEOUT, START_TIMEOUT, AirflowStack

pytestmark = pytest.mark.processes

#: Seconds. No wait may need the reconciliation, which comes after 300.
TIME_LIMIT = 240

#: Seconds for a triggerer on a busy machine to show that it is alive; Airflow's own limit is 30.
HEARTBEAT_TIMEOUT = 90

#: What Airflow's processes import of a deployment.
MODULES = Path(__file__).parent / "deployment"


def run(airflow: AirflowStack, dag_id: str, *tasks: str) -> dict[str, Any]:
    """Run a DAG to its success, and return the results of its tasks, raw as the database has them."""
    run_id = airflow.run_dag(dag_id)
    assert airflow.wait_for_run(dag_id, run_id, TIME_LIMIT) == "success"
    return {task: airflow.api.xcom(dag_id, run_id, task, "return_value") for task in tasks}


def problems(airflow: AirflowStack) -> list[dict[str, str]]:
    """
    Return what ``airflow smartlive check`` finds that is not well, and goes on to be so.

    On a busy machine Airflow's triggerer comes to its heartbeat late, and counts as dead until then.
    """
    argv = [sys.executable, "-m", "airflow", "smartlive", "check", "--json"]
    ends = time.monotonic() + HEARTBEAT_TIMEOUT
    while True:
        done = subprocess.run(
            argv, env=airflow.environment(), capture_output=True, text=True, timeout=TIME_LIMIT
        )
        assert done.stdout, done.stderr
        found = [check for check in json.loads(done.stdout)["checks"] if check["status"] != "ok"]
        if time.monotonic() > ends or any(check["check"] != "triggerer" for check in found) or not found:
            return found


class Elsewhere(AirflowStack):
    """Under a path prefix; with secrets in a backend, XComs in an object store, and task logs somewhere else."""

    def __init__(self, home: Path, **options: Any) -> None:
        super().__init__(home, **options)
        self.base_url += "/ops/airflow"
        self.api = AirflowApi(self.base_url)
        self.secrets = self.home / "secrets.json"
        kept = self._settings.pop("smartlive")
        self.config = {"live/callbacks": kept["callback_secrets"]}
        self._settings["api"]["base_url"] = self.base_url
        self._settings["core"] |= {
            "execution_api_server_url": f"{self.base_url}/execution/",
            "xcom_backend": "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend",
        }
        self._settings |= {
            "smartlive": {"callback_secrets_secret": "live/callbacks"},
            "secrets": {
                "backend": "file_secrets.FileSecrets",
                "backend_kwargs": json.dumps({"path": str(self.secrets)}),
            },
            "common_io": {
                "xcom_objectstorage_path": f"file://{self.home}/xcoms",
                "xcom_objectstorage_threshold": "0",
            },
            "logging": {
                "logging_config_class": "copied_logs.LOGGING_CONFIG",
                "base_log_folder": str(self.home / "logs"),
            },
        }

    def environment(self) -> dict[str, str]:
        connections = {name: json.dumps(value) for name, value in self.connections.items()}
        self.secrets.parent.mkdir(parents=True, exist_ok=True)
        self.secrets.write_text(json.dumps({"connections": connections, "config": self.config}))
        env = super().environment()
        for conn_id in self.connections:
            del env[f"AIRFLOW_CONN_{conn_id.upper()}"]
        return env | {"PYTHONPATH": str(MODULES), "COPIED_LOGS": str(self.home / "copied")}


class ApartWithTeams(AirflowStack):
    """Two API servers, one for people and callbacks and one for tasks; the DAGs belong to a team."""

    team = "blue"

    def __init__(self, home: Path, **options: Any) -> None:
        super().__init__(home, **options)
        self.execution_url = f"http://127.0.0.1:{free_port()}"
        bundle = {
            "name": "dags-of-team",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": self._settings["core"]["dags_folder"]},
            "team_name": self.team,
        }
        self._settings["core"] |= {
            "multi_team": "True",
            "executor": f"LocalExecutor;{self.team}=LocalExecutor",
            "execution_api_server_url": f"{self.execution_url}/execution/",
        }
        self._settings["dag_processor"]["dag_bundle_config_list"] = json.dumps([bundle])

    def environment(self) -> dict[str, str]:
        env = super().environment()
        of_team = f"{self.team.upper()}___"
        # A team's executor reads its team's options only.
        env[f"AIRFLOW__{of_team}CORE__EXECUTION_API_SERVER_URL"] = f"{self.execution_url}/execution/"
        if output := env.pop("AIRFLOW_CONN_SMARTLIVE_OUTPUT", None):
            # The task that starts the livestream needs it, which is the team's.
            env[f"AIRFLOW_CONN__{of_team}SMARTLIVE_OUTPUT"] = output
        return env

    def start_programs(self) -> None:
        self._run("team", "teams", "create", self.team).finish(MIGRATE_TIMEOUT)
        del self.programs["team"]
        self._run("api-server", "api-server", "--apps", "core")
        port = self.execution_url.rpartition(":")[2]
        self._run("execution", "api-server", "--apps", "execution", "--port", port)
        self._run("scheduler", "scheduler", "--skip-serve-logs")
        self._run("dag-processor", "dag-processor")
        self._run("triggerer", "triggerer", "--skip-serve-logs", "--team-name", self.team)

    def warm_up(self) -> None:
        def answers() -> bool:
            try:
                return httpx.get(f"{self.execution_url}/execution/health", timeout=60).is_success
            except httpx.TransportError:
                return False

        wait_until(answers, "Execution API", timeout=START_TIMEOUT, needs=[self.programs["execution"]])


@pytest.fixture
def build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., FullStack]]:
    """Build a stage with an Airflow of the given class."""
    with ExitStack() as exits:

        def build(airflow_class: type[AirflowStack], *arguments: str, **options: Any) -> FullStack:
            home = tmp_path_factory.mktemp("deployment")
            show = ("--picture", "small", "--any-room", *arguments)
            stage = FullStack(
                home, sandbox_arguments=show, airflow_class=airflow_class, airflow_options=options
            )
            return exits.enter_context(stage)

        yield build


def kept(airflow: AirflowStack, reference: str) -> dict[str, Any]:
    """Return what the XCom backend keeps in its object store."""
    assert reference.startswith(f"file://{airflow.home}/xcoms/")
    found: dict[str, Any] = json.loads(Path(reference.removeprefix("file://")).read_text())
    return found


def test_under_a_prefix_with_xcoms_secrets_and_logs_elsewhere(build: Callable[..., FullStack]) -> None:
    stage = build(Elsewhere, "--assume", "show_seconds=14")
    airflow = stage.airflow
    results = run(airflow, "smartlive_nightly", "go_live", "on_air", "off_air")
    # What the receiver writes is in the database; what a worker returns is kept elsewhere.
    assert results["on_air"]["source"] == "callback"
    assert kept(airflow, results["off_air"])["source"] == "callback"
    assert kept(airflow, results["go_live"])["woken_by"] == "callback"
    (job,) = stage.sandbox_client.list_jobs()
    callback = job["live_event_callback_config"]
    url = callback["live_event_type_callback_url"]
    assert url.startswith(f"{airflow.base_url}/smartlive/callbacks/")

    assert problems(airflow) == []

    logs = "".join(path.read_text() for path in (airflow.home / "copied").rglob("*.log"))
    assert job["job_id"] in logs
    secrets = (stage.stream_keys["smartlive_output"], stage.secret_key, airflow.callback_secret)
    for secret in (*secrets, callback["key"], url.rpartition("/")[2]):
        assert secret not in logs


def test_api_servers_apart_and_a_team(build: Callable[..., FullStack]) -> None:
    stage = build(ApartWithTeams, "--assume", "show_seconds=120", dags_folder=MODULES / "dags")
    results = run(stage.airflow, "planned", "go_live", "off_air")
    assert results["go_live"]["woken_by"] == "deadline"
    assert results["off_air"]["source"] == "callback"
    assert httpx.get(f"{stage.airflow.execution_url}/smartlive/health").status_code == 404

    assert problems(stage.airflow) == []
