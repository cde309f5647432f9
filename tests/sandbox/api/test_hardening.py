"""The sandbox's own API against web pages, and everything against hostile numbers, lengths and depths."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from airflow_provider_smartlive.sandbox.api.body import parse_json
from airflow_provider_smartlive.sandbox.clock import MAX_RATE, MAX_SECONDS, Clock
from airflow_provider_smartlive.sandbox.config import Config
from airflow_provider_smartlive.sandbox.model.ledger import MAX_FACT
from airflow_provider_smartlive.sandbox.testing import LocalSandbox, quick_config
from tests.sandbox.signed_client import SignedClient


@pytest.fixture
def smartlive_sandbox_config() -> Config:
    return quick_config(hosts=("sandbox.internal",))


@pytest.fixture
def client(smartlive_sandbox: LocalSandbox) -> Iterator[SignedClient]:
    made = SignedClient(smartlive_sandbox)
    yield made
    made.http.close()


# --- web pages


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/ledger"), ("GET", "/nothing"), ("POST", "/jobs/finish")]
)
def test_a_host_of_another_name_is_refused(client: SignedClient, method: str, path: str) -> None:
    """A page can let its own name lead to 127.0.0.1; the browser then takes the sandbox for that page's site."""
    for host in ("evil.example", "evil.example:8380", "localhost.evil.example", "127.0.0.1.nip.io", "[", ""):
        answer = client.http.request(method, f"/sandbox{path}", headers={"Host": host})
        assert answer.status_code == 403, host
        assert "Host" in answer.json()["error"]


def test_addresses_localhost_and_allowed_names_are_served(client: SignedClient) -> None:
    for host in ("localhost:8380", "LOCALHOST", "app.localhost.", "127.0.0.1", "[::1]:8380", "192.0.2.7:80"):
        assert client.http.get("/sandbox/health", headers={"Host": host}).status_code == 200, host
    assert client.http.get("/sandbox/health", headers={"Host": "Sandbox.Internal:1"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_site_changes_nothing(client: SignedClient, headers: dict[str, str]) -> None:
    client.sandbox.add_fault(target="start", action="reset")
    before = client.sandbox.ledger()
    for call in ("POST /faults", "POST /jobs/finish", "PUT /clock", "DELETE /faults", "DELETE /tokens"):
        method, path = call.split(" ")
        answer = client.http.request(
            method,
            f"/sandbox{path}",
            content='{"target": "request", "action": "crash"}',
            headers={"Content-Type": "text/plain", **headers},
        )
        assert answer.status_code == 403, call
    assert client.sandbox.ledger() == before
    assert len(client.control("GET", "/faults").json()["faults"]) == 1


def test_its_own_pages_and_links_from_elsewhere_work(client: SignedClient) -> None:
    own = {"Origin": client.sandbox.url, "Sec-Fetch-Site": "same-origin"}
    assert client.http.post("/sandbox/jobs/finish", headers=own).status_code == 200
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.http.get("/sandbox/ledger", headers=link).status_code == 200


# --- numbers, lengths, depths


NUMBERS = ["NaN", "Infinity", "-Infinity", "1e308", "-1e308", "1e400", "9" * 5000, '"NaN"', "9" * 400]


@pytest.mark.parametrize("name", ["rate", "step", "skew"])
def test_hostile_numbers_do_not_reach_the_clock(client: SignedClient, name: str) -> None:
    before = client.control("GET", "/clock").json()
    for number in NUMBERS:
        answer = client.http.put("/sandbox/clock", content=f'{{"{name}": {number}}}')
        assert answer.status_code in (400, 422), number
        assert answer.json()["error"]
    after = client.control("GET", "/clock").json()
    assert (after["rate"], after["skew"]) == (before["rate"], before["skew"])
    assert after["shown"] < before["shown"] + 10_000


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/faults", '{"target": "job", "action": "kick", "seconds": %s}'),
        ("/faults", '{"target": "start", "action": "status", "retry_after": %s}'),
        ("/scenario", '{"time_scale": %s}'),
        ("/scenario", '{"rooms": [{"room_id": "room-9", "seconds": %s}]}'),
    ],
)
def test_hostile_numbers_are_refused_in_rules_and_scenarios(
    client: SignedClient, path: str, content: str
) -> None:
    for number in NUMBERS:
        answer = client.http.post(f"/sandbox{path}", content=content % number)
        assert answer.status_code in (400, 422), number
    assert client.control("GET", "/faults").json()["faults"] == []


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), MAX_RATE * 2])
def test_a_clock_takes_no_rate_that_it_cannot_keep(bad: float) -> None:
    with pytest.raises(ValueError, match="at most"):
        Clock(bad)
    with pytest.raises(ValueError, match="at most"):
        Clock().rate = bad


