"""The sandbox's own API, what jobs inherit, and pre-signed URLs; over real HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from airflow_provider_smartlive.sandbox.config import Config, RoomSeed
from airflow_provider_smartlive.sandbox.options import Assumptions
from airflow_provider_smartlive.sandbox.testing import LocalSandbox, quick_config
from tests.sandbox.signed_client import ROOM, SignedClient

LONG = 10_000.0
CALLBACK = {"live_event_type_callback_url": "http://127.0.0.1:9/fake-token", "key": "fake-key"}


@pytest.fixture
def smartlive_sandbox_config() -> Config:
    quickly = Assumptions(callback_attempts=1, callback_timeout_seconds=1)
    return quick_config(rooms=(RoomSeed(room_id=ROOM, name="Studio 1", seconds=LONG),), assumptions=quickly)


@pytest.fixture
def client(smartlive_sandbox: LocalSandbox) -> Iterator[SignedClient]:
    made = SignedClient(smartlive_sandbox)
    yield made
    made.http.close()


@pytest.fixture
def job_id(client: SignedClient) -> str:
    """A job that is live."""
    request = {"output_urls": ["rtmp://push.example.com/live"], "live_event_callback_config": CALLBACK}
    started: str = client.start(request).json()["job_id"]
    until(lambda: client.job(started)["state"] == "PROCESSING")
    return started


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 5 seconds"
        time.sleep(0.02)


ACTIONS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("block", {"message": "bad words"}, {"state": "BLOCKED", "block_reason": "bad words"}),
    (
        "fail",
        {"code": "MSS.42000007", "message": "no"},
        {"state": "FAILED", "error_info": {"error_code": "MSS.42000007", "error_msg": "no"}},
    ),
    ("finish", {}, {"state": "SUCCEED"}),
]


@pytest.mark.parametrize(("action", "content", "expected"), ACTIONS)
def test_a_job_can_be_ended_by_hand(
    client: SignedClient, job_id: str, action: str, content: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert client.control("POST", f"/jobs/{job_id}/{action}", content).json()["done"] is True
    until(lambda: client.job(job_id)["state"] == expected["state"])
    assert expected.items() <= client.job(job_id).items()
    assert client.control("POST", f"/jobs/{job_id}/{action}", content).status_code == 409


def test_all_active_jobs_can_be_ended_at_once(client: SignedClient, job_id: str) -> None:
    second = client.start().json()["job_id"]
    assert client.control("POST", "/jobs/finish").json() == {"done": 2}
    until(lambda: {client.job(each)["state"] for each in (job_id, second)} == {"SUCCEED"})
    assert client.control("POST", "/jobs/finish").json() == {"done": 0}
    assert client.control("POST", "/jobs/rewind").status_code == 404


def test_time_can_be_stepped_and_sped_up(client: SignedClient, job_id: str) -> None:
    before = client.control("GET", "/clock").json()["shown"]
    after = client.control("PUT", "/clock", {"step": LONG + 10, "rate": 1}).json()
    assert after["rate"] == 1
    assert after["shown"] >= before + LONG + 10
    until(lambda: client.job(job_id)["state"] == "SUCCEED")


def test_jobs_are_described_with_links_and_callbacks(client: SignedClient, job_id: str) -> None:
    def described() -> dict[str, Any]:
        (job,) = client.control("GET", "/jobs").json()["jobs"]
        return dict(job)

    until(lambda: described()["callbacks"]["attempts"] >= 2)
    job = described()
    assert job["outputs"][0]["output"] == "rtmp://push.example.com/***"
    assert job["outputs"][0]["state"] == "CONNECTED"
    assert job["callbacks"]["answered"] == 0  # nobody listens
    assert job["now_playing"]["title"] == "Paragraph 1"


def test_an_event_can_be_sent_by_hand(client: SignedClient, job_id: str) -> None:
    content = {"event_type": "RTMP_STREAM_STATE_CHANGE", "message": {"state": "RECONNECTING"}}
    assert client.control("POST", f"/jobs/{job_id}/event", content).status_code == 200
    assert client.sandbox.ledger(kind="callback")[-1]["state"] == "RECONNECTING"


def test_the_ledger_is_filtered(client: SignedClient, job_id: str) -> None:
    plain = job_id.replace("-", "")
    entries = client.control("GET", f"/ledger?kind=job&job={plain}").json()["entries"]
    assert [entry["state"] for entry in entries] == ["WAITING", "PROCESSING"]
    after = entries[0]["seq"]
    assert len(client.control("GET", f"/ledger?kind=job&after={after}").json()["entries"]) == 1
    assert len(client.control("GET", "/ledger?limit=2").json()["entries"]) == 2


def test_faults_are_managed(client: SignedClient) -> None:
    two = [
        {"id": "a", "target": "start", "action": "reset"},
        {"target": "job", "action": "block", "seconds": 1},
    ]
    ids = [rule["id"] for rule in client.control("PUT", "/faults", two).json()["faults"]]
    assert ids == ["a", "fault-1"]
    one = {"target": "callback", "action": "drop"}
    assert len(client.control("POST", "/faults", one).json()["faults"]) == 3
    assert len(client.control("DELETE", "/faults/a").json()["faults"]) == 2
    assert client.control("DELETE", "/faults/a").status_code == 404
    assert client.control("DELETE", "/faults").json()["faults"] == []


WRONG: list[tuple[str, str, Any, int]] = [
    ("POST", "/faults", {"target": "start", "action": "explode"}, 422),
    ("POST", "/faults", {"target": "strat", "action": "reset"}, 422),
    ("PUT", "/clock", {"rate": -1}, 422),
    ("PUT", "/clock", {"hour": 3}, 422),
    ("GET", "/ledger?after=x", None, 400),
    ("POST", "/jobs/unknown/block", None, 404),
    ("POST", "/jobs/unknown/event", {"event_type": "SHOOT_SCRIPT_SWITCH"}, 404),
    ("POST", "/platform/kick", {}, 409),
    ("GET", "/nothing", None, 404),
]


@pytest.mark.parametrize(("method", "path", "content", "status"), WRONG)
def test_wrong_calls_are_explained(
    client: SignedClient, method: str, path: str, content: Any, status: int
) -> None:
    answer = client.control(method, path, content)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_a_scenario_is_loaded(client: SignedClient) -> None:
    scenario = {
        "time_scale": 5,
        "rooms": [{"room_id": "room-9", "name": "Hats", "seconds": 3}],
        "faults": [{"target": "job", "action": "fail", "room": "room-9"}],
    }
    assert client.control("POST", "/scenario", scenario).json() == {"rooms": 1, "faults": 1}
    job_id = client.start(room="room-9").json()["job_id"]
    until(lambda: client.job(job_id, room="room-9")["state"] == "FAILED")
    assert client.control("POST", "/scenario", {"assumptions": {"waiting_seconds": 1}}).status_code == 409


def test_the_assumptions_are_told(client: SignedClient) -> None:
    told = client.control("GET", "/assumptions").json()["assumptions"]
    assert [one["name"] for one in told] == list(Assumptions.model_fields)
    assert next(one for one in told if one["name"] == "callback_attempts")["value"] == 1


# --- rooms and what jobs take over


def test_rooms_that_nobody_made_are_refused_once_rooms_are_named(client: SignedClient) -> None:
    assert client.start(room="another").json()["error_code"] == "MSS.20010045"
    with LocalSandbox(quick_config()) as sandbox:
        welcoming = SignedClient(sandbox)
        jobs = "/smart-live-rooms/another/smart-live-jobs"
        assert welcoming.call("GET", jobs).json() == {"count": 0}
        assert welcoming.start(room="another").status_code == 202
        assert welcoming.call("GET", jobs).json()["count"] == 1


def test_a_job_takes_over_what_its_start_leaves_out(client: SignedClient) -> None:
    room = {
        "room_name": "Hats",
        "play_policy": {"repeat_count": 7},
        "output_urls": ["rtmp://room.example.com/live"],
        "stream_keys": ["fake-room-key"],
        "live_event_callback_config": {**CALLBACK, "is_inheritance_platform_callback": False},
    }
    room_id = client.call("POST", "/smart-live-rooms", room).json()["room_id"]
    client.call("PUT", "/smart-live-configs/user-config", {"live_exit_config": {"max_live_duration": 3}})
    job_id = client.start(room=room_id).json()["job_id"]
    assert client.job(job_id, room=room_id)["live_event_callback_config"] == CALLBACK
    until(lambda: client.job(job_id, room=room_id)["state"] == "PROCESSING")
    path = f"/smart-live-rooms/{room_id}/smart-live-jobs/{job_id}/command"
    result = client.call("POST", path, {"command": "GET_LIVE_JOB_CONFIG_INFO"}).json()["result"]
    assert '"repeat_count": 7' in result
    assert '"max_live_duration": 3' in result
    assert '"fake-room-key"' in result

    request = {"output_urls": ["rtmp://job.example.com/live/inside"], "play_policy": {"repeat_count": 1}}
    own_id = client.start(request, room=room_id).json()["job_id"]
    described = {job["job_id"]: job for job in client.control("GET", "/jobs").json()["jobs"]}
    # The room's stream key belongs to the room's URL and does not go with another.
    assert described[own_id]["outputs"][0]["output"] == "rtmp://job.example.com/live/***"
    assert described[own_id]["outputs"][0]["key_hash"] is None


def test_running_jobs_can_be_limited() -> None:
    with LocalSandbox(quick_config(assumptions=Assumptions(max_running_jobs=1))) as sandbox:
        client = SignedClient(sandbox)
        assert client.start({"play_policy": {"repeat_count": -1}}).status_code == 202
        refused = client.start(room="another")
        assert (refused.status_code, refused.json()["error_code"]) == (403, "MSS.20010056")


def test_a_temp_room_is_gone_after_its_job(client: SignedClient) -> None:
    body = {"room_name": "For once", "room_type": "TEMP"}
    room_id = client.call("POST", "/smart-live-rooms", body).json()["room_id"]
    job_id = client.start(room=room_id).json()["job_id"]
    client.sandbox.step(100)
    until(lambda: client.job(job_id, room=room_id).get("error_code") == "MSS.20010074")
    assert client.call("GET", f"/smart-live-rooms/{room_id}").status_code == 404


# --- the pre-signed URL for live events


def test_the_report_url_needs_no_signature(client: SignedClient, job_id: str) -> None:
    url = client.job(job_id)["live_event_report_url"]
    report = {"total": 1, "events": [{"timestamp": 1795449600000, "type": 1, "content": "{}"}]}
    assert client.http.post(url, json=report).json() == {}
    refreshed = client.http.post(f"{url}&refresh_url=true", json=report).json()["live_event_report_url"]
    assert client.http.post(refreshed, json=report).status_code == 200
    entry = client.sandbox.ledger(kind="request", job_id=job_id)[-1]
    assert (entry["operation"], entry["events"]) == ("report", 1)


@pytest.mark.parametrize("change", [{"auth_key": "0" * 64}, {"expires_time": "1"}, {"auth_key": ""}])
def test_a_changed_report_url_is_refused(client: SignedClient, job_id: str, change: dict[str, str]) -> None:
    url = httpx.URL(client.job(job_id)["live_event_report_url"]).copy_merge_params(change)
    answer = client.http.post(url, json={"total": 1, "events": [{"timestamp": 1}]})
    assert answer.status_code == 401


def test_a_report_counts_its_events(client: SignedClient, job_id: str) -> None:
    url = client.job(job_id)["live_event_report_url"]
    for bad in ({"total": 2, "events": [{"timestamp": 1}]}, {"total": 0, "events": []}):
        assert client.http.post(url, json=bad).json()["error_code"] == "MSS.00000003"
