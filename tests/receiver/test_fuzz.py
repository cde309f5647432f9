"""Whatever anybody sends, the receiver gives one of its documented answers, and gives it at once."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import statistics
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_provider_smartlive.callbacks.apply import Outcome, OutcomeKind
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.url import CallbackTarget, issue
from airflow_provider_smartlive.metastudio.callback_auth import AuthType, sign
from airflow_provider_smartlive.receiver.app import Receiver, create_app
from airflow_provider_smartlive.receiver.keyring import Keyring
from airflow_provider_smartlive.receiver.store import Receipt
from tests.support.figures import count

SECRET = "fake-callback-secret-for-fuzzing-00000000"

#: Seconds that an answer may take.
AT_ONCE = 2.0

NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
ISSUED = {
    auth_type: issue(
        CallbackTarget(TaskRef("nightly", "scheduled__2026", "go_live"), "0", 0),
        base_url="https://airflow.example.com",
        secrets=[SECRET],
        auth_type=auth_type,
    )
    for auth_type in (AuthType.NONE, AuthType.MSS_A, AuthType.MSS_A_HEAD)
}
Headers = list[tuple[bytes, bytes]]


class _Store:
    concurrency = 1

    def record(self, opened, event, **more):
        event.model_dump_json()  # what was accepted can be written
        return Receipt(Outcome(OutcomeKind.APPLIED))

    def note(self, opened, problem, **more):
        json.dumps(problem).encode()
        return Receipt(Outcome(OutcomeKind.UNRECOGNISED))


class _Unlimited:
    def allows(self, key, per_minute):
        return True


def _app():
    return create_app(
        Receiver(store=_Store(), rate=_Unlimited(), keyring=Keyring(read=lambda: (SECRET,)), now=lambda: NOW)
    )


APP = _app()


async def _ask(method: str, path: str, query: bytes, headers: Headers, chunks: Iterable[bytes], app=None):
    """Call the app as a server does: with bytes that no decent client would let through."""
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    sent = []

    async def receive():
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "root_path": "",
        "query_string": query,
        "headers": headers,
        "client": ("203.0.113.7", 50000),
        "server": ("127.0.0.1", 8080),
    }
    await (app or APP)(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def _answered(*request) -> tuple[int, bytes]:
    """Answer a request, at once: by the processor's time, as the machine may be busy with something else."""
    began = time.process_time()
    answer = asyncio.run(_ask(*request))
    assert time.process_time() - began < AT_ONCE
    return answer


_SETTINGS = settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
_HEADER_NAMES = st.sampled_from(
    [
        b"x-hw-mss-secret",
        b"x-hw-mss-time",
        b"content-type",
        b"content-length",
        b"content-encoding",
        b"host",
        b"cookie",
    ]
)


@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "FOO"]),
    path=st.one_of(
        st.text(max_size=300).map(lambda text: "/" + text),
        st.text(max_size=3000).map(lambda text: "/callbacks/" + text),
        st.binary(max_size=300).map(lambda raw: "/callbacks/gAAAA" + raw.hex()),
    ),
    query=st.binary(max_size=200),
    headers=st.lists(
        st.tuples(st.one_of(_HEADER_NAMES, st.binary(max_size=20)), st.binary(max_size=100)), max_size=8
    ),
    chunks=st.lists(st.binary(max_size=200), max_size=4),
)
@example(
    method="POST", path="/callbacks/\ud800", query=b"\xff", headers=[(b"x-hw-mss-time", b"\xff")], chunks=[]
)
@_SETTINGS
def test_strangers_get_the_one_answer(method, path, query, headers, chunks):
    if path == "/health" and method in ("GET", "HEAD"):
        return
    status, body = _answered(method, path, query, headers, chunks)

    assert status == 404
    assert body in (b'{"error":"not found"}', b"")
    count("fuzzed requests of strangers", sent=1, refused=1)


