"""The campaigns that users copy: what one room that fails does to the others, and to the report."""

from __future__ import annotations

import runpy
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_smartlive.campaigns import Campaign
from airflow_provider_smartlive.sandbox.config import Config
from airflow_provider_smartlive.sandbox.testing import LocalSandbox, quick_config
from airflow_provider_smartlive.testing.run import FinishedRun, RunDag

ROOT = Path(__file__).parents[2]


@pytest.fixture
def smartlive_sandbox_config() -> Config:
    """A MetaStudio that knows its rooms."""
    return quick_config(any_room=False)


@pytest.fixture(autouse=True)
def _outputs(smartlive_connection: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "smartlive_output",
        "smartlive_output_2",
        "smartlive_output_3",
        "channel_shoes",
        "channel_hats",
        "our_channel",
    ):
        url = f"rtmp://push.example.com/live/{name}"
        monkeypatch.setenv(
            f"AIRFLOW_CONN_{name.upper()}", f'{{"host": "{url}", "password": "fake-stream-key"}}'
        )


def load(file: str) -> dict[str, Any]:
    """Return what an example defines."""
    return runpy.run_path(str(ROOT / file))


def names_in_grid(run: FinishedRun, task_id: str) -> set[str | None]:
    """Return what Airflow shows instead of map indexes."""
    of_task = (
        TaskInstance.dag_id == run.dag_id,
        TaskInstance.run_id == run.run_id,
        TaskInstance.task_id == task_id,
    )
    with create_session(scoped=False) as session:
        return set(session.scalars(select(TaskInstance.rendered_map_index).where(*of_task)))


def test_a_campaign_of_a_file(smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag) -> None:
    campaign = Campaign.read(ROOT / "dags" / "smartlive_campaign.yaml")
    for show in campaign.shows[1:]:
        smartlive_sandbox.add_room(show.room, seconds=100)
    run = smartlive_run_dag(load("dags/smartlive_campaign.py")["dag"])
    blocked, *shown = (show.name for show in campaign.shows)
    assert run.state == "failed"
    assert run.tasks[f"{blocked}.check"] == "failed"
    assert run.result(f"{blocked}.as_run")["outcome"] == "not started; the task is upstream_failed"
    for name in shown:
        assert run.result(f"{name}.go_live")["outcome"] == "the job succeeded"
        assert run.result(f"{name}.as_run")["evidence"] == "callback"


def test_a_greeting_in_the_task_group_of_a_livestream(
    smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag
) -> None:
    dag = load("dags/smartlive_talk.py")["dag"]
    smartlive_sandbox.add_room(dag.params["room_id"], seconds=100)
    run = smartlive_run_dag(dag)
    assert run.state == "success", run
    assert run.result("good_night") == [run.result("go_live")["job_id"]]
    assert run.result("go_live")["replies_finished"] == 1
    assert run.result("as_run")["show"] == "talk"


@pytest.mark.parametrize("fails", [False, True])
def test_the_report_of_a_campaign_tells_of_every_room(
    smartlive_sandbox: LocalSandbox,
    smartlive_run_dag: RunDag,
    capfd: pytest.CaptureFixture[str],
    fails: bool,
) -> None:
    example = load("docs/examples/mapped_rooms.py")
    rooms = [room["room_id"] for room in example["ROOMS"]]
    shown = rooms[1:] if fails else rooms
    for room_id in shown:
        smartlive_sandbox.add_room(room_id, seconds=100)
    run = smartlive_run_dag(example["dag"])
    printed = capfd.readouterr().out
    for room_id in shown:
        assert f"{room_id}: the job succeeded" in printed
    assert run.state == ("failed" if fails else "success")
    for task_id in ("go_live", "off_air"):
        assert names_in_grid(run, task_id) == set(rooms)
    assert (f"Not shown: {rooms[0]}. The log of go_live says why." in printed) is fails


def test_each_room_of_a_mapped_group_goes_its_own_way(
    smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag
) -> None:
    smartlive_sandbox.add_room("hats", seconds=100)
    run = smartlive_run_dag(load("docs/examples/shop_campaign.py")["dag"])
    assert run.tasks["show.go_live[0]"] == "failed"
    assert run.tasks["show.clean_up[0]"] == "success"
    assert run.result("show.go_live[1]")["state"] == "SUCCEED"
    assert run.tasks["show.announce[1]"] == "success"


def test_a_show_across_midnight_ends_on_the_next_day(
    smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag
) -> None:
    dag = load("docs/examples/late_show.py")["dag"]
    smartlive_sandbox.add_room(dag.get_task("go_live").room_id, seconds=60)
    before = datetime.now(dag.timezone)
    job = smartlive_run_dag(dag).xcom("go_live", "smartlive_job")
    ends = datetime.fromisoformat(job["planned_end"]).astimezone(dag.timezone)
    assert (ends.hour, ends.minute) == (1, 0)
    assert ends.date() - before.date() == timedelta(days=1)


def test_the_dag_of_the_readme_goes_live_and_reports(
    smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag, capfd: pytest.CaptureFixture[str]
) -> None:
    smartlive_sandbox.add_room("shoes", seconds=100)
    run = smartlive_run_dag(load("docs/examples/nightly_show.py")["dag"])
    assert run.state == "success"
    assert f"the job succeeded {run.result('go_live')['stream_duration']}" in capfd.readouterr().out
