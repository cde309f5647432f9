"""What is uploaded: the archives hold what they should, are the same wherever they are built, and install by name."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]

#: The Makefile brings uv if there is none on the path.
UV = shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")


def run(*command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, away from the repository."""
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0 or not check, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def build(source: Path, target: Path) -> dict[str, str]:
    """Build sdist and wheel of ``source`` into ``target``; return the SHA-256 of each by its name."""
    run(UV, "build", "--quiet", "--out-dir", target, source)
    return digests(target)


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each archive of a folder by its name."""
    archives = [path for path in folder.iterdir() if path.suffix in (".gz", ".whl")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in archives}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build(ROOT, folder)
    return folder


def test_a_build_elsewhere_gives_the_same_bytes(dist: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    listed = run("git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in listed.stdout.split("\0")[:-1]:
        if not (ROOT / name).is_file():  # deleted, and not committed yet
            continue
        path = copy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, path)
        os.utime(path, (0, 1_000_000_000))
        path.chmod(0o600)
    again = build(copy, tmp_path / "dist")
    assert len(again) == 2
    assert again == digests(dist)


def test_the_sdist_holds_what_the_wheel_is_built_from(dist: Path) -> None:
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as sdist:
        names = [name.partition("/")[2] for name in sdist.getnames()]
    assert {name.split("/")[0] for name in names} == {
        ".gitignore",
        "CHANGELOG.md",
        "LICENSE",
        "PKG-INFO",
        "README.md",
        "airflow_provider_smartlive",
        "dags",
        "docs",
        "pyproject.toml",
    }
    assert not [
        name for name in names if "__pycache__" in name or name.rpartition("/")[2].startswith("test_")
    ]


def test_it_installs_by_name_without_extras(dist: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked.txt"
    export = run(
        UV, "export", "--quiet", "--project", ROOT, "--locked", "--no-hashes", "--no-emit-project", "--no-dev"
    )
    locked.write_text(export.stdout)
    venv = tmp_path / "venv"
    run(UV, "venv", "--quiet", "--python", sys.executable, venv)
    install = (
        UV,
        "pip",
        "install",
        "--quiet",
        "--python",
        venv,
        "--constraint",
        locked,
        "--find-links",
        dist,
    )
    run(*install, "airflow-provider-smartlive")
    run(UV, "pip", "check", "--quiet", "--python", venv)
    imports = "import airflow_provider_smartlive.operators, airflow_provider_smartlive.sensors"
    run(venv / "bin" / "python", "-c", imports)
    sandbox = run(venv / "bin" / "smartlive-sandbox", "serve", check=False)
    assert sandbox.returncode != 0
    assert "airflow-provider-smartlive[sandbox]" in sandbox.stderr
