"""The lock file installs from the public index only, on every machine."""

from __future__ import annotations

import re
from pathlib import Path

LOCK = Path(__file__).parents[2] / "uv.lock"


def hosts(text: str) -> set[str]:
    return set(re.findall(r"https?://([^/\"]+)", text))


def test_the_lock_names_the_public_index_only() -> None:
    assert hosts(LOCK.read_text()) == {"pypi.org", "files.pythonhosted.org"}


def test_another_host_would_be_seen() -> None:
    assert hosts('url = "https://mirror.example.com/a.whl"') == {"mirror.example.com"}
