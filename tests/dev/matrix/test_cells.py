"""Which cells the matrix has, what becomes of them, and the page that says so."""

from __future__ import annotations

import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from dev.full_stack import PROJECT
from dev.matrix import cells, page
from dev.matrix.cells import Cell, Releases
from dev.matrix.trial import SHORT, Trial, judged

KNOWN = Releases(stable=("3.3.0", "3.3.2"), newer="3.9.0b2")


@pytest.fixture(autouse=True)
def _declared(monkeypatch: pytest.MonkeyPatch) -> None:
    requirement = cells.Requirement("apache-airflow>=3.3.0,<3.9")
    monkeypatch.setattr(cells, "declared_airflow", lambda: requirement)


@pytest.mark.parametrize(
    ("versions", "stable", "newer"),
    [
        (["3.3.2", "3.3.0", "3.2.1", "1.8.2-bad-name"], ("3.3.0", "3.3.2"), None),
        (["3.3.0", "3.3.1rc1"], ("3.3.0",), "3.3.1rc1"),
        (["3.3.10", "3.3.9", "3.9.0b1", "3.9.0b2"], ("3.3.9", "3.3.10"), "3.9.0b2"),
        (["3.3.0", "3.9.0", "3.9.0rc1"], ("3.3.0",), "3.9.0"),
    ],
)
def test_releases(versions: list[str], stable: tuple[str, ...], newer: str | None) -> None:
    assert cells.releases(versions) == Releases(stable, newer)


def test_a_range_without_a_release_is_no_empty_matrix() -> None:
    with pytest.raises(ValueError, match="No release of Airflow"):
        cells.releases(["3.2.1", "3.9.0b1"])


def test_every_combination_is_a_cell() -> None:
    everything = cells.cells(KNOWN)
    assert len(everything) == len(set(everything)) == 3 * len(cells.PYTHONS) * 2
    assert cells.chosen(KNOWN, []) == everything


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["oldest/3.11/lowest"], ["3.3.0/3.11/lowest"]),
        (["newest/3.13/*"], ["3.3.2/3.13/lowest", "3.3.2/3.13/highest"]),
        (["newer/3.12/highest", "3.9.0b2/3.12/*"], ["3.9.0b2/3.12/highest", "3.9.0b2/3.12/lowest"]),
    ],
)
def test_cells_are_chosen_by_name(patterns: list[str], names: list[str]) -> None:
    assert [str(cell) for cell in cells.chosen(KNOWN, patterns)] == names


def test_a_name_that_fits_none_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"'3\.3\.0/3\.9/lowest' is no cell; they are 3\.3\.0/3\.11/lowest"):
        cells.chosen(KNOWN, ["3.3.0/3.9/lowest"])


def test_no_newer_release_is_no_error() -> None:
    assert cells.chosen(Releases(("3.3.0",), None), ["newer/3.12/highest"]) == []


@pytest.mark.parametrize(("airflow", "required"), [("3.3.2", True), ("3.9.0rc1", False), ("3.9.0", True)])
def test_a_release_fails_the_run_once_it_is_stable(airflow: str, required: bool) -> None:
    assert Cell(airflow, "3.12", cells.HIGHEST).is_required is required


def suites(*outcomes: str) -> ET.Element:
    cases = "".join(
        f'<testcase classname="tests.a" name="test_{n}">{o}</testcase>' for n, o in enumerate(outcomes)
    )
    return ET.fromstring(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")


@pytest.mark.parametrize(
    ("outcomes", "line", "passed", "failed"),
    [
        (("", ""), "short: 2 passed", True, []),
        (("", "<skipped/>"), "short: 1 passed, 1 skipped", True, []),
        (
            ("", "<failure/>", "<error/>"),
            "short: 1 passed, 2 failed",
            False,
            ["tests.a::test_1", "tests.a::test_2"],
        ),
        ((), "short: none ran", False, []),
    ],
)
def test_what_the_tests_came_to(
    outcomes: tuple[str, ...], line: str, passed: bool, failed: list[str]
) -> None:
    assert judged("short", suites(*outcomes)) == (line, passed, failed)


def test_many_failures_are_counted() -> None:
    _, _, named = judged("short", suites(*["<failure/>"] * 25))
    assert len(named) == 21
    assert named[-1] == "and 5 more"


def test_the_page_keeps_what_was_tried_before(tmp_path: Path) -> None:
    copy = tmp_path / "page.md"
    copy.write_text("before\n<!-- matrix: written by make matrix -->\n<!-- matrix: end -->\nbehind\n")
    everything = cells.cells(KNOWN)
    first, second = everything[0], everything[5]
    gone = Cell("3.9.0b1", "3.11", cells.LOWEST)
    passed = ("short: 1 passed", "END by callback, resumed after 1.2 s")
    page.write([Trial(first, "2026-11-01", *passed, passed=True)], [*everything, gone], copy)
    page.write(
        [Trial(gone, "2026-11-02", "no environment", "not run", passed=False)], [*everything, gone], copy
    )
    page.write([Trial(second, "2026-11-03", *passed, passed=True)], everything, copy)
    text = copy.read_text()
    assert text.startswith("before\n")
    assert text.endswith("-->\nbehind\n")
    # A pre-release that is not the newest any more is left out.
    assert page.read(text) == {first: ("2026-11-01", *passed), second: ("2026-11-03", *passed)}
    assert text.count("| - | not run | not run |") == len(everything) - 2


def test_the_page_and_the_package_claim_the_same_versions() -> None:
    tried = page.read(page.PAGE.read_text())
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    begin = "Programming Language :: Python :: "
    names = [name.removeprefix(begin) for name in project["classifiers"] if name.startswith(begin)]
    claimed = [name for name in names if "." in name]
    assert claimed == list(cells.PYTHONS)
    assert set(claimed) <= {cell.python for cell in tried}
    assert {cells.LOWEST, cells.HIGHEST} <= {cell.dependencies for cell in tried}


def test_the_short_form_names_folders_that_there_are() -> None:
    assert [folder for folder in SHORT if not (PROJECT / folder).is_dir()] == []
