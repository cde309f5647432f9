"""What we sign is what the wire carries, with both HTTP libraries: by our verifier and by Huawei's own signer."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import requests
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from airflow_provider_smartlive.client import operations
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.metastudio.signing import SignatureError
from tests.client.hook_connection import PROJECT_ID
from tests.client.recording_server import SECRET_KEY, answer

EMPTY_PAGE = {"count": 0, "smart_live_jobs": []}
JOB = {"job_id": "job-1", "state": "PROCESSING"}

AWKWARD = [
    "comma,comma",
    "time:12:30",
    "two  blanks ",
    "plus+plus",
    "~tilde-dash.dot_underscore",
    "slash/back\\slash",
    "amp&equals=question?hash#",
    "percent%2Fsign%",
    "quotes'\"`<>{}|^[]",
    "star*bang!dollar$parens()semi;at@",
    "夜间直播 🎬 é",
    "..%2f..",
]


@pytest.mark.parametrize("text", AWKWARD)
def test_query(server, driver, text):
    server.will(answer(200, EMPTY_PAGE))
    driver("list_jobs", room_name=text)
    (request,) = server.requests
    assert parse_qs(urlsplit(request.target).query, keep_blank_values=True)["room_name"] == [text]
    assert request.accepted_by_us()
    assert request.accepted_by_huawei()


@pytest.mark.parametrize("text", AWKWARD)
def test_path(server, driver, text):
    server.will(answer(200, JOB))
    driver("show_job", JobRef(text, "job-1"))
    (request,) = server.requests
    segments = urlsplit(request.target).path.split("/")
    assert unquote(segments[4]) == text
    assert segments[5:] == ["smart-live-jobs", "job-1"]
    assert request.accepted_by_us()
    assert request.accepted_by_huawei()


def test_lists_and_times_in_a_query(server, driver):
    server.will(answer(200, EMPTY_PAGE))
    since = datetime(2026, 11, 22, 20, 0, 0, 999, tzinfo=UTC)
    driver("list_room_jobs", "room-1", state=("WAITING", "PROCESSING"), create_since=since)
    (request,) = server.requests
    assert urlsplit(request.target).query == (
        "create_since=2026-11-22T20%3A00%3A00Z&limit=100&offset=0&state=WAITING%2CPROCESSING"
    )
    assert request.accepted_by_us()


def test_body(server, driver):
    server.will(answer(202, {"job_id": "job-1"}))
    outputs = {"output_urls": ["rtmp://push.example.com/直播"], "stream_keys": ["fake-stream-key"]}
    assert driver("start_job", "room-1", outputs).job_id == "job-1"
    (request,) = server.requests
    assert request.method == "POST"
    assert request.json == outputs
    assert int(request.headers["content-length"]) == len(request.body)
    assert request.accepted_by_us()
    assert request.accepted_by_huawei()


def test_no_body(server, driver):
    server.will(answer(200))
    driver("stop_job", JobRef("room-1", "job-1"))
    (request,) = server.requests
    assert (request.method, request.body) == ("POST", b"")
    assert request.headers["content-length"] == "0"
    assert request.accepted_by_us()
    assert request.accepted_by_huawei()


def test_headers_of_the_page(server, driver, connect):
    connect(extra={"app_user_id": "user-7", "security_token": "fake-security-token"})
    server.will(answer(200, JOB))
    driver("show_job", JobRef("room-1", "job-1"))
    (request,) = server.requests
    expected = {
        "x-project-id": PROJECT_ID,
        "x-app-userid": "user-7",
        "x-security-token": "fake-security-token",
    }
    assert expected.items() <= request.headers.items()
    assert {*expected, "content-type", "host", "x-sdk-date"} == set(request.signed_names)
    assert request.accepted_by_us()
    assert request.accepted_by_huawei()


def test_static_token(server, driver, connect):
    connect(login=None, password=None, extra={"auth": "token", "auth_token": "fake-user-token"})
    server.will(answer(200, JOB))
    driver("show_job", JobRef("room-1", "job-1"))
    (request,) = server.requests
    assert request.headers["x-auth-token"] == "fake-user-token"
    assert not {"authorization", "x-sdk-date"} & request.headers.keys()


def test_extras_do_not_become_headers(server, driver, connect):
    connect(extra={"X-Own": "fake-header", "verify": False, "region": "cn-north-4"})
    server.will(answer(200, JOB))
    driver("show_job", JobRef("room-1", "job-1"))
    (request,) = server.requests
    assert not {"x-own", "verify", "region", "project_id"} & request.headers.keys()


def test_netrc_does_not_replace_the_signature(server, driver, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login fake password fake\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server.will(answer(200, JOB))
    driver("show_job", JobRef("room-1", "job-1"))
    assert server.requests[0].accepted_by_us()


def test_a_path_prefix_of_the_endpoint_is_kept(server, driver, connect):
    connect(host=f"{server.url}/gateway/")
    server.will(answer(200, JOB))
    driver("show_job", JobRef("room-1", "job-1"))
    (request,) = server.requests
    assert request.target.startswith(f"/gateway/v1/{PROJECT_ID}/")
    assert request.accepted_by_huawei()


@pytest.mark.parametrize("room_id", ["", "x" * 65, ".", ".."])
def test_ids_that_no_url_can_carry_are_refused(server, driver, room_id):
    with pytest.raises(ValueError, match=r"^room_id is .* 1 to 64"):
        driver("show_job", JobRef(room_id, "job-1"))
    with pytest.raises(ValueError, match=r"^job_id is .* 1 to 64"):
        driver("stop_job", JobRef("room-1", room_id))
    assert not server.requests


def test_the_verifiers_can_fail(server, driver, connect):
    """Negative control: another secret, or one changed byte, is seen by both."""
    connect(password=SECRET_KEY + "-not")
    server.will(answer(200, JOB))
    driver("show_job", JobRef("room-1", "job-1"))
    with pytest.raises(SignatureError):
        server.requests[0].accepted_by_us()
    assert not server.requests[0].accepted_by_huawei()


def test_run_signs_what_has_no_method(server, connect):
    """HttpHook's own way in: relative to the project, signed, errors typed, redirects refused."""
    from airflow_provider_smartlive.hooks import SmartLiveHook
    from airflow_provider_smartlive.metastudio.errors import NotFound, UnexpectedResponse

    server.will(
        answer(200, {"ok": True}),
        answer(404, {"error_code": "MSS.20010045", "error_msg": "roomInfo not found."}),
        answer(302, Location=f"{server.url}/elsewhere"),
    )
    hook = SmartLiveHook("smartlive_test", method="PUT")
    response = hook.run("smart-live-rooms/room-1", json.dumps({"room_name": "é"}), {"X-Own": "1"})
    assert response.json() == {"ok": True}
    (request,) = server.requests
    assert (request.method, request.target) == ("PUT", f"/v1/{PROJECT_ID}/smart-live-rooms/room-1")
    assert "x-own" in request.signed_names
    assert request.accepted_by_us()
    assert request.accepted_by_huawei()
    with pytest.raises(NotFound):
        hook.run("smart-live-rooms/room-2")
    with pytest.raises(UnexpectedResponse):
        hook.run("smart-live-rooms/room-3")
    assert len(server.requests) == 3


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=64)


@settings(max_examples=500, deadline=None)
@given(room_id=ANY_TEXT.filter(lambda text: text not in ("", ".", "..")), room_name=ANY_TEXT)
def test_neither_library_re_encodes_what_was_signed(room_id, room_name):
    path = operations.show_job(JobRef(room_id, room_id)).target
    query = operations.list_jobs(0, {"room_name": room_name}).target
    for target in (path, query):
        url = f"https://metastudio.example.com/v1/{PROJECT_ID}{target}"
        prepared = requests.Request("GET", url).prepare()
        assert prepared.url == url
        assert prepared.path_url == urllib3.util.parse_url(url).request_uri == f"/v1/{PROJECT_ID}{target}"
        assert URL(url, encoded=True).raw_path_qs == f"/v1/{PROJECT_ID}{target}"
