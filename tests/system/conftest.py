"""A whole Airflow for the tests that need one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.stack import AirflowStack
from dev.stage import Stage


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Everything that the example DAGs need, once for all tests of the session."""
    home: Path = tmp_path_factory.mktemp("stage")
    with Stage(home) as stage:
        yield stage


@pytest.fixture(scope="session")
def airflow_stack(stage: Stage) -> AirflowStack:
    """The Airflow on the stage; it has the DAGs of ``dags/``."""
    return stage.airflow
