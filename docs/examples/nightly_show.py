"""One room goes live every evening at eight, for three hours."""

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable, task

from airflow_provider_smartlive.operators import StartSmartLiveJobOperator

EVENINGS = CronTriggerTimetable("0 20 * * *", timezone="Asia/Shanghai")

with DAG("nightly_show", schedule=EVENINGS, catchup=False, doc_md=__doc__) as dag:
    go_live = StartSmartLiveJobOperator(
        task_id="go_live",
        room_id="shoes",
        output_conn_ids="our_channel",
        max_duration=timedelta(hours=3),
    )

    @task
    def report(livestream: dict[str, object]) -> None:
        print(livestream["outcome"], livestream["stream_duration"])

    report(go_live.output)
