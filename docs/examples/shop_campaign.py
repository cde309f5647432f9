"""A campaign whose rooms are known when it runs: each room goes live, is watched, and cleans up by itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task, task_group

from airflow_provider_smartlive.operators import StartSmartLiveJobOperator
from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor


def arguments(shop: dict[str, Any]) -> dict[str, str]:
    """Turn a row of the list into the arguments of the task group."""
    return {"room_id": shop["room"], "output": f"channel_{shop['name']}", "closes": shop["closes"]}


with DAG(
    dag_id="shop_campaign",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
) as dag:

    @task
    def shops() -> list[dict[str, str]]:
        """Ask your own system; secrets stay in connections, as everybody sees an XCom."""
        return [
            {"name": "shoes", "room": "shoes", "closes": "2030-11-11T23:30:00+08:00"},
            {"name": "hats", "room": "hats", "closes": "2030-11-12T01:00:00+08:00"},
        ]

    @task_group
    def show(room_id: str, output: str, closes: str) -> None:
        """One room: what comes after it does not wait for the other rooms."""
        go_live = StartSmartLiveJobOperator(
            task_id="go_live",
            map_index_template="{{ task.room_id }}",
            room_id=room_id,
            output_conn_ids=output,
            stop_at=closes,
        )
        # Within a group the starter has the group's name in front; the map index is the same.
        on_air = SmartLiveStreamStateSensor(
            task_id="on_air",
            map_index_template="{{ task.room_id }}",
            room_id=room_id,
            starter_task_id="show.go_live",
            target_state="CONNECTED",
            timeout=timedelta(minutes=5),
        )

        @task
        def announce() -> None:
            print("We are live.")

        @task(trigger_rule="all_done")
        def clean_up() -> None:
            """Free what this room has used, whether it was shown or not."""

        on_air >> announce()
        go_live >> clean_up()

    show.expand_kwargs(shops().map(arguments))
