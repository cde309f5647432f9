"""The demo of a campaign, run as a person runs it: a file, Airflow's processes, and video over RTMP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from dev.campaign_demo import ShowResult
from dev.full_stack import PROJECT
from tests.system.test_demo import processes_of

#: Seconds. It takes about 90 on two idle cores.
TIME_LIMIT = 480

GOOD = ShowResult(
    show="tea",
    states={
        "go_live": "success",
        "connected": "success",
        "not_connected": "skipped",
        "stop": "success",
        "records": "success",
        "command_1": "success",
    },
    outcome="the job succeeded",
    woken_by="callback",
    on_air=20.0,
    reconnects=0,
    planned_end=None,
    ends_by_plan=False,
    is_interrupted=False,
)


@pytest.mark.processes
def test_a_campaign_from_its_file_to_its_end(tmp_path: Path) -> None:
    run = uuid.uuid4().hex
    report = tmp_path / "results.json"
    file = PROJECT / "dags" / "campaigns" / "demo.yaml"
    options = ["--home", str(tmp_path / "demo"), "--json", str(report)]
    demo = subprocess.run(
        [sys.executable, "-m", "dev.campaign_demo", str(file), *options],
        cwd=PROJECT,
        env={**os.environ, "DEMO_RUN": run},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIME_LIMIT,
        check=False,
    )
    assert demo.returncode == 0, demo.stdout
    results = json.loads(report.read_text())
    assert (results["run_state"], results["broken_promises"]) == ("success", [])
    assert results["video_frames"] > 0
    tea, kitchen, market = results["shows"]
    assert tea["states"]["command_1"] == "success"
    assert kitchen["reconnects"] >= 1
    assert market["outcome"] == "stopped as planned"
    assert {row["show"]: row["interruptions"] for row in results["as_run"]} == {
        "tea_house": 0,
        "kitchen": kitchen["reconnects"],
        "night_market": 0,
    }
    lists = list((tmp_path / "demo" / "records").rglob("records.json"))
    assert [len(json.loads(listed.read_text())["records"]) for listed in lists] == [5, 5, 5]
    assert processes_of(run) == []


def test_the_demo_says_what_is_not_as_promised() -> None:
    assert GOOD.broken_promises() == []
    changes = {
        "tea ended in failed.": {"states": {**GOOD.states, "go_live": "failed"}},
        "tea was not CONNECTED.": {"states": {**GOOD.states, "connected": "failed"}},
        "tea was told to be late.": {"states": {**GOOD.states, "not_connected": "success"}},
        "The tear-down of tea ended in failed.": {"states": {**GOOD.states, "stop": "failed"}},
        "The records of tea were not fetched.": {"states": {**GOOD.states, "records": "failed"}},
        "A command to tea was not sent.": {"states": {**GOOD.states, "command_1": "failed"}},
        "tea: the job succeeded, not stopped as planned.": {"ends_by_plan": True},
        "tea was stopped.": {"outcome": "stopped as planned"},
        "tea had 1 reconnects.": {"reconnects": 1},
        "tea had 0 reconnects.": {"is_interrupted": True},
    }
    for sentence, change in changes.items():
        assert ShowResult(**{**vars(GOOD), **change}).broken_promises() == [sentence]
