"""The form's Test button: one cheap signed request, and in words what is wrong."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from airflow_provider_smartlive.hooks import SmartLiveHook
from tests.client.hook_connection import CONN_ID, PROJECT_ID
from tests.client.recording_server import SECRET_KEY, answer

PAGE = answer(200, {"count": 0, "smart_live_jobs": []})
WRONG_SIGNATURE = {
    "error_code": "APIGW.0301",
    "error_msg": "Incorrect IAM authentication information: verify aksk signature fail,canonicalRequest:GET|fake",
}


def _test() -> tuple[bool, str]:
    return SmartLiveHook(CONN_ID, sleep=pytest.fail).test_connection()


def test_good(server, connect):
    server.will(PAGE)
    assert _test() == (True, "MetaStudio accepts this connection.")
    (request,) = server.requests
    assert (request.method, request.target) == ("GET", f"/v1/{PROJECT_ID}/smart-live-jobs?limit=1&offset=0")
    assert request.accepted_by_us()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, WRONG_SIGNATURE, ["credentials were refused", "APIGW.0301"]),
        (
            401,
            {"error_code": "APIGW.0307", "error_msg": "The token must be updated"},
            ["token must be updated"],
        ),
        (403, {"error_code": "APIGW.0302", "error_msg": "not allowed"}, ["project_id and permissions"]),
        (400, {"error_code": "MSS.00010009", "error_msg": "urlTenantId differs"}, ["project_id"]),
        (404, {"error_code": "APIGW.0101", "error_msg": "API not found"}, ["region or host"]),
        (404, b"<html>Not Found</html>", ["Something else than MetaStudio"]),
        (302, None, ["Something else than MetaStudio", "redirect"]),
        (200, b"<html>Log in to the Wi-Fi</html>", ["Something else than MetaStudio"]),
        (500, {"error_code": "MSS.00000004", "error_msg": "Internal Error"}, ["Internal Error"]),
    ],
)
def test_refused(server, connect, status, body, words):
    server.will(answer(status, body))
    good, message = _test()
    assert not good
    assert all(word in message for word in words), message
    assert len(server.requests) == 1, "one failed signature is enough: more than five lock the key"


@pytest.mark.parametrize(("off", "direction"), [(40, "ahead of"), (-40, "behind")])
def test_wrong_clock(server, connect, off, direction):
    theirs = datetime.now(UTC) - timedelta(minutes=off)
    server.will(answer(401, WRONG_SIGNATURE, Date=format_datetime(theirs, usegmt=True)))
    assert f"40 minutes {direction} MetaStudio's" in _test()[1]


def test_a_right_clock_is_not_blamed(server, connect):
    server.will(answer(401, WRONG_SIGNATURE, Date=format_datetime(datetime.now(UTC), usegmt=True)))
    assert "clock" not in _test()[1]


def test_nobody_there(connect):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    connect(host=f"http://127.0.0.1:{port}")
    assert _test()[1].startswith(f"no connection to 127.0.0.1:{port}. Check host and port")


def test_unknown_name(connect):
    connect(host="https://metastudio.invalid")
    assert _test()[1].startswith("the name of metastudio.invalid cannot be resolved")


@pytest.mark.usefixtures("short_timeout")
def test_no_answer(server):
    server.will(server.stall)
    assert "did not answer in time" in _test()[1]


def test_missing_field(connect):
    """Without the connection's id: the form tests under one that Airflow makes up, which nobody knows."""
    connect(login=None)
    assert _test() == (
        False,
        "login is missing: the access key (AK). To use a token or a password, set auth.",
    )


def test_a_setting_that_is_wrong(connect, monkeypatch):
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__REQUEST_TIMEOUT", "soon")
    good, message = _test()
    assert not good
    assert "[smartlive] request_timeout" in message


def test_a_machine_that_is_set_up_wrong(connect, monkeypatch):
    connect(host="https://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    good, message = _test()
    assert not good
    assert message.startswith("The environment variable REQUESTS_CA_BUNDLE is no file or folder")


def test_no_secret_in_the_message(server, connect):
    server.will(answer(401, WRONG_SIGNATURE))
    message = _test()[1]
    assert SECRET_KEY not in message
    assert "canonicalRequest" not in message


def test_through_airflow(server, connect, monkeypatch):
    """The way of `airflow connections test`: from the connection's type to our hook."""
    from airflow.sdk import Connection

    server.will(PAGE)
    connection = Connection(
        conn_id=CONN_ID,
        conn_type="smartlive",
        host=server.url,
        login="FAKEACCESSKEY",
        password=SECRET_KEY,
        extra=f'{{"project_id": "{PROJECT_ID}"}}',
    )
    assert connection.test_connection() == (True, "MetaStudio accepts this connection.")
