"""What the plugin declares, what the static app serves, and what is in the bundle."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime

import pytest
from starlette.testclient import TestClient

from airflow_provider_smartlive.board.app import create_app
from airflow_provider_smartlive.board.bundle import MOUNT_PATH, Bundle, load_bundle
from airflow_provider_smartlive.board.declaration import PAGE_NAME, TAB_NAME
from airflow_provider_smartlive.callbacks.table import CallbackTable
from airflow_provider_smartlive.livestream.record import Attempt, JobRecord
from airflow_provider_smartlive.livestream.summary import announce
from airflow_provider_smartlive.plugin import SmartLivePlugin

NOW = datetime(2026, 11, 28, 19, tzinfo=UTC)
OPTION = "AIRFLOW__SMARTLIVE__BOARD"


def mounted(plugin: SmartLivePlugin) -> list[str]:
    return [app["url_prefix"] for app in plugin.fastapi_apps]


def test_the_page_and_the_tab_are_declared() -> None:
    page, tab = SmartLivePlugin().react_apps
    assert (page["name"], page["url_route"], page["destination"]) == (PAGE_NAME, "livestreams", "nav")
    assert (tab["name"], tab["url_route"], tab["destination"]) == (TAB_NAME, "livestream", "task_instance")
    # Relative: Airflow resolves it against its base URL, with a path prefix if there is one.
    assert page["bundle_url"] == tab["bundle_url"] == f"smartlive-board/{load_bundle().digest}/board.js"


def test_the_components_stand_under_the_names_that_are_declared() -> None:
    board = load_bundle().modules["board.js"].decode()
    assert f"Object.assign(globalThis, {{ {PAGE_NAME}, {TAB_NAME}: LivestreamTab }})" in board
    # Two plugins of Airflow race for this name.
    assert "AirflowPlugin" not in board


@pytest.mark.parametrize("off", ["False", "false", "0", " f "])
def test_it_can_be_hidden(monkeypatch: pytest.MonkeyPatch, off: str) -> None:
    monkeypatch.setenv(OPTION, off)
    plugin = SmartLivePlugin()
    assert plugin.react_apps == []
    assert mounted(plugin) == ["/smartlive"]


def test_a_broken_option_costs_nobody_the_receiver(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(OPTION, "perhaps")
    with caplog.at_level(logging.ERROR):
        assert mounted(SmartLivePlugin()) == ["/smartlive", MOUNT_PATH]
    assert "[smartlive] board must be True or False, not 'perhaps'." in caplog.text


def test_modules_are_served_under_their_hash_only() -> None:
    bundle = load_bundle()
    client = TestClient(create_app())
    for name, content in bundle.modules.items():
        answer = client.get(f"/{bundle.digest}/{name}")
        assert (answer.status_code, answer.content) == (200, content)
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        stale = client.get(f"/0000000000000000/{name}")
        assert (stale.status_code, stale.headers["cache-control"]) == (404, "no-store")


@pytest.mark.parametrize(
    "path", ["/", "/{}", "/{}/", "/{}/app.py", "/{}/../app.py", "/{}/%2e%2e/app.py", "/{}/board.js/x"]
)
def test_nothing_else_is_served(path: str) -> None:
    assert TestClient(create_app()).get(path.format(load_bundle().digest)).status_code == 404


def test_nothing_can_be_sent() -> None:
    assert TestClient(create_app()).post(f"/{load_bundle().url.split('/', 1)[1]}").status_code == 405


def test_another_bundle_is_served_under_its_own_hash() -> None:
    changed = Bundle("1", {"board.js": b"new"})
    assert TestClient(create_app(changed)).get("/1/board.js").content == b"new"


def test_the_bundle_is_small_and_loads_from_nowhere_else() -> None:
    modules = load_bundle().modules
    assert sum(map(len, modules.values())) < 130_000
    for name, content in modules.items():
        text = content.decode()
        assert not re.search(r"https?://", text), name
        imported = re.findall(r"""(?:\bfrom|\bimport)\s*\(?\s*["']([^"']+)["']""", text)
        assert {target.removeprefix("./") for target in imported} <= set(modules), name


def test_the_board_reads_the_versions_that_are_written() -> None:
    text = load_bundle().modules["livestreams.js"].decode()
    assert f"const TABLE_VERSION = {CallbackTable().version};" in text
    record = JobRecord(
        generation="1", attempt=Attempt(2, 2, 0), smartlive_conn_id="c", room_id="r", job_id="j"
    )
    job = announce(record, planned_start=NOW, start_info={})
    assert f"const JOB_VERSION = {job['version']};" in text
    for field in (
        "job_id",
        "room_id",
        "smartlive_conn_id",
        "outputs",
        "callbacks",
        "planned_start",
        "planned_end",
    ):
        assert field in job
        assert f'of["{field}"]' in text


def test_texts_are_never_set_as_html() -> None:
    for name, content in load_bundle().modules.items():
        for way in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
        ):
            assert way not in content.decode(), (name, way)
