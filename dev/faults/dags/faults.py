"""
What the fault harness runs: a livestream and a sensor on its end, in some ways.

The harness copies this file as ``faults_removed.py``, which it can remove: each file builds the DAGs of its name.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG

from airflow_provider_smartlive.operators import StartSmartLiveJobOperator
from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor

OTHER_ROOM = "{{ params.other_room_id }}"

#: A retry, or the first try after a clear, names another room than the first try.
MOVING_ROOM = "{{ params.room_id if ti.try_number == 1 else params.other_room_id }}"

#: The same seconds as ``PLANNED_SECONDS`` of the schedule.
PLANNED: dict[str, Any] = {"max_duration": timedelta(seconds=30)}

#: Whoever is interrupted while it starts has no retry that could take the job up.
#: On a busy machine it takes long enough until MetaStudio has accepted the job.
TIMED: dict[str, Any] = {"execution_timeout": timedelta(seconds=30), "retries": 0}

WAYS: dict[str, dict[str, Any]] = {
    "faults": {},
    "faults_on_worker": {"starter": {"deferrable": False}},
    "faults_brief": {"dag": {"dagrun_timeout": timedelta(seconds=30)}},
    "faults_moving": {"starter": {"room_id": MOVING_ROOM}},
    "faults_paused": {"starter": PLANNED},
    "faults_removed": {"starter": PLANNED},
    "faults_full_pool": {"starter": {**PLANNED, "pool": "faults_full"}},
    "faults_marked": {"starter": {**PLANNED, "pool": "faults_marked"}},
    "faults_timed": {"starter": TIMED},
    "faults_timed_on_worker": {"starter": {**TIMED, "deferrable": False}},
    "faults_neighbours": {"has_neighbour": True},
    "faults_standby": {"starter": {"standby_room_id": OTHER_ROOM}},
    "faults_edited": {"connection": {"smartlive_conn_id": "smartlive_edited"}},
}


def livestream(dag_id: str, way: dict[str, Any]) -> DAG:
    """Build one DAG. Its retries outlast whatever a run is hit by."""
    patient: dict[str, Any] = {"retries": 8, "retry_delay": timedelta(seconds=1)}
    connection: dict[str, Any] = way.get("connection", {})
    usual: dict[str, Any] = {"output_conn_ids": ["smartlive_output"], **patient, **connection}
    with DAG(
        dag_id=dag_id,
        schedule=None,
        catchup=False,
        max_active_runs=50,
        params={"room_id": "", "other_room_id": ""},
        **way.get("dag", {}),
    ) as dag:
        starter = {"room_id": "{{ params.room_id }}", **usual, **way.get("starter", {})}
        StartSmartLiveJobOperator(task_id="go_live", **starter)
        if way.get("has_neighbour"):
            StartSmartLiveJobOperator(task_id="neighbour", room_id=OTHER_ROOM, **usual)
        SmartLiveStreamStateSensor(
            task_id="off_air",
            starter_task_id="go_live",
            timeout=timedelta(minutes=5),
            **patient,
            **connection,
        )
    return dag


for name, way in WAYS.items():
    if (name == "faults_removed") == (Path(__file__).stem == "faults_removed"):
        globals()[name] = livestream(name, way)
