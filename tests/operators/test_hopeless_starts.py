"""A start that cannot succeed fails before anything is started, without a retry, and says what to change."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.client.operations import Operation
from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook
from airflow_provider_smartlive.livestream.current_task import STORE_KEY
from airflow_provider_smartlive.livestream.record import Attempt, JobRecord
from airflow_provider_smartlive.metastudio.errors import InvalidRequest
from airflow_provider_smartlive.operators import StartSmartLiveJobOperator
from airflow_provider_smartlive.sandbox.config import Config
from airflow_provider_smartlive.sandbox.testing import LocalSandbox, quick_config
from tests.support.fake_airflow import FakeSupervisor, a_context
from tests.support.fake_metastudio import ROOM


@pytest.fixture
def smartlive_sandbox_config() -> Config:
    """A MetaStudio that knows its rooms."""
    return quick_config(any_room=False)


@pytest.fixture
def context(supervisor: FakeSupervisor) -> dict[str, Any]:
    """A run by hand, now."""
    return a_context(supervisor, run_after=datetime.now(UTC), run_type="manual")


@pytest.fixture
def room(smartlive_sandbox: LocalSandbox, smartlive_connection: str) -> str:
    return smartlive_sandbox.add_room(ROOM)


def define(monkeypatch: pytest.MonkeyPatch, conn_id: str, **connection: Any) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({"conn_type": "generic", **connection}))


def refused(context: dict[str, Any], sandbox: LocalSandbox, **arguments: Any) -> str:
    """Start, and return why it failed for good."""
    operator = StartSmartLiveJobOperator(task_id="go_live", **{"room_id": ROOM, **arguments})
    with pytest.raises(AirflowFailException) as caught:
        operator.execute(context)  # type: ignore[arg-type]  # the part of a context that is needed
    assert sandbox.states() == []
    return str(caught.value)


def test_a_connection_without_a_project(
    monkeypatch: pytest.MonkeyPatch, context: dict[str, Any], smartlive_sandbox: LocalSandbox
) -> None:
    define(
        monkeypatch,
        "smartlive_default",
        conn_type="smartlive",
        host=smartlive_sandbox.url,
        login="FAKE",
        password="FAKE",
    )
    assert "project_id" in refused(context, smartlive_sandbox)


@pytest.mark.usefixtures("room")
def test_no_callback_secret(
    monkeypatch: pytest.MonkeyPatch, context: dict[str, Any], smartlive_sandbox: LocalSandbox
) -> None:
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_SECRETS", "")
    settings.forget_secrets()
    text = refused(context, smartlive_sandbox)
    assert "callback_secrets" in text
    assert "generate-secret" in text


@pytest.mark.usefixtures("room")
def test_an_output_that_is_no_rtmp_url(
    monkeypatch: pytest.MonkeyPatch, context: dict[str, Any], smartlive_sandbox: LocalSandbox
) -> None:
    define(monkeypatch, "shop", host="https://shop.example.com/live", password="fake-stream-key")
    text = refused(context, smartlive_sandbox, output_conn_ids=["shop"])
    assert "'shop'" in text
    assert "fake-stream-key" not in text


@pytest.mark.usefixtures("room")
@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"video_config": {"width": 1080, "height": 1920, "bitrate": 39}}, "video_config.bitrate"),
        ({"request": {"stream_keys": ["fake-stream-key"]}}, "stream_keys"),
        ({"request": {"view_mode": "LANDSCAPE"}, "view_mode": "VERTICAL"}, "view_mode"),
        ({"stop_at": "tomorrow, perhaps"}, "tomorrow"),
    ],
)
def test_a_request_that_breaks_a_limit(
    context: dict[str, Any], smartlive_sandbox: LocalSandbox, arguments: dict[str, Any], field: str
) -> None:
    text = refused(context, smartlive_sandbox, **arguments)
    assert field in text
    assert "fake-stream-key" not in text


def test_a_wrong_key_is_tried_once(
    monkeypatch: pytest.MonkeyPatch, context: dict[str, Any], smartlive_sandbox: LocalSandbox, room: str
) -> None:
    """A few wrong signatures lock the key, so neither this task nor its retries send more than one."""
    connection = smartlive_sandbox.connection() | {"password": "fake-secret-of-somebody-else"}
    monkeypatch.setenv("AIRFLOW_CONN_SMARTLIVE_DEFAULT", json.dumps(connection))
    text = refused(context, smartlive_sandbox)
    assert "APIGW.0301" in text
    assert "connection 'smartlive_default'" in text
    assert "Check login and password" in text
    assert len(smartlive_sandbox.ledger(kind="request")) == 1


@pytest.mark.usefixtures("smartlive_connection")
def test_a_room_that_is_not_there(context: dict[str, Any], smartlive_sandbox: LocalSandbox) -> None:
    text = refused(context, smartlive_sandbox, room_id="another-room")
    assert "[start_job, connection 'smartlive_default', room 'another-room']" in text
    assert "Check room_id" in text


@pytest.mark.usefixtures("room")
def test_metastudio_calls_the_request_wrong(context: dict[str, Any], smartlive_sandbox: LocalSandbox) -> None:
    smartlive_sandbox.add_fault(target="start", action="status", status=400, code="MSS.00000003")
    text = refused(context, smartlive_sandbox)
    assert "MSS.00000003" in text


@pytest.mark.usefixtures("room")
def test_while_an_earlier_try_may_have_a_job_the_task_is_retried(
    monkeypatch: pytest.MonkeyPatch, context: dict[str, Any]
) -> None:
    record = JobRecord(
        "1", Attempt(2, 0, 0), "smartlive_default", ROOM, sent_at=datetime.now(UTC), job_id="1" * 32
    )
    context["ti"].max_tries = 2
    context["task_state_store"].set(STORE_KEY, record.dump())

    def perform(self: SmartLiveTaskHook, operation: Operation[Any]) -> None:
        assert operation.name == "show_job"
        raise InvalidRequest("Invalid parameter", error_code="MSS.00000003")

    monkeypatch.setattr(SmartLiveTaskHook, "perform", perform)
    operator = StartSmartLiveJobOperator(task_id="go_live", room_id=ROOM)
    with pytest.raises(InvalidRequest):
        operator.execute(context)  # type: ignore[arg-type]  # the part of a context that is needed
