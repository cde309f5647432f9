"""
A planned end that no worker will ever serve: the DAG is paused and its file is gone while its task is deferred.

The end is given with a fixed offset, as people write it who copy a time of their own clock: a trigger that keeps such a
time cannot be read back by Airflow, which ends the triggerer for every task. So another trigger waits beside it.
"""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest

from dev.full_stack import OUTPUT_CONN_IDS, FullStack
from dev.process import wait_until

pytestmark = pytest.mark.processes

ROOM = str(uuid.uuid4())

DAGS = f"""
from datetime import timedelta

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, BaseOperator

from airflow_provider_smartlive.operators import StartSmartLiveJobOperator


class Bystander(BaseOperator):
    def execute(self, context):
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=20)), method_name="done")

    def done(self, context, event=None):
        return "done"


with DAG("bystander", schedule=None):
    Bystander(task_id="waits")

with DAG("planned", schedule=None, params={{"stop_at": ""}}):
    StartSmartLiveJobOperator(
        task_id="go_live",
        room_id="{ROOM}",
        output_conn_ids=["{OUTPUT_CONN_IDS[0]}"],
        stop_at="{{{{ params.stop_at }}}}",
    )
"""

#: Seconds until the planned end: enough for a start and a deferral on a busy machine.
AHEAD = 60


def test_a_planned_end_needs_neither_a_worker_nor_a_dag(open_stage: FullStack) -> None:
    airflow = open_stage.airflow
    open_stage.sandbox_client.add_rooms({"room_id": ROOM, "name": "Show", "seconds": 600})
    file = airflow.dags_folder / "planned.py"
    file.write_text(DAGS)
    airflow.wait_for_dag("planned")
    airflow.wait_for_dag("bystander")
    stop_at = datetime.now(UTC) + timedelta(seconds=AHEAD)
    local = stop_at.astimezone(timezone(timedelta(hours=8)))
    run_id = airflow.run_dag("planned", conf={"stop_at": local.isoformat()})
    airflow.wait_for_task("planned", run_id, "go_live", {"deferred"}, AHEAD - 5)
    bystander = airflow.run_dag("bystander")
    job_id = airflow.api.xcom("planned", run_id, "go_live", "job_id")

    airflow.api.call("PATCH", "/dags/planned", json={"is_paused": True})
    file.unlink()

    def states() -> dict[str, str]:
        return {job["job_id"]: job["state"] for job in open_stage.sandbox_client.jobs()}

    time.sleep(max(0.0, (stop_at - datetime.now(UTC)).total_seconds() - 5))
    assert states()[job_id] in ("WAITING", "PROCESSING"), "not before its time"
    over = ("SUCCEED", "FAILED")
    wait_until(lambda: states()[job_id] in over, "the planned end of the job", timeout=30)
    assert airflow.api.task_instance("planned", run_id, "go_live")["state"] in ("deferred", "scheduled")
    wait_until(
        lambda: airflow.api.task_instance("bystander", bystander, "waits")["state"] != "deferred",
        "the end of the other trigger",
        timeout=60,
    )
