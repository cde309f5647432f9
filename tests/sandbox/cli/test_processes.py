"""The sandbox as a process, with real RTMP, real signals and real crashes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from airflow_provider_smartlive.metastudio.events import CallbackEvent, StreamStateChange
from airflow_provider_smartlive.metastudio.signing import Credentials, sign
from airflow_provider_smartlive.sandbox.clock import Clock
from tests.sandbox.signed_client import ROOM

pytestmark = pytest.mark.processes

KEYS = Credentials("FAKEACCESSKEY", "fake-secret-key")
PROJECT = "fake-project"
STREAM_KEY = "fake-stream-key-1"
CALLBACK_KEY = "fake-callback-key-0123456789abcd"
SERVE = ["serve", "--port", "0", "--project-id", PROJECT]
SERVE += ["--access-key", KEYS.access_key, "--secret-key", KEYS.secret_key]


class Process:
    """A running ``smartlive-sandbox``."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "airflow_provider_smartlive.sandbox.cli", *arguments]
        self.popen = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.url = self.line().removeprefix("listening on ")

    def line(self) -> str:
        assert self.popen.stdout is not None
        return self.popen.stdout.readline().strip()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        code = self.popen.wait(15)
        if number is signal.SIGKILL:
            # Encoders notice that their owner is gone; here nobody wants to wait for that.
            with_group(self.popen.pid, signal.SIGKILL)
        return code

    def call(self, method: str, path: str, content: Any = None) -> httpx.Response:
        body = b"" if content is None else json.dumps(content).encode()
        url = f"{self.url}/v1/{PROJECT}{path}"
        headers = {"Content-Type": "application/json"}
        headers |= sign(method, url, headers, body, credentials=KEYS, now=Clock().now())
        return httpx.request(method, url, content=body, headers=headers, trust_env=False, timeout=5)

    def control(self, path: str) -> Any:
        return httpx.get(f"{self.url}/sandbox{path}", trust_env=False, timeout=5).json()

    def state(self, job_id: str) -> str:
        answer: dict[str, Any] = self.call("GET", f"/smart-live-rooms/{ROOM}/smart-live-jobs/{job_id}").json()
        return str(answer["state"])


def with_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


@pytest.fixture
def run() -> Iterator[Callable[..., Process]]:
    running: list[Process] = []

    def start(*arguments: str) -> Process:
        running.append(Process(*arguments))
        return running[-1]

    yield start
    for process in running:
        process.stop()


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[str]]]:
    """A receiver of callbacks: its URL, and the RTMP states that it was told."""
    states: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            event = CallbackEvent.parse(self.rfile.read(int(self.headers["Content-Length"])))
            assert isinstance(event.message, StreamStateChange)
            states.append(str(event.message.state))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/fake-token", states
    server.shutdown()
    server.server_close()


