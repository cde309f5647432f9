"""What imports cost: a DAG file, which is parsed again and again, and a task, which has a process of its own."""

from __future__ import annotations

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

PROGRAM = """
import sys
import airflow.sdk
from airflow.sdk import BaseOperator
before = set(sys.modules)
import {module}
print(*sorted(set(sys.modules) - before), sep="\\n")
"""


def newly_imported(module: str) -> set[str]:
    """Return what an import brings beyond what every DAG file has anyway."""
    program = PROGRAM.format(module=module)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module",
    [
        "airflow_provider_smartlive.campaigns",
        "airflow_provider_smartlive.operators",
        "airflow_provider_smartlive.sensors",
    ],
)
def test_a_dag_file_pays_for_nothing_heavy(module: str) -> None:
    assert newly_imported(module) & HEAVY == set()


@pytest.mark.parametrize("module", ["client.task_hook", "livestream.manager", "livestream.start", "triggers"])
def test_a_task_pays_for_one_http_library(module: str) -> None:
    """Airflow's HttpHook imports two; the second takes longer than all that a resumed task does."""
    brought = newly_imported(f"airflow_provider_smartlive.{module}")
    assert brought & {"aiohttp", "airflow.providers.http", "airflow.providers.http.hooks.http"} == set()


def test_the_measure_sees_what_is_heavy() -> None:
    assert "airflow_provider_smartlive.hooks" in newly_imported("airflow_provider_smartlive.hooks")
