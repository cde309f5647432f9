"""What Airflow loads: the plugin in every process, the receiver only where it serves."""

from __future__ import annotations

import subprocess
import sys

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

PROGRAM = """
import sys
from airflow.sdk.plugins_manager import AirflowPlugin
before = set(sys.modules)
from airflow_provider_smartlive.plugin import SmartLivePlugin
plugin = SmartLivePlugin()
SmartLivePlugin.validate()
{more}
print(*sorted(set(sys.modules) - before), sep="\\n")
"""

SERVER = {
    "fastapi",
    "starlette",
    "sqlalchemy",
    "airflow.models",
    "airflow_provider_smartlive.callbacks.store",
}


def imported(more: str = "") -> set[str]:
    program = PROGRAM.format(more=more)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_a_worker_pays_for_no_server_and_no_database() -> None:
    assert imported() & SERVER == set()


def test_whoever_asks_for_the_apps_does() -> None:
    """The negative control of the test above."""
    assert "airflow_provider_smartlive.callbacks.store" in imported("plugin.fastapi_apps")


@pytest.fixture(scope="module")
def api_server() -> FastAPI:
    from airflow.api_fastapi.app import init_plugins

    app = FastAPI()
    init_plugins(app)
    return app


def test_airflow_itself_mounts_the_receiver(api_server: FastAPI) -> None:
    assert "/smartlive" in [getattr(route, "path", None) for route in api_server.routes]
    assert TestClient(api_server).get("/smartlive/health").status_code == 200


def test_the_provider_is_found_by_its_entry_points() -> None:
    from importlib.metadata import entry_points

    plugins = {entry.value for entry in entry_points(group="airflow.plugins")}
    assert "airflow_provider_smartlive.plugin:SmartLivePlugin" in plugins
    providers = {entry.value.partition(":")[0] for entry in entry_points(group="apache_airflow_provider")}
    assert "airflow_provider_smartlive.provider_info" in providers
