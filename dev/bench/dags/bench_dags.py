"""The DAGs of the benchmark: one for each way to wait for the end of a livestream."""

from __future__ import annotations

import os
from typing import Any

from airflow.providers.http.sensors.http import HttpSensor
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG, BaseOperator, task

from airflow_provider_smartlive.operators import StartSmartLiveJobOperator
from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor

TOKEN = os.environ.get("BENCH_TOKEN", "")
ROOM = "{{ dag_run.conf['room_id'] }}"
OUTPUTS = ["smartlive_output"]
LEVELS = [int(level) for level in os.environ.get("BENCH_LEVELS", "").split(",") if level]
TASKS = int(os.environ.get("BENCH_TASKS", "0"))

SETTINGS: dict[str, Any] = {"schedule": None, "max_active_runs": 200, "max_active_tasks": 1000}


@task
def after() -> None:
    """Stand for whatever comes after the livestream."""


with DAG("bench_operator", **SETTINGS):
    StartSmartLiveJobOperator(task_id="wait", room_id=ROOM, output_conn_ids=OUTPUTS) >> after()

with DAG("bench_sensor", **SETTINGS):
    start = StartSmartLiveJobOperator(
        task_id="start", room_id=ROOM, output_conn_ids=OUTPUTS, wait_for_termination=False
    )
    # What the receiver alone does; a sensor that confirms costs what the operator does.
    start >> SmartLiveStreamStateSensor(task_id="wait", starter_task_id="start", confirm=False) >> after()

with DAG("bench_approval", **SETTINGS):
    HITLOperator(task_id="wait", subject="Has it ended?", options=["Yes"]) >> after()

for interval in (5, 60):
    with DAG(f"bench_poll_{interval}", **SETTINGS):
        poll = HttpSensor(
            task_id="wait",
            http_conn_id="bench_http",
            endpoint="{{ dag_run.conf['path'] }}",
            headers={"X-Auth-Token": TOKEN},
            poke_interval=interval,
            deferrable=True,
        )
        poll >> after()

with DAG("bench_rooms", **SETTINGS):
    StartSmartLiveJobOperator.partial(task_id="wait", output_conn_ids=OUTPUTS).expand(
        room_id=[f"room-{number}" for number in range(int(os.environ.get("BENCH_ROOMS", "0")))]
    )


class Idle(BaseOperator):
    """Its task instances are put to wait by the benchmark; it never runs."""

    def __init__(self, number: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.number = number


def waiting(dag_id: str, count: int) -> None:
    """Make a DAG with so many tasks that wait."""
    with DAG(dag_id, **SETTINGS):
        Idle.partial(task_id="wait").expand(number=list(range(count)))


waiting("bench_events", TASKS)
for kind in ("nothing", "http", "smartlive"):
    for before, level in zip([0, *LEVELS], LEVELS, strict=False):
        waiting(f"bench_waiting_{kind}_{level}", level - before)
