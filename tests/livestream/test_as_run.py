"""The row of the as-run log: what it says of a livestream, and that there is one whatever is retried or cleared."""

from __future__ import annotations

import csv
import json
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from airflow_provider_smartlive.callbacks.messages import JOB_KEY
from airflow_provider_smartlive.livestream import storage
from airflow_provider_smartlive.livestream.as_run import JobTimes, on_air
from airflow_provider_smartlive.livestream.as_run_log import read
from airflow_provider_smartlive.operators import SmartLiveAsRunOperator
from tests.support.fake_airflow import DAG, RUN, TASK, a_context
from tests.support.fake_callbacks import STREAM_KEY, called_back
from tests.support.fake_metastudio import ROOM, FakeMetaStudio, unreachable
from tests.support.simulation import StartSimulation
from tests.support.virtual_time import NOON


def aired(show: StartSimulation, state: str = "success", **arguments: Any) -> dict[str, Any]:
    """Let a livestream be over, as Airflow and its tasks leave it."""
    show.supervisor.states[TASK] = "running"
    result: dict[str, Any] = show.go_live(**arguments)
    show.supervisor.xcoms[TASK, -1, "return_value"] = result
    show.supervisor.states[TASK] = state
    return result


def log(
    stage: StartSimulation, folder: Path | None, /, *, ti: dict[str, Any] | None = None, **arguments: Any
) -> dict[str, Any]:
    """Run the task that writes the row."""
    named = {"starter_task_id": TASK, "path": f"file://{folder}" if folder else None} | arguments
    operator = SmartLiveAsRunOperator(task_id="as_run", **named)
    row: dict[str, Any] = operator.execute(a_context(stage.supervisor, **{"task_id": "as_run"} | (ti or {})))
    return row


def rows(folder: Path) -> list[Any]:
    return list(read(ObjectStoragePath(f"file://{folder}")))


def ends_by_callback(show: StartSimulation) -> None:
    """CONNECTED after 11 s, interrupted from 100 s to 130 s, END after 601 s."""
    show.at(10, show.calls_back("CONNECTING", "CONNECTED"))
    show.at(100, show.calls_back("RECONNECTING"))
    show.at(130, show.calls_back("CONNECTED"))
    show.at(600, show.calls_back("DISCONNECTED", "END"), show.ends())


def test_a_row_says_what_was_planned_and_what_went_out(deferred: StartSimulation, tmp_path: Path) -> None:
    ends_by_callback(deferred)
    aired(deferred, max_duration=timedelta(hours=2))
    row = log(deferred, tmp_path, campaign="spring", show="tea", timezone="Asia/Shanghai")
    assert row == {
        "version": 1,
        "campaign": "spring",
        "show": "tea",
        "dag_id": DAG,
        "run_id": RUN,
        "task_id": TASK,
        "map_index": -1,
        "try_number": 1,
        "room_id": ROOM,
        "job_id": deferred.job.job_id,
        "output": "rtmp://push.example.com/live/***",
        "timezone": "Asia/Shanghai",
        "planned_start": "2026-01-01T12:00:00+00:00",
        "planned_start_local": "2026-01-01T20:00:00+08:00",
        "planned_end": "2026-01-01T14:00:00+00:00",
        "planned_end_local": "2026-01-01T22:00:00+08:00",
        "on_air_start": "2026-01-01T12:00:11+00:00",
        "on_air_start_local": "2026-01-01T20:00:11+08:00",
        "on_air_end": "2026-01-01T12:10:01+00:00",
        "on_air_end_local": "2026-01-01T20:10:01+08:00",
        "on_air_seconds": 590.0,
        "start_delay_seconds": 11.0,
        "interruptions": 1,
        "interrupted_seconds": 30.0,
        "outcome": "the job succeeded",
        "evidence": "callback",
        "woken_by": "callback",
    }
    (name,) = [file.relative_to(tmp_path) for file in tmp_path.rglob("*.jsonl")]
    assert name.parent == Path("date=2026-01-01")
    assert json.loads((tmp_path / name).read_text()) == row
    with (tmp_path / name).with_suffix(".csv").open() as file:
        (of_csv,) = csv.DictReader(file)
    assert (of_csv["show"], of_csv["on_air_seconds"], of_csv["evidence"]) == ("tea", "590.0", "callback")
    assert set(of_csv) == set(row)


