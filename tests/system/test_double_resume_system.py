"""
A livestream that somebody says is over, and whose task is resumed twice because of it: on a whole Airflow.

A false END comes through the door, and the trigger submits an event of its own after the task runs again. So one
process is taken its task away in the midst of its work, and another one goes on from the same point.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.url import CallbackTarget, issue
from airflow_provider_smartlive.metastudio.callback_auth import AuthType, sign
from dev.full_stack import OUTPUT_CONN_IDS, FullStack
from dev.process import wait_until

pytestmark = pytest.mark.processes

DAG_ID, TASK_ID = "smartlive_nightly", "go_live"

#: Seconds that the show lasts: longer than it takes to resume its task twice.
SHOW = 45

#: Seconds for a run. What Airflow itself makes of the two processes may cost the task a try.
TIME_LIMIT = 180

#: Seconds after which a deferral is not left to the trigger's first read any more, with something to spare.
SETTLED = 10.0


def _end_that_nobody_sent(
    stage: FullStack, owner: TaskRef, generation: int, room_id: str, job_id: str
) -> int:
    """Send END as an attacker would who has the key: with the names of the real output."""
    issued = issue(
        CallbackTarget(owner, str(generation), generation),
        base_url=stage.airflow.base_url,
        secrets=[stage.airflow.callback_secret],
        auth_type=AuthType.MSS_A_HEAD,
    )
    conn_id = OUTPUT_CONN_IDS[0]
    message = {
        "room_id": room_id,
        "job_id": job_id,
        "output_url": stage.platform_url,
        "stream_key": stage.stream_keys[conn_id],
        "state": "END",
    }
    body = json.dumps({"event_type": "RTMP_STREAM_STATE_CHANGE", "message": json.dumps(message)})
    url, headers = sign(issued.url, auth_type=issued.auth_type, key=issued.key, now=datetime.now(UTC))
    return httpx.post(url, content=body, headers=headers, timeout=30).status_code


def test_neither_of_two_processes_stops_the_livestream(stage: FullStack) -> None:
    airflow, room_id = stage.airflow, str(uuid.uuid4())
    room = {"room_id": room_id, "name": "Double", "seconds": SHOW}
    stage.sandbox_client.add_rooms(room)
    run_id = airflow.run_dag(DAG_ID, conf={"room_id": room_id})
    airflow.wait_for_task(DAG_ID, run_id, TASK_ID, {"deferred"}, 120)
    job_id = airflow.api.xcom(DAG_ID, run_id, TASK_ID, "job_id")
    time.sleep(SETTLED)

    script = Path(__file__).with_name("resume_again.py")
    late_triggerer = subprocess.Popen(
        [sys.executable, str(script), DAG_ID, run_id, TASK_ID],
        env=airflow.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    with late_triggerer:
        assert late_triggerer.stdout is not None
        while "has read" not in (line := late_triggerer.stdout.readline()):
            assert line, "the late triggerer has failed"
        generation = airflow.api.task_instance(DAG_ID, run_id, TASK_ID)["max_tries"]
        owner = TaskRef(DAG_ID, run_id, TASK_ID)
        assert _end_that_nobody_sent(stage, owner, generation, room_id, job_id) == 200
        assert late_triggerer.stdout.read().split() == ["running"], "it was resumed twice"

    assert airflow.wait_for_run(DAG_ID, run_id, TIME_LIMIT) == "success"

    result = airflow.api.xcom(DAG_ID, run_id, TASK_ID, "return_value")
    assert (result["job_id"], result["state"]) == (job_id, "SUCCEED")
    assert result["stream_duration"] >= SHOW - 5, "the show went on to its own end"
    requests = stage.sandbox_client.ledger(room=room_id, kind="request")
    operations = [entry["operation"] for entry in requests]
    assert operations.count("start") == 1
    assert "stop" not in operations
    assert [job["job_id"] for job in stage.sandbox_client.jobs() if job["room_id"] == room_id] == [job_id]
    wait_until(lambda: late_triggerer.poll() == 0, "end of the late triggerer", timeout=60)
