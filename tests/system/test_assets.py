"""DAGs that are scheduled on the end of a livestream, on a whole Airflow whose scheduler makes runs."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from dev.airflow_api import patiently
from dev.full_stack import DAGS, FullStack
from dev.process import wait_until
from dev.stack import AirflowStack

ROOM = "24bad716-87b1-45e5-8912-6102f7693265"

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

    run = the_run_of(airflow, "smartlive_after_toys")
    follower = ("smartlive_after_toys", run["dag_run_id"])
    assert airflow.wait_for_run(*follower, TIME_LIMIT) == "success"
    assert airflow.api.xcom(*follower, "sum_up", "return_value").items() >= over.items()


def test_a_livestream_of_the_console_starts_the_dag_that_waits_for_it(open_stage: FullStack) -> None:
    airflow, console = open_stage.airflow, open_stage.sandbox_client
    dag_id = "smartlive_after_console"
    text = (DAGS / "smartlive_console.py").read_text(encoding="utf-8")
    of_test = text.replace('event="ended"', 'event="ended", interval=5')
    (airflow.dags_folder / "smartlive_console.py").write_text(of_test, encoding="utf-8")
    airflow.wait_for_dag(dag_id)
    airflow.api.call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})
    began = "are watched from now on"
    wait_until(
        lambda: began in airflow.triggerer.log_text(), "the watcher of the console", timeout=TIME_LIMIT
    )

    job_id = console.start(ROOM, {})
    # A triggerer that is killed loses no end.
    airflow.triggerer.kill()
    console.finish(job_id)
    airflow.triggerer.start()
    run = the_run_of(airflow, dag_id)
    assert airflow.wait_for_run(dag_id, run["dag_run_id"], TIME_LIMIT) == "success"
    ended = airflow.api.xcom(dag_id, run["dag_run_id"], "report", "return_value")
    assert [(event["job_id"], event["state"]) for event in ended] == [(job_id, "SUCCEED")]


def the_run_of(airflow: AirflowStack, dag_id: str) -> dict[str, Any]:
    """Wait for the one run that an asset event makes of a DAG."""

    def runs() -> list[dict[str, Any]]:
        return list(airflow.api.call("GET", f"/dags/{dag_id}/dagRuns")["dag_runs"])

    wait_until(lambda: bool(runs()), f"a run of {dag_id}", timeout=TIME_LIMIT)
    (run,) = runs()
    return run
