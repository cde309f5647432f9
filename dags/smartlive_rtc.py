"""A livestream without a script: your own client joins its RTC room and drives the virtual human."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task

from airflow_provider_smartlive.operators import StartSmartLiveJobOperator, StopSmartLiveJobOperator

ROOM_ID = "24bad716-87b1-45e5-8912-6102f7693265"


def your_client(*, app_id: str, room_id: str, user_id: str, signature: str) -> str:
    """Put Huawei's RTC SDK here; this one joins nothing."""
    return f"{user_id} in RTC room {room_id}"


with DAG(
    dag_id="smartlive_rtc",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    tags=["smartlive"],
    doc_md=__doc__,
) as dag:
    # Does not wait, as nothing can happen before the client is there. The tear-down owns the job's end.
    go_live = StartSmartLiveJobOperator(
        task_id="go_live",
        room_id=ROOM_ID,
        play_policy={
            "play_mode": "NO_PRESET",
            "auto_play_script": False,
            "need_independent_capture_client": True,
        },
        wait_for_termination=False,
        # Nobody waits for it: MetaStudio itself ends the job an hour later, should all else fail.
        max_duration=timedelta(hours=1),
    )

    @task
    def perform(livestream: dict[str, Any]) -> str:
        """Join the RTC room. Its signatures are secrets: they stay in memory and never become an XCom."""
        from airflow.sdk.log import mask_secret

        from airflow_provider_smartlive.hooks import JobRef, SmartLiveHook

        job = SmartLiveHook().show_job(JobRef(livestream["room_id"], livestream["job_id"]))
        rtc = job.rtc_room_info
        if rtc is None:
            raise RuntimeError(f"Job {job.job_id} is {job.state} and has no RTC room.")
        capture = next(user for user in rtc.users if user.user_type == "CAPTURE")
        mask_secret(capture.signature)
        return your_client(
            app_id=rtc.app_id, room_id=rtc.room_id, user_id=capture.user_id, signature=capture.signature
        )

    stop = StopSmartLiveJobOperator(task_id="stop", room_id=ROOM_ID, starter_task_id="go_live")

    perform(go_live.output) >> stop.as_teardown(setups=go_live)
