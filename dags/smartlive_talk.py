"""A livestream that goes round and round; while it is on the air somebody is greeted, and then it is stopped."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_smartlive.campaigns import livestream
from airflow_provider_smartlive.operators import SmartLiveCommandOperator, StopSmartLiveJobOperator

with (
    DAG(
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
    ) as dag,
    livestream(
        "talk",
        prefix_group_id=False,
        room_id="{{ params.room_id }}",
        output_conn_ids="smartlive_output",
        play_policy={"repeat_count": -1},
        max_duration=timedelta(hours=1),
    ),
):
    # From CONNECTED on.
    greet = SmartLiveCommandOperator(
        task_id="greet",
        starter_task_id="go_live",
        command="INSERT_PLAY_SCRIPT",
        command_params={"text_config": {"text": "{{ params.greeting }}"}},
        wait_for_reply=True,
        reply_timeout=timedelta(minutes=5),
    )
    greet >> StopSmartLiveJobOperator(task_id="good_night", starter_task_id="go_live")
