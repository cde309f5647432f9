"""The example DAGs that talk, drive and sweep, on a whole Airflow with real callbacks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.url import CallbackTarget, issue
from airflow_provider_smartlive.hooks import SmartLiveHook
from airflow_provider_smartlive.metastudio.callback_auth import AuthType
from airflow_provider_smartlive.metastudio.ids import JobRef
from dev.full_stack import FullStack
from dev.stack import AirflowStack

pytestmark = pytest.mark.processes

#: Seconds. No wait may need the reconciliation, which comes after 300.
TIME_LIMIT = 240


@pytest.fixture
def run(airflow_stack: AirflowStack) -> Callable[[str], str]:
    """Run a DAG to its success, and return the run id."""

    def run(dag_id: str) -> str:
        run_id = airflow_stack.run_dag(dag_id)
        assert airflow_stack.wait_for_run(dag_id, run_id, TIME_LIMIT) == "success"
        return run_id

    return run


def test_a_greeting_is_spoken_before_the_livestream_is_stopped(
    airflow_stack: AirflowStack, run: Callable[[str], str]
) -> None:
    run_id = run("smartlive_talk")

    def result(task_id: str) -> Any:
        return airflow_stack.api.xcom("smartlive_talk", run_id, task_id, "return_value")

    assert result("greet")["command"] == "INSERT_PLAY_SCRIPT"
    assert result("go_live")["replies_finished"] == 1
    assert result("go_live")["state"] == "SUCCEED"
    assert result("good_night") == [result("go_live")["job_id"]]
    assert result("as_run")["outcome"] == result("go_live")["outcome"]


def test_the_signatures_of_an_rtc_room_are_seen_by_the_client_only(
    airflow_stack: AirflowStack, run: Callable[[str], str]
) -> None:
    run_id = run("smartlive_rtc")
    joined = airflow_stack.api.xcom("smartlive_rtc", run_id, "perform", "return_value")
    assert "in RTC room" in joined
    started = airflow_stack.api.xcom("smartlive_rtc", run_id, "go_live", "return_value")
    assert "rtc_room_info" not in json.dumps(started)
    stopped = airflow_stack.api.xcom("smartlive_rtc", run_id, "stop", "return_value")
    assert stopped == [started["job_id"]]


@pytest.fixture
def hook(stage: FullStack, monkeypatch: pytest.MonkeyPatch) -> SmartLiveHook:
    monkeypatch.setenv("AIRFLOW_CONN_STAGE", json.dumps(stage.connections()["smartlive_default"]))
    return SmartLiveHook("stage")


def test_a_job_of_a_run_that_is_gone_is_swept_up(
    airflow_stack: AirflowStack,
    hook: SmartLiveHook,
    run: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_BASE_URL", airflow_stack.base_url)
    mark = settings.deployment()
    gone = issue(
        CallbackTarget(TaskRef("smartlive_nightly", "a run that was deleted", "go_live"), "0", 0, mark),
        base_url=airflow_stack.base_url,
        secrets=[airflow_stack.callback_secret],
        auth_type=AuthType.MSS_A_HEAD,
    )
    ours = {"live_event_callback_config": {"live_event_type_callback_url": gone.url, "key": gone.key}}
    policy = {"play_policy": {"play_mode": "NO_PRESET"}}
    orphan = hook.start_job("room-of-an-orphan", {**policy, **ours}).job_id
    stranger = hook.start_job("room-of-a-stranger", policy).job_id

    run_id = run("smartlive_sweep")

    swept = airflow_stack.api.xcom("smartlive_sweep", run_id, "sweep", "return_value")
    assert [job["job_id"] for job in swept] == [orphan]
    assert hook.show_job(JobRef("room-of-an-orphan", orphan)).is_final
    assert hook.show_job(JobRef("room-of-a-stranger", stranger)).is_active
    hook.stop_job(JobRef("room-of-a-stranger", stranger))


def test_a_test_event_reaches_the_receiver(airflow_stack: AirflowStack) -> None:
    argv = [sys.executable, "-m", "airflow", "smartlive", "send-test-event", "any_dag", "any_run", "any_task"]
    done = subprocess.run(
        argv, env=airflow_stack.environment(), capture_output=True, text=True, timeout=TIME_LIMIT
    )
    assert done.returncode == 0, done.stderr
    assert "410: it works" in done.stdout
