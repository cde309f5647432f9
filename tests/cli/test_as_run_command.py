"""``airflow smartlive as-run``: what is printed, where, and the exit codes."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_smartlive.livestream.as_run import AsRunRow
from airflow_provider_smartlive.livestream.as_run_log import write
from tests.cli.command_line import Run

PAGE = Path(__file__).parents[2] / "docs" / "campaigns.md"


def row(show: str, planned: datetime, **more: Any) -> AsRunRow:
    start = planned + timedelta(seconds=6)
    values: dict[str, Any] = {
        "campaign": "evening_campaign",
        "show": show,
        "dag_id": "evening_campaign",
        "run_id": "scheduled__2026-12-04",
        "task_id": f"{show}.go_live",
        "map_index": -1,
        "try_number": 1,
        "room_id": f"room-{show}",
        "job_id": f"job-{show}",
        "output": "rtmp://push.example.com/live/***",
        "timezone": "Asia/Shanghai",
        "planned_start": planned,
        "planned_end": planned + timedelta(hours=3),
        "on_air_start": start,
        "on_air_end": start + timedelta(hours=3),
        "on_air_seconds": 10800.4,
        "interruptions": 0,
        "interrupted_seconds": 0.0,
        "outcome": "stopped as planned",
        "evidence": "callback",
        "woken_by": "deadline",
    }
    return AsRunRow(**values | more)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    path = f"file://{tmp_path / 'as-run'}"
    evening = datetime(2026, 12, 4, 11, tzinfo=UTC)
    nothing = dict.fromkeys(
        (
            "job_id",
            "try_number",
            "output",
            "planned_end",
            "on_air_start",
            "on_air_end",
            "on_air_seconds",
            "interruptions",
            "interrupted_seconds",
            "evidence",
            "woken_by",
        )
    )
    for one in (
        row("skincare", evening),
        row("kitchen", evening + timedelta(minutes=90), interruptions=1, on_air_seconds=5394.0),
        row(
            "tea_house",
            evening + timedelta(hours=3.5),
            outcome="not started; the task is upstream_failed",
            **nothing,
        ),
        # In Shanghai it is the 3rd already.
        row("early", datetime(2026, 12, 2, 17, tzinfo=UTC), evidence="reconciliation"),
    ):
        write(ObjectStoragePath(path), one)
    return path


def test_a_table_in_the_time_of_the_campaign(run: Run, folder: str) -> None:
    done = run("as-run", folder)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "campaign evening_campaign, zone Asia/Shanghai"
    assert [line.split()[:4] for line in lines[2:]] == [
        ["Thu", "2026-12-03", "01:00", "01:00:06"],
        ["Fri", "2026-12-04", "19:00", "19:00:06"],
        ["Fri", "2026-12-04", "20:30", "20:30:06"],
        ["Fri", "2026-12-04", "22:30", "-"],
    ]


def test_the_page_shows_what_it_prints(run: Run, folder: str) -> None:
    shown = run("as-run", folder, "--since", "2026-12-04").out
    assert shown.rstrip() in PAGE.read_text()


def test_since_goes_by_the_day_of_the_campaign(run: Run, folder: str) -> None:
    assert "early" in run("as-run", folder, "--since", "2026-12-03").out
    assert "early" not in run("as-run", folder, "--since", "2026-12-04").out
    assert run("as-run", folder, "--since", "2026-12-05").out == "No show was planned then.\n"


def test_json_and_csv(run: Run, folder: str) -> None:
    found = [json.loads(line) for line in run("as-run", folder, "--json").out.splitlines()]
    assert [one["show"] for one in found] == ["early", "skincare", "kitchen", "tea_house"]
    of_csv = list(csv.DictReader(io.StringIO(run("as-run", folder, "--csv").out)))
    assert [one["evidence"] for one in of_csv] == ["reconciliation", "callback", "callback", ""]


def test_the_setting_names_the_folder(run: Run, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__AS_RUN_PATH", folder)
    assert "skincare" in run("as-run").out


def test_what_is_no_row_is_named_beside_the_table(run: Run, folder: str) -> None:
    (Path(folder.removeprefix("file://")) / "date=2026-12-04" / "x.jsonl").write_text("{")
    done = run("as-run", folder)
    assert done.code == 0
    assert done.err == "Note: date=2026-12-04/x.jsonl is no row of an as-run log.\n"


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        ([], "Name the folder of the log"),
        (["/no/scheme"], "Write it with its scheme"),
        (["file:///no/such/folder"], "There is no such folder"),
    ],
)
def test_a_mistake_is_one_line(run: Run, argv: list[str], text: str) -> None:
    done = run("as-run", *argv)
    assert done.code == 1
    assert text in done.err
    assert done.err.count("\n") == 1
