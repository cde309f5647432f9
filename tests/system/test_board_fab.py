"""The board and Airflow's FAB auth manager: who may read one DAG sees that one's livestreams."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from dev.full_stack import PROJECT
from tests.board import scenes
from tests.board.browser import PATIENCE, board, chromium, needs_chromium
from tests.board.server import BoardServer

pytestmark = [pytest.mark.processes, needs_chromium]

FAB = "apache-airflow-providers-fab==3.10.2"
AUTH_MANAGER = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"

#: The Makefile brings uv if there is none on the path.
UV = shutil.which("uv") or str(PROJECT / ".uv" / "bin" / "uv")


def run(*command: str | Path) -> str:
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{command}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own: the provider wants an older python-dateutil than the one that is locked."""
    folder = tmp_path_factory.mktemp("fab")
    locked = run(UV, "export", "--quiet", "--locked", "--no-hashes", "--no-emit-project")
    constraints = folder / "locked.txt"
    constraints.write_text(re.sub(r"^python-dateutil.*$", "", locked, flags=re.MULTILINE))
    run(UV, "venv", "--quiet", "--python", sys.executable, folder / "venv")
    python = folder / "venv" / "bin" / "python"
    # Python compiles what is imported, which is not all of it.
    install = (UV, "pip", "install", "--quiet", "--python", python)
    run(*install, "--constraint", constraints, "-e", PROJECT, FAB)
    return python


@pytest.fixture(scope="module")
def server(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BoardServer]:
    home = tmp_path_factory.mktemp("board-fab") / "airflow"
    with BoardServer(home, env={"AIRFLOW__CORE__AUTH_MANAGER": AUTH_MANAGER}, python=python) as server:
        server.seed(scenes.campaign(datetime.now(UTC)))
        server.run("tests.board.fab_users")
        yield server


def test_callbacks_need_no_login(server: BoardServer) -> None:
    """A stranger's request is answered by the receiver, not by a login."""
    assert httpx.get(f"{server.url}/smartlive/health").text == "ok"
    answer = httpx.post(f"{server.url}/smartlive/callbacks/x", json={})
    assert answer.status_code == 404
    assert answer.history == []


def test_each_sees_what_its_role_may_read(server: BoardServer) -> None:
    with chromium() as browser:
        with board(browser, server.url, token=server.token("op")) as tab:
            tab.open()
            tab.settle()
            expect(tab.rooms).to_have_count(20)
            assert tab.errors == []
        with board(browser, server.url, token=server.token("afternoon")) as tab:
            tab.open()
            tab.settle()
            expect(tab.page.locator("[aria-labelledby=smartlive-ended]")).to_contain_text("Lunch show")
            expect(tab.page.get_by_text("Nothing is live")).to_be_visible()
            content = tab.page.content()
            assert "evening_campaign" not in content
            assert "Books at night" not in content
        with board(browser, server.url, token=server.token("stranger")) as tab:
            tab.page.goto(f"{server.url}/plugin/livestreams")
            expect(tab.page.get_by_role("alert")).to_contain_text("You may not see this")
            assert "evening_campaign" not in tab.page.content()
        # Airflow's own role that may not read plugins: its UI never hears of the page.
        with board(browser, server.url, token=server.token("viewer")) as tab:
            tab.page.goto(f"{server.url}/plugin/livestreams")
            expect(tab.page.get_by_text("Page Not Found")).to_be_visible()
            assert tab.requests == []
        with board(browser, server.url, token=None) as tab:
            tab.page.goto(f"{server.url}/plugin/livestreams")
            expect(tab.page).to_have_url(re.compile("/auth/login"), timeout=PATIENCE)
