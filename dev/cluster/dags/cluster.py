"""What the cluster plays: a campaign of many rooms, mapped, and a sensor on the end of each."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_provider_smartlive.operators import StartSmartLiveJobOperator
from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor

#: How many rooms each campaign has, and how many of them send video to the RTMP platform; the links of the others only
#: claim to.
CAMPAIGNS = {name: int(os.environ.get(f"CLUSTER_{name.upper()}", "0")) for name in ("campaign", "encore")}
WITH_VIDEO = int(os.environ.get("CLUSTER_VIDEO", "0"))

#: Retries outlast whatever a task is hit by.
PATIENT: dict[str, Any] = {"retries": 10, "retry_delay": timedelta(seconds=2)}


def connection(number: int) -> dict[str, Any]:
    """Return over which connection a room is reached."""
    return {"smartlive_conn_id": "smartlive_video" if number < WITH_VIDEO else "smartlive_default"}


def campaign(name: str, rooms: int) -> None:
    """Make the DAG of a campaign."""
    with DAG(dag_id=f"cluster_{name}", schedule=None, max_active_runs=20, params={"campaign": ""}):
        StartSmartLiveJobOperator.partial(
            task_id="go_live", output_conn_ids=["smartlive_output"], **PATIENT
        ).expand_kwargs(
            [
                {"room_id": f"{{{{ params.campaign }}}}-{room:03d}", **connection(room)}
                for room in range(rooms)
            ]
        )
        SmartLiveStreamStateSensor.partial(
            task_id="off_air", starter_task_id="go_live", timeout=timedelta(minutes=30), **PATIENT
        ).expand_kwargs([connection(room) for room in range(rooms)])


for name, rooms in CAMPAIGNS.items():
    if rooms:
        campaign(name, rooms)

# How many livestreams of the soak, and of the fan-in, wait: put to it by the harness, and resumed by workers. Without
# retries, as their callback URLs say.
for name in ("soak", "fan_in"):
    if streams := int(os.environ.get(f"CLUSTER_{name.upper()}", "0")):
        with DAG(dag_id=f"cluster_{name}", schedule=None, max_active_tasks=1000):
            StartSmartLiveJobOperator.partial(task_id="wait", output_conn_ids=["smartlive_output"]).expand(
                room_id=[f"{name}-{number:05d}" for number in range(streams)]
            )
