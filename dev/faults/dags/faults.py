"""What the fault harness runs: a livestream and a sensor on its end, in three ways."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_provider_smartlive.operators import StartSmartLiveJobOperator
from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor

WAYS: dict[str, dict[str, Any]] = {
    "faults": {"dag": {}, "starter": {}},
    "faults_on_worker": {"dag": {}, "starter": {"deferrable": False}},
    "faults_brief": {"dag": {"dagrun_timeout": timedelta(seconds=30)}, "starter": {}},
}


def livestream(dag_id: str, way: dict[str, Any]) -> DAG:
    """Build one DAG. Its retries outlast whatever a run is hit by."""
    with DAG(
        dag_id=dag_id, schedule=None, catchup=False, max_active_runs=50, params={"room_id": ""}, **way["dag"]
    ) as dag:
        StartSmartLiveJobOperator(
            task_id="go_live",
            room_id="{{ params.room_id }}",
            output_conn_ids=["smartlive_output"],
            retries=8,
            retry_delay=timedelta(seconds=1),
            **way["starter"],
        )
        SmartLiveStreamStateSensor(
            task_id="off_air",
            starter_task_id="go_live",
            timeout=timedelta(minutes=5),
            retries=8,
            retry_delay=timedelta(seconds=1),
        )
    return dag


for name, way in WAYS.items():
    globals()[name] = livestream(name, way)
