"""The system's Chromium, and the board as a person uses it there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    expect,
    sync_playwright,
)

#: Where distributions put it.
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

#: What every test with a browser is marked with.
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Chromium on the PATH: apt-get install chromium"
)

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-sync",
]

#: Milliseconds that anything on a page may take on a busy machine.
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium, and stop it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Board:
    """
    One tab with the board.

    :param url: of Airflow, with its path prefix.
    :param errors: what the browser's console complained about, and exceptions of the page.
    :param requests: paths and queries of the board's own requests to Airflow's API.
    """

    page: Page
    url: str
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, query: str = "") -> None:
        """Open the page and wait until it shows what Airflow said."""
        self.page.goto(f"{self.url}/plugin/livestreams{query}")
        self.page.wait_for_selector(".smartlive[data-phase=ready]")

    def settle(self) -> None:
        """Wait until all lists and the values of all rows were read."""
        self.page.wait_for_function(
            """() => Number(document.querySelector(".smartlive")?.dataset.polls) > 0
                && !document.querySelector(".smartlive [data-status=running]")"""
        )

    def row(self, title: str) -> Locator:
        """The row of a room."""
        return self.page.locator("tr.row", has=self.page.get_by_role("link", name=title, exact=True))

    @property
    def rooms(self) -> Locator:
        """The rooms that are live now, in their order."""
        return self.page.locator("[aria-labelledby=smartlive-now] .name")

    def status(self, title: str) -> str | None:
        """What the row of a room is at, as the page's own attribute has it."""
        return self.row(title).first.get_attribute("data-status")

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} {message.location.get('url', '')}")

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if "/api/v2/dags" in parts.path and request.resource_type == "fetch":
            self.requests.append(f"{parts.path}?{parts.query}")


@contextmanager
def board(
    browser: Browser,
    url: str,
    *,
    token: str | None,
    theme: str = "light",
    zone: str = "Asia/Shanghai",
    size: tuple[int, int] = (1440, 1040),
) -> Iterator[Board]:
    """
    Open a tab in a browser profile of its own.

    :param url: of Airflow, with its path prefix.
    :param token: of the session; None for a stranger.
    :param zone: as chosen in Airflow's UI.
    """
    context: BrowserContext = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if theme == "dark" else "light"
    )
    context.set_default_timeout(PATIENCE)
    if token is not None:
        parts = urlsplit(url)
        context.add_cookies([{"name": "_token", "value": token, "url": f"{parts.scheme}://{parts.netloc}/"}])
    context.add_init_script(
        f"localStorage.setItem('theme', '{theme}'); localStorage.setItem('timezone', '\"{zone}\"')"
    )
    page = context.new_page()
    tab = Board(page, url)
    page.on("console", tab._on_console)
    page.on("pageerror", lambda error: tab.errors.append(str(error)))
    page.on("request", tab._on_request)
    try:
        yield tab
    finally:
        context.close()


def violations(page: Page, inside: str = ".smartlive") -> list[str]:
    """Return what axe-core finds wrong with a part of the page, one line for each element."""
    from axe_playwright_python.sync_playwright import Axe

    results: dict[str, Any] = Axe().run(page, context=inside).response
    return [
        f"{rule['id']}: {node['target']} {node.get('failureSummary', '')}"
        for rule in results["violations"]
        for node in rule["nodes"]
    ]
