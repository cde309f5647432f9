"""The board during a real livestream: real callbacks about real RTMP links, seen without a reload."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from dev.full_stack import FullStack
from tests.board.browser import Board, board, chromium, needs_chromium

pytestmark = [pytest.mark.processes, needs_chromium]

DAG_ID = "smartlive_nightly"

#: A room of its own, with a show that is long enough to be interrupted and to come back.
ROOM = {"room_id": "board-room", "name": "Evening show", "seconds": 45}

#: Milliseconds for a change of the link, its callback and the page's next poll, on a busy machine.
NEWS = 60_000


@pytest.fixture
def tab(stage: FullStack) -> Iterator[Board]:
    # This Airflow needs no login, and stands at the root of its URL.
    with chromium() as browser, board(browser, stage.airflow.base_url, token=None) as tab:
        yield tab


@pytest.fixture
def platform_can_restart(stage: FullStack) -> Iterator[None]:
    """Let the platform come back where it was: it took a free port at first."""
    argv = stage.platform.argv
    port = argv.index("--port") + 1
    argv[port] = stage.platform_url.split(":")[2].split("/")[0]
    yield
    if not stage.platform.running:
        stage.platform.start()


@pytest.mark.usefixtures("platform_can_restart")
def test_a_livestream_from_connecting_to_its_end(stage: FullStack, tab: Board) -> None:
    tab.open(f"?dag={DAG_ID}")
    tab.page.evaluate("globalThis.loadedOnce = true")
    stage.platform.stop()
    stage.sandbox_client.add_rooms(ROOM)
    stage.airflow.wait_for_dag(DAG_ID)
    run_id = stage.airflow.api.trigger_dag(DAG_ID, conf={"room_id": ROOM["room_id"]})
    row = tab.page.locator("[aria-labelledby=smartlive-now] tr.row")

    def becomes(status: str) -> None:
        expect(row).to_have_attribute("data-status", status, timeout=NEWS)

    becomes("connecting")
    row.get_by_role("button").click()
    stage.platform.start()
    becomes("live")
    expect(row).to_contain_text("Connected")
    stage.platform.kill()
    becomes("interrupted")
    expect(row).to_contain_text("Interrupted for")
    stage.platform.start()
    becomes("live")
    events = tab.page.get_by_role("list", name="What was called back")
    expect(events).to_contain_text(re.compile("Connecting.*Connected.*Disconnected.*Connected", re.DOTALL))
    expect(row.get_by_role("cell").last).to_have_text(re.compile("[1-9]"))

    ended = tab.page.locator("[aria-labelledby=smartlive-ended] tr.row")
    expect(ended).to_contain_text("Succeeded", timeout=2 * NEWS)
    expect(ended).to_contain_text("Evening show")
    expect(ended).to_contain_text("callback")
    expect(row).to_have_count(0)
    expect(events).to_contain_text("Ended")
    assert tab.page.evaluate("globalThis.loadedOnce") is True
    assert tab.errors == []
    assert stage.airflow.wait_for_run(DAG_ID, run_id, timeout=120) == "success"
