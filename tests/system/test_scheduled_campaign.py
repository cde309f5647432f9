"""A campaign that begins by its schedule, on a whole Airflow: nobody triggers it, and what follows it is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dev.full_stack import FullStack
from dev.process import wait_until
from tests.support.chat import chat

pytestmark = pytest.mark.processes

#: Seconds.
TIME_LIMIT = 150

#: Seconds from the writing of the campaign to its start, at least: enough for Airflow to parse it.
AHEAD = 30

ZONE = ZoneInfo("Asia/Shanghai")

CAMPAIGN = """\
version: 1
campaign: soon
timezone: Asia/Shanghai
as_run_path: file://{log}
alert_if_not_over_after: 25s
defaults:
  schedule: "* * * * *"
  start: {start:%H:%M}
  max_duration: 25s
  check_before: 0
  notify: soon_alerts
shows:
  - show: tea
    room: 3d0a5c18-90b6-4a43-8f10-00000000d009
    outputs: smartlive_output
    play_policy: {{repeat_count: -1}}
    outlets: {{ended: smartlive://soon/tea/ended}}
"""

DAGS = """\
from airflow.sdk import DAG, Asset, task

from airflow_provider_smartlive.campaigns import load

dag = load(__file__)

with DAG("after_soon", schedule=[Asset("smartlive://soon/tea/ended")]):

    @task
    def told(triggering_asset_events=None):
        return [event.extra for of_asset in triggering_asset_events.values() for event in of_asset]

    told()
"""


@pytest.fixture
def told(open_stage: FullStack) -> Iterator[list[str]]:
    """What the people on duty are told: Airflow has a connection to their chat."""
    with chat() as (port, texts):
        desk = {
            "connection_id": "soon_alerts",
            "conn_type": "http",
            "host": "127.0.0.1",
            "port": port,
        }
        open_stage.airflow.api.call("POST", "/connections", json=desk)
        yield texts


def soon(folder: Path, log: Path) -> datetime:
    """Write a campaign that starts at the next full minute but one, and return when that is."""
    start = (datetime.now(ZONE) + timedelta(seconds=AHEAD + 60)).replace(second=0, microsecond=0)
    (folder / "soon.yaml").write_text(CAMPAIGN.format(log=log, start=start))
    (folder / "soon.py").write_text(DAGS)
    return start


def test_a_campaign_begins_by_its_schedule(open_stage: FullStack, told: list[str], tmp_path: Path) -> None:
    airflow = open_stage.airflow
    start = soon(airflow.dags_folder, tmp_path)
    airflow.wait_for_dag("soon")
    if datetime.now(ZONE) >= start:  # Airflow has learned of it too late: it is another day's
        start = soon(airflow.dags_folder, tmp_path)
    airflow.wait_for_dag("after_soon")

    def runs(dag_id: str) -> list[dict[str, Any]]:
        return list(airflow.api.call("GET", f"/dags/{dag_id}/dagRuns")["dag_runs"])

    left = (start - datetime.now(ZONE)).total_seconds()
    wait_until(lambda: bool(runs("soon")), "the run of the schedule", timeout=max(left, 0.0) + 60)
    (run,) = runs("soon")
    assert run["run_type"] == "scheduled"
    assert datetime.fromisoformat(run["run_after"]) == start
    assert airflow.wait_for_run("soon", run["dag_run_id"], TIME_LIMIT) == "success"

    row = airflow.api.xcom("soon", run["dag_run_id"], "tea.as_run", "return_value")
    (file,) = tmp_path.rglob("*.jsonl")
    assert json.loads(file.read_text()) == row
    assert row["outcome"] == "stopped as planned"
    assert datetime.fromisoformat(row["planned_start"]) == start
    assert row["planned_end"] == (start + timedelta(seconds=25)).astimezone(UTC).isoformat()
    assert row["on_air_seconds"] > 0

    overdue = f"soon: not over 0:00:25 after it began (run {run['dag_run_id']})"
    wait_until(lambda: overdue in told, "the alert of the deadline", timeout=60)
    assert told == [overdue]

    wait_until(lambda: bool(runs("after_soon")), "the run of the asset's event", timeout=60)
    (follower,) = runs("after_soon")
    assert follower["run_type"] == "asset_triggered"
    assert airflow.wait_for_run("after_soon", follower["dag_run_id"], TIME_LIMIT) == "success"
    (extra,) = airflow.api.xcom("after_soon", follower["dag_run_id"], "told", "return_value")
    assert (extra["job_id"], extra["outcome"]) == (row["job_id"], row["outcome"])
    assert len(runs("soon")) == 1
