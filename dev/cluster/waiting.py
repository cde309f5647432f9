"""Livestreams that wait in the cluster, put there without workers, each with a job that calls back."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.url import CallbackTarget, IssuedUrl, issue, new_generation
from airflow_provider_smartlive.livestream.wait_state import WaitLimits, WaitState
from airflow_provider_smartlive.metastudio.callback_auth import AuthType
from airflow_provider_smartlive.triggers import SmartLiveJobTrigger
from dev.airflow_api import patiently
from dev.bench import jobs
from dev.bench.stack import seed
from dev.cluster.stack import ClusterStack
from dev.sandbox_client import SandboxClient

TASK_ID = "wait"

#: Seconds between two questions for a job: the default.
INTERVAL = 300.0

#: Calls of MetaStudio at the same time.
CALLERS = 8


@dataclass(frozen=True)
class Stream:
    """
    A livestream that waits.

    :param number: its map index.
    :param route: where and how its job calls back.
    """

    number: int
    room_id: str
    job_id: str
    route: IssuedUrl


def begin(stack: ClusterStack, dag_id: str, count: int) -> tuple[str, list[Stream]]:
    """
    Let so many tasks of a new run wait, each for a job of its own; its DAG stays paused.

    :return: the run's id, and the streams.
    """
    airflow, run_id = stack.airflow, f"{dag_id}__{int(time.time())}"
    airflow.wait_for_dag(dag_id)
    airflow.api.call("PATCH", f"/dags/{dag_id}", json={"is_paused": True})
    patiently(lambda: airflow.api.trigger_dag(dag_id, run_id=run_id))
    with ThreadPoolExecutor(CALLERS) as threads:
        streams = list(threads.map(lambda number: _start(stack, dag_id, run_id, number), range(count)))
    waits = [
        WaitState(
            "smartlive_default",
            stream.room_id,
            stream.job_id,
            expected_outputs=1,
            started_at=datetime.now(UTC),
        ).dump()
        for stream in streams
    ]
    # The price of waiting, not of a thousand stops at the end.
    limits = WaitLimits(interval=INTERVAL, cancel_on_kill=False).dump()
    triggers = [SmartLiveJobTrigger(wait=wait, limits=limits).serialize() for wait in waits]
    order: dict[str, Any] = {
        "dag_id": dag_id,
        "run_id": run_id,
        "classpath": triggers[0][0],
        "kwargs": [kwargs for _, kwargs in triggers],
        "job_ids": [stream.job_id for stream in streams],
        "next_kwargs": [{"wait": wait, "limits": limits} for wait in waits],
    }
    seed(airflow, order, stack.home)
    return run_id, streams


def _start(stack: ClusterStack, dag_id: str, run_id: str, number: int) -> Stream:
    now = datetime.now(UTC)
    target = CallbackTarget(TaskRef(dag_id, run_id, TASK_ID, number), new_generation(now))
    route = issue(
        target,
        base_url=stack.airflow.callback_url,
        secrets=(stack.airflow.callback_secret,),
        auth_type=AuthType.MSS_A_HEAD,
        outputs=[(jobs.OUTPUT["output_urls"][0], jobs.OUTPUT["stream_keys"][0])],
    )
    callback = {
        "live_event_type_callback_url": route.url,
        "auth_type": route.auth_type,
        "key": route.key,
    }
    room_id = f"{dag_id.removeprefix('cluster_')}-{number:05d}"
    client: SandboxClient = stack.sandbox_client
    job_id = client.start(room_id, jobs.OUTPUT | {"live_event_callback_config": callback})
    return Stream(number, room_id, job_id, route)
