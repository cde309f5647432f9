"""A gala: the task group of a livestream in a DAG of one's own, with tasks that run while it is on the air."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, task

from airflow_provider_smartlive.campaigns import livestream

with DAG(
    dag_id="smartlive_gala",
    # The run begins ten minutes before the livestream, to check everything.
    schedule=CronTriggerTimetable("50 19 11 11 *", timezone="Asia/Shanghai"),
    catchup=False,
    params={"room_id": "24bad716-87b1-45e5-8912-6102f7693265"},
    tags=["smartlive"],
    doc_md=__doc__,
) as dag:

    @task
    def open_the_shop() -> None:
        """Show the prices of tonight."""
        print("The shop is open.")

    @task
    def report(summary: dict[str, Any]) -> None:
        """Work with what the livestream left behind."""
        print(f"{summary['outcome']}: {summary['stream_duration']} s on air")

    with livestream(
        "gala",
        room_id="{{ params.room_id }}",
        output_conn_ids=["smartlive_output"],
        check_before=timedelta(minutes=10),
        max_duration=timedelta(hours=4),
        connected_within=timedelta(minutes=5),
        commands=[
            (
                timedelta(minutes=30),
                {
                    "command": "INSERT_PLAY_SCRIPT",
                    "command_params": {"text_config": {"text": "Look at this!"}},
                },
            )
        ],
    ) as gala:
        open_the_shop()

    report(gala.go_live.output)
