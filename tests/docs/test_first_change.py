"""The first change that CONTRIBUTING walks through, made in a copy of the project: its tests say what the page says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text().partition("## Your first change")[2].partition("\n## ")[0]
FILES = [f"tests/metastudio/test_{name}.py" for name in ("contract", "requests", "requests_schema")]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What the change and its tests need of the project."""
    for folder in ("airflow_provider_smartlive", "dev", "docs", "tests/metastudio", "tests/support"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "tests/conftest.py"):
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def _run(project: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=project, check=False, capture_output=True, text=True, timeout=300)
    return done.stdout + done.stderr


def _said(project: Path) -> set[str]:
    """Return which tests fail, and what they say."""
    output = _run(project, "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", *FILES)
    return set(re.findall(r"^(?:FAILED \S+|E +AssertionError: .+)", output, re.MULTILINE))


def _told(step: int) -> set[str]:
    """Return what the page says that a step prints of failures."""
    text = PAGE.partition(f"\n{step}. ")[2].partition(f"\n{step + 1}. ")[0]
    return set(re.findall(r"^ +((?:FAILED|E  ).+)$", text, re.MULTILINE))


def _insert(file: Path, after: str, line: str) -> None:
    text = file.read_text()
    assert text.count(after) == 1, (file, after)
    file.write_text(text.replace(after, f"{after}{line}\n"))


@pytest.mark.processes
def test_the_first_change_goes_as_the_page_tells(project):
    start = project / "airflow_provider_smartlive" / "metastudio" / "start.py"
    (field,) = re.findall(r"^   (show_title: .+)$", PAGE, re.MULTILINE)
    head, name, body = start.read_text().partition("class StartJobRequest(")
    start.write_text(head + name + body.replace("    def ", f"    {field}\n\n    def ", 1))
    assert _said(project) == _told(3)

    (source, newer, value) = re.findall(r"`(Annotated\[.+?\)\]|\(\"Start.+?\)|\"show_title\": .+?)`", PAGE)
    start.write_text(start.read_text().replace("show_title: str | None", f"show_title: {source}"))
    _insert(project / FILES[2], "\nNEWER = {\n", f"    {newer},")
    _insert(project / FILES[1], "\nEVERYTHING: dict[str, Any] = {\n", f"    {value},")
    assert _said(project) == _told(4)

    assert _run(project, "dev.contract_table").strip() in PAGE
    assert _said(project) == set()
