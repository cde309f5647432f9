"""What waits while Airflow is upgraded: livestreams, plain and mapped, and sensors on their end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_provider_smartlive.operators import StartSmartLiveJobOperator
from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor

PATIENT: dict[str, Any] = {"retries": 3, "retry_delay": timedelta(seconds=1)}

with DAG("upgrade", schedule=None, max_active_runs=50, params={"room_id": ""}):
    StartSmartLiveJobOperator(
        task_id="go_live", room_id="{{ params.room_id }}", output_conn_ids=["smartlive_output"], **PATIENT
    )
    SmartLiveStreamStateSensor(
        task_id="off_air", starter_task_id="go_live", timeout=timedelta(minutes=30), **PATIENT
    )

with DAG("upgrade_mapped", schedule=None, max_active_runs=50, params={"room_id": ""}):
    StartSmartLiveJobOperator.partial(
        task_id="go_live", output_conn_ids=["smartlive_output"], **PATIENT
    ).expand(room_id=["{{ params.room_id }}"])
    SmartLiveStreamStateSensor(
        task_id="off_air",
        starter_task_id="go_live",
        starter_map_index=0,
        timeout=timedelta(minutes=30),
        **PATIENT,
    )
