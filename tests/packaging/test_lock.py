"""The lock files install from the public index only, on every machine."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "uv.lock"
#: Lists of tools: with hashes, and no index of their own.
TOOLS = sorted((ROOT / "dev" / "tools").glob("*.txt"))


def hosts(text: str) -> set[str]:
    return set(re.findall(r"https?://([^/\"]+)", text))


def test_the_lock_names_the_public_index_only() -> None:
    assert hosts(LOCK.read_text()) == {"pypi.org", "files.pythonhosted.org"}


def test_the_lists_of_tools_name_no_index_and_every_hash() -> None:
    assert TOOLS
    for path in TOOLS:
        text = path.read_text()
        assert hosts(text) == set()
        pinned = re.findall(r"^[\w.\-\[\],]+==.*\\$", text, re.MULTILINE)
        assert len(pinned) == len(re.findall("==", re.sub(r" ;.*", "", text))) > 10


def test_another_host_would_be_seen() -> None:
    assert hosts('url = "https://mirror.example.com/a.whl"') == {"mirror.example.com"}
