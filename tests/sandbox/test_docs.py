"""``docs/sandbox.md`` says what is there, and its examples work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airflow_provider_smartlive.sandbox.api.control import ControlApi
from airflow_provider_smartlive.sandbox.config import Scenario
from airflow_provider_smartlive.sandbox.model.faults import ACTIONS, Fault
from airflow_provider_smartlive.sandbox.model.ledger import Kind
from airflow_provider_smartlive.sandbox.options import Assumptions
from airflow_provider_smartlive.sandbox.server import ENDPOINTS

pytest_plugins = ["pytester"]

PAGE = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")


def rows(first_cell: str) -> list[list[str]]:
    """Return the cells of the table whose first heading is this."""
    table = PAGE.split(f"\n| {first_cell} |", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_table_of_assumptions_is_complete() -> None:
    expected = [
        [f"`{name}`", f"`{field.default}`", field.description]
        for name, field in Assumptions.model_fields.items()
    ]
    assert [[*map(str.strip, row)] for row in rows("name")] == expected


def test_every_action_is_in_the_table_of_faults() -> None:
    named = {(row[0], row[1].strip("`")) for row in rows("target")}
    assert named == {(target, action) for target, actions in ACTIONS.items() for action in actions}


def test_every_field_of_a_rule_is_explained() -> None:
    explained = set(re.findall(r"`(\w+)`", " ".join(row[0] for row in rows("field"))))
    explained |= set(re.findall(r"`(\w+)`", " ".join(row[3] for row in rows("target"))))
    assert Fault.model_fields.keys() - {"id", "action"} <= explained


def test_every_operation_is_in_the_table() -> None:
    named = re.findall(r"`(\w+)`", " ".join(row[0] for row in rows("operation")))
    assert sorted(named) == sorted(operation.name for operation in ENDPOINTS)


def test_every_path_of_its_own_api_is_in_the_table() -> None:
    named = " ".join(row[0] for row in rows("path"))
    paths = [route.path for route in ControlApi.routes(ControlApi.__new__(ControlApi))]
    for path in paths:
        assert f"/sandbox{path.split('{')[0]}".rstrip("/") in named


def test_every_kind_of_entry_is_in_the_table() -> None:
    assert {row[0].strip("`") for row in rows("kind")} == set(Kind)


def test_the_scenario_can_be_loaded(tmp_path: Path) -> None:
    (text,) = blocks("yaml")
    file = tmp_path / "scenario.yaml"
    file.write_text(text)
    scenario = Scenario.load(file)
    assert (len(scenario.rooms), len(scenario.faults)) == (2, 4)


def test_the_example_of_a_users_test_passes(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A project that has nothing but the installed package.
    monkeypatch.setenv("AIRFLOW_HOME", str(pytester.path))
    example, set_up, *_ = blocks("python")
    pytester.makepyfile(test_campaign=example)
    pytester.makeconftest(set_up)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)


def test_the_example_of_a_campaign_is_the_one_that_is_tested() -> None:
    folder = Path(__file__).parents[1] / "example"
    files = [folder / "our_campaign.py", folder / "test_our_campaign.py"]
    assert blocks("python")[2:] == [file.read_text(encoding="utf-8") for file in files]
