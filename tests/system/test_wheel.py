"""What a user gets: the built wheel, in an empty project with nothing else in its environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

from airflow_provider_smartlive import __version__

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "tests" / "example"
DIST_INFO = f"airflow_provider_smartlive-{__version__}.dist-info"

#: The Makefile brings uv if there is none on the path.
UV = shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")

LOAD_ENTRY_POINTS = """
from importlib.metadata import distribution
for entry_point in distribution("airflow-provider-smartlive").entry_points:
    entry_point.load()
    print(entry_point.group)
"""


def run(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    """Run a command to its end, and return what it printed."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Project:
    """An empty project, with the wheel in its virtual environment."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def run(self, program: str, *arguments: str) -> str:
        """Run a program of the environment as a user does who has set up nothing."""
        kept = ("PATH", "LANG", "TMPDIR")
        env = {name: os.environ[name] for name in kept if name in os.environ} | {"HOME": str(self.home)}
        return run(self.folder / "venv" / "bin" / program, *arguments, cwd=self.folder / "project", env=env)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(UV, "build", "--wheel", "--quiet", "--out-dir", folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def project(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("user"))
    for name in ("home", "project"):
        (project.folder / name).mkdir()
    # The versions that are locked here: what is newest today is not what this test is about.
    locked = project.folder / "locked.txt"
    locked.write_text(run(UV, "export", "--quiet", "--locked", "--no-hashes", "--no-emit-project"))
    venv = project.folder / "venv"
    run(UV, "venv", "--quiet", "--python", sys.executable, venv)
    install: Sequence[str | Path] = (
        UV,
        "pip",
        "install",
        "--quiet",
        "--python",
        venv,
        "--constraint",
        locked,
    )
    run(*install, f"airflow-provider-smartlive[sandbox] @ {wheel.as_uri()}", "pytest")
    return project


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = Parser().parsestr(archive.read(f"{DIST_INFO}/METADATA").decode())
        licence = archive.read(f"{DIST_INFO}/licenses/LICENSE").decode()
    assert {name.split("/")[0] for name in names} == {"airflow_provider_smartlive", DIST_INFO}
    assert "airflow_provider_smartlive/py.typed" in names
    examples = {
        f"airflow_provider_smartlive/example_dags/{path.relative_to(ROOT / 'dags')}"
        for path in (ROOT / "dags").rglob("*.*")
        if path.suffix in (".py", ".yaml")
    }
    assert "airflow_provider_smartlive/example_dags/campaigns/evening.yaml" in examples
    assert "airflow_provider_smartlive/campaigns/campaign-v1.schema.json" in names
    assert {name for name in names if "/example_dags/" in name} == examples
    assert "airflow_provider_smartlive/board/static/board.js" in names
    assert not [name for name in names if "tests" in name or "conftest" in name or "__pycache__" in name]
    assert licence == (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert (metadata["Name"], metadata["License-Expression"]) == ("airflow-provider-smartlive", "Apache-2.0")
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_all("Provides-Extra") == ["openlineage", "sandbox"]


def test_its_requirements_are_complete(project: Project) -> None:
    run(UV, "pip", "check", "--quiet", "--python", project.folder / "venv")
    loaded = project.run("python", "-c", LOAD_ENTRY_POINTS).split()
    assert {"airflow.plugins", "apache_airflow_provider", "console_scripts", "pytest11"} == set(loaded)


def test_airflow_knows_the_provider(project: Project) -> None:
    known = project.run("airflow", "providers", "get", "airflow-provider-smartlive", "--output", "plain")
    assert __version__ in known
    hooks = project.run("airflow", "providers", "hooks", "--output", "plain")
    assert "airflow_provider_smartlive.hooks.SmartLiveHook" in hooks


def test_a_users_test_of_a_campaign_passes(project: Project) -> None:
    for file in EXAMPLE.glob("*.py"):
        shutil.copy(file, project.folder / "project")
    assert "2 passed" in project.run("python", "-m", "pytest", "--quiet")
    # Importing Airflow makes its home; the database there would be the user's own.
    assert not list(project.home.rglob("*.db"))
