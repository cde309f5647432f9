"""Who is told of what goes wrong with a show of a campaign file: one example of each alert."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_smartlive.campaigns import build
from airflow_provider_smartlive.campaigns.overdue import tell_overdue
from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook
from airflow_provider_smartlive.exceptions import SmartLiveJobFailedError
from airflow_provider_smartlive.sandbox.config import Config
from airflow_provider_smartlive.sandbox.options import Assumptions
from airflow_provider_smartlive.sandbox.testing import LocalSandbox, quick_config
from airflow_provider_smartlive.testing.run import RunDag
from tests.campaigns.campaign_files import campaign
from tests.campaigns.told import MESSAGES

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


def test_of_one_that_is_interrupted() -> None:
    """The limits are judged in ``tests/livestream/test_start_limits.py``; what breaks one fails the task."""
    go_live: Any = evening("", ", max_reconnects: 0, fail_on_disconnect_longer_than: 10m").get_task(
        "tea.go_live"
    )
    assert (go_live.max_reconnects, go_live.fail_on_disconnect_longer_than) == (0, timedelta(minutes=10))
    (failed,) = go_live.on_failure_callback
    ti = SimpleNamespace(dag_id="evening", run_id="r", task_id="tea.go_live")
    failed({"ti": ti, "exception": SmartLiveJobFailedError("the stream was interrupted too often")})
    assert MESSAGES == ["evening, show tea: tea.go_live failed: the stream was interrupted too often (run r)"]


def test_of_another_job_in_the_room(smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag) -> None:
    smartlive_sandbox.add_room("shoes", seconds=2000)
    SmartLiveTaskHook().start_job("shoes", {"play_policy": {"play_mode": "NO_PRESET"}})
    smartlive_run_dag(evening(""))
    assert len(MESSAGES) == 1
    assert MESSAGES[0].startswith("evening, show tea: tea.check failed: other jobs: ")


def test_of_a_show_that_is_too_late_when_it_gets_a_worker(smartlive_sandbox: LocalSandbox) -> None:
    go_live: Any = evening("").get_task("tea.go_live")
    (late,) = go_live.on_skipped_callback
    late({"ti": SimpleNamespace(dag_id="evening", run_id="r", task_id="tea.go_live")})
    assert MESSAGES == ["evening, show tea: tea.go_live was skipped: it was too late to go live (run r)"]


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
