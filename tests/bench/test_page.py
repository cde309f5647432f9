"""The pages that ``make bench`` writes: what they say beside their figures is what their templates say."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from dev.bench.micro import measure_apply
from dev.bench.starts import AIRFLOW, IMPORTS, METASTUDIO

DOCS = Path(__file__).parents[2] / "docs"
PUSHED = ("operator", "sensor", "human in the loop")


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Give the module that writes the pages, which draws nothing here: the library for that is not there."""

    def draw(*_args: Any, **_options: Any) -> None:
        """Draw nothing."""

    monkeypatch.setitem(sys.modules, "dev.bench.plots", SimpleNamespace(draw_dots=draw, draw_lines=draw))
    yield importlib.import_module("dev.bench.page")
    del sys.modules["dev.bench.page"]


def waiting(kind: str, streams: int) -> dict[str, Any]:
    used = {"triggerer": 1.0 + streams, "api-server": 1.0, "scheduler": 1.0 + streams}
    return {
        "kind": kind,
        "streams": streams,
        "seconds": 120,
        "cpu": used,
        "memory": used,
        "requests": streams,
    }


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """Give made-up figures of every part; those of the events are measured."""
    ways = (*PUSHED, "HttpSensor, 5 s", "HttpSensor, 60 s")
    latency = {name: {"finished": [1.0, 2.0], "downstream": [2.0, 3.0]} for name in ways}
    ingestion = {
        name: {"rate": 100.0, "median": 0.05, "p99": 0.1, "refused": 0, "events": 1000}
        for name in ("receiver", "bare", "inbound-webhooks")
    }
    start = {"all": 0.1, IMPORTS: 0.05, AIRFLOW: 0.03, METASTUDIO: 0.01}
    kinds = ("http", "nothing", "smartlive")
    return {
        "machine": {"date": "2026-11-26"},
        "quick": False,
        "seconds": 60.0,
        "apart": ["latency", "rooms", "sqlite"],
        "latency": latency,
        "starts": {
            "operator": [start | {"calls": {AIRFLOW: 10, METASTUDIO: 2}}],
            "bare call": [0.002],
        },
        "waiting": [waiting("idle", 0), *(waiting(kind, many) for kind in kinds for many in (100, 1000))],
        "ingestion": ingestion,
        "sqlite": {"latency": {name: latency[name] for name in PUSHED}, "ingestion": ingestion},
        "rooms": {
            "rooms": 200,
            "all started after": 150.0,
            "starts": 200,
            "burst": 0.2,
            "answered after": 4.5,
            "answers": {"200": 200},
            "done": [50.0, 100.0],
            "succeeded": 200,
            "woken by": {"callback": 200},
        },
        "apply": measure_apply(1),
        "signing": {"ours": 40_000.0, "sdk": 10_000.0},
        "imports": {"operators": 10.0, "http operator": 200.0, "plugin": 0.3},
    }


def without_figures(path: Path) -> str:
    """Return a page without its tables' cells, its figures and the breaks of its lines."""
    text = re.sub(r"(?:^\|.*\n)+", "(a table)\n", path.read_text(), flags=re.MULTILINE)
    return re.sub(r"\s+", " ", re.sub(r"\d[\d,.]*", "0", text))


@pytest.mark.parametrize("name", ["benchmarks.md", "scaling.md"])
def test_a_page_says_what_its_template_says(
    page: ModuleType, results: dict[str, Any], tmp_path: Path, name: str
) -> None:
    page.write(results, tmp_path)
    assert without_figures(DOCS / name) == without_figures(tmp_path / name)
