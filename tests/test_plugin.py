"""What Airflow loads: the plugin in every process, the receiver only where it serves."""

from __future__ import annotations

import subprocess
import sys

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from airflow_provider_smartlive.plugin import SmartLivePlugin

pytestmark = pytest.mark.usefixtures("plain_settings")

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
    "airflow_provider_smartlive.receiver.store",
}


def imported(more: str = "") -> set[str]:
    program = PROGRAM.format(more=more)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_a_worker_pays_for_no_server_and_no_database() -> None:
    assert imported() & SERVER == set()


def test_whoever_asks_for_the_apps_does() -> None:
    """The negative control of the test above."""
    assert "airflow_provider_smartlive.receiver.store" in imported("plugin.fastapi_apps")


@pytest.fixture(scope="module")
def api_server() -> FastAPI:
    from airflow.api_fastapi.app import init_plugins

    app = FastAPI()
    init_plugins(app)
    return app


def test_airflow_itself_mounts_the_receiver(api_server: FastAPI) -> None:
    assert "/smartlive" in [getattr(route, "path", None) for route in api_server.routes]
    assert TestClient(api_server).get("/smartlive/health").status_code == 200


def test_airflow_itself_puts_the_guard_of_misspelt_paths_around_everything(api_server: FastAPI) -> None:
    assert TestClient(api_server).post("/SmartLive/callbacks/x").json() == {"error": "not found"}


def test_the_provider_is_found_by_its_entry_points() -> None:
    from importlib.metadata import entry_points

    plugins = {entry.value for entry in entry_points(group="airflow.plugins")}
    assert "airflow_provider_smartlive.plugin:SmartLivePlugin" in plugins
    providers = {entry.value.partition(":")[0] for entry in entry_points(group="apache_airflow_provider")}
    assert "airflow_provider_smartlive.provider_info" in providers


OF_THE_RECEIVER = (
    "callback_auth_window",
    "callback_auth_forms",
    "callback_max_body",
    "callback_rate_limit",
    "callback_auth_type",
    "callback_base_url",
    "resume_delay",
    "callback_secrets",
)


@pytest.mark.parametrize("option", OF_THE_RECEIVER)
def test_no_value_of_an_option_stops_the_api_server(monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    for value in ("", "garbage", "-1", "0", "9" * 14, "9" * 5000, "é%(x)s", "short,short", "nan", "1e3"):
        monkeypatch.setenv(f"AIRFLOW__SMARTLIVE__{option.upper()}", value)
        app = SmartLivePlugin().fastapi_apps[0]["app"]
        client = TestClient(app)

        assert client.get("/health").text == "ok"
        assert client.post("/callbacks/" + "A" * 200).status_code == 404
