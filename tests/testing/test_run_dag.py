"""``smartlive_run_dag`` does what Airflow's daemons do."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow import settings
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import TaskDeferralError

from airflow_provider_smartlive.testing import database
from airflow_provider_smartlive.testing.run import RunDag
from tests.testing.deferring import MEETING, Defers


@pytest.fixture
def dag() -> DAG:
    return DAG("tried", schedule=None, params={"who": "nobody"})


def test_a_task_goes_on_with_event_and_kwargs_as_often_as_it_defers(
    dag: DAG, smartlive_run_dag: RunDag
) -> None:
    with dag:
        Defers(task_id="waits", does="fire", times=2)
    run = smartlive_run_dag(dag)
    assert (run.state, run.tasks) == ("success", {"waits": "success"})
    assert run.result("waits") == ["event for waits"] * 2


def test_a_trigger_ends_its_task(dag: DAG, smartlive_run_dag: RunDag) -> None:
    with dag:
        Defers(task_id="waits", does="succeed")
    run = smartlive_run_dag(dag)
    assert (run.state, run.tasks, run.result("waits")) == ("success", {"waits": "success"}, None)


@pytest.mark.parametrize("does", ["fail", "end without an event"])
def test_a_trigger_without_an_event_fails_its_task(dag: DAG, does: str, smartlive_run_dag: RunDag) -> None:
    with dag:
        Defers(task_id="waits", does=does)
    run = smartlive_run_dag(dag)
    assert (run.state, run.tasks["waits"]) == ("failed", "failed")
    assert isinstance(run.errors["waits"], TaskDeferralError)


def test_deferred_tasks_wait_side_by_side(dag: DAG, smartlive_run_dag: RunDag) -> None:
    MEETING.clear()
    with dag:
        Defers(task_id="one", does="meet one other")
        Defers(task_id="other", does="meet other one")
    assert smartlive_run_dag(dag).state == "success"


def test_what_a_trigger_asks_in_a_thread_is_answered_before_a_task_runs(
    dag: DAG, smartlive_run_dag: RunDag
) -> None:
    with dag:
        Defers(task_id="waits", does="ask in a thread")
    assert smartlive_run_dag(dag).result("waits") == [True]


def test_mapped_tasks_defer_one_by_one(dag: DAG, smartlive_run_dag: RunDag) -> None:
    with dag:
        Defers.partial(task_id="waits", does="fire").expand(times=[0, 1])
    run = smartlive_run_dag(dag)
    assert run.tasks == {"waits[0]": "success", "waits[1]": "success"}
    assert [run.result("waits[0]"), run.result("waits[1]")] == [[], ["event for waits"]]


def test_a_retry_does_not_wait_for_its_delay(dag: DAG, smartlive_run_dag: RunDag) -> None:
    with dag:

        @task(retries=2, retry_delay=timedelta(hours=1))
        def comes_late(ti: Any = None) -> int:
            if ti.try_number < 3:
                raise ValueError(f"try {ti.try_number}")
            return int(ti.try_number)

        comes_late()
    run = smartlive_run_dag(dag)
    assert (run.tasks["comes_late"], run.result("comes_late")) == ("success", 3)
    assert str(run.errors["comes_late"]) == "try 2"


def test_a_sensor_that_gives_up_its_slot_comes_back(dag: DAG, smartlive_run_dag: RunDag) -> None:
    done: list[str] = []
    with dag:

        @task.sensor(mode="reschedule", poke_interval=0.2)
        def is_done() -> bool:
            return bool(done)

        @task
        def do() -> None:
            done.append("it")

        is_done()
        do()
    assert smartlive_run_dag(dag).tasks == {"do": "success", "is_done": "success"}


def test_a_run_that_does_not_end_says_what_it_waits_for(
    dag: DAG, smartlive_run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine a look at the database may take longer than the grace: nothing hangs here.
    monkeypatch.setattr("airflow_provider_smartlive.testing.run.GRACE", 60.0)
    with dag:
        Defers(task_id="begins", does="fire") >> Defers(task_id="waits", does="hang")
    with pytest.raises(TimeoutError, match=r"not over after 1 s: .*waits is (deferred|None)\.$"):
        # How far it comes within a second is up to the machine.
        smartlive_run_dag(dag, timeout=1)


def test_a_task_that_hangs_is_interrupted_and_named(dag: DAG, smartlive_run_dag: RunDag) -> None:
    with dag:

        @task
        def hangs() -> None:
            threading.Event().wait(60)

        hangs()
    with pytest.raises(TimeoutError, match=r"not over after 1 s: hangs hung and was interrupted"):
        smartlive_run_dag(dag, timeout=1)


def test_a_run_leaves_nothing_in_the_dag(dag: DAG, smartlive_run_dag: RunDag) -> None:
    with dag:

        @task
        def greet(params: Any = None) -> Any:
            return params["who"]

        greet()
    assert smartlive_run_dag(dag, conf={"who": "everybody"}).result("greet") == "everybody"
    assert smartlive_run_dag(dag).result("greet") == "nobody"


def test_the_dags_own_callbacks_are_called(smartlive_run_dag: RunDag) -> None:
    reasons: list[str] = []
    with DAG(
        "alarmed", schedule=None, on_failure_callback=lambda context: reasons.append(context["reason"])
    ) as dag:
        Defers(task_id="waits", does="fail")
    smartlive_run_dag(dag)
    assert reasons == ["task_failure"]


def test_the_configured_database_is_left_alone(smartlive_metadata: Path) -> None:
    before = (settings.SQL_ALCHEMY_CONN, settings.engine, settings.Session, settings.async_engine)

    with database.connected(smartlive_metadata):
        assert settings.engine is not before[1]
    assert (settings.SQL_ALCHEMY_CONN, settings.engine, settings.Session, settings.async_engine) == before
