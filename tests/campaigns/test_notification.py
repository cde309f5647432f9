"""Who is told, by what, and that nobody keeps the others from being told."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_smartlive.campaigns.notify import BY_CONNECTION_TYPE, Notification, Recipient
from airflow_provider_smartlive.campaigns.overdue import tell_overdue
from tests.campaigns.told import MESSAGES, listen
from tests.support.fake_airflow import FakeSupervisor, FakeTaskInstance

CONTEXT: Any = {
    "ti": FakeTaskInstance(FakeSupervisor(), dag_id="spring", run_id="r1", task_id="tea.go_live"),
    "exception": ValueError("no light"),
}
WHY = "spring, show tea: tea.go_live failed: no light (run r1)"


@pytest.fixture(autouse=True)
def _told() -> Iterator[None]:
    MESSAGES.clear()
    yield
    MESSAGES.clear()


def notify(*recipients: Any) -> None:
    Notification(recipients, subject="show tea")(CONTEXT)


def test_a_callable_a_path_and_a_class_with_arguments() -> None:
    notify(
        listen,
        Recipient("tests.campaigns.told.listen"),
        Recipient("tests.campaigns.told.Listener", {"prefix": "desk: "}),
    )
    assert [WHY, WHY, f"desk: {WHY}"] == MESSAGES
    assert "message" not in CONTEXT


def test_one_that_cannot_be_told_keeps_no_other_from_it(caplog: pytest.LogCaptureFixture) -> None:
    wrong = [
        Recipient("no.such.thing"),
        Recipient("tests.campaigns.told.Listener"),
        Recipient("tests.campaigns.told.MESSAGES"),
        "no_connection",
    ]
    notify(*wrong, listen)
    assert MESSAGES == [WHY]
    assert "notifier no.such.thing cannot be used" in caplog.text
    assert "notifier tests.campaigns.told.MESSAGES cannot be called" in caplog.text
    assert "connection 'no_connection': notify: there is no connection" in caplog.text


def test_a_connection_of_a_type_without_a_notifier(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_DESK", '{"conn_type": "ftp", "host": "x"}')
    notify("desk")
    assert (
        "is of type 'ftp', for which no notifier is known. Use one of apprise, discord, http" in caplog.text
    )


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """A webhook at 127.0.0.1, as a connection of type http; what it is sent."""
    sent: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    monkeypatch.setenv(
        "AIRFLOW_CONN_DESK", f'{{"conn_type": "http", "host": "http://127.0.0.1:{server.server_port}"}}'
    )
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield sent
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_webhook_is_told_by_airflows_own_notifier(webhook: list[Any]) -> None:
    notify("desk")
    assert webhook == [{"text": WHY}]


def test_it_is_told_of_a_deadline_in_the_triggerers_loop(webhook: list[Any]) -> None:
    context = {"dag_run": {"dag_id": "spring", "dag_run_id": "r1"}}
    arguments = {"http_conn_id": "desk", "json": {"body": "{{ dag_run.dag_id }}: {{ message }}"}}
    path = "airflow.providers.http.notifications.HttpNotifier"
    asyncio.run(tell_overdue(["desk", {"path": path, "arguments": arguments}], 60, context))
    text = "spring: not over 0:01:00 after it began (run r1)"
    assert webhook == [{"text": text}, {"body": f"spring: {text}"}]


def test_a_notifier_renders_the_message(webhook: list[Any]) -> None:
    arguments = {"http_conn_id": "desk", "json": {"title": "{{ ti.dag_id }}", "body": "{{ message }}"}}
    notify(Recipient("airflow.providers.http.notifications.HttpNotifier", arguments))
    assert webhook == [{"title": "spring", "body": WHY}]


def test_a_message_is_one_line_without_secrets() -> None:
    context: Any = {**CONTEXT, "exception": ValueError("a\nb rtmp://push.example.com/live/fake-key-123")}
    Notification([listen], subject="x")(context)
    assert MESSAGES == ["spring, x: tea.go_live failed: a b rtmp://push.example.com/*** (run r1)"]


def test_the_run_is_named() -> None:
    run_id = "scheduled__2026-11-29T15:09:00+00:00"
    ti = SimpleNamespace(dag_id="spring", run_id=run_id, task_id="tea.go_live")
    Notification([listen], subject="x")({**CONTEXT, "ti": ti})
    (message,) = MESSAGES
    assert message == f"spring, x: tea.go_live failed: no light (run {run_id})"


def test_the_notifiers_of_connections_are_named_by_full_paths() -> None:
    assert all(path.startswith("airflow.providers.") for path, _, _ in BY_CONNECTION_TYPE.values())
