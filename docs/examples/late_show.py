"""A show across midnight: it begins at 22:00 in Shanghai, and ends at 01:00 of the next day there."""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG

from airflow_provider_smartlive.operators import StartSmartLiveJobOperator

with DAG(
    dag_id="late_show",
    schedule="0 22 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Shanghai"),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
) as dag:
    StartSmartLiveJobOperator(
        task_id="go_live",
        room_id="24bad716-87b1-45e5-8912-6102f7693265",
        output_conn_ids="smartlive_output",
        # The day after the run's own. {{ ds }} would be the day in UTC.
        stop_at="{{ (dag_run.run_after.astimezone(dag.timezone) + macros.timedelta(days=1)).strftime('%FT01:00') }}",
    )
