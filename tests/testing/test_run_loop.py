"""A livestream in a loop of Airflow 3.4, for real."""

from __future__ import annotations

import importlib.util

import pytest
from airflow.sdk import DAG, task_group

from airflow_provider_smartlive.operators import StartSmartLiveJobOperator
from airflow_provider_smartlive.sandbox.testing import LocalSandbox
from airflow_provider_smartlive.testing.run import RunDag


@pytest.mark.skipif(
    importlib.util.find_spec("airflow.sdk.definitions.loop") is None, reason="Airflow 3.3 has no loops"
)
def test_a_livestream_in_a_loop_is_refused(
    smartlive_sandbox: LocalSandbox, smartlive_connection: str, smartlive_run_dag: RunDag
) -> None:
    smartlive_sandbox.add_room("shoes", seconds=20)

    @task_group
    def evening() -> None:
        StartSmartLiveJobOperator(task_id="go_live", room_id="shoes", use_callbacks=False)

    with DAG("evenings", schedule=None) as dag:
        evening.loop(max_iterations=2)

    run = smartlive_run_dag(dag)
    assert run.state == "failed"
    [error] = run.errors.values()
    assert "cannot be started in a loop" in str(error)
    assert smartlive_sandbox.states() == []