def until(condition: Callable[[], bool], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen within {seconds} seconds"
        time.sleep(0.1)


def request(output_url: str, callback_url: str) -> dict[str, Any]:
    config = {
        "live_event_type_callback_url": callback_url,
        "auth_type": "MSS_A_HEAD",
        "key": CALLBACK_KEY,
        "callback_event_type": ["RTMP_STREAM_STATE_CHANGE"],
    }
    return {"output_urls": [output_url], "stream_keys": [STREAM_KEY], "live_event_callback_config": config}


def test_names_that_may_call_are_given_on_the_command_line(run: Callable[..., Process]) -> None:
    sandbox = run(*SERVE, "--allow-host", "sandbox.internal")
    health = f"{sandbox.url}/sandbox/health"
    answers = [
        httpx.get(health, headers={"Host": host}, trust_env=False).status_code
        for host in ("sandbox.internal:8380", "another.internal")
    ]
    assert answers == [200, 403]
    assert sandbox.stop() == 0


START = f"/smart-live-rooms/{ROOM}/smart-live-jobs"


def test_a_job_really_streams_and_tells_so(
    run: Callable[..., Process], receiver: tuple[str, list[str]]
) -> None:
    sandbox = run(*SERVE, "--with-rtmp", "--rtmp-key", STREAM_KEY, "--room", f"{ROOM}=Studio 1:3")
    platform = sandbox.line().removeprefix("platform: ")
    callback_url, states = receiver
    job_id = sandbox.call("POST", START, request(platform, callback_url)).json()["job_id"]
    until(lambda: sandbox.state(job_id) == "SUCCEED")
    until(lambda: states == ["CONNECTING", "CONNECTED", "END"], seconds=5)
    (stream,) = sandbox.control("/platform")["streams"]
    assert stream["video_frames"] > 20
    assert (stream["stream"], stream["live"], stream["connections"]) == ("live/***", False, 1)
    assert STREAM_KEY not in json.dumps([sandbox.control("/platform"), sandbox.control("/jobs")])
    assert sandbox.stop() == 0


def test_a_kick_is_followed_by_a_reconnect(
    run: Callable[..., Process], receiver: tuple[str, list[str]]
) -> None:
    sandbox = run(*SERVE, "--with-rtmp", "--room", f"{ROOM}=Studio 1:600")
    platform = sandbox.line().removeprefix("platform: ")
    callback_url, states = receiver
    job_id = sandbox.call("POST", START, request(platform, callback_url)).json()["job_id"]
    until(lambda: "CONNECTED" in states)
    kick = httpx.post(f"{sandbox.url}/sandbox/platform/kick", json={"job": job_id}, trust_env=False)
    assert kick.json() == {"kicked": [True]}
    until(lambda: states.count("CONNECTED") == 2)
    assert sandbox.call("POST", f"{START}/{job_id}/stop").status_code == 200
    until(lambda: sandbox.state(job_id) == "SUCCEED")
    until(lambda: states[-1] == "END", seconds=5)
    assert states == ["CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING", "CONNECTED", "END"]


def test_a_refused_key_ends_in_a_failed_job(
    run: Callable[..., Process], receiver: tuple[str, list[str]]
) -> None:
    # 3 minutes of patience pass in 3 seconds.
    sandbox = run(*SERVE, "--with-rtmp", "--rtmp-key", "another-key", "--time-scale", "60")
    platform = sandbox.line().removeprefix("platform: ")
    callback_url, states = receiver
    job_id = sandbox.call("POST", START, request(platform, callback_url)).json()["job_id"]
    until(lambda: sandbox.state(job_id) == "FAILED")
    until(lambda: states == ["CONNECTING", "DISCONNECTED", "RECONNECTING", "END"], seconds=5)
    faults = [entry.get("fault") for entry in sandbox.control("/ledger?kind=link")["entries"]]
    assert "denied" in faults


def test_a_killed_sandbox_goes_on_with_its_jobs(
    run: Callable[..., Process], receiver: tuple[str, list[str]], tmp_path: Path
) -> None:
    platform = run("rtmp").url
    callback_url, states = receiver
    arguments = [*SERVE, "--state", str(tmp_path / "state"), "--room", f"{ROOM}=Studio 1:8"]
    first = run(*arguments)
    job_id = first.call("POST", START, request(platform, callback_url)).json()["job_id"]
    until(lambda: "CONNECTED" in states)
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL

    second = run(*arguments)
    assert second.state(job_id) == "PROCESSING"
    until(lambda: second.state(job_id) == "SUCCEED")
    until(lambda: states[-1] == "END", seconds=5)
    assert states == ["CONNECTING", "CONNECTED", "CONNECTING", "CONNECTED", "END"]
    whys = [entry["why"] for entry in second.control("/ledger?kind=job")["entries"]]
    assert whys == ["start accepted", "ready", "resumed", "script over"]


def test_a_crash_in_the_middle_of_a_start_is_a_fault(run: Callable[..., Process], tmp_path: Path) -> None:
    arguments = [*SERVE, "--link", "simulated", "--state", str(tmp_path / "state")]
    first = run(*arguments)
    rule = {"target": "start", "action": "crash", "when": "after"}
    httpx.post(f"{first.url}/sandbox/faults", json=rule, trust_env=False)
    with pytest.raises(httpx.HTTPError):
        first.call("POST", START, {})
    assert first.popen.wait(5) == 137
    second = run(*arguments)
    assert second.call("GET", "/smart-live-jobs").json()["count"] == 1


def test_the_rtmp_server_prints_its_counts(run: Callable[..., Process]) -> None:
    rtmp = run("rtmp", "--every", "0.2")
    assert rtmp.url.startswith("rtmp://127.0.0.1:")
    assert json.loads(rtmp.line())["streams"] == []
    rtmp.popen.send_signal(signal.SIGUSR1)
    assert json.loads(rtmp.line())["url"] == rtmp.url
    assert rtmp.stop() == 0
