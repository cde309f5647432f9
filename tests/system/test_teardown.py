"""The tear-down owns the end of a livestream that nobody waits for."""

from __future__ import annotations

from typing import Any

import pytest

from dev.full_stack import FullStack

pytestmark = pytest.mark.processes

DAG_ID = "smartlive_teardown"

#: Seconds. No wait may need the reconciliation, which comes after 300.
TIME_LIMIT = 240


def job_of(stage: FullStack, job_id: str) -> dict[str, Any]:
    """Return a job as the sandbox shows it."""
    return next(job for job in stage.sandbox_client.jobs() if job["job_id"] == job_id)


@pytest.mark.parametrize(
    ("break_down", "run_state"), [(False, "success"), (True, "failed")], ids=["success", "failure"]
)
def test_the_livestream_ends_with_the_work_that_it_accompanies(
    stage: FullStack, break_down: bool, run_state: str
) -> None:
    airflow = stage.airflow
    run_id = airflow.run_dag(DAG_ID, conf={"break_down": break_down})
    assert airflow.wait_for_run(DAG_ID, run_id, TIME_LIMIT) == run_state

    states = {task["task_id"]: task["state"] for task in airflow.api.task_instances(DAG_ID, run_id)}
    assert states == {
        "go_live": "success",
        "on_air": "success",
        "sell": "failed" if break_down else "success",
        "stop": "success",
    }
    job_id = airflow.api.xcom(DAG_ID, run_id, "go_live", "job_id")
    assert airflow.api.xcom(DAG_ID, run_id, "stop", "return_value") == [job_id]
    job = job_of(stage, job_id)
    assert job["state"] == "SUCCEED"
    assert [output["state"] for output in job["outputs"]] == ["END"]
