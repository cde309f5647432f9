"""A livestream that is stopped as planned: by its trigger, which asks MetaStudio itself."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_smartlive.operators import StartSmartLiveJobOperator
from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor

with DAG("planned", schedule=None):
    StartSmartLiveJobOperator(
        task_id="go_live",
        room_id="room-of-team",
        output_conn_ids=["smartlive_output"],
        max_duration=timedelta(seconds=15),
    )
    SmartLiveStreamStateSensor(task_id="off_air", starter_task_id="go_live")
