"""
Fixtures for tests of livestream campaigns: ``smartlive_sandbox``, ``smartlive_connection``, ``smartlive_run_dag``.

pytest loads this module wherever the provider is installed, so it imports nothing heavy.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_smartlive.provider_info import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from airflow_provider_smartlive.sandbox.config import Config
    from airflow_provider_smartlive.sandbox.testing import LocalSandbox
    from airflow_provider_smartlive.testing.run import RunDag


@pytest.fixture
def smartlive_sandbox_config() -> Config:
    """Say how the sandbox of the test is set up; override it to change that."""
    from airflow_provider_smartlive.sandbox.testing import quick_config

    return quick_config()


@pytest.fixture
def smartlive_sandbox(smartlive_sandbox_config: Config) -> Iterator[LocalSandbox]:
    """Run a local MetaStudio for the test, without video and at twenty times the speed."""
    from airflow_provider_smartlive.sandbox.testing import LocalSandbox

    with LocalSandbox(smartlive_sandbox_config) as sandbox:
        yield sandbox


@pytest.fixture
def smartlive_connection(smartlive_sandbox: LocalSandbox, monkeypatch: pytest.MonkeyPatch) -> str:
    """Define the Airflow connection ``smartlive_default`` to the sandbox, in the environment; return its id."""
    monkeypatch.setenv(f"AIRFLOW_CONN_{DEFAULT_CONN_ID.upper()}", json.dumps(smartlive_sandbox.connection()))
    return DEFAULT_CONN_ID


@pytest.fixture(scope="session")
def smartlive_metadata(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a metadata database, once for all tests."""
    from airflow_provider_smartlive.testing.database import create

    folder = tmp_path_factory.mktemp("smartlive-metadata")
    create(folder)
    return folder


@pytest.fixture
def smartlive_run_dag(smartlive_metadata: Path) -> Iterator[RunDag]:
    """
    Give :func:`~airflow_provider_smartlive.testing.run.run_dag`, which runs a DAG to its end.

    Meanwhile this process has a metadata database of its own, and takes callbacks at 127.0.0.1.
    """
    from airflow_provider_smartlive.testing import run

    with run.ready(smartlive_metadata):
        yield run.run_dag
