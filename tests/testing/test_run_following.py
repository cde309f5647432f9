"""Sensors and stops beside a starter that fails, tries again, or is skipped, by Airflow's own API."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk import DAG

from airflow_provider_smartlive.metastudio.ids import same_id
from airflow_provider_smartlive.operators import (
    SmartLiveCommandOperator,
    StartSmartLiveJobOperator,
    StopSmartLiveJobOperator,
)
from airflow_provider_smartlive.sandbox.testing import LocalSandbox
from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor
from airflow_provider_smartlive.testing.run import RunDag

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _channel(smartlive_connection: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_CHANNEL", '{"host": "rtmp://push.example.com/live", "password": "fake-stream-key"}'
    )
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__LOOK_AGAIN_WINDOW", "1")
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__RECONCILE_INTERVAL", "1")


def test_sensors_go_on_to_the_job_of_a_retry(
    smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag, caplog: pytest.LogCaptureFixture
) -> None:
    """The first job fails before it connects."""
    smartlive_sandbox.add_room("shoes", seconds=60)
    smartlive_sandbox.add_fault(target="job", action="fail", times=1)
    with DAG("retry", schedule=None) as dag:
        StartSmartLiveJobOperator(task_id="go_live", room_id="shoes", output_conn_ids=["channel"], retries=1)
        for task_id, state in (("on_air", "CONNECTED"), ("off_air", "END")):
            SmartLiveStreamStateSensor(
                task_id=task_id, starter_task_id="go_live", target_state=state, timeout=MINUTE
            )

    run = smartlive_run_dag(dag)

    assert run.state == "success", run
    job_id = run.result("go_live")["job_id"]
    assert [same_id(run.result(sensor)["job_id"], job_id) for sensor in ("on_air", "off_air")] == [True, True]
    assert len({entry["job_id"] for entry in smartlive_sandbox.ledger(kind="job")}) == 2


def test_they_end_with_a_starter_that_fails(
    smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag
) -> None:
    smartlive_sandbox.add_room("shoes", seconds=60)
    smartlive_sandbox.add_fault(target="job", action="fail")
    with DAG("failing", schedule=None) as dag:
        StartSmartLiveJobOperator(task_id="go_live", room_id="shoes", output_conn_ids=["channel"])
        SmartLiveStreamStateSensor(task_id="off_air", starter_task_id="go_live", timeout=MINUTE)

    run = smartlive_run_dag(dag, timeout=50)

    assert run.tasks == {"go_live": "failed", "off_air": "failed"}
    assert "never END" in str(run.errors["off_air"])


def test_and_are_skipped_with_one_that_is_too_late(smartlive_run_dag: RunDag) -> None:
    with DAG("late", schedule=None) as dag:
        StartSmartLiveJobOperator(
            task_id="go_live", room_id="shoes", output_conn_ids=["channel"], start_window=timedelta()
        )
        SmartLiveStreamStateSensor(task_id="off_air", starter_task_id="go_live")
        SmartLiveStreamStateSensor(
            task_id="off_air_on_a_worker", starter_task_id="go_live", deferrable=False, poke_interval=0.1
        )

    run = smartlive_run_dag(dag, timeout=50)

    assert set(run.tasks.values()) == {"skipped"}
    assert run.state == "success"


def test_what_names_nothing_is_no_success(smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag) -> None:
    """An unmapped stop of a mapped starter stops every job; a wrong name stops none, and says so at once."""
    for room in ("shoes", "hats"):
        smartlive_sandbox.add_room(room, seconds=20_000)
    with DAG("names", schedule=None) as dag:
        go_live = StartSmartLiveJobOperator.partial(
            task_id="go_live", output_conn_ids=["channel"], wait_for_termination=False
        ).expand(room_id=["shoes", "hats"])
        wrong = [
            StopSmartLiveJobOperator(task_id="typo", starter_task_id="go_liv", retries=1),
            StopSmartLiveJobOperator(
                task_id="none",
                job_id="{{ ti.xcom_pull(task_ids='typo', key='x') }}",
                room_id="shoes",
                retries=1,
            ),
            SmartLiveCommandOperator(
                task_id="say", starter_task_id="go_liv", command="CLEAN_UP_INSERT_COMMAND", retries=1
            ),
            SmartLiveStreamStateSensor(task_id="wait", starter_task_id="go_live", retries=1),
        ]
        stop = StopSmartLiveJobOperator(task_id="stop", starter_task_id="go_live", trigger_rule="all_done")
        go_live >> wrong >> stop

    run = smartlive_run_dag(dag)

    assert {task_id: run.tasks[task_id] for task_id in ("typo", "none", "say", "wait")} == dict.fromkeys(
        ("typo", "none", "say", "wait"), "failed"
    )
    assert "which is mapped (2 instances)" in str(run.errors["wait"])
    assert len(run.result("stop")) == 2
    running = {"WAITING", "PROCESSING"}
    for job_id in run.result("stop"):
        assert smartlive_sandbox.states(job_id)[-1] not in running
