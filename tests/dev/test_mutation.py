"""``make mutate`` counts what mutmut left behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dev import mutation

SOURCE = """
def x_add__mutmut_orig(one, two):
    return one + two
def x_add__mutmut_1(one, two):
    return one - two
def x_add__mutmut_2(one, two):
    return two + one
"""


@pytest.fixture
def mutants(tmp_path: Path) -> Path:
    """What mutmut leaves behind: one module was tried, another one not."""
    package = tmp_path / "airflow_provider_smartlive"
    package.mkdir()
    for name in ("sums", "others"):
        (package / f"{name}.py").write_text(SOURCE)
        codes = {f"airflow_provider_smartlive.{name}.x_add__mutmut_{number}": None for number in (1, 2)}
        (package / f"{name}.py.meta").write_text(json.dumps({"exit_code_by_key": codes}))
    return tmp_path


def _ended(mutants: Path, *codes: int | None) -> None:
    keys = [f"airflow_provider_smartlive.sums.x_add__mutmut_{number}" for number in (1, 2)]
    path = mutants / "airflow_provider_smartlive" / "sums.py.meta"
    path.write_text(json.dumps({"exit_code_by_key": dict(zip(keys, codes, strict=True))}))


def test_a_survivor_is_shown_with_its_change_and_a_low_score_fails(mutants, capsys):
    _ended(mutants, 1, 0)

    assert mutation.main(mutants) == 1
    assert capsys.readouterr().out.splitlines() == [
        "| module | mutants | killed | score |",
        "|---|---|---|---|",
        "| `sums.py` | 2 | 1 | 50.0 % |",
        "",
        "sums.py: a test is missing",
        "-    return one + two",
        "+    return two + one",
    ]


def test_what_no_test_can_notice_is_explained(mutants, capsys, monkeypatch):
    monkeypatch.setattr(mutation, "EXPLAINED", {"return two + one": "the same sum"})
    _ended(mutants, 1, 0)

    assert mutation.main(mutants) == 1
    assert "\nsums.py: the same sum\n" in capsys.readouterr().out


@pytest.mark.parametrize("code", [1, 36])
def test_mutants_that_a_test_or_the_clock_stops_are_killed(mutants, capsys, code):
    _ended(mutants, 1, code)

    assert mutation.main(mutants) == 0
    assert "| `sums.py` | 2 | 2 | 100.0 % |" in capsys.readouterr().out


def test_a_mutant_that_no_test_runs_survives(mutants, capsys):
    _ended(mutants, 1, 33)

    assert mutation.main(mutants) == 1


def test_nothing_tried_is_no_success(mutants, capsys):
    assert mutation.main(mutants) == 1
