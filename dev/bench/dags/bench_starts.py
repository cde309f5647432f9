"""Starts that tell what they took; apart, as the other file's imports are part of what is measured."""

from __future__ import annotations

from airflow.sdk import DAG

from dev.bench.starts import TimedStartOperator

with DAG("bench_starts", schedule=None, max_active_runs=200):
    TimedStartOperator(
        task_id="start",
        room_id="{{ dag_run.conf['room_id'] }}",
        output_conn_ids=["smartlive_output"],
        wait_for_termination=False,
    )
