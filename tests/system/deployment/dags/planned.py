"""Two livestreams that are stopped as planned: by their triggers, which ask MetaStudio themselves."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_smartlive.operators import StartSmartLiveJobOperator
from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor

for dag_id, conn_id in (("planned", "smartlive_default"), ("planned_of_team", "smartlive_of_team")):
    with DAG(dag_id, schedule=None):
        StartSmartLiveJobOperator(
            task_id="go_live",
            room_id=f"room-{dag_id}",
            smartlive_conn_id=conn_id,
            output_conn_ids=["smartlive_output"],
            max_duration=timedelta(seconds=15),
        )
        SmartLiveStreamStateSensor(task_id="off_air", starter_task_id="go_live", smartlive_conn_id=conn_id)
