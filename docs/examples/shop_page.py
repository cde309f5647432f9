"""Another DAG follows a livestream: the shop's page says "live" while the nightly show is on the air."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable, task

from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor

with DAG(
    dag_id="shop_page",
    # The same schedule as smartlive_nightly, so that their runs have the same id.
    schedule=CronTriggerTimetable("0 19 * * *", timezone="Asia/Shanghai"),
    catchup=False,
    doc_md=__doc__,
) as dag:
    on_air = SmartLiveStreamStateSensor(
        task_id="on_air",
        starter_dag_id="smartlive_nightly",
        starter_task_id="go_live",
        target_state="CONNECTED",
        timeout=timedelta(hours=1),
    )

    off_air = SmartLiveStreamStateSensor(
        task_id="off_air",
        starter_dag_id="smartlive_nightly",
        starter_task_id="go_live",
        timeout=timedelta(hours=5),
    )

    @task
    def show(text: str) -> None:
        """Change the page."""
        print(text)

    on_air >> show.override(task_id="show_live")("live")
    off_air >> show.override(task_id="show_break")("back tomorrow")
