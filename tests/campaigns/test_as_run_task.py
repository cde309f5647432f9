"""The as-run log: one row for each show, whatever is retried or cleared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_smartlive.campaigns import livestream
from airflow_provider_smartlive.metastudio.ids import same_id
from airflow_provider_smartlive.sandbox.config import Config
from airflow_provider_smartlive.sandbox.testing import LocalSandbox, quick_config
from airflow_provider_smartlive.testing.run import RunDag


@pytest.fixture
def smartlive_sandbox_config() -> Config:
    return quick_config(any_room=False)


@pytest.fixture(autouse=True)
def _channels(channels: None) -> None: ...


def written(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(folder.rglob("*.jsonl"))]


def test_a_show_has_one_row(
    smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag, tmp_path: Path
) -> None:
    smartlive_sandbox.add_room("shoes", seconds=40)
    with DAG("shop", schedule=None) as dag:
        livestream("evening", room_id="shoes", output_conn_ids="channel", as_run_path=f"file://{tmp_path}")
    run = smartlive_run_dag(dag)
    assert run.state == "success", run
    (row,) = written(tmp_path)
    assert row == run.result("evening.as_run")
    assert same_id(row["job_id"], run.result("evening.go_live")["job_id"])
    assert (row["campaign"], row["show"], row["room_id"]) == ("shop", "evening", "shoes")
    assert (row["dag_id"], row["run_id"], row["task_id"], row["map_index"], row["try_number"]) == (
        "shop",
        run.run_id,
        "evening.go_live",
        -1,
        1,
    )
    assert (row["evidence"], row["outcome"]) == ("callback", "the job succeeded")
    assert row["output"] == "rtmp://push.example.com/live/***"
    assert row["on_air_seconds"] > 0
    assert row["interruptions"] == 0


@pytest.mark.parametrize("room", ["hats", "shoes"])
def test_a_show_that_failed_has_one_as_well(
    smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag, tmp_path: Path, room: str
) -> None:
    smartlive_sandbox.add_room("shoes", seconds=600)
    smartlive_sandbox.add_fault(target="job", action="fail", seconds=30, message="no more light")
    with DAG("shop", schedule=None) as dag:
        livestream(
            "evening", room_id=room, output_conn_ids="channel", retries=0, as_run_path=f"file://{tmp_path}"
        )
    run = smartlive_run_dag(dag)
    assert run.state == "failed"
    (row,) = written(tmp_path)
    if room == "hats":
        assert run.tasks["evening.check"] == "failed"
        assert (row["job_id"], row["outcome"], row["evidence"]) == (
            None,
            "not started; the task is upstream_failed",
            None,
        )
    else:
        assert row["outcome"] == "failed; MetaStudio says FAILED"
        assert row["evidence"] in ("callback", "reconciliation")
    assert row["room_id"] == room
