"""The table of ``docs/compatibility.md``: what was tried when. The page itself is where results are kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from dev.full_stack import PROJECT
from dev.matrix.cells import Cell
from dev.matrix.trial import Trial

PAGE = PROJECT / "docs" / "compatibility.md"

HEAD = ("Airflow", "Python", "dependencies", "tried on", "tests", "livestream")
NOT_RUN = ("-", "not run", "not run")

_TABLE = re.compile(r"(?<=<!-- matrix: written by make matrix -->\n).*?(?=<!-- matrix: end -->)", re.DOTALL)

Results = dict[Cell, tuple[str, ...]]


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows as a table of Markdown."""
    lines = (" | ".join(row) for row in (HEAD, ["---"] * len(HEAD), *rows))
    return "".join(f"| {line} |\n" for line in lines)


def rows(results: Results, cells: Iterable[Cell]) -> list[tuple[str, ...]]:
    """Return a row for each cell; one without a result says so."""
    return [(cell.airflow, cell.python, cell.dependencies, *results.get(cell, NOT_RUN)) for cell in cells]


def result(trial: Trial) -> tuple[str, ...]:
    """Return the columns of a row that say what became of its cell."""
    return (trial.on, trial.tests, trial.livestream)


def read(text: str) -> Results:
    """Return the results that a page has."""
    found = _TABLE.search(text)
    lines = found.group().splitlines()[2:] if found else []
    split = [tuple(part.strip() for part in line.strip("| ").split(" | ")) for line in lines]
    return {Cell(*row[:3]): row[3:] for row in split if row[3:] != NOT_RUN}


def write(trials: Iterable[Trial], cells: Iterable[Cell], page: Path = PAGE) -> None:
    """Put what was tried now into the page, and keep what was tried before."""
    text = page.read_text()
    results = read(text) | {trial.cell: result(trial) for trial in trials}
    page.write_text(_TABLE.sub(lambda match: table(rows(results, cells)), text))
