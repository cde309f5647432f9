from __future__ import annotations

import pytest
from our_campaign import dag

from airflow_provider_smartlive.exceptions import SmartLiveJobBlockedError


@pytest.fixture(autouse=True)
def channel(smartlive_connection, monkeypatch):
    monkeypatch.setenv(
        "AIRFLOW_CONN_OUR_CHANNEL", '{"host": "rtmp://push.example.com/live", "password": "fake-stream-key"}'
    )


def test_the_show_goes_on_after_a_full_house(smartlive_sandbox, smartlive_run_dag):
    smartlive_sandbox.add_room("hats", seconds=120)
    smartlive_sandbox.add_fault(target="start", action="status", status=429, code="APIGW.0308", times=1)

    run = smartlive_run_dag(dag, conf={"room_id": "hats"})

    assert run.state == "success"
    assert run.result("minutes") == 2
    assert run.result("go_live")["woken_by"] == "callback"
    assert len(smartlive_sandbox.ledger(kind="callback")) >= 3


def test_nothing_is_billed_for_a_show_that_is_blocked(smartlive_sandbox, smartlive_run_dag):
    smartlive_sandbox.add_room("shoes", seconds=600)
    smartlive_sandbox.add_fault(target="job", action="block", seconds=30, message="shoes too red")

    run = smartlive_run_dag(dag)

    assert (run.state, run.tasks["minutes"]) == ("failed", "upstream_failed")
    assert run.tasks["announce"] == "success"
    assert isinstance(run.errors["go_live"], SmartLiveJobBlockedError)
