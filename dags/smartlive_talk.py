"""A livestream that goes round and round; while it is on the air somebody is greeted, and then it is stopped."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_smartlive.operators import (
    SmartLiveCommandOperator,
    StartSmartLiveJobOperator,
    StopSmartLiveJobOperator,
)
from airflow_provider_smartlive.retries import SmartLiveRetryPolicy
from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor

with DAG(
    dag_id="smartlive_talk",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    params={
        "room_id": "24bad716-87b1-45e5-8912-6102f7693265",
        "greeting": "A warm welcome to everybody who has just joined.",
    },
    tags=["smartlive"],
    doc_md=__doc__,
) as dag:
    # It owns the job: whatever happens to the other tasks, the job ends with this one.
    go_live = StartSmartLiveJobOperator(
        task_id="go_live",
        room_id="{{ params.room_id }}",
        output_conn_ids=["smartlive_output"],
        play_policy={"repeat_count": -1},
        max_duration=timedelta(hours=1),
        retries=3,
        retry_policy=SmartLiveRetryPolicy(),
    )

    on_air = SmartLiveStreamStateSensor(
        task_id="on_air",
        starter_task_id="go_live",
        target_state="CONNECTED",
        timeout=timedelta(minutes=15),
    )

    greet = SmartLiveCommandOperator(
        task_id="greet",
        starter_task_id="go_live",
        command="INSERT_PLAY_SCRIPT",
        command_params={"text_config": {"text": "{{ params.greeting }}"}},
        wait_for_reply=True,
        reply_timeout=timedelta(minutes=5),
    )

    stop = StopSmartLiveJobOperator(task_id="stop", starter_task_id="go_live")

    on_air >> greet >> stop
