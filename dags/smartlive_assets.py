"""A show of one DAG, and a DAG that runs when it has ended: it is told how, and asks nobody."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Asset, task

from airflow_provider_smartlive.operators import StartSmartLiveJobOperator
from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor

ON_AIR = Asset("smartlive://shows/toys/on_air")
OVER = Asset("smartlive://shows/toys/over")

with DAG(dag_id="smartlive_toys", schedule=None, tags=["smartlive"], doc_md=__doc__):
    StartSmartLiveJobOperator(
        task_id="go_live",
        room_id="24bad716-87b1-45e5-8912-6102f7693265",
        output_conn_ids="smartlive_output",
        max_duration=timedelta(hours=3),
        # An event of this asset says that the show has ended, and how.
        outlets=[OVER],
    )
    SmartLiveStreamStateSensor(
        task_id="on_air",
        starter_task_id="go_live",
        target_state="CONNECTED",
        timeout=timedelta(minutes=15),
        outlets=[ON_AIR],
    )

with DAG(dag_id="smartlive_after_toys", schedule=[OVER], tags=["smartlive"], doc_md=__doc__):

    @task
    def sum_up(triggering_asset_events: Any = None) -> dict[str, Any]:
        """Work with what the livestream left behind."""
        event = triggering_asset_events[OVER][-1]
        print(f"{event.extra['outcome']}: {event.extra['stream_duration']} s on the air")
        return dict(event.extra)

    sum_up()
