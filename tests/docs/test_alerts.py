"""The example of alerts: each fault reaches the people on duty."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import copy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook
from airflow_provider_smartlive.sandbox.config import Config
from airflow_provider_smartlive.sandbox.options import Assumptions
from airflow_provider_smartlive.sandbox.testing import LocalSandbox, quick_config
from airflow_provider_smartlive.testing.run import RunDag
from tests.support.chat import chat
from tests.support.interruptions import interrupting

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
ROOM = "24bad716-87b1-45e5-8912-6102f7693265"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The chat of the people on duty."""
    with chat() as (port, texts):
        desk = {"conn_type": "http", "host": f"http://127.0.0.1:{port}"}
        monkeypatch.setenv("AIRFLOW_CONN_DESK_ALERTS", json.dumps(desk))
        output = {"host": "rtmp://push.example.com/live/a", "password": "fake-stream-key"}
        monkeypatch.setenv("AIRFLOW_CONN_SMARTLIVE_OUTPUT", json.dumps(output))
        yield texts


@pytest.fixture
def dag(smartlive_connection: str) -> DAG:
    bag = DagBag(dag_folder=str(EXAMPLES / "alerts.py"), safe_mode=False)
    assert bag.import_errors == {}
    found: Any = bag.dags["alerts"]
    return copy(found)


@pytest.fixture
def smartlive_sandbox_config(request: pytest.FixtureRequest) -> Config:
    """A MetaStudio that takes half a minute to begin, unless a test says how many show seconds."""
    return quick_config(assumptions=Assumptions(waiting_seconds=getattr(request, "param", 600)))


@pytest.mark.parametrize(
    ("fault", "changes", "text"),
    [
        (None, {"connected_within": timedelta(seconds=2)}, "the stream was not CONNECTED in time"),
        ({"target": "job", "action": "block", "seconds": 5}, {}, "MetaStudio blocked the job"),
        (None, {"start_window": timedelta(0)}, "it was too late, and was skipped"),
    ],
    ids=["not connected", "blocked", "late"],
)
def test_who_is_on_duty_is_told(
    smartlive_sandbox: LocalSandbox,
    smartlive_run_dag: RunDag,
    dag: DAG,
    told: list[str],
    fault: dict[str, Any] | None,
    changes: dict[str, Any],
    text: str,
) -> None:
    smartlive_sandbox.add_room(ROOM, seconds=2000)
    if fault is not None:
        smartlive_sandbox.add_fault(**fault)
    for name, value in changes.items():
        setattr(dag.get_task("go_live"), name, value)
    smartlive_run_dag(dag)
    assert len(told) == 1
    assert "go_live" in told[0]
    assert text in told[0]
    assert "fake-stream-key" not in told[0]


@pytest.mark.parametrize("smartlive_sandbox_config", [1], indirect=True)
def test_an_interruption_that_is_too_long_is_told_once(
    smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag, dag: DAG, told: list[str]
) -> None:
    smartlive_sandbox.add_room(ROOM, seconds=2000)
    task: Any = dag.get_task("go_live")
    assert task.fail_on_disconnect_longer_than == timedelta(minutes=10)
    task.fail_on_disconnect_longer_than = timedelta(seconds=2)
    with interrupting(smartlive_sandbox, "DISCONNECTED", "RECONNECTING"):
        smartlive_run_dag(dag)
    (text,) = told
    assert "go_live: the stream was interrupted for too long" in text
    assert smartlive_sandbox.states()[-1] not in ("WAITING", "PROCESSING")


def test_another_job_in_the_room_is_told(
    smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag, dag: DAG, told: list[str]
) -> None:
    smartlive_sandbox.add_room(ROOM, seconds=2000)
    hook = SmartLiveTaskHook()
    hook.start_job(ROOM, {"play_policy": {"play_mode": "NO_PRESET"}})
    smartlive_run_dag(dag)
    assert len(told) == 1
    assert "warnings_as_errors" in told[0]


def test_the_deadline_of_the_run_reaches_the_scheduler(dag: DAG) -> None:
    alert: Any = dag.deadline
    (one,) = alert if isinstance(alert, list) else [alert]
    assert one.interval == timedelta(hours=4)
    stored = json.dumps(DagSerialization.to_dict(dag)["dag"]["deadline"])
    assert "HttpNotifier" in stored
