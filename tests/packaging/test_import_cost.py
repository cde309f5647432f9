"""What imports cost: a DAG file, which is parsed again and again, and a task, which has a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

#: Each of these costs tens or hundreds of milliseconds, and a DAG file needs none of them.
HEAVY = {
    "aiohttp",
    "airflow.models",
    "airflow.providers.http",
    "airflow_provider_smartlive.receiver.store",
    "airflow_provider_smartlive.hooks",
    "airflow_provider_smartlive.sandbox",
    "av",
    "fastapi",
    "PIL",
    "requests",
    "sqlalchemy",
    "starlette",
    "uvicorn",
}

#: What a DAG file imports.
OF_DAG_FILES = ["campaigns", "operators", "sensors"]

#: What a task or a trigger imports.
OF_TASKS = ["client.task_hook", "livestream.manager", "livestream.start", "triggers"]

#: Prints what each module brings. Airflow is imported once, and each module in a process that begins there.
PROGRAM = """
import importlib, json, os, sys
import airflow.sdk
from airflow.sdk import BaseOperator
before = set(sys.modules)
for module in sys.argv[1:]:
    if (child := os.fork()) == 0:
        importlib.import_module("airflow_provider_smartlive." + module)
        print(json.dumps([module, sorted(set(sys.modules) - before)]), flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, module
"""


@pytest.fixture(scope="module")
def brought() -> dict[str, set[str]]:
    """What importing each module brings beyond what every DAG file has anyway."""
    command = [sys.executable, "-c", PROGRAM, *OF_DAG_FILES, *OF_TASKS, "hooks"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {module: set(names) for module, names in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("module", OF_DAG_FILES)
def test_a_dag_file_pays_for_nothing_heavy(brought: dict[str, set[str]], module: str) -> None:
    assert brought[module] & HEAVY == set()


@pytest.mark.parametrize("module", OF_TASKS)
def test_a_task_pays_for_one_http_library(brought: dict[str, set[str]], module: str) -> None:
    """Airflow's HttpHook imports two; the second takes longer than all that a resumed task does."""
    http = {"aiohttp", "airflow.providers.http", "airflow.providers.http.hooks.http"}
    assert brought[module] & http == set()


def test_the_measure_sees_what_is_heavy(brought: dict[str, set[str]]) -> None:
    assert "airflow_provider_smartlive.hooks" in brought["hooks"]