def test_without_callbacks_it_says_so(deferred: StartSimulation, tmp_path: Path) -> None:
    more = {"start_time": "2026-01-01T12:00:05Z", "end_time": "2026-01-01T12:10:00Z", "stream_duration": 590}
    deferred.at(600, deferred.ends(**more))
    aired(deferred)
    row = log(deferred, tmp_path)
    assert (row["evidence"], row["woken_by"]) == ("reconciliation", "reconciliation")
    assert (row["on_air_start"], row["on_air_end"], row["on_air_seconds"]) == (
        "2026-01-01T12:00:05+00:00",
        "2026-01-01T12:10:00+00:00",
        590,
    )
    assert (row["interruptions"], row["interrupted_seconds"]) == (None, None)


def test_whoever_writes_it_again_writes_the_same_file(deferred: StartSimulation, tmp_path: Path) -> None:
    ends_by_callback(deferred)
    aired(deferred)
    first = log(deferred, tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.*")}
    deferred.metastudio.down = unreachable()  # nobody is asked a second time for what is known
    assert log(deferred, tmp_path, ti={"try_number": 2, "clear_number": 1}) == first
    assert {file: file.read_bytes() for file in tmp_path.rglob("*.*")} == before
    assert rows(tmp_path) == [first]


def test_a_second_livestream_of_a_show_has_a_row_of_its_own(
    deferred: StartSimulation, tmp_path: Path
) -> None:
    ends_by_callback(deferred)
    aired(deferred)
    first = log(deferred, tmp_path)
    deferred.supervisor.clear_xcoms()
    ends_by_callback(deferred)
    aired(deferred, ti={"max_tries": 1, "try_number": 2, "clear_number": 1})
    second = log(deferred, tmp_path)
    assert first["job_id"] != second["job_id"]
    assert [row["job_id"] for row in rows(tmp_path)] == [first["job_id"], second["job_id"]]


def test_a_show_that_did_not_come_has_a_row_until_it_comes(deferred: StartSimulation, tmp_path: Path) -> None:
    deferred.supervisor.states[TASK] = "upstream_failed"
    row = log(deferred, tmp_path, room_id=ROOM, check_before=timedelta(minutes=10))
    assert (row["job_id"], row["room_id"], row["on_air_start"], row["evidence"]) == (None, ROOM, None, None)
    assert row["outcome"] == "not started; the task is upstream_failed"
    assert row["planned_start"] == (NOON + timedelta(minutes=10)).isoformat()
    assert rows(tmp_path) == [row]
    ends_by_callback(deferred)
    aired(deferred)
    row = log(deferred, tmp_path, check_before=timedelta(minutes=10))
    assert rows(tmp_path) == [row]
    assert row["job_id"] == deferred.job.job_id


def test_a_show_that_was_not_due_has_none(deferred: StartSimulation, tmp_path: Path) -> None:
    deferred.supervisor.states[TASK] = "skipped"
    with pytest.raises(AirflowSkipException, match="was not due"):
        log(deferred, tmp_path, planned_start="")
    assert rows(tmp_path) == []
    # It was due, and too late.
    assert log(deferred, tmp_path, planned_start="2026-01-01T20:00+08:00")["outcome"].endswith("is skipped")


def failed(show: StartSimulation) -> None:
    """Let a task have failed with its job."""
    job = show.metastudio.add(state="FAILED", more={"end_time": "2026-01-01T12:10:00Z"})
    show.supervisor.xcoms[TASK, -1, JOB_KEY] = {"job_id": job.job_id, "room_id": ROOM, "try_number": 1}
    show.supervisor.states[TASK] = "failed"


def test_of_a_livestream_that_failed_metastudio_is_asked(deferred: StartSimulation, tmp_path: Path) -> None:
    failed(deferred)
    deferred.metastudio.down = unreachable()
    with pytest.raises(AirflowException, match="no clear answer"):
        log(deferred, tmp_path, ti={"try_number": 1, "max_tries": 1})
    assert rows(tmp_path) == []
    row = log(deferred, tmp_path, ti={"try_number": 2, "max_tries": 1})
    assert row["outcome"].startswith("failed; MetaStudio says unknown")
    deferred.metastudio.down = None
    row = log(deferred, tmp_path)
    assert (row["outcome"], row["on_air_end"]) == (
        "failed; MetaStudio says FAILED",
        "2026-01-01T12:10:00+00:00",
    )
    assert rows(tmp_path) == [row]


def test_nothing_half_is_left_of_a_writer_that_dies(
    deferred: StartSimulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends_by_callback(deferred)
    aired(deferred)

    def half(source: BinaryIO, target: BinaryIO) -> None:
        target.write(source.read(100))
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "shutil", SimpleNamespace(copyfileobj=half))
        with pytest.raises(OSError, match="no space"):
            log(deferred, tmp_path)
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []
    row = log(deferred, tmp_path)
    assert rows(tmp_path) == [row]


def test_without_a_folder_the_row_is_the_result(deferred: StartSimulation) -> None:
    ends_by_callback(deferred)
    aired(deferred)
    assert log(deferred, None)["evidence"] == "callback"


def test_the_setting_names_the_folder(
    deferred: StartSimulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__AS_RUN_PATH", f"file://{tmp_path}")
    ends_by_callback(deferred)
    aired(deferred)
    log(deferred, None)
    assert len(rows(tmp_path)) == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"path": "/var/as-run"}, "Write it with its scheme"),
        ({"timezone": "Asia/Shang"}, "timezone is 'Asia/Shang'"),
        ({"starter_task_id": None, "job_id": "1"}, "pass starter_task_id"),
        ({"starter_task_id": "no_such"}, "has no such task"),
        ({"planned_start": "tomorrow"}, "planned_start is 'tomorrow'"),
    ],
)
def test_a_mistake_is_named(
    deferred: StartSimulation, tmp_path: Path, arguments: dict[str, Any], text: str
) -> None:
    with pytest.raises(AirflowFailException, match=text):
        log(deferred, tmp_path, **arguments)


