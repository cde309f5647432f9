"""What a start is given is judged before anything is sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from tests.support.simulation import StartSimulation


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("room_id", ""),
        ("room_id", None),
        ("room_id", "None"),
        ("room_id", "two words"),
        ("room_id", "a/b"),
        ("smartlive_conn_id", "None"),
        ("output_conn_ids", "rtmp://push.example.com/live/fake-key"),
        ("output_conn_ids", {"a": 1}),
        ("interaction_conn_id", "None"),
        ("stop_at", "22:00"),
        ("stop_at", "PT2H"),
        ("stop_at", "now"),
        ("stop_at", 5),
        ("max_duration", 0),
        ("max_duration", timedelta(seconds=-1)),
        ("max_duration", "{{ params.length }}"),
        ("max_duration", float("nan")),
        ("start_window", "soon"),
        ("end_grace", "60s"),
        ("end_grace", -1),
        ("reconcile_interval", 0),
        ("reconcile_interval", True),
        ("fail_on_disconnect_longer_than", "{{ x }}"),
        ("fail_on_disconnect_longer_than", [30]),
        ("request", "{}"),
    ],
)
def test_an_argument_that_cannot_be_used_is_refused_by_name(
    deferred: StartSimulation, argument: str, value: Any
) -> None:
    with pytest.raises(AirflowFailException, match=rf"^{argument}\b") as refusal:
        deferred.go_live(**{argument: value}, ti={"max_tries": 3})
    assert deferred.metastudio.asked == {}
    assert "fake-key" not in str(refusal.value)


@pytest.mark.parametrize(
    "option",
    [
        "reconcile_interval",
        "resume_delay",
        "silence_threshold",
        "end_grace",
        "stop_grace",
        "failure_budget",
        "look_again_window",
        "max_live_duration",
    ],
)
def test_a_setting_that_cannot_be_read_is_refused_by_name(
    deferred: StartSimulation, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setenv(f"AIRFLOW__SMARTLIVE__{option.upper()}", "5m")
    with pytest.raises(AirflowFailException, match=rf"\[smartlive\] {option}"):
        deferred.go_live(ti={"max_tries": 3})
    assert deferred.metastudio.asked == {}


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_duration": 3600},
        {"max_duration": "3600"},
        {"end_grace": timedelta(minutes=1), "reconcile_interval": timedelta(seconds=30)},
        {"fail_on_disconnect_longer_than": 3600},
        {"output_conn_ids": "rtmp_main"},
        {"output_conn_ids": "['rtmp_main']"},
        {"output_conn_ids": None},
        {"stop_at": "2026-01-01T13:00:00+00:00"},
        {"stop_at": "2026-01-01T13:00:00"},
    ],
    ids=str,
)
def test_seconds_timedeltas_and_rendered_texts_are_taken_alike(
    show: StartSimulation, arguments: dict[str, Any]
) -> None:
    show.at(600, show.ends())
    assert show.go_live(**({"reconcile_interval": 30} | arguments))["state"] == "SUCCEED"


def test_a_livestream_in_a_loop_is_refused(show: StartSimulation) -> None:
    """Airflow 3.4 names all iterations alike: callbacks would be refused, and the sweep would stop the job."""
    with pytest.raises(AirflowFailException, match=r"cannot be started in a loop.* out of the loop"):
        show.go_live(ti={"loop": object(), "max_tries": 3})
    assert show.metastudio.asked == {}
