"""A show, an announcement as soon as it is on the air, and a bill."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task

from airflow_provider_smartlive.operators import StartSmartLiveJobOperator
from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor

with DAG("our_campaign", schedule=None, params={"room_id": "shoes"}) as dag:
    go_live = StartSmartLiveJobOperator(
        task_id="go_live",
        room_id="{{ params.room_id }}",
        output_conn_ids=["our_channel"],
        max_duration=timedelta(hours=2),
        retries=1,
    )
    on_air = SmartLiveStreamStateSensor(
        task_id="on_air",
        starter_task_id="go_live",
        target_state="CONNECTED",
        timeout=timedelta(minutes=15),
    )

    @task
    def announce() -> None:
        logging.info("Come and see our shoes!")

    @task
    def minutes(livestream: dict[str, Any]) -> int:
        return round(livestream["stream_duration"] / 60)

    on_air >> announce()
    minutes(go_live.output)
