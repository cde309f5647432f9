"""Who is told when a livestream goes wrong: a notifier for each fault, and an alert for a run that takes too long."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.http.notifications import HttpNotifier
from airflow.sdk import DAG, AsyncCallback, DeadlineAlert, DeadlineReference

from airflow_provider_smartlive.operators import StartSmartLiveJobOperator

# Posts to the chat of the people on duty: the connection holds its address.
SAYS = "{{ ti.task_id }}: {{ exception | default('it was too late, and was skipped', true) }}"
desk = HttpNotifier(http_conn_id="desk_alerts", json={"text": SAYS})

# What the triggerer calls when a run is not over in time, whatever hangs.
overdue = AsyncCallback(
    "airflow.providers.http.notifications.HttpNotifier",
    kwargs={"http_conn_id": "desk_alerts", "json": {"text": "The evening show is not over yet."}},
)

with DAG(
    dag_id="alerts",
    schedule="0 20 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Shanghai"),
    catchup=False,
    deadline=DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, timedelta(hours=4), overdue),
    doc_md=__doc__,
) as dag:
    StartSmartLiveJobOperator(
        task_id="go_live",
        room_id="24bad716-87b1-45e5-8912-6102f7693265",
        output_conn_ids="smartlive_output",
        max_duration=timedelta(hours=3),
        start_window=timedelta(minutes=30),
        connected_within=timedelta(minutes=5),
        fail_on_disconnect_longer_than=timedelta(minutes=10),
        max_reconnects=20,
        # Another job in the room or on the output.
        warnings_as_errors=True,
        on_failure_callback=desk,
        on_skipped_callback=desk,
    )
