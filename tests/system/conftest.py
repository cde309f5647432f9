"""A whole Airflow for the tests that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dev.faults.stack import FaultStack
from dev.full_stack import FullStack
from dev.stack import PARSE_OFTEN, AirflowStack


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FullStack]:
    """Everything that the example DAGs need, once for all tests of the session."""
    # Short shows in a small picture, but longer than [smartlive] resume_delay, so that callbacks wake the tasks.
    show = ("--picture", "small", "--assume", "show_seconds=14")
    with FullStack(tmp_path_factory.mktemp("stage"), sandbox_arguments=show) as stage:
        yield stage


@pytest.fixture(scope="session")
def airflow_stack(stage: FullStack) -> AirflowStack:
    """The Airflow on the stage; it has the DAGs of ``dags/``."""
    return stage.airflow


@pytest.fixture(scope="session")
def open_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FullStack]:
    """An Airflow for DAGs that tests bring along, into its folder; its scheduler makes runs."""
    folder = tmp_path_factory.mktemp("dags")
    # Longer than [smartlive] resume_delay, so that callbacks wake the tasks.
    show = ("--picture", "small", "--link", "simulated", "--assume", "show_seconds=20")
    options = {"dags_folder": folder, "env": {"AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "True", **PARSE_OFTEN}}
    home = tmp_path_factory.mktemp("open-stage")
    with FullStack(home, sandbox_arguments=show, airflow_options=options) as stage:
        yield stage


@pytest.fixture(scope="session")
def fault_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultStack]:
    """A stack whose parts can be killed, with everybody's patience short; its links only claim to send video."""
    with FaultStack(tmp_path_factory.mktemp("faults"), database="postgresql") as fault_stack:
        yield fault_stack
