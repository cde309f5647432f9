"""One room goes live every evening; what comes after it runs when the stream has really ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, task

from airflow_provider_smartlive.operators import StartSmartLiveJobOperator
from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor

with DAG(
    dag_id="smartlive_nightly",
    schedule=CronTriggerTimetable("0 19 * * *", timezone="Asia/Shanghai"),
    catchup=False,
    # One show at a time: a room that is still live at 19:00 would be streamed to twice.
    max_active_runs=1,
    params={"room_id": "24bad716-87b1-45e5-8912-6102f7693265"},
    tags=["smartlive"],
    doc_md=__doc__,
) as dag:
    go_live = StartSmartLiveJobOperator(
        task_id="go_live",
        room_id="{{ params.room_id }}",
        # The platform's ingest URL (host) and stream key (password) stand in this connection.
        output_conn_ids=["smartlive_output"],
        video_config={"width": 1080, "height": 1920, "bitrate": 4000},
        max_duration=timedelta(hours=3),
        start_window=timedelta(minutes=30),
        retries=2,
        retry_delay=timedelta(seconds=30),
    )

    # Runs beside the starter: it may come first, and waits until there is a job.
    on_air = SmartLiveStreamStateSensor(
        task_id="on_air",
        starter_task_id="go_live",
        target_state="CONNECTED",
        timeout=timedelta(minutes=15),
    )

    # Woken by the callback; ends when MetaStudio confirms that the show is over.
    off_air = SmartLiveStreamStateSensor(
        task_id="off_air", starter_task_id="go_live", timeout=timedelta(hours=4)
    )

    @task
    def announce() -> None:
        """Tell the channel that the show is on."""
        print("We are live.")

    @task
    def report(livestream: dict[str, Any]) -> None:
        """Work with what the livestream left behind."""
        print(f"{livestream['outcome']}: {livestream['stream_duration']} s on air")

    on_air >> announce()
    report(go_live.output) << off_air
