"""The task group of a livestream, run to its end against a MetaStudio in this process."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG, TaskGroup, task
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_smartlive.campaigns import livestream, waiting
from airflow_provider_smartlive.campaigns.tasks import PrerollCheckFailedError
from airflow_provider_smartlive.metastudio.ids import same_id
from airflow_provider_smartlive.sandbox.config import Config
from airflow_provider_smartlive.sandbox.testing import LocalSandbox, quick_config
from airflow_provider_smartlive.testing.run import RunDag
from tests.campaigns.told import MESSAGES, listen


@pytest.fixture
def smartlive_sandbox_config() -> Config:
    """A MetaStudio that knows its rooms."""
    return quick_config(any_room=False)


@pytest.fixture(autouse=True)
def _told(channels: None) -> Iterator[None]:
    MESSAGES.clear()
    yield
    MESSAGES.clear()


def say(text: str, after: float = 0) -> tuple[timedelta, dict[str, object]]:
    params = {"text_config": {"text": text}}
    return timedelta(seconds=after), {"command": "INSERT_PLAY_SCRIPT", "command_params": params}


def test_a_livestream_with_tasks_and_commands(
    smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag
) -> None:
    smartlive_sandbox.add_room("shoes", seconds=500)
    with DAG("shop", schedule=None) as dag:

        @task
        def announce() -> str:
            return "We are live."

        @task
        def count() -> int:
            return 3

        with livestream(
            "evening",
            room_id="shoes",
            output_conn_ids="channel",
            max_duration=timedelta(hours=1),
            commands=[say("Welcome!"), say("Still here?", after=1)],
            notify=[listen],
        ) as show:
            announce() >> count()

    run = smartlive_run_dag(dag)

    assert run.state == "success", run
    assert {name: state for name, state in run.tasks.items() if state != "success"} == {
        "evening.not_connected": "skipped"
    }
    assert run.result("evening.announce") == "We are live."
    job_id = run.result("evening.go_live")["job_id"]
    assert same_id(run.result("evening.connected")["job_id"], job_id)
    sent = [entry for entry in smartlive_sandbox.ledger(kind="job") if entry.get("why") == "command"]
    assert [entry["command"] for entry in sent] == ["INSERT_PLAY_SCRIPT"] * 2
    assert MESSAGES == []
    assert show.stop.is_teardown
    assert show.check.is_setup
    assert show.go_live.is_setup


def test_a_command_waits_without_a_worker_until_it_is_time(
    smartlive_sandbox: LocalSandbox,
    smartlive_run_dag: RunDag,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(waiting, "SHORT", 0.0)
    smartlive_sandbox.add_room("shoes", seconds=300)
    with DAG("patient", schedule=None) as dag:
        livestream(
            "evening", room_id="shoes", output_conn_ids="channel", commands=[say("Still here?", after=3)]
        )
    run = smartlive_run_dag(dag)
    assert run.tasks["evening.command_1"] == "success", run
    entries = smartlive_sandbox.ledger(kind="job")
    (command,) = [entry for entry in entries if entry.get("why") == "command"]
    assert command["command"] == "INSERT_PLAY_SCRIPT"
    assert "cannot be called" not in caplog.text


def test_a_command_for_which_the_livestream_is_over_is_skipped(
    smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "SHORT", 0.0)
    smartlive_sandbox.add_room("shoes", seconds=60)
    with DAG("short", schedule=None) as dag:
        livestream(
            "evening", room_id="shoes", output_conn_ids="channel", commands=[say("Still here?", after=12)]
        )
    run = smartlive_run_dag(dag)
    assert (run.state, run.tasks["evening.command_1"]) == ("success", "skipped"), run


def test_what_is_added_runs_from_connected_until_the_tear_down() -> None:
    with DAG("shop", schedule=None) as dag, livestream("evening", room_id="shoes") as show:

        @task
        def first() -> None: ...

        @task
        def last() -> None: ...

        with TaskGroup("inner"):
            first() >> last()
    assert dag.get_task("evening.inner.first").upstream_task_ids == {"evening.connected"}
    assert "evening.inner.last" in show.stop.upstream_task_ids
    assert "evening.inner.first" not in show.stop.upstream_task_ids
    assert show.go_live.upstream_task_ids == {"evening.check"}


def test_a_clear_of_what_runs_beside_it_does_not_start_the_livestream_again() -> None:
    with DAG("shop", schedule=None) as dag:

        @task
        def announce() -> None: ...

        with livestream("evening", room_id="shoes", commands=[say("Welcome!")]):
            announce()
    scheduled: Any = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    for cleared in ("evening.announce", "evening.command_1", "evening.connected"):
        also = scheduled.partial_subset(task_ids=[cleared], include_downstream=True, include_upstream=False)
        assert {cleared, "evening.check", "evening.stop"} <= set(also.task_ids)
        assert "evening.go_live" not in also.task_ids


def test_a_stream_that_is_not_connected_in_time_is_told(
    smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag
) -> None:
    smartlive_sandbox.add_fault(target="callback", event="CONNECTED", action="drop")
    smartlive_sandbox.add_room("shoes", seconds=2000)
    with DAG("late", schedule=None) as dag:
        livestream(
            "evening",
            room_id="shoes",
            output_conn_ids="channel",
            max_duration=timedelta(seconds=12),
            alert_if_not_connected_after=timedelta(seconds=2),
            notify=[listen],
            retries=0,
        )
    run = smartlive_run_dag(dag)
    assert any("show evening: the stream was not CONNECTED within 0:00:02" in text for text in MESSAGES), run
    assert run.tasks["evening.not_connected"] == "success"
    # MetaStudio is asked as well, and says a little later that video was pushed: what waits for CONNECTED goes on.
    assert run.state == "success"


def test_a_room_that_is_not_there_stops_everything_before_the_start(
    smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag
) -> None:
    with DAG("unknown", schedule=None) as dag:
        livestream("evening", room_id="hats", output_conn_ids="channel", notify=[listen], retries=1)
    run = smartlive_run_dag(dag)
    assert run.tasks["evening.check"] == "failed"
    assert isinstance(run.errors["evening.check"], PrerollCheckFailedError)
    assert "room: there is no room hats over connection 'smartlive_default'" in str(
        run.errors["evening.check"]
    )
    assert run.tasks["evening.go_live"] == "upstream_failed"
    assert smartlive_sandbox.states() == []
    assert len(MESSAGES) == 1
    assert "unknown, show evening: evening.check failed: room: there is no room hats" in MESSAGES[0]


def test_a_room_that_is_not_there_has_its_show_in_the_standby(
    smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag
) -> None:
    smartlive_sandbox.add_room("shoes-2", seconds=500)
    with DAG("stands_by", schedule=None) as dag:
        livestream(
            "evening",
            room_id="shoes",
            standby_room_id="shoes-2",
            output_conn_ids="channel",
            commands=[say("Welcome!")],
            notify=[listen],
        )
    run = smartlive_run_dag(dag)
    assert run.state == "success", run
    assert run.result("evening.go_live")["room_id"] == "shoes-2"
    assert run.result("evening.as_run")["room_id"] == "shoes-2"
    assert run.result("evening.connected")["job_id"]
    assert smartlive_sandbox.states() == ["WAITING", "PROCESSING", "SUCCEED"]
    said = smartlive_sandbox.ledger(kind="job", room_id="shoes-2")
    assert [entry["command"] for entry in said if entry.get("why") == "command"] == ["INSERT_PLAY_SCRIPT"]
    assert [text for text in MESSAGES if "there is no room shoes " in text] == MESSAGES


def test_a_failed_livestream_fails_the_run_and_is_told_once(
    smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag
) -> None:
    smartlive_sandbox.add_room("shoes", seconds=600)
    smartlive_sandbox.add_fault(target="job", action="fail", seconds=30, message="no more light")
    with DAG("fails", schedule=None) as dag:
        livestream("evening", room_id="shoes", output_conn_ids="channel", notify=[listen], retries=0)
    run = smartlive_run_dag(dag)
    assert run.state == "failed"
    assert run.tasks["evening.go_live"] == "failed"
    assert run.tasks["evening.stop"] == "success"
    assert [text for text in MESSAGES if "go_live failed" in text and "no more light" in text] == MESSAGES
