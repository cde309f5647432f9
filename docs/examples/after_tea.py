"""A DAG that runs when a show of the campaign evening.yaml has ended: it is told how, and asks nobody."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Asset, task

with DAG(
    dag_id="after_tea",
    schedule=[Asset("smartlive://evening/tea_house/ended")],
    catchup=False,
    doc_md=__doc__,
) as dag:

    @task
    def sum_up(triggering_asset_events: Any = None) -> dict[str, Any]:
        """Work with what the show left behind."""
        events = [event for of_asset in triggering_asset_events.values() for event in of_asset]
        print(f"{events[-1].extra['room_id']}: {events[-1].extra['outcome']}")
        return dict(events[-1].extra)

    sum_up()
