"""Several rooms as one mapped task, each watched by itself; one report when all of them have ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task

from airflow_provider_smartlive.operators import StartSmartLiveJobOperator
from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor

# One entry for each room: add a line, and the campaign has one show more.
ROOMS = [
    {"room_id": "7f3e1a52-0d1c-4c38-9a55-3d2c50a1b001", "output_conn_ids": ["smartlive_output"]},
    {"room_id": "7f3e1a52-0d1c-4c38-9a55-3d2c50a1b002", "output_conn_ids": ["smartlive_output_2"]},
    {"room_id": "7f3e1a52-0d1c-4c38-9a55-3d2c50a1b003", "output_conn_ids": ["smartlive_output_3"]},
]

with DAG(
    dag_id="mapped_rooms",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
) as dag:
    go_live = StartSmartLiveJobOperator.partial(
        task_id="go_live",
        # What the grid shows instead of 0, 1, 2.
        map_index_template="{{ task.room_id }}",
        max_duration=timedelta(hours=2),
        retries=2,
        retry_delay=timedelta(seconds=30),
    ).expand_kwargs(ROOMS)

    # Mapped over the same rooms, so that each sensor finds the starter with its own map index.
    off_air = SmartLiveStreamStateSensor.partial(
        task_id="off_air",
        map_index_template="{{ task.room_id }}",
        starter_task_id="go_live",
        timeout=timedelta(hours=3),
    ).expand(room_id=[room["room_id"] for room in ROOMS])

    # Runs also if a room failed, which would skip it otherwise; then it is the one that fails the campaign.
    @task(trigger_rule="all_done")
    def report(livestreams: list[dict[str, Any]]) -> None:
        """Work with what the livestreams left behind; one that failed has left nothing."""
        shown = {livestream["room_id"]: livestream for livestream in livestreams or ()}
        for room_id, livestream in shown.items():
            print(f"{room_id}: {livestream['outcome']}, {livestream['stream_duration']} s on air")
        missing = [room["room_id"] for room in ROOMS if room["room_id"] not in shown]
        if missing:
            raise RuntimeError(f"Not shown: {', '.join(missing)}. The log of go_live says why.")

    report(go_live.output) << off_air