@given(
    auth_type=st.sampled_from([AuthType.MSS_A, AuthType.MSS_A_HEAD]),
    secret=st.one_of(
        st.binary(max_size=80), st.text("0123456789abcdefABCDEF", min_size=64, max_size=64).map(str.encode)
    ),
    at=st.one_of(
        st.binary(max_size=20), st.integers(0, 2**64).map(lambda number: format(number, "x").encode())
    ),
    more=st.lists(st.tuples(_HEADER_NAMES, st.binary(max_size=30)), max_size=4),
)
@_SETTINGS
def test_no_made_up_signature_passes(auth_type, secret, at, more):
    path = ISSUED[auth_type].url.removeprefix("https://airflow.example.com/smartlive")
    if auth_type is AuthType.MSS_A:
        request = ("POST", path, b"hwSecret=" + secret + b"&hwTime=" + at, more, [b"{}"])
    else:
        request = ("POST", path, b"", [(b"x-hw-mss-secret", secret), (b"x-hw-mss-time", at), *more], [b"{}"])

    assert _answered(*request)[0] == 404
    count("fuzzed signatures", sent=1, refused=1)


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(st.characters(), max_size=50),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
_messages = st.fixed_dictionaries(
    {},
    optional={
        name: _json | st.text(max_size=100)
        for name in (
            "room_id",
            "job_id",
            "output_url",
            "stream_key",
            "state",
            "reply_id",
            "shoot_script_title",
        )
    },
)
_event_types = st.sampled_from(
    ["RTMP_STREAM_STATE_CHANGE", "SHOOT_SCRIPT_SWITCH", "REPLY_COMMAND_FINISH", "OTHER", ""]
)
_bodies = st.one_of(
    st.binary(max_size=300),
    _json.map(lambda value: json.dumps(value).encode()),
    st.builds(
        lambda event_type, message: json.dumps(
            {"event_type": event_type, "message": json.dumps(message)}
        ).encode(),
        _event_types | st.text(max_size=50),
        _messages,
    ),
    st.builds(
        lambda raw, end: raw[:end],
        st.just(json.dumps({"event_type": "X", "message": "{}"}).encode()),
        st.integers(0, 40),
    ),
    st.integers(1, 60_000).map(lambda depth: b"[" * depth),
    st.integers(1, 30_000).map(lambda depth: b'{"a":' * (depth // 5)),
)


@given(
    body=_bodies,
    content_type=st.sampled_from([b"application/json", b"text/plain; charset=utf-8", b"multipart/form-data"])
    | st.binary(max_size=40),
    cuts=st.lists(st.integers(0, 300), max_size=3),
)
@example(body=b'{"event_type": "RTMP_STREAM_STATE_CHANGE", "message": "\\ud800"}', content_type=b"", cuts=[])
@example(body=b'{"event_type": "X", "message": "{\\"job_id\\": 1e999}"}', content_type=b"", cuts=[])
@example(body=b"9" * 60_000, content_type=b"", cuts=[])
@_SETTINGS
def test_whatever_metastudio_sends_gets_a_documented_answer(body, content_type, cuts):
    issued = ISSUED[AuthType.MSS_A_HEAD]
    _, signature = sign(issued.url, auth_type=issued.auth_type, key=issued.key, now=NOW)
    headers = [(name.encode(), value.encode()) for name, value in signature.items()]
    edges = [0, *sorted(cuts), len(body)]
    chunks = [body[start:end] for start, end in itertools.pairwise(edges) if end > start]
    path = issued.url.removeprefix("https://airflow.example.com/smartlive")
    status, answer = _answered("POST", path, b"", [*headers, (b"content-type", content_type)], chunks)

    assert status in (200, 400, 413, 415)
    assert set(json.loads(answer)) <= {"result", "error"}
    count(
        "fuzzed events, well signed", sent=1, **{"answered 200": status == 200, "answered 4xx": status != 200}
    )


def test_the_page_about_security_says_how_many_are_tried():
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
    assert (
        re.findall(r"^\| fuzzed .* \| - \| (\d+) \|", page, re.MULTILINE) == [str(_SETTINGS.max_examples)] * 3
    )


def test_a_refusal_does_not_tell_by_its_time_whether_the_token_was_ours():
    """
    2,000 requests with a forged token against 2,000 with a good token and a forged signature, in turn.

    Threshold: medians and 90th percentiles within 0.2 ms of each other, by the processor's time. A network hides that.
    """
    issued = ISSUED[AuthType.MSS_A_HEAD]
    good = issued.url.removeprefix("https://airflow.example.com/smartlive")
    forged = good[:-40] + "A" * 40
    headers = [
        (b"x-hw-mss-secret", b"0" * 64),
        (b"x-hw-mss-time", format(int(NOW.timestamp()), "x").encode()),
    ]

    async def measure() -> dict[str, list[float]]:
        taken: dict[str, list[float]] = {good: [], forged: []}
        app = _app()
        for _ in range(2_000):
            for path, times in taken.items():
                started = time.process_time()
                status, _ = await _ask("POST", path, b"", list(headers), [b"{}"], app)
                times.append(time.process_time() - started)
                assert status == 404
        return taken

    times = asyncio.run(measure())
    for quantile in (4, 8):  # of tenths: the median and the 90th percentile
        one, other = (statistics.quantiles(sample, n=10)[quantile] for sample in times.values())
        assert abs(one - other) < 0.000_2
