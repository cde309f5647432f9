"""A livestream that accompanies other tasks: started before them, stopped after them whatever becomes of them."""

from __future__ import annotations

import time
from datetime import timedelta

from airflow.sdk import DAG, Param, task

from airflow_provider_smartlive.operators import StartSmartLiveJobOperator, StopSmartLiveJobOperator
from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor

with DAG(
    dag_id="smartlive_teardown",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    params={
        "room_id": "24bad716-87b1-45e5-8912-6102f7693265",
        "seconds": 5,
        "break_down": Param(False, type="boolean", description="Whether the work in the middle fails."),
    },
    tags=["smartlive"],
    doc_md=__doc__,
) as dag:
    # It does not wait, so the tear-down owns the job's end. max_duration would need an owner that waits.
    go_live = StartSmartLiveJobOperator(
        task_id="go_live",
        room_id="{{ params.room_id }}",
        output_conn_ids=["smartlive_output"],
        play_policy={"repeat_count": -1},
        wait_for_termination=False,
        retries=2,
        retry_delay=timedelta(seconds=10),
    )

    on_air = SmartLiveStreamStateSensor(
        task_id="on_air",
        starter_task_id="go_live",
        target_state="CONNECTED",
        timeout=timedelta(minutes=15),
    )

    @task
    def sell(params: dict[str, int] | None = None) -> None:
        """Do what the livestream is for."""
        settings = params or {}
        time.sleep(settings["seconds"])
        if settings["break_down"]:
            raise RuntimeError("The shop is closed.")

    # Runs when the work has succeeded, has failed, or was skipped, and finds the job by the task that started
    # it.
    stop = StopSmartLiveJobOperator(task_id="stop", starter_task_id="go_live", retries=3)

    go_live >> on_air >> sell() >> stop.as_teardown(setups=go_live)
