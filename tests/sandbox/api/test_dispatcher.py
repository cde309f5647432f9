"""The gate: who is let in, what is refused, and what goes wrong on demand; over real HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from airflow_provider_smartlive.sandbox.api import dispatcher as gate
from airflow_provider_smartlive.sandbox.config import Account, Config
from airflow_provider_smartlive.sandbox.options import Assumptions
from airflow_provider_smartlive.sandbox.testing import LocalSandbox, quick_config
from tests.sandbox.signed_client import ROOM, SignedClient

PASSWORD = "fake-iam-password"
TOKEN = "fake-static-token"
ACCOUNT = Account("FAKEACCESSKEY", "fake-secret-key", "fake-project", token=TOKEN, password=PASSWORD)


@pytest.fixture
def assumptions() -> Assumptions:
    return Assumptions()


@pytest.fixture
def smartlive_sandbox_config(assumptions: Assumptions) -> Config:
    return quick_config(account=ACCOUNT, assumptions=assumptions)


@pytest.fixture
def client(smartlive_sandbox: LocalSandbox) -> Iterator[SignedClient]:
    made = SignedClient(smartlive_sandbox)
    yield made
    made.http.close()


def error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error_code"]


# --- signatures


def test_a_signed_request_is_let_in(client: SignedClient) -> None:
    answer = client.call("GET", "/smart-live-jobs?limit=5&state=WAITING%2CPROCESSING")
    assert (answer.status_code, answer.json()) == (200, {"count": 0})
    assert len(answer.headers["X-Request-Id"]) == 32


def test_a_request_without_signature_is_refused(client: SignedClient) -> None:
    answer = client.http.get(client.path("/smart-live-jobs"))
    assert error(answer) == (401, "APIGW.0301")
    assert answer.headers["X-Request-Id"]


@pytest.mark.parametrize(("minutes", "status"), [(0, 200), (14, 200), (-14, 200), (16, 401), (-16, 401)])
def test_the_clock_may_be_15_minutes_off(client: SignedClient, minutes: int, status: int) -> None:
    answer = client.call("GET", "/smart-live-jobs", late=timedelta(minutes=minutes))
    assert answer.status_code == status
    if status == 401:
        assert error(answer) == (401, "APIGW.0301")


def test_a_skewed_sandbox_refuses_a_right_clock(client: SignedClient) -> None:
    client.control("PUT", "/clock", {"skew": 1000})
    assert error(client.call("GET", "/smart-live-jobs")) == (401, "APIGW.0301")


def test_a_signature_covers_body_query_and_path(client: SignedClient) -> None:
    good = client.start({"view_mode": "VERTICAL"}).request
    changed = [
        {"content": b'{"view_mode": "LANDSCAPE"}', "url": good.url},
        {"content": good.content, "url": good.url.copy_merge_params({"limit": "1"})},
        {"content": good.content, "url": str(good.url).replace(ROOM, "another-room")},
    ]
    headers = {name: value for name, value in good.headers.items() if name != "content-length"}
    for change in changed:
        answer = client.http.post(change["url"], content=change["content"], headers=headers)
        assert error(answer) == (401, "APIGW.0301")
        assert "canonicalRequest:POST|" in answer.json()["error_msg"]


def test_a_key_is_locked_after_too_many_bad_signatures() -> None:
    locking = Assumptions(lock_after_failures=2, lock_seconds=300)
    with LocalSandbox(quick_config(account=ACCOUNT, assumptions=locking)) as sandbox:
        client = SignedClient(sandbox)
        good = client.call("GET", "/smart-live-jobs").request
        header = good.headers["authorization"]
        unreadable = {**good.headers, "authorization": header[:-1] + "x"}
        wrong = {**good.headers, "authorization": header[:-1] + ("0" if header[-1] != "0" else "1")}
        for _ in range(5):  # what cannot be read is no failed signature
            assert client.http.get(good.url, headers=unreadable).status_code == 401
        assert client.call("GET", "/smart-live-jobs").status_code == 200
        for _ in range(3):
            assert client.http.get(good.url, headers=wrong).status_code == 401
        locked = client.call("GET", "/smart-live-jobs")
        assert error(locked) == (401, "APIGW.0301")
        assert "reach the limit" in locked.json()["error_msg"]


@pytest.mark.parametrize(("user", "status"), [("editor-7", 200), ("x" * 257, 400)])
def test_the_third_party_user_is_checked_and_written_down(
    client: SignedClient, user: str, status: int
) -> None:
    assert client.call("GET", "/smart-live-jobs", headers={"X-App-UserId": user}).status_code == status
    (entry,) = client.sandbox.ledger(kind="request")
    assert entry["user"][:250] == user[:250]


# --- tokens


def with_token(client: SignedClient, token: str) -> httpx.Response:
    return client.http.get(client.path("/smart-live-jobs"), headers={"X-Auth-Token": token})


def log_in(client: SignedClient, password: str = PASSWORD) -> httpx.Response:
    user = {"domain": {"name": "sandbox"}, "name": "sandbox", "password": password}
    identity = {"methods": ["password"], "password": {"user": user}}
    return client.http.post("/v3/auth/tokens", json={"auth": {"identity": identity}})


def test_a_static_token_is_let_in(client: SignedClient) -> None:
    assert with_token(client, TOKEN).status_code == 200
    assert error(with_token(client, "another")) == (401, "APIGW.0301")


def test_a_password_gets_a_token_until_it_expires(client: SignedClient) -> None:
    answer = log_in(client)
    assert answer.status_code == 201
    assert answer.json()["token"]["expires_at"].endswith("Z")
    token = answer.headers["X-Subject-Token"]
    assert with_token(client, token).status_code == 200
    client.control("DELETE", "/tokens")
    assert error(with_token(client, token)) == (401, "APIGW.0307")
    assert with_token(client, log_in(client).headers["X-Subject-Token"]).status_code == 200


def test_iam_refuses_a_wrong_password_and_a_wrong_body(client: SignedClient) -> None:
    assert log_in(client, "wrong").status_code == 401
    assert client.http.post("/v3/auth/tokens", json={"auth": {}}).status_code == 400


# --- what is not there, cannot be read, or comes too often


def test_unknown_paths_and_methods_are_refused(client: SignedClient) -> None:
    assert error(client.call("GET", "/smart-lives")) == (404, "APIGW.0101")
    assert error(client.call("DELETE", "/smart-live-jobs")) == (404, "APIGW.0101")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"'])
def test_a_body_that_is_no_object_is_refused(client: SignedClient, body: bytes) -> None:
    answer = client.call("POST", f"/smart-live-rooms/{ROOM}/smart-live-jobs", body)
    assert error(answer) == (400, "MSS.00000002")


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=x",
        "offset=-1",
        "create_since=yesterday",
        "sort_dir=up",
        "sort_key=x",
        f"state={1025 * 'x'}",
    ],
)
def test_bad_listing_parameters_are_refused(client: SignedClient, query: str) -> None:
    assert error(client.call("GET", f"/smart-live-jobs?{query}")) == (400, "MSS.00000003")


def test_errors_name_the_field_and_never_its_value(client: SignedClient) -> None:
    answer = client.start(
        {"live_event_callback_config": {"key": "fake-secret-that-is-much-too-long-for-a-key"}}
    )
    assert answer.status_code == 400
    assert "live_event_callback_config.key" in answer.json()["error_msg"]
    assert "fake-secret" not in answer.text


def test_unknown_fields_are_ignored_unless_they_are_to_be_refused(client: SignedClient) -> None:
    strange = {"play_policy": {"repeat_count": 3, "new_field": 1}, "brand_new": True}
    assert client.start(strange).status_code == 202
    strict = quick_config(account=ACCOUNT, assumptions=Assumptions(refuse_unknown_fields=True))
    with LocalSandbox(strict) as sandbox:
        assert error(SignedClient(sandbox).start(strange)) == (400, "MSS.00000003")


def test_too_many_calls_are_throttled() -> None:
    throttled = quick_config(account=ACCOUNT, assumptions=Assumptions(throttle_query=2))
    with LocalSandbox(throttled) as sandbox:
        client = SignedClient(sandbox)
        answers = [client.call("GET", "/smart-live-jobs") for _ in range(4)]
        assert [answer.status_code for answer in answers[:2]] == [200, 200]
        assert error(answers[-1]) == (429, "APIGW.0308")
        assert client.start().status_code == 202  # writing calls are counted apart


# --- faults


def test_a_status_before_the_effect_leaves_nothing_behind(client: SignedClient) -> None:
    client.sandbox.add_fault(
        target="start", action="status", status=503, code="MSS.00000004", retry_after=7, times=1
    )
    answer = client.start()
    assert (error(answer), answer.headers["Retry-After"]) == ((503, "MSS.00000004"), "7")
    assert client.jobs() == {"count": 0}
    assert client.start().status_code == 202


def test_a_status_after_the_effect_hides_a_started_job(client: SignedClient) -> None:
    client.sandbox.add_fault(target="start", action="status", status=500, when="after", times=1)
    assert client.start().status_code == 500
    assert client.jobs()["count"] == 1


@pytest.mark.parametrize(("when", "count"), [("before", 0), ("after", 1)])
def test_the_connection_can_break(client: SignedClient, when: str, count: int) -> None:
    client.sandbox.add_fault(target="start", action="reset", when=when, times=1)
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        client.start()
    assert client.jobs()["count"] == count
    broken = [entry for entry in client.sandbox.ledger(kind="request") if entry["outcome"] == "broken off"]
    assert [entry["faults"] for entry in broken] == [["reset"]]
    assert ("job_id" in broken[0] and broken[0]["job_id"] is not None) == (count == 1)


@pytest.mark.parametrize(("when", "count"), [("before", 0), ("after", 1)])
def test_an_answer_can_stay_away(client: SignedClient, when: str, count: int) -> None:
    client.sandbox.add_fault(target="start", action="hang", seconds=1, when=when, times=1)
    with pytest.raises(httpx.ReadTimeout):
        client.start(timeout=0.2)
    assert client.jobs()["count"] == count


def test_a_crash_does_not_end_the_process_of_a_test(client: SignedClient) -> None:
    client.sandbox.add_fault(target="start", action="crash", times=1)
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        client.start()
    assert client.start().status_code == 202


def test_an_answer_can_be_cut(client: SignedClient) -> None:
    client.sandbox.add_fault(target="start", action="garble", times=1)
    answer = client.start()
    assert answer.status_code == 202
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    assert client.jobs()["count"] == 1


def test_an_answer_can_be_slow(client: SignedClient) -> None:
    client.sandbox.add_fault(target="list_all", action="latency", seconds=0.3)
    began = time.monotonic()
    assert client.jobs() == {"count": 0}
    assert time.monotonic() - began >= 0.3


def test_listings_can_lag(client: SignedClient) -> None:
    client.sandbox.add_fault(target="list_all", action="lag", seconds=60, times=1)
    job_id = client.start().json()["job_id"]
    assert client.jobs() == {"count": 0}
    assert client.job(job_id)["job_id"] == job_id
    assert client.jobs()["count"] == 1


@pytest.mark.parametrize("by", ["fault", "assumption"])
def test_a_job_can_be_unknown_for_a_while_after_its_start(by: str) -> None:
    assumed = Assumptions(show_lag_seconds=60 if by == "assumption" else 0)
    with LocalSandbox(quick_config(account=ACCOUNT, assumptions=assumed)) as sandbox:
        client = SignedClient(sandbox)
        if by == "fault":
            for target in ("show", "stop"):
                sandbox.add_fault(target=target, action="lag", seconds=60)
        job_id = client.start().json()["job_id"]
        assert client.job(job_id)["error_code"] == "MSS.20010074"
        stop = client.call("POST", f"/smart-live-rooms/{ROOM}/smart-live-jobs/{job_id}/stop")
        assert error(stop) == (400, "MSS.20010074")
        assert client.jobs()["smart_live_jobs"][0]["job_id"] == job_id
        if by == "fault":
            sandbox.clear_faults()
            assert client.job(job_id)["job_id"] == job_id


def test_an_answer_can_drip(client: SignedClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "DRIP_INTERVAL", 0.01)
    client.sandbox.add_fault(target="list_all", action="drip", times=1)
    assert client.jobs() == {"count": 0}
    monkeypatch.setattr(gate, "DRIP_INTERVAL", 0.2)
    client.sandbox.add_fault(target="list_all", action="drip", seconds=0.5)
    pieces: list[bytes] = []
    with client.http.stream(
        "GET", client.path("/smart-live-jobs"), headers={"X-Auth-Token": TOKEN}
    ) as answer:
        assert (answer.status_code, answer.headers["Content-Length"]) == (200, "12")
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            pieces.extend(answer.iter_raw())
    assert 1 <= len(pieces) < 12


def test_a_listing_can_hold_odd_jobs_of_another_team(client: SignedClient) -> None:
    client.sandbox.add_fault(target="list_all", action="odd_types")
    job_id = client.start().json()["job_id"]
    page = client.jobs("?limit=100")
    jobs = page["smart_live_jobs"]
    assert page["count"] == len(jobs) > 20
    objects = [job for job in jobs if isinstance(job, dict)]
    assert [job["job_id"] for job in objects if job["room_id"] == ROOM] == [job_id]
    types = {(name, type(value).__name__) for job in objects for name, value in job.items()}
    assert {("duration", "str"), ("state", "int"), ("job_id", "NoneType"), ("room_name", "dict")} <= types
    both = (
        client.jobs("?limit=20")["smart_live_jobs"] + client.jobs("?limit=100&offset=20")["smart_live_jobs"]
    )
    assert both[:-1] == jobs[:-1]


def test_show_can_answer_wrong_types_in_fields_that_nobody_needs(client: SignedClient) -> None:
    job_id = client.start().json()["job_id"]
    plain = client.job(job_id)
    client.sandbox.add_fault(target="show", action="odd_types")
    odd = client.job(job_id)
    assert odd["duration"] == "long"
    assert {name: odd[name] for name in ("job_id", "room_id", "create_time")}.items() <= plain.items()


def test_the_callback_configuration_can_be_missing(client: SignedClient) -> None:
    client.sandbox.add_fault(target="request", action="no_echo", nth=[2, 3, 4])
    config = {"live_event_type_callback_url": "http://127.0.0.1:9/fake-token", "key": "fake-key"}
    request = {"live_event_callback_config": config}
    assert client.start(request).json()["live_event_callback_config"] == config
    answer = client.start(request).json()
    assert "live_event_callback_config" not in answer
    assert "live_event_callback_config" not in client.job(answer["job_id"])
    assert all("live_event_callback_config" not in job for job in client.jobs()["smart_live_jobs"])
    assert client.job(answer["job_id"])["live_event_callback_config"] == config


def test_faults_hit_only_what_they_name(client: SignedClient) -> None:
    client.sandbox.add_fault(target="start", action="status", room="another-room")
    assert client.start().status_code == 202
    assert client.start(room="another-room").status_code == 500


# --- the ledger of it all


def test_the_ledger_of_requests_holds_no_secret(client: SignedClient) -> None:
    url, key, stream_key = "https://airflow.example.com/fake-token", "fake-callback-key", "fake-stream-key"
    request: dict[str, Any] = {
        "output_urls": ["rtmp://push.example.com/live"],
        "stream_keys": [stream_key],
        "interaction_callback_url": "https://example.com/fake-interaction",
        "live_event_callback_config": {"live_event_type_callback_url": url, "key": key, "auth_type": "MSS_A"},
    }
    job_id = client.start(request).json()["job_id"]
    log_in(client)
    with_token(client, TOKEN)
    report_url = client.job(job_id)["live_event_report_url"]
    client.http.post(report_url, json={"total": 1, "events": [{"timestamp": 1}]})
    shown = client.control("GET", "/ledger?limit=10000").text + client.control("GET", "/jobs").text
    auth_key = httpx.URL(report_url).params["auth_key"]
    for secret in (url, key, stream_key, "fake-interaction", TOKEN, PASSWORD, "fake-secret-key", auth_key):
        assert secret not in shown
    (started,) = [entry for entry in client.sandbox.ledger(kind="request") if entry["operation"] == "start"]
    assert (started["job_id"], started["status"], started["outputs"]) == (job_id, 202, 1)
    assert started["url_hash"]