def test_a_clock_takes_no_step_and_no_skew_beyond_the_calendar() -> None:
    clock = Clock()
    for bad in (float("nan"), float("inf"), MAX_SECONDS * 2):
        with pytest.raises(ValueError, match="forward by 0 to"):
            clock.step(bad)
    with pytest.raises(ValueError, match="at most"):
        clock.skew = timedelta(seconds=-2 * MAX_SECONDS)


@pytest.mark.parametrize(
    ("query", "status", "entries"),
    [
        ("limit=0", 200, 0),
        ("limit=-1", 400, None),
        ("after=-1", 400, None),
        ("limit=1e3", 400, None),
        ("limit=99999999999999999999", 200, 1),
        (f"after={'9' * 30}", 200, 0),
        (f"after={'9' * 5000}", 200, 0),
        ("kind=%00", 200, 0),
        ("job=%ed%a0%80", 200, 0),
    ],
)
def test_hostile_queries_of_the_ledger(
    client: SignedClient, query: str, status: int, entries: int | None
) -> None:
    answer = client.http.get(f"/sandbox/ledger?{query}")
    assert answer.status_code == status
    assert entries is None or len(answer.json()["entries"]) == entries


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 100_000, id="deep list"),
        pytest.param(b'{"a":' * 100_000, id="deep object"),
        pytest.param(b"[" * 33 + b"]" * 33, id="33 levels"),
        pytest.param(b'"\\ud800"', id="half a surrogate pair"),
        pytest.param(b'{"\\ud800": 1}', id="half a pair as a name"),
        pytest.param(b"[NaN]", id="NaN"),
        pytest.param(b"\xff", id="no text"),
    ],
)
def test_json_that_nobody_could_keep_is_refused(client: SignedClient, body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_json(body)
    assert client.http.put("/sandbox/clock", content=body).status_code == 400
    answer = client.call("POST", "/smart-live-rooms", body)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "MSS.00000002")


def test_json_of_a_usual_depth_is_parsed() -> None:
    assert parse_json(b"[" * 32 + b"]" * 32)
    assert parse_json('{"ü": "\\ud83d\\ude00"}'.encode()) == {"ü": "\N{GRINNING FACE}"}


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/sandbox/clock"), ("POST", "/v1/fake-project/smart-live-rooms")]
)
def test_a_large_body_without_a_key_is_refused(client: SignedClient, method: str, path: str) -> None:
    pieces = (b"x" * 1_000_000 for _ in range(30))
    with contextlib.suppress(httpx.NetworkError):  # closed while the rest was still being sent
        assert client.http.request(method, path, content=pieces).status_code == 413
    assert client.control("GET", "/health").status_code == 200


@pytest.mark.parametrize(
    "path", ["/" + "x" * 50_000, "/v1/fake-project/smart-live-rooms/" + "x" * 50_000 + "/smart-live-jobs"]
)
def test_what_strangers_send_is_cut_in_the_ledger(client: SignedClient, path: str) -> None:
    before = len(client.sandbox.ledger())
    client.http.get(path, headers={"X-App-UserId": "y" * 10_000})
    (entry,) = client.sandbox.ledger()[before:]
    assert all(len(text) <= MAX_FACT for text in entry.values() if isinstance(text, str))
    assert len(json.dumps(entry)) < 4 * MAX_FACT


@pytest.mark.parametrize("host", ["[", "a b", "\x80"])
@pytest.mark.parametrize("path", ["/", "/v1/fake-project/smart-live-jobs", "/sandbox/health"])
def test_a_host_that_is_none_does_not_break_an_answer(client: SignedClient, host: str, path: str) -> None:
    target = httpx.URL(client.sandbox.url)
    with socket.create_connection((target.host, target.port or 0), timeout=5) as connection:
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode("latin-1")
        )
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.split(b" ")[1] in (b"400", b"401", b"403", b"404")
