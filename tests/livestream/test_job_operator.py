"""The arguments that name a job: declared once, and an argument like any other of each operator that has them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.bases.sensor import BaseSensorOperator

from airflow_provider_smartlive.livestream.job_operator import JobOperator
from airflow_provider_smartlive.operators import (
    SmartLiveCommandOperator,
    StartSmartLiveJobOperator,
    StopSmartLiveJobOperator,
)
from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor

#: Each with what it needs besides, and an argument of its own.
OPERATORS: list[tuple[type[JobOperator], dict[str, Any], dict[str, Any]]] = [
    (StopSmartLiveJobOperator, {}, {"stop_grace": 7.0}),
    (SmartLiveCommandOperator, {"command": "GET_LIVE_JOB_CONFIG_INFO"}, {"deferrable": False}),
    (SmartLiveStreamStateSensor, {"poke_interval": 7.0}, {"needs_worker": True}),
]
NAMES: dict[str, Any] = {
    "job_id": "job",
    "room_id": "room",
    "starter_task_id": "go_live",
    "starter_dag_id": "nightly",
    "starter_run_id": "tonight",
    "starter_map_index": 3,
    "smartlive_conn_id": "smartlive_other",
}

pytestmark = pytest.mark.parametrize(
    ("operator", "needed", "own"), OPERATORS, ids=[operator.__name__ for operator, _, _ in OPERATORS]
)


def named(task: Any) -> dict[str, Any]:
    """Return the arguments that name the job, as a task has them."""
    return {name: getattr(task, name) for name in NAMES}


def test_they_are_arguments_of_each(
    operator: type[JobOperator], needed: dict[str, Any], own: dict[str, Any]
) -> None:
    task = operator(task_id="talk", **needed, **own, **NAMES)
    assert named(task) == NAMES
    assert {name: getattr(task, name) for name in needed | own} == needed | own


def test_none_of_them_is_needed(
    operator: type[JobOperator], needed: dict[str, Any], own: dict[str, Any]
) -> None:
    task = operator(task_id="talk", **needed)
    assert named(task) == dict.fromkeys(NAMES) | {"smartlive_conn_id": "smartlive_default"}


def test_default_args_fill_them(
    operator: type[JobOperator], needed: dict[str, Any], own: dict[str, Any]
) -> None:
    retries = {"retries": 4, "retry_delay": timedelta(seconds=5)}
    with DAG("nightly", schedule=None, default_args=NAMES | own | retries):
        task = operator(task_id="talk", room_id="another", **needed)
    assert named(task) == NAMES | {"room_id": "another"}
    assert {name: getattr(task, name) for name in own | retries} == own | retries


def test_they_can_be_mapped(operator: type[JobOperator], needed: dict[str, Any], own: dict[str, Any]) -> None:
    with DAG("nightly", schedule=None, default_args={"smartlive_conn_id": "smartlive_other"}):
        mapped: Any = operator.partial(task_id="talk", room_id="room", **needed, **own).expand(
            job_id=["a", "b"]
        )
    task = mapped.unmap({"job_id": "b"})
    assert isinstance(task, operator)
    assert (task.job_id, task.room_id, task.smartlive_conn_id) == ("b", "room", "smartlive_other")
    assert {name: getattr(task, name) for name in needed | own} == needed | own


def test_a_misspelt_one_is_refused(
    operator: type[JobOperator], needed: dict[str, Any], own: dict[str, Any]
) -> None:
    with pytest.raises(TypeError, match="starter_task"):
        operator(task_id="talk", starter_task="go_live", **needed)
    with DAG("nightly", schedule=None), pytest.raises(TypeError, match="starter_task"):
        operator.partial(task_id="talk", starter_task="go_live", **needed)


def test_one_that_another_task_returns_makes_a_dependency(
    operator: type[JobOperator], needed: dict[str, Any], own: dict[str, Any]
) -> None:
    with DAG("nightly", schedule=None):
        start = StartSmartLiveJobOperator(task_id="go_live", room_id="room")
        task = operator(task_id="talk", job_id=start.output["job_id"], **needed)
    assert task.upstream_task_ids == {"go_live"}


def test_the_templated_ones_are_templated(
    operator: type[JobOperator], needed: dict[str, Any], own: dict[str, Any]
) -> None:
    assert set(NAMES) - set(operator.template_fields) == {"starter_map_index"}


def test_a_sensor_is_one_nevertheless(
    operator: type[JobOperator], needed: dict[str, Any], own: dict[str, Any]
) -> None:
    order = [kind for kind in operator.__mro__ if kind in (JobOperator, BaseSensorOperator, BaseOperator)]
    is_sensor = operator is SmartLiveStreamStateSensor
    assert order == [JobOperator, *([BaseSensorOperator] if is_sensor else []), BaseOperator]
