"""The example DAGs, on a whole Airflow. The nightly one is the demo's: see ``test_demo.py``."""

from __future__ import annotations

import pytest

from dev.stack import AirflowStack

pytestmark = pytest.mark.processes

#: Seconds. A show takes 8, and no wait may need the reconciliation, which comes after 300.
TIME_LIMIT = 240


def test_a_campaign_waits_for_every_room(airflow_stack: AirflowStack) -> None:
    dag_id = "smartlive_campaign"
    run_id = airflow_stack.run_dag(dag_id)
    assert airflow_stack.wait_for_run(dag_id, run_id, TIME_LIMIT) == "success"

    tasks = [task["task_id"] for task in airflow_stack.api.task_instances(dag_id, run_id)]
    rooms = [task_id for task_id in tasks if task_id.endswith(".go_live")]
    assert len(rooms) == 3
    results = [airflow_stack.api.xcom(dag_id, run_id, task_id, "return_value") for task_id in rooms]
    assert {result["state"] for result in results} == {"SUCCEED"}
    assert {result["woken_by"] for result in results} == {"callback"}
    assert len({result["job_id"] for result in results}) == len(rooms)
    streams = [stream for result in results for stream in result["streams"]]
    assert {(stream["state"], stream["reconnects"]) for stream in streams} == {("END", 0)}


def test_no_example_dag_has_an_import_error(airflow_stack: AirflowStack) -> None:
    airflow_stack.wait_for_dag("smartlive_nightly")
    assert airflow_stack.api.import_errors() == []
