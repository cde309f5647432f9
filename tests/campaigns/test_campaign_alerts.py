"""Who is told of what goes wrong with a show of a campaign file: one example of each alert."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_smartlive.campaigns import build
from airflow_provider_smartlive.campaigns.overdue import tell_overdue
from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook
from airflow_provider_smartlive.sandbox.config import Config
from airflow_provider_smartlive.sandbox.options import Assumptions
from airflow_provider_smartlive.sandbox.testing import LocalSandbox, quick_config
from airflow_provider_smartlive.testing.run import RunDag
from airflow_provider_smartlive.triggers import job as job_trigger
from tests.campaigns.campaign_files import campaign
from tests.campaigns.told import MESSAGES
from tests.support.interruptions import interrupting

#: Show seconds that the job waits before it streams; half a minute of the test.
SLOW = 600


@pytest.fixture
def smartlive_sandbox_config(request: pytest.FixtureRequest) -> Config:
    waiting = getattr(request, "param", None)
    assumptions = Assumptions(waiting_seconds=waiting) if waiting else Assumptions()
    return quick_config(any_room=False, assumptions=assumptions)


@pytest.fixture(autouse=True)
def _told(channels: None) -> Iterator[None]:
    MESSAGES.clear()
    yield
    MESSAGES.clear()


def evening(field: str, show: str = "") -> DAG:
    """Return the DAG of a campaign with one more field, and with more of its show."""
    return build(
        campaign(
            f"version: 1\ncampaign: evening\ntimezone: Asia/Shanghai\n{field}\n"
            "defaults: {schedule: 0 19 * * *, max_duration: 1h, retries: 0, notify: tests.campaigns.told.listen}\n"
            f"shows:\n  - {{show: tea, room: shoes, outputs: channel{show}}}\n"
        )
    )


@pytest.mark.parametrize(
    ("smartlive_sandbox_config", "show", "fault", "text"),
    [
        (
            SLOW,
            "alert_if_not_connected_after: 1s, max_duration: 6s",
            None,
            "the stream was not CONNECTED within 0:00:01",
        ),
        (SLOW, "connected_within: 2s", None, "the stream was not CONNECTED in time"),
        (None, "retries: 1", "block", "MetaStudio blocked the job"),
    ],
    indirect=["smartlive_sandbox_config"],
    ids=["not connected", "never connected", "blocked"],
)
def test_of_a_livestream(
    smartlive_sandbox: LocalSandbox,
    smartlive_run_dag: RunDag,
    show: str,
    fault: str | None,
    text: str,
) -> None:
    smartlive_sandbox.add_room("shoes", seconds=2000)
    if fault is not None:
        smartlive_sandbox.add_fault(target="job", action=fault, seconds=20, times=1)
    run = smartlive_run_dag(evening("", f", {show}"))
    assert len(MESSAGES) == 1, (run, MESSAGES)
    assert MESSAGES[0].startswith("evening, show tea: ")
    assert text in MESSAGES[0]
    assert smartlive_sandbox.states()[-1] not in ("WAITING", "PROCESSING")


@pytest.mark.parametrize(
    ("show", "states", "text"),
    [
        ("fail_on_disconnect_longer_than: 2s", ["DISCONNECTED"], "the stream was interrupted for too long"),
        ("max_reconnects: 0", ["RECONNECTING"], "the stream was interrupted too often"),
    ],
    ids=["too long", "too often"],
)
def test_of_one_that_is_interrupted(
    smartlive_sandbox: LocalSandbox,
    smartlive_run_dag: RunDag,
    monkeypatch: pytest.MonkeyPatch,
    show: str,
    states: list[str],
    text: str,
) -> None:
    monkeypatch.setattr(job_trigger, "TABLE_INTERVAL", 1.0)
    smartlive_sandbox.add_room("shoes", seconds=2000)
    with interrupting(smartlive_sandbox, *states):
        run = smartlive_run_dag(evening("", f", {show}"))
    assert (run.state, run.tasks["tea.go_live"]) == ("failed", "failed"), (run, MESSAGES)
    assert len(MESSAGES) == 1
    assert MESSAGES[0].startswith("evening, show tea: tea.go_live failed: ")
    assert text in MESSAGES[0]
    assert smartlive_sandbox.states()[-1] not in ("WAITING", "PROCESSING")


def test_one_that_is_connected_again_in_time_is_no_alert(
    smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag
) -> None:
    smartlive_sandbox.add_room("shoes", seconds=2000)
    show = ", max_duration: 15s, fail_on_disconnect_longer_than: 10s, max_reconnects: 1"
    with interrupting(smartlive_sandbox, "DISCONNECTED", "RECONNECTING", "CONNECTED"):
        run = smartlive_run_dag(evening("", show))
    assert (run.state, MESSAGES) == ("success", []), run
    assert run.result("tea.as_run")["interruptions"] == 1


def test_of_another_job_in_the_room(smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag) -> None:
    smartlive_sandbox.add_room("shoes", seconds=2000)
    SmartLiveTaskHook().start_job("shoes", {"play_policy": {"play_mode": "NO_PRESET"}})
    smartlive_run_dag(evening(""))
    assert len(MESSAGES) == 1
    assert MESSAGES[0].startswith("evening, show tea: tea.check failed: other jobs: ")


def test_of_a_show_that_is_too_late_when_it_gets_a_worker(
    smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag
) -> None:
    smartlive_sandbox.add_room("shoes", seconds=2000)
    # The check is in time, and the task after it never is.
    run = smartlive_run_dag(evening("", ", start_window: 0"))
    assert run.tasks["tea.go_live"] == "skipped", run
    assert [
        f"evening, show tea: tea.go_live was skipped: it was too late to go live (run {run.run_id})"
    ] == MESSAGES
    assert smartlive_sandbox.states() == []


def test_of_a_show_that_is_over_too_soon(smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag) -> None:
    smartlive_sandbox.add_room("shoes", seconds=40)
    smartlive_run_dag(evening("", ", min_on_air: 30m"))
    assert len(MESSAGES) == 1
    assert MESSAGES[0].startswith("evening, show tea: tea.go_live failed: ")
    assert "min_on_air" in MESSAGES[0]


def test_of_a_command_that_cannot_be_sent(smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag) -> None:
    smartlive_sandbox.add_room("shoes", seconds=400)
    smartlive_sandbox.add_fault(target="command", action="status", status=400, code="MSS.00000003")
    run = smartlive_run_dag(evening("", ", commands: [{after: 0, say: Welcome!}]"))
    assert run.tasks["tea.command_1"] == "failed", run
    assert len(MESSAGES) == 1
    assert MESSAGES[0].startswith("evening, show tea: tea.command_1 failed: ")


def test_of_a_log_that_cannot_be_written(
    smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag, tmp_path: Path
) -> None:
    smartlive_sandbox.add_room("shoes", seconds=40)
    folder = tmp_path / "file"
    folder.write_text("")
    place = f"file://{folder}/logs"
    run = smartlive_run_dag(evening(f"as_run_path: {place}\nrecords_path: {place}"))
    assert (run.state, run.tasks["tea.go_live"]) == ("success", "success"), run
    assert [run.tasks[f"tea.{task}"] for task in ("as_run", "records")] == ["failed", "failed"]
    assert sorted(text.split(" failed: ")[0] for text in MESSAGES) == [
        "evening, show tea: tea.as_run",
        "evening, show tea: tea.records",
    ]


def test_of_a_run_that_is_not_over_in_time(smartlive_sandbox: LocalSandbox) -> None:
    dag = evening("alert_if_not_over_after: 2h")
    stored = DagSerialization.to_dict(dag)["dag"]["deadline"]
    assert "tests.campaigns.told.listen" in json.dumps(stored)
    alert: Any = dag.deadline
    (one,) = alert if isinstance(alert, list) else [alert]
    assert one.interval == timedelta(hours=2)
    assert one.callback.path == f"{tell_overdue.__module__}.{tell_overdue.__qualname__}"
    run_id = "scheduled__2026-11-29T15:09:00+00:00"
    context = {"dag_run": {"dag_id": "evening", "dag_run_id": run_id}}
    asyncio.run(tell_overdue(**one.callback.kwargs, context=context))
    (message,) = MESSAGES
    assert message == f"evening: not over 2:00:00 after it began (run {run_id})"


def test_nobody_keeps_the_others_from_being_told_of_it(smartlive_sandbox: LocalSandbox) -> None:
    context = {"dag_run": {"dag_id": "evening", "dag_run_id": "r"}}
    recipients = ["no_connection", {"path": "no.such.thing"}, {"path": "tests.campaigns.told.listen"}]
    asyncio.run(tell_overdue(recipients, 60, context))
    assert MESSAGES == ["evening: not over 0:01:00 after it began (run r)"]


def test_a_run_with_a_deadline_can_be_tested(
    smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag
) -> None:
    smartlive_sandbox.add_room("shoes", seconds=20)
    run = smartlive_run_dag(evening("alert_if_not_over_after: 2h"))
    assert run.state == "success", run
    assert MESSAGES == []
