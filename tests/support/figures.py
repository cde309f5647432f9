"""Counts that tests keep of what they did, printed at the end of the run: the figures of ``docs/security.md``."""

from __future__ import annotations

from typing import Any

import pytest

_kept: dict[tuple[str, str], dict[str, int]] = {}


def count(what: str, where: str = "", **counts: int) -> None:
    """
    Add to the counts of a line: ``count("senders", "postgresql", sent=1, applied=1)``.

    :param what: what was done.
    :param where: on which database, for example.
    """
    line = _kept.setdefault((what, where), {})
    for name, number in counts.items():
        line[name] = line.get(name, 0) + number


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the counts over, in a worker of xdist."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["figures"] = [(*line, counts) for line, counts in _kept.items()]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take the counts of a worker of xdist."""
    for what, where, counts in getattr(node, "workeroutput", {}).get("figures", ()):
        count(what, where, **counts)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _kept:
        terminalreporter.section("what was shown")
    for (what, where), counts in sorted(_kept.items()):
        numbers = ", ".join(f"{name} {number:,}" for name, number in counts.items())
        terminalreporter.line(" | ".join(filter(None, (what, where, numbers))))
