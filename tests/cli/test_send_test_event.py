"""``airflow smartlive send-test-event``: one real request to the receiver, and an answer in words."""

from __future__ import annotations

import json
import socket
import threading
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import RedirectResponse

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.apply import Outcome, OutcomeKind
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.task_status import TaskStatus
from airflow_provider_smartlive.cli import callback_check
from airflow_provider_smartlive.metastudio.events import EventType
from airflow_provider_smartlive.receiver.app import Receiver, create_app
from airflow_provider_smartlive.receiver.keyring import Keyring
from airflow_provider_smartlive.receiver.store import Gone, Receipt, Unavailable

OTHER_SECRET = "fake-callback-secret-of-another-server-0"


class Store:
    """Keeps what it is given, or raises what it is told to."""

    concurrency = 1

    def __init__(self) -> None:
        self.recorded: list[tuple[Any, Any]] = []
        self.error: Exception | None = None

    def record(self, opened: Any, event: Any, **more: Any) -> Receipt:
        if self.error:
            raise self.error
        self.recorded.append((opened.target, event))
        return Receipt(Outcome(OutcomeKind.UNRECOGNISED))


class ApiServer:
    """What stands at the callback base URL."""

    def __init__(self) -> None:
        self.store = Store()
        self.secrets: tuple[str, ...] = settings.callback_secrets()
        keyring = Keyring(read=lambda: self.secrets)
        self.app = FastAPI()
        self.app.mount("/smartlive", create_app(Receiver(store=self.store, keyring=keyring)))  # type: ignore[arg-type]  # the part of a store that is used
        self.app.add_api_route(
            "/moved/smartlive/{path:path}", lambda path: RedirectResponse("/"), methods=["POST"]
        )
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"


@pytest.fixture
def api_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    api = ApiServer()
    server = uvicorn.Server(uvicorn.Config(api.app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [api.listener]})
    thread.start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_BASE_URL", api.url)
    yield api
    server.should_exit = True
    thread.join()


@pytest.fixture(autouse=True)
def connection(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {
        "conn_type": "smartlive",
        "login": "FAKEAK",
        "password": "fake-secret-key",
        "extra": {"region": "cn-north-4", "project_id": "fake-project"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_SMARTLIVE_DEFAULT", json.dumps(fields))


Send = Callable[[], str]


@pytest.fixture
def task() -> dict[str, TaskStatus | None]:
    """What the database knows of the task."""
    return {"facts": TaskStatus("deferred", run_goes_on=True, max_tries=3)}


@pytest.fixture
def send(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], task: dict[str, TaskStatus | None]
) -> Send:
    """Run the command, and return what it says; exit code 1 begins the text with ``FAILED``."""
    monkeypatch.setattr(callback_check, "find_task", lambda task_ref: task["facts"])

    def run() -> str:
        arguments = Namespace(
            dag_id="nightly", run_id="run", task_id="go_live", map_index=-1, conn_id="smartlive_default"
        )
        try:
            callback_check.send_test_event(arguments)
        except SystemExit as end:
            # Python prints a code that is a text, and exits with 1.
            text = f"FAILED {capsys.readouterr().out}{end.code}"
        else:
            text = capsys.readouterr().out
        assert "smartlive/callbacks/gAAAA" not in text  # a token begins like this
        return text

    return run


def test_an_event_that_gets_through(api_server: ApiServer, send: Send) -> None:
    text = send()
    assert "200: it works" in text
    assert f"POST {api_server.url}/smartlive/callbacks/***, signed by MSS_A_HEAD" in text
    ((target, event),) = api_server.store.recorded
    assert (target.task_ref, target.max_tries) == (TaskRef("nightly", "run", "go_live"), 3)
    assert event.event_type not in set(EventType)
    assert event.job_id is None


@pytest.mark.parametrize("auth_type", ["MSS_A", "NONE"])
def test_the_event_is_signed_as_the_deployment_says(
    monkeypatch: pytest.MonkeyPatch, api_server: ApiServer, send: Send, auth_type: str
) -> None:
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_AUTH_TYPE", auth_type)
    text = send()
    assert f"signed by {auth_type}" in text
    assert "200: it works" in text


def test_without_a_task_the_way_is_tested_all_the_same(
    api_server: ApiServer, send: Send, task: dict[str, TaskStatus | None]
) -> None:
    task["facts"] = None
    api_server.store.error = Gone()
    text = send()
    assert "410: it works" in text
    assert not text.startswith("FAILED")


def test_a_task_that_is_gone_meanwhile(api_server: ApiServer, send: Send) -> None:
    api_server.store.error = Gone()
    assert "FAILED" in (text := send())
    assert "cleared or deleted" in text


@pytest.mark.parametrize("secrets", [(), (OTHER_SECRET,)])
def test_secrets_that_differ(api_server: ApiServer, send: Send, secrets: tuple[str, ...]) -> None:
    api_server.secrets = secrets
    assert "FAILED" in (text := send())
    assert "callback_secrets is not the same there" in text


def test_a_database_that_is_away(api_server: ApiServer, send: Send) -> None:
    api_server.store.error = Unavailable("locked")
    assert "FAILED" in (text := send())
    assert "callback not stored" in text


def test_a_url_that_leads_elsewhere(
    monkeypatch: pytest.MonkeyPatch, api_server: ApiServer, send: Send
) -> None:
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_BASE_URL", f"{api_server.url}/nothing-here")
    assert "FAILED" in (text := send())
    assert "no receiver there" in text


def test_a_redirect_is_not_followed(
    monkeypatch: pytest.MonkeyPatch, api_server: ApiServer, send: Send
) -> None:
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_BASE_URL", f"{api_server.url}/moved")
    assert "FAILED" in (text := send())
    assert "redirects" in text
    assert api_server.store.recorded == []


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch, send: Send) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_BASE_URL", f"http://127.0.0.1:{port}")
    assert "FAILED" in (text := send())
    assert "no connection" in text


def test_a_setting_that_allows_no_callbacks(monkeypatch: pytest.MonkeyPatch, send: Send) -> None:
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_BASE_URL", "http://airflow.example.com")
    assert "must be https" in send()


def test_a_connection_that_is_wrong(monkeypatch: pytest.MonkeyPatch, send: Send) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SMARTLIVE_DEFAULT", '{"conn_type": "smartlive"}')
    assert "project_id" in send()


@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        (200, b"<html>Welcome</html>", "something in front"),
        (200, b'["result"]', "something in front"),
        (401, b"", "asks for a login"),
        (403, b"<html>", "asks for a login"),
        (404, b'{"detail": "Not Found"}', "no receiver there"),
        (413, b'{"error": "the body may have 10 bytes"}', "may have 10 bytes"),
        (429, b'{"error": "too many events for this task"}', "too many events"),
        (502, b"<html>Bad Gateway</html>", "something in front"),
        (503, b"<html>Service Unavailable</html>", "something in front"),
    ],
)
def test_what_other_answers_mean(status: int, answer: bytes, words: str) -> None:
    finding = callback_check.explain(status, answer, has_task=True)
    assert not finding.works
    assert finding.text.startswith(str(status))
    assert words in finding.text


def test_airflow_has_the_command() -> None:
    from airflow.cli.cli_parser import get_parser

    argv = ["smartlive", "send-test-event", "nightly", "run", "go_live", "--map-index", "2"]
    arguments = get_parser().parse_args(argv)
    assert (arguments.dag_id, arguments.run_id, arguments.task_id) == ("nightly", "run", "go_live")
    assert (arguments.map_index, arguments.conn_id) == (2, "smartlive_default")
