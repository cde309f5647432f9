"""MetaStudio's records of a show: fetched when it is over, whatever became of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from airflow.sdk import DAG

from airflow_provider_smartlive.campaigns import build, livestream
from airflow_provider_smartlive.metastudio.ids import same_id
from airflow_provider_smartlive.operators import SmartLiveRecordsOperator
from airflow_provider_smartlive.sandbox.config import Config
from airflow_provider_smartlive.sandbox.testing import LocalSandbox, quick_config
from airflow_provider_smartlive.testing.run import RunDag
from tests.campaigns.campaign_files import campaign

RECORDS = {
    "interaction_records",
    "job_config_records",
    "scripts_records",
    "command_reviced_records",
    "command_exec_records",
}


@pytest.fixture
def smartlive_sandbox_config() -> Config:
    return quick_config(any_room=False)


@pytest.fixture(autouse=True)
def _channels(channels: None) -> None: ...


@pytest.mark.parametrize("fails", [False, True])
def test_the_records_of_a_show(
    smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag, tmp_path: Path, fails: bool
) -> None:
    smartlive_sandbox.add_room("shoes", seconds=600 if fails else 40)
    if fails:
        smartlive_sandbox.add_fault(target="job", action="fail", seconds=30, message="no more light")
    with DAG("shop", schedule=None) as dag:
        livestream(
            "evening",
            room_id="shoes",
            output_conn_ids="channel",
            retries=0,
            records_path=f"file://{tmp_path}",
        )
    run = smartlive_run_dag(dag)
    assert (run.state, run.tasks["evening.records"]) == ("failed" if fails else "success", "success"), run
    result = run.result("evening.records")
    assert same_id(result["job_id"], run.xcom("evening.go_live", "job_id"))
    assert set(result["records"]) == RECORDS
    folder = tmp_path / result["folder"]
    for record in result["records"].values():
        content = (folder / record["file"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (record["size"], record["sha256"])
        assert json.loads(content)["entries"]
    assert json.loads((folder / "records.json").read_text())["records"] == result["records"]
    written = "".join(file.read_text() for file in folder.iterdir())
    assert "Signature" not in f"{result}{written}"


def test_a_show_that_never_came_has_none(
    smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag, tmp_path: Path
) -> None:
    with DAG("shop", schedule=None) as dag:
        livestream(
            "evening", room_id="hats", output_conn_ids="channel", retries=0, records_path=f"file://{tmp_path}"
        )
    run = smartlive_run_dag(dag)
    assert (run.state, run.tasks["evening.records"]) == ("failed", "skipped")
    assert list(tmp_path.iterdir()) == []


def test_a_campaign_says_where_they_go() -> None:
    text = (
        "version: 1\ncampaign: spring\ntimezone: Asia/Shanghai\n{}"
        "defaults: {{schedule: 0 19 * * *, stop: 22:00, notify: desk}}\nshows:\n  - {{show: tea, room: a}}\n"
    )
    with_records = build(campaign(text.format("records_path: file:///var/records\n")))
    task = with_records.get_task("tea.records")
    assert isinstance(task, SmartLiveRecordsOperator)
    assert (task.path, task.is_teardown, task.upstream_task_ids) == (
        "file:///var/records",
        True,
        {"tea.stop"},
    )
    assert task.on_failure_callback
    assert not build(campaign(text.format(""))).has_task("tea.records")
