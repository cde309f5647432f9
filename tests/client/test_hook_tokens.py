"""An IAM user: the password goes to IAM, a token to MetaStudio."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from airflow_provider_smartlive.client.errors import StartOutcomeUnknown
from airflow_provider_smartlive.metastudio.errors import AuthenticationError, ServerError, UnexpectedResponse
from airflow_provider_smartlive.metastudio.ids import JobRef
from tests.client.recording_server import answer

FAR_OFF = "2099-01-01T00:00:00.000000Z"
EXPIRED = answer(401, {"error_code": "APIGW.0307", "error_msg": "The token must be updated"})
JOB = answer(200, {"job_id": "job-1", "state": "WAITING"})


@pytest.fixture(autouse=True)
def _login(connect, server) -> None:
    """A user of its own for every test, as tokens are kept for the process."""
    extra = {"auth": "password", "iam_domain": "fake-account", "iam_endpoint": server.url}
    connect(login=f"fake-user-{uuid4()}", password="fake-iam-password", extra=extra)


def _token(value: str, expires_at: str = FAR_OFF):
    return answer(201, {"token": {"expires_at": expires_at}}, X_Subject_Token=value)


def test_the_token_is_fetched_once(server, driver):
    server.will(_token("fake-token-1"), JOB, JOB)
    driver("show_job", JobRef("room-1", "job-1"))
    driver("show_job", JobRef("room-1", "job-1"))
    login, *shows = server.requests
    assert login.headers["content-type"] == "application/json;charset=utf8"
    assert login.target == "/v3/auth/tokens?nocatalog=true"
    assert json.loads(login.body)["auth"]["identity"]["password"]["user"]["password"] == "fake-iam-password"
    assert not {"authorization", "x-auth-token"} & login.headers.keys()
    assert [show.headers["x-auth-token"] for show in shows] == ["fake-token-1"] * 2


def test_a_token_about_to_expire_is_not_used_again(server, driver):
    soon = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    server.will(_token("fake-token-1", soon), JOB, _token("fake-token-2"), JOB)
    driver("show_job", JobRef("room-1", "job-1"))
    driver("show_job", JobRef("room-1", "job-1"))
    assert server.requests[3].headers["x-auth-token"] == "fake-token-2"


def test_an_expired_token_is_renewed_once(server, driver):
    server.will(_token("fake-token-1"), EXPIRED, _token("fake-token-2"), JOB)
    assert driver("show_job", JobRef("room-1", "job-1")).job_id == "job-1"
    assert driver.pauses == []


def test_a_renewed_token_that_is_refused_too_is_an_error(server, driver):
    server.will(_token("fake-token-1"), EXPIRED, _token("fake-token-2"), EXPIRED)
    with pytest.raises(AuthenticationError):
        driver("show_job", JobRef("room-1", "job-1"))
    assert len(server.requests) == 4


def test_a_start_is_not_sent_again_by_itself_but_the_next_one_has_a_new_token(server, driver):
    server.will(_token("fake-token-1"), EXPIRED, _token("fake-token-2"))
    server.will(answer(202, {"job_id": "job-1"}))
    with pytest.raises(AuthenticationError):
        driver("start_job", "room-1", {})
    assert len(server.requests) == 2
    assert driver("start_job", "room-1", {}).job_id == "job-1"


def test_no_login_means_that_nothing_was_started(server, driver):
    """IAM's failure must not look like a start with an open outcome."""
    server.will(*[answer(500, b"")] * 4)
    with pytest.raises(ServerError) as caught:
        driver("start_job", "room-1", {})
    assert not isinstance(caught.value, StartOutcomeUnknown)


def test_a_wrong_password(server, driver):
    body = {"error": {"code": 401, "message": "The username or password is wrong.", "title": "Unauthorized"}}
    server.will(answer(401, body))
    with pytest.raises(AuthenticationError, match="wrong"):
        driver("show_job", JobRef("room-1", "job-1"))
    assert len(server.requests) == 1


def test_an_answer_without_token(server, driver):
    server.will(answer(201, {"token": {"expires_at": FAR_OFF}}))
    with pytest.raises(UnexpectedResponse):
        driver("start_job", "room-1", {})
