"""An environment of its own for each cell, made by uv."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

from dev.full_stack import PROJECT
from dev.matrix.cells import AIRFLOW, EXTRA, LOWEST, Cell, declared

#: The Makefile brings uv if there is none on the path.
UV = shutil.which("uv") or str(PROJECT / ".uv" / "bin" / "uv")

#: Seconds for one command of uv; downloads of a new version included.
UV_TIMEOUT = 900.0

#: The project with all that its tests need.
INSTALLED = ("--editable", f".[{EXTRA}]", "--group", "dev")


class EnvironmentFailed(RuntimeError):  # noqa: N818 - says what happened
    """The environment of a cell cannot be made. The text is the end of what uv, or the search for Python, said."""


def make(cell: Cell, folder: Path) -> Path:
    """
    Make the environment of a cell anew, and return its Python.

    :param folder: where its files go.
    :raises EnvironmentFailed: if there is no such Python, or uv finds no versions that fit together.
    """
    folder.mkdir(parents=True, exist_ok=True)
    override = folder / "airflow.txt"
    override.write_text(f"{AIRFLOW}=={cell.airflow}\n")
    python = folder / "venv" / "bin" / "python"
    _uv("venv", "--quiet", "--clear", "--python", _interpreter(cell.python), folder / "venv")
    limits: list[str | Path] = ["--override", override]
    if cell.dependencies == LOWEST:
        lowest = folder / "lowest.txt"
        lowest.write_text("".join(f"{line}\n" for line in _lowest(cell, override)))
        limits += ["--constraint", lowest]
    _uv("pip", "install", "--quiet", "--python", python, *limits, *INSTALLED)
    return python


def _lowest(cell: Cell, override: Path) -> Iterator[str]:
    """
    Yield the lowest versions of what the project itself depends on.

    Resolved without the tools of the tests, which declare no lowest versions of their own.
    """
    resolved = _uv(
        *("pip", "compile", "--quiet", "--no-header", "--no-annotate", "--resolution", "lowest-direct"),
        *("--python-version", cell.python, "--override", override, "--extra", EXTRA, "pyproject.toml"),
    )
    direct = {found.name for found in declared()}
    for line in resolved.splitlines():
        if line and Requirement(line).name in direct:
            yield line


def _interpreter(version: str) -> str:
    """Return a Python of this version: the one on the path if it works, or one of pyenv's."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    of_pyenv = sorted(versions.glob(f"{version}.*/bin/python"), key=_numbers, reverse=True)
    for candidate in filter(None, (shutil.which(f"python{version}"), *map(str, of_pyenv))):
        # pyenv's stand-ins are on the path for versions that are not switched on, too.
        if subprocess.run([candidate, "--version"], capture_output=True, check=False).returncode == 0:
            return candidate
    raise EnvironmentFailed(f"There is no Python {version} on this machine.")


def _numbers(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path.parts[-3])]


def _uv(*arguments: str | Path) -> str:
    command = [UV, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=UV_TIMEOUT
    )
    if done.returncode != 0:
        raise EnvironmentFailed(f"uv {' '.join(command[1:3])}: {done.stderr[-2000:]}")
    return done.stdout