def test_while_the_livestream_goes_on_there_is_nothing_to_write(
    deferred: StartSimulation, tmp_path: Path
) -> None:
    deferred.supervisor.states[TASK] = "deferred"
    with pytest.raises(AirflowException, match="is not over"):
        log(deferred, tmp_path)


def test_no_row_holds_a_key_and_no_cell_is_a_formula(deferred: StartSimulation, tmp_path: Path) -> None:
    ends_by_callback(deferred)
    aired(deferred)
    log(deferred, tmp_path, show="=HYPERLINK(1)")
    text = "".join(file.read_text() for file in tmp_path.rglob("*.*") if file.is_file())
    assert STREAM_KEY not in text
    assert "'=HYPERLINK(1)" in text


def test_a_file_of_others_is_named_and_left_alone(deferred: StartSimulation, tmp_path: Path) -> None:
    (tmp_path / "date=2026-01-01").mkdir()
    for name, text in (("half", "{"), ("list", "[]"), ("huge", " " * 70_000), ("other", '{"a": 1}')):
        (tmp_path / "date=2026-01-01" / f"{name}.jsonl").write_text(text)
    assert rows(tmp_path) == [f"date=2026-01-01/{name}.jsonl" for name in ("half", "huge", "list", "other")]


@pytest.mark.parametrize(
    ("states", "interruptions"),
    [
        (("CONNECTING", "CONNECTED", "END"), 0),
        (("CONNECTING", "CONNECTED", "DISCONNECTED", "END"), 0),
        (("CONNECTED", "DISCONNECTED", "RECONNECTING", "CONNECTED", "END"), 1),
        (("CONNECTED", "RECONNECTING", "CONNECTED", "DISCONNECTED", "CONNECTED", "END"), 2),
        (("CONNECTED", "DISCONNECTED", "RECONNECTING", "END"), 1),
        (("CONNECTING", "RECONNECTING", "END"), 0),
        (("CONNECTED", "RECONNECTING") * 40 + ("CONNECTED", "END"), 40),
    ],
)
def test_what_counts_as_an_interruption(states: tuple[str, ...], interruptions: int) -> None:
    callbacks = called_back("1" * 32, *states).job("1" * 32)
    found = on_air(callbacks, JobTimes())
    assert found.interruptions == interruptions
    assert found.evidence == "callback"


def test_nobody_can_ask_a_metastudio_of_another_project(
    deferred: StartSimulation, metastudio: FakeMetaStudio
) -> None:
    failed(deferred)
    announced = deferred.supervisor.xcoms[TASK, -1, JOB_KEY]
    announced["address"] = "https://elsewhere.example.com/v1/other"
    row = log(deferred, None)
    assert row["outcome"].startswith("failed; MetaStudio says other_project")
    assert metastudio.asked == {}
