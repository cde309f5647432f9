"""``smartlive_run_dag`` with the sandbox: callbacks end and resume tasks as they do in Airflow."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk import DAG

from airflow_provider_smartlive.metastudio.ids import same_id
from airflow_provider_smartlive.operators import StartSmartLiveJobOperator
from airflow_provider_smartlive.sandbox.testing import LocalSandbox
from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor
from airflow_provider_smartlive.testing.run import RunDag

ROOMS = ["shoes", "hats"]


@pytest.fixture(autouse=True)
def _channel(smartlive_connection: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_CHANNEL", '{"host": "rtmp://push.example.com/live", "password": "fake-stream-key"}'
    )


def test_callbacks_resume_starters_and_end_sensors(
    smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag
) -> None:
    for room in ROOMS:
        smartlive_sandbox.add_room(room, seconds=160)
    with DAG("mapped", schedule=None) as dag:
        StartSmartLiveJobOperator.partial(task_id="go_live", output_conn_ids=["channel"]).expand(
            room_id=ROOMS
        )
        SmartLiveStreamStateSensor.partial(task_id="off_air", starter_task_id="go_live").expand(room_id=ROOMS)

    run = smartlive_run_dag(dag)

    assert run.state == "success", run
    for index, room in enumerate(ROOMS):
        shown, seen = run.result(f"go_live[{index}]"), run.result(f"off_air[{index}]")
        assert (shown["room_id"], shown["woken_by"]) == (room, "callback")
        assert same_id(seen["job_id"], shown["job_id"])
        assert seen["source"] == "callback"


def test_a_lost_end_is_found_by_asking(smartlive_sandbox: LocalSandbox, smartlive_run_dag: RunDag) -> None:
    smartlive_sandbox.add_fault(target="callback", event="END", action="drop")
    smartlive_sandbox.add_room("shoes", seconds=20)
    with DAG("asking", schedule=None) as dag:
        StartSmartLiveJobOperator(
            task_id="go_live",
            room_id="shoes",
            output_conn_ids=["channel"],
            reconcile_interval=1,
            max_duration=timedelta(hours=1),
        )

    assert smartlive_run_dag(dag).result("go_live")["woken_by"] == "reconciliation"
