"""The versions that are claimed, and the cells of the matrix that they make."""

from __future__ import annotations

import json
import tomllib
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from dev.full_stack import PROJECT

#: The versions of Python that are claimed. Those of Airflow are in pyproject.toml, and PyPI knows which there are.
PYTHONS = ("3.11", "3.12", "3.13")

#: The oldest dependencies that pyproject.toml allows, and the newest that there are.
LOWEST, HIGHEST = "lowest", "highest"

AIRFLOW = "apache-airflow"

#: What the project can bring beside itself: the sandbox, which is its users', too.
EXTRA = "sandbox"

#: The simple index in its form for programs, and seconds to wait for it.
INDEX, INDEX_TIMEOUT = f"https://pypi.org/simple/{AIRFLOW}/", 60.0
INDEX_TYPE = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True)
class Releases:
    """
    Releases of Airflow.

    :param stable: those within the declared range, the oldest first.
    :param newer: the newest one that is newer than all of them, a pre-release or not; None if there is none.
    """

    stable: tuple[str, ...]
    newer: str | None

    @property
    def all(self) -> tuple[str, ...]:
        """All of them, the oldest first."""
        return (*self.stable, self.newer) if self.newer else self.stable

    def named(self, name: str) -> str | None:
        """Return the release that is meant by ``oldest``, ``newest`` or ``newer``; any other name is one itself."""
        aliases = {"oldest": self.stable[0], "newest": self.stable[-1], "newer": self.newer}
        return aliases.get(name, name)


@dataclass(frozen=True)
class Cell:
    """
    One environment to try.

    :param airflow: the release of Airflow.
    :param python: the version of Python, without its micro part.
    :param dependencies: :data:`LOWEST` or :data:`HIGHEST`.
    """

    airflow: str
    python: str
    dependencies: str

    def __str__(self) -> str:
        return f"{self.airflow}/{self.python}/{self.dependencies}"

    @property
    def is_required(self) -> bool:
        """Whether its failure is one of the whole run: not before its Airflow is stable."""
        return not Version(self.airflow).is_prerelease


def declared() -> list[Requirement]:
    """Return what the project depends on, the sandbox included."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    return [Requirement(text) for text in project["dependencies"] + project["optional-dependencies"][EXTRA]]


def declared_airflow() -> Requirement:
    """Return what the project says of Airflow."""
    return next(found for found in declared() if found.name == AIRFLOW)


def published() -> list[str]:
    """Return the versions of Airflow that PyPI has."""
    request = urllib.request.Request(INDEX, headers={"Accept": INDEX_TYPE})
    with urllib.request.urlopen(request, timeout=INDEX_TIMEOUT) as answer:
        return list(json.load(answer)["versions"])


def releases(versions: Iterable[str]) -> Releases:
    """
    Choose from all versions those that count.

    :raises ValueError: if none is within the declared range.
    """
    known = sorted(filter(None, map(_version, versions)))
    stable = [
        version for version in known if version in declared_airflow().specifier and not version.is_prerelease
    ]
    if not stable:
        raise ValueError(f"No release of Airflow is within {declared_airflow()}.")
    newer = str(known[-1]) if known[-1] > stable[-1] else None
    return Releases(tuple(map(str, stable)), newer)


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:  # of the time before versions had rules
        return None


def cells(known: Releases) -> list[Cell]:
    """Return all cells."""
    return [Cell(*parts) for parts in product(known.all, PYTHONS, (LOWEST, HIGHEST))]


def chosen(known: Releases, patterns: Sequence[str]) -> list[Cell]:
    """
    Return the cells that are asked for; all of them for no pattern.

    :param patterns: each ``AIRFLOW/PYTHON/DEPENDENCIES``, where each part may have a ``*``, and Airflow may
        be ``oldest``, ``newest`` or ``newer``.
    :raises ValueError: if a pattern fits none. That there is no newer release is no mistake.
    """
    found: list[Cell] = []
    for pattern in patterns or ["*/*/*"]:
        airflow, _, rest = pattern.partition("/")
        release = known.named(airflow)
        if release is None:
            continue
        fitting = [cell for cell in cells(known) if fnmatchcase(str(cell), f"{release}/{rest}")]
        if not fitting:
            raise ValueError(f"{pattern!r} is no cell; they are {', '.join(map(str, cells(known)))}.")
        found += [cell for cell in fitting if cell not in found]
    return found
