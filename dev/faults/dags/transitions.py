"""What the rows of the transition table are played with: one starting task for each way to configure it."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task

from airflow_provider_smartlive.operators import StartSmartLiveJobOperator

WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "retried": {"retries": 1, "retry_delay": timedelta(seconds=1)},
    "timed": {"execution_timeout": timedelta(seconds=15)},
    "bounded": {"max_duration": timedelta(seconds=10)},
    "scheduled": {"stop_at": "{{ (dag_run.run_after + macros.timedelta(seconds=30)).isoformat() }}"},
    "patient": {"end_grace": 60},
    "leaving": {"stop_after_end": False},
    "steady": {"fail_on_disconnect_longer_than": timedelta(seconds=3)},
    "bounded_retried": {
        "max_duration": timedelta(seconds=10),
        "retries": 1,
        "retry_delay": timedelta(seconds=1),
    },
    "steady_retried": {
        "fail_on_disconnect_longer_than": timedelta(seconds=3),
        "retries": 1,
        "retry_delay": timedelta(seconds=1),
    },
    "failing_fast": {},
    # What MetaStudio refuses, it refuses for a connection: nobody is asked over it for minutes.
    "refused": {"smartlive_conn_id": "smartlive_refused"},
}

#: Seconds until the other task of ``transitions_failing_fast`` fails; by then the stream is up.
TROUBLE = 20


@task
def failure() -> None:
    """Fail, for a reason of its own."""
    time.sleep(TROUBLE)
    raise RuntimeError("failed by the harness")


for name, way in WAYS.items():
    with DAG(
        dag_id=f"transitions_{name}",
        schedule=None,
        max_active_runs=50,
        params={"room_id": ""},
        fail_fast=name == "failing_fast",
    ) as dag:
        StartSmartLiveJobOperator(
            task_id="go_live",
            room_id="{{ params.room_id }}",
            output_conn_ids=["smartlive_output"],
            **way,
        )
        if dag.fail_fast:
            failure()
    globals()[dag.dag_id] = dag
