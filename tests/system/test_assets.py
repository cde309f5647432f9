"""A DAG that is scheduled on the end of a livestream, on a whole Airflow whose scheduler makes runs."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from dev.airflow_api import patiently
from dev.full_stack import DAGS, FullStack
from dev.process import wait_until

pytestmark = pytest.mark.processes

#: Seconds.
TIME_LIMIT = 240


def test_the_end_of_a_show_starts_the_dag_that_waits_for_it(open_stage: FullStack) -> None:
    airflow = open_stage.airflow
    shutil.copy(DAGS / "smartlive_assets.py", airflow.dags_folder)
    airflow.wait_for_dag("smartlive_after_toys")
    airflow.wait_for_dag("smartlive_toys")
    airflow.api.call("PATCH", "/dags/smartlive_after_toys", json={"is_paused": False})
    run_id = airflow.run_dag("smartlive_toys")
    assert airflow.wait_for_run("smartlive_toys", run_id, TIME_LIMIT) == "success"
    job_id = airflow.api.xcom("smartlive_toys", run_id, "go_live", "job_id")

    def extra(name: str) -> dict[str, Any]:
        # 3.3.2 answers 500 as long as the run that the event has made has not begun.
        found = patiently(
            lambda: airflow.api.call("GET", "/assets/events", params={"source_dag_id": "smartlive_toys"})
        )
        (event,) = [one for one in found["asset_events"] if one["uri"] == f"smartlive://shows/toys/{name}"]
        return dict(event["extra"])

    on_air, over = extra("on_air"), extra("over")
    assert on_air.items() >= {"job_id": job_id, "state": "CONNECTED"}.items()
    assert over.items() >= {"job_id": job_id, "state": "SUCCEED"}.items()

    def following() -> list[dict[str, Any]]:
        found = airflow.api.call("GET", "/dags/smartlive_after_toys/dagRuns")
        return list(found["dag_runs"])

    wait_until(lambda: bool(following()), "a run of smartlive_after_toys", timeout=60)
    (run,) = following()
    follower = ("smartlive_after_toys", run["dag_run_id"])
    assert airflow.wait_for_run(*follower, TIME_LIMIT) == "success"
    assert airflow.api.xcom(*follower, "sum_up", "return_value").items() >= over.items()
