"""A livestream whose row is written into the as-run log, and whose records are fetched."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG, CronTriggerTimetable

from airflow_provider_smartlive.operators import (
    SmartLiveAsRunOperator,
    SmartLiveRecordsOperator,
    StartSmartLiveJobOperator,
)
from airflow_provider_smartlive.retries import SmartLiveRetryPolicy

with DAG(
    "logged_show",
    schedule=CronTriggerTimetable("0 20 * * *", timezone="Asia/Shanghai"),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    doc_md=__doc__,
) as dag:
    go_live = StartSmartLiveJobOperator(
        task_id="go_live",
        room_id="24bad716-87b1-45e5-8912-6102f7693265",
        output_conn_ids="smartlive_output",
        max_duration=timedelta(hours=2),
        retries=3,
        retry_policy=SmartLiveRetryPolicy(),
    )
    as_run = SmartLiveAsRunOperator(
        task_id="as_run",
        starter_task_id="go_live",
        path="s3://aws_default@broadcasts/as-run",
        retries=3,
    )
    # A tear-down: it runs when the livestream has failed as well, and the run fails all the same.
    go_live >> as_run.as_teardown()
    records = SmartLiveRecordsOperator(
        task_id="records",
        starter_task_id="go_live",
        path="s3://aws_default@broadcasts/records",
        retries=3,
    )
    go_live >> records.as_teardown()
