"""The receiver through its app: what it answers to whom, without a database."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import uvicorn

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.apply import Outcome, OutcomeKind
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.url import CallbackTarget, IssuedUrl, issue
from airflow_provider_smartlive.metastudio.callback_auth import AuthType, SignedForm, sign
from airflow_provider_smartlive.receiver import app as receivers
from airflow_provider_smartlive.receiver.app import Receiver, create_app
from airflow_provider_smartlive.receiver.keyring import RETRY_UNREAD, Keyring
from airflow_provider_smartlive.receiver.shapes import UnsupportedDatabase
from airflow_provider_smartlive.receiver.store import Gone, Receipt, Unavailable
from tests.support.callback_events import JOB, body, stream_body
from tests.support.figures import count

SECRET = "fake-callback-secret-for-the-receiver-000"
OTHER_SECRET = "fake-callback-secret-of-somebody-else-0"
NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
TARGET = CallbackTarget(TaskRef("nightly", "scheduled__2026", "go_live"), "1", 1)
BASE = "https://airflow.example.com/prefix"


class Recorder:
    """Stands in for the store: keeps what it is given, or raises what it is told to."""

    concurrency = 4

    def __init__(self):
        self.recorded = []
        self.noted = []
        self.error = None

    def record(self, opened, event, **more):
        if self.error:
            raise self.error
        self.recorded.append((opened, event, more))
        return Receipt(Outcome(OutcomeKind.APPLIED, JOB, "END"))

    def note(self, opened, problem, **more):
        if self.error:
            raise self.error
        self.noted.append((opened, problem, more))
        return Receipt(Outcome(OutcomeKind.UNRECOGNISED))


class Door:
    """A receiver and a sender that is allowed to use it."""

    def __init__(self, secrets=(SECRET,), receiver=None):
        self.store = Recorder()
        self.reads = 0
        self.secrets = secrets

        def read():
            self.reads += 1
            return self.secrets

        self.receiver = Receiver(store=self.store, keyring=Keyring(read=read), now=lambda: NOW)
        self.app = create_app(self.receiver)

    def issued(self, auth_type=AuthType.MSS_A_HEAD, secret=SECRET) -> IssuedUrl:
        return issue(TARGET, base_url=BASE, secrets=[secret], auth_type=auth_type)

    async def send(self, method, path, **more):
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://internal:8080") as client:
            return await client.request(method, path, **more)

    async def post(
        self,
        content=None,
        *,
        issued=None,
        at=NOW,
        key=None,
        form=SignedForm.HOST_PATH_QUERY,
        headers=None,
        **more,
    ):
        """Send an event as MetaStudio would, apart from what the arguments change."""
        issued = issued or self.issued()
        url, signature = sign(
            issued.url, auth_type=issued.auth_type, key=key or issued.key, now=at, form=form
        )
        path = url.removeprefix(BASE).removeprefix("/smartlive")
        return await self.send(
            "POST",
            path,
            content=stream_body("END") if content is None else content,
            headers={"content-type": "application/json", **signature, **(headers or {})},
            **more,
        )


@pytest.fixture
def door():
    return Door()


def _face(response):
    """Everything that a caller sees of an answer."""
    return response.status_code, response.content, sorted(response.headers.items())


# --- who is let in ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("auth_type", [AuthType.MSS_A_HEAD, AuthType.MSS_A, AuthType.NONE])
async def test_an_event_is_taken_and_acknowledged(door, auth_type):
    answer = await door.post(issued=door.issued(auth_type))

    assert (answer.status_code, answer.json()) == (200, {"result": "applied"})
    ((opened, event, more),) = door.store.recorded
    assert opened.target == TARGET
    assert event.job_id == JOB
    assert more["at"] == NOW
    assert more["signed_at"] == (None if auth_type is AuthType.NONE else NOW)
    assert (more["digest"] is None) == (auth_type is AuthType.NONE)


async def test_the_host_of_the_request_does_not_matter(door):
    answer = await door.post(headers={"host": "10.0.0.7:31337", "x-forwarded-host": "evil.example.com"})

    assert answer.status_code == 200


async def test_all_secrets_open_and_none_but_ours(door):
    issued = door.issued()
    door.secrets = (OTHER_SECRET, SECRET)

    assert (await door.post(issued=issued)).status_code == 200


async def test_other_forms_of_the_signed_url_are_taken_by_setting(door, monkeypatch):
    assert (await door.post(form=SignedForm.FULL_URL)).status_code == 404

    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_AUTH_FORMS", "host-path-query, full-url")
    open_door = Door()
    assert (await open_door.post(form=SignedForm.FULL_URL)).status_code == 200
    assert (await open_door.post()).status_code == 200


# --- refusals, one test per reason ----------------------------------------------------------------------------


async def _refused(door, answer):
    """Check that an answer is what everybody gets who asks for something that is not there."""
    assert _face(answer) == _face(await door.send("POST", "/nothing-here"))
    assert answer.status_code == 404
    assert not door.store.recorded
    assert not door.store.noted
    count("attacks on the door", tried=1, refused=1)


async def test_refused_without_any_secret():
    door = Door(secrets=())

    await _refused(door, await door.post())


async def test_refused_with_a_secret_that_is_too_short():
    door = Door(secrets=("fake-short",))

    await _refused(door, await door.post())


@pytest.mark.parametrize("unusable", ["fake-short", "no unicode \udcff" + "x" * 32])
async def test_a_secret_that_cannot_be_used_keeps_nobody_out_whose_secret_is_good(unusable):
    door = Door(secrets=(unusable, SECRET))

    assert (await door.post()).status_code == 200
    stranger = await door.post(issued=door.issued(secret=OTHER_SECRET))
    assert _face(stranger) == _face(await door.send("POST", "/nothing-here"))


async def test_while_the_secrets_were_never_read_events_are_put_off():
    door, clock, is_away = Door(), [0.0], [True]

    def read():
        if is_away[0]:
            raise RuntimeError("backend is away")
        return (SECRET,)

    door.app = create_app(
        Receiver(store=door.store, keyring=Keyring(read=read, clock=lambda: clock[0]), now=lambda: NOW)
    )
    away = [await door.post(), await door.send("POST", "/callbacks/x")]
    assert {(answer.status_code, answer.headers["retry-after"]) for answer in away} == {(503, "5")}
    assert not door.store.recorded

    is_away[0], clock[0] = False, RETRY_UNREAD
    assert (await door.post()).status_code == 200


@pytest.mark.parametrize("value", ["soon", "9" * 14, "9" * 5000, "0", ""])
async def test_an_option_that_makes_no_sense_stops_neither_refusals_nor_events(monkeypatch, caplog, value):
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_AUTH_WINDOW", value)
    door = Door()

    assert (await door.post()).status_code == 200
    late = await door.post(at=NOW - timedelta(seconds=301))
    assert _face(late) == _face(await door.send("POST", "/nothing-here"))
    assert len([line for line in caplog.messages if "callback_auth_window" in line]) == 1


@pytest.mark.parametrize(
    "token", ["x", "A" * 200, "gAAAAA" + "A" * 194, "%00", "a%2Fb", "ü" * 120, "A" * 5000]
)
async def test_refused_for_what_is_no_token(door, token):
    await _refused(door, await door.send("POST", f"/callbacks/{token}", content=stream_body("END")))


async def test_refused_for_a_token_under_another_secret(door):
    await _refused(door, await door.post(issued=door.issued(secret=OTHER_SECRET)))


@pytest.mark.parametrize("auth_type", [AuthType.MSS_A_HEAD, AuthType.MSS_A])
async def test_refused_without_a_signature(door, auth_type):
    path = door.issued(auth_type).url.removeprefix(f"{BASE}/smartlive")

    await _refused(door, await door.send("POST", path, content=stream_body("END")))


async def test_refused_for_a_signature_under_another_key(door):
    await _refused(door, await door.post(key=door.issued().key))


async def test_refused_for_the_signature_of_another_route(door):
    one, other = door.issued(), door.issued()
    _, headers = sign(other.url, auth_type=other.auth_type, key=other.key, now=NOW)
    path = one.url.removeprefix(f"{BASE}/smartlive")

    await _refused(door, await door.send("POST", path, content=stream_body("END"), headers=headers))


async def test_refused_for_a_signature_in_the_wrong_place(door):
    issued = door.issued(AuthType.MSS_A_HEAD)
    url, _ = sign(issued.url, auth_type=AuthType.MSS_A, key=issued.key, now=NOW)

    await _refused(
        door, await door.send("POST", url.removeprefix(f"{BASE}/smartlive"), content=stream_body("END"))
    )


async def test_refused_for_a_time_that_is_no_time(door):
    await _refused(door, await door.post(headers={"x-hw-mss-time": "yesterday"}))


@pytest.mark.parametrize("seconds", [301, 86_400])
async def test_refused_for_a_signature_that_is_too_old(door, seconds):
    await _refused(door, await door.post(at=NOW - timedelta(seconds=seconds)))


@pytest.mark.parametrize("seconds", [301, 86_400])
async def test_refused_for_a_signature_from_the_future(door, seconds):
    await _refused(door, await door.post(at=NOW + timedelta(seconds=seconds)))


@pytest.mark.parametrize("seconds", [-300, 300])
async def test_the_window_is_open_to_its_edges(door, seconds):
    assert (await door.post(at=NOW + timedelta(seconds=seconds))).status_code == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
async def test_refused_for_another_method(door, method):
    await _refused(door, await door.send(method, door.issued().url.removeprefix(f"{BASE}/smartlive")))


async def test_head_says_nothing_either(door):
    answer = await door.send("HEAD", door.issued().url.removeprefix(f"{BASE}/smartlive"))

    assert (answer.status_code, answer.content) == (404, b"")


@pytest.mark.parametrize(
    "path",
    ["/", "/docs", "/redoc", "/openapi.json", "/callbacks", "/callbacks/", "/callbacks/a/b", "/health/"],
)
async def test_there_is_nothing_else(door, path):
    await _refused(door, await door.send("POST", path))
    await _refused(door, await door.send("GET", path))


async def test_a_trailing_slash_is_no_redirect(door):
    path = door.issued().url.removeprefix(f"{BASE}/smartlive") + "/"

    await _refused(door, await door.send("POST", path, content=stream_body("END")))


async def test_health_reveals_nothing():
    answers = [await Door(secrets).send("GET", "/health") for secrets in ((), (SECRET,))]

    assert _face(answers[0]) == _face(answers[1])
    assert (answers[0].status_code, answers[0].text) == (200, "ok")


async def test_nothing_is_read_or_looked_up_for_a_stranger(door):
    async def endless():
        raise AssertionError("the body was read")
        yield b""

    answer = await door.send("POST", "/callbacks/" + "A" * 200, content=endless())
    await _refused(door, answer)


async def test_the_secrets_are_read_once_for_many_requests(door):
    await asyncio.gather(*(door.post() for _ in range(20)))

    assert door.reads == 1


# --- answers to those who are let in --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "application/json",
        "application/json; charset=UTF-8",
        'text/plain;charset="utf-8"',
        "application/x+json",
        "application/json;",
        "application/json; charset=utf-8; profile=x",
        "application/json; charset = 'utf-8'",
        "application/json; charset=utf-8, application/json",
        "text/plain; charset=ISO-8859-1",
        "application/json; charset=us-ascii",
        "application/json; charset=gbk",
        "nonsense",
    ],
)
async def test_content_types_that_can_hold_json_are_taken(door, content_type):
    headers = {} if content_type is None else {"content-type": content_type}

    assert (await door.post(headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": " Multipart/Form-Data;boundary=x"},
        {"content-encoding": "gzip"},
        {"content-encoding": "br"},
    ],
)
async def test_content_types_that_cannot_are_not(door, headers):
    answer = await door.post(headers=headers)

    assert answer.status_code == 415
    assert not door.store.recorded


@pytest.mark.parametrize("encoding", ["", "identity", "Identity", "utf-8"])
async def test_what_is_not_compressed_may_say_so(door, encoding):
    assert (await door.post(headers={"content-encoding": encoding})).status_code == 200


async def test_the_bytes_decide_and_not_what_is_said_of_them(door):
    headers = {"content-type": "application/json; charset=iso-8859-1"}
    script = {"event_type": "SHOOT_SCRIPT_SWITCH", "message": {"job_id": JOB, "shoot_script_title": "Größe"}}
    text = json.dumps(script, ensure_ascii=False)

    assert (await door.post(text.encode(), headers=headers)).status_code == 200
    assert door.store.recorded[0][1].message.shoot_script_title == "Größe"
    assert (await door.post(text.encode("latin-1"), headers=headers)).status_code == 400


async def test_a_body_beyond_the_limit_is_not_read_to_its_end(door):
    sent = 0

    async def endless():
        nonlocal sent
        while True:
            sent += 16_384
            yield b" " * 16_384

    answer = await door.post(endless())

    assert answer.status_code == 413
    assert "65536" in answer.json()["error"]
    assert sent <= 65_536 + 2 * 16_384


async def test_a_body_at_the_limit_is_read(door):
    answer = await door.post(stream_body("END").ljust(65_536))

    assert answer.status_code == 200


async def test_a_body_that_does_not_arrive_is_not_waited_for(door, monkeypatch):
    monkeypatch.setattr(receivers, "BODY_TIMEOUT", 0.01)

    async def slow():
        yield b"{"
        await asyncio.Event().wait()

    assert (await door.post(slow())).status_code == 408


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"[]", "object"),
        (b"\xff", "UTF-8"),
        (b"{}", "event_type"),
        (b"[" * 1000 + b"]" * 1000, "deep"),
        (b'{"event_type": "RTMP_STREAM_STATE_CHANGE", "message": "{}"}', "job_id"),
        (b'{"event_type": "a", "event_type": "b", "message": "{}"}', "twice"),
        (b'{"event_type": "a", "message": "{\\"x\\": NaN}"}', "JSON"),
    ],
)
async def test_a_malformed_event_is_noted_and_its_sender_is_told_why(door, content, problem):
    answer = await door.post(content)

    assert answer.status_code == 400
    assert problem in answer.json()["error"]
    ((opened, noted, more),) = door.store.noted
    assert opened.target == TARGET
    assert problem in noted
    assert more["digest"] is not None


async def test_an_event_of_an_unknown_type_is_acknowledged(door):
    assert (await door.post(body("PLATFORM_BANNED"))).status_code == 200


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (Gone(), 410, None),
        (Unavailable("locked"), 503, "5"),
        (UnsupportedDatabase("mysql"), 503, "5"),
        (RuntimeError("fake-secret in an error"), 503, "5"),
    ],
)
@pytest.mark.parametrize("content", [None, b"{"])
async def test_what_was_not_committed_is_not_acknowledged(door, error, status, retry, content):
    door.store.error = error
    answer = await door.post(content)

    assert answer.status_code == status
    assert answer.headers.get("retry-after") == retry
    assert "fake-secret" not in answer.text


async def test_a_database_that_hangs_is_unavailable_in_time(door, monkeypatch):
    monkeypatch.setattr(receivers, "STORE_TIMEOUT", 0.01)
    released = threading.Event()
    door.store.record = lambda *args, **more: released.wait(timeout=30)
    try:
        answers = await asyncio.gather(*(door.post() for _ in range(2 * Recorder.concurrency)))
    finally:
        released.set()

    assert {answer.status_code for answer in answers} == {503}


@pytest.fixture
def narrow_door(monkeypatch):
    """A door that takes three events per minute and task."""
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_RATE_LIMIT", "3")
    return Door()


@pytest.mark.parametrize("auth_type", [AuthType.MSS_A_HEAD, AuthType.NONE])
async def test_more_events_than_the_limit_are_put_off(narrow_door, auth_type):
    issued, allowed = narrow_door.issued(auth_type), 3 + receivers.SIGNATURE_ALLOWANCE
    answers = [await narrow_door.post(issued=issued) for _ in range(allowed + 2)]

    assert [answer.status_code for answer in answers] == [200] * allowed + [429] * 2
    assert answers[-1].headers["retry-after"] == "60"
    assert len(narrow_door.store.recorded) == allowed


async def test_a_flood_through_a_captured_signature_keeps_no_real_end_out(narrow_door):
    issued = narrow_door.issued()
    flood = [await narrow_door.post(stream_body("CONNECTED"), issued=issued) for _ in range(20)]
    real = [await narrow_door.post(issued=issued, at=NOW + timedelta(seconds=second)) for second in (1, 1, 2)]

    assert flood[-1].status_code == 429
    assert [answer.status_code for answer in real] == [200, 200, 200]


async def test_refused_requests_do_not_use_up_the_limit(narrow_door):
    for _ in range(5):
        assert (await narrow_door.post(key="0" * 32)).status_code == 404

    assert (await narrow_door.post()).status_code == 200


async def test_a_task_whose_events_wait_takes_no_thread_from_others(door, monkeypatch):
    monkeypatch.setattr(receivers, "STORE_TIMEOUT", 0.2)
    released, record = threading.Event(), door.store.record

    def waiting(opened, event, **more):
        if opened.target == TARGET:
            released.wait(timeout=30)
        return record(opened, event, **more)

    door.store.record = waiting
    other = issue(
        replace(TARGET, task_ref=replace(TARGET.task_ref, task_id="other")),
        base_url=BASE,
        secrets=[SECRET],
        auth_type=AuthType.NONE,
    )
    try:
        held = [asyncio.create_task(door.post()) for _ in range(3 * Recorder.concurrency)]
        await asyncio.sleep(0)
        for _ in range(3):
            assert (await door.post(issued=other)).status_code == 200
            assert {answer.status_code for answer in await asyncio.gather(*held)} == {503}
            held = [asyncio.create_task(door.post()) for _ in range(2)]  # the row is still held
        await asyncio.gather(*held)
    finally:
        released.set()


def _served(app):
    """Serve an app as Airflow does; yields the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_config=None, lifespan="off", ws="none", timeout_keep_alive=60)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield listener.getsockname()
        server.should_exit = True
        thread.join(10)


def test_who_is_refused_and_goes_on_sending_is_hung_up_on(door):
    with (
        contextmanager(_served)(door.app) as address,
        socket.create_connection(address, timeout=10) as sender,
    ):
        sender.sendall(b"POST /callbacks/x HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n{")
        answer = b""
        while data := sender.recv(4096):  # until the server closes the connection
            answer += data

    assert answer.startswith(b"HTTP/1.1 404")


async def test_no_answer_repeats_a_secret_and_none_may_be_stored(door):
    issued = door.issued()
    for answer in (
        await door.post(issued=issued),
        await door.post(b"{", issued=issued),
        await door.post(key="0" * 32),
    ):
        assert "fake-s" not in answer.text
        assert issued.key not in answer.text
        assert issued.url.rpartition("/")[2] not in answer.text + str(answer.headers)
        assert answer.headers["cache-control"] == "no-store"


async def test_a_secret_that_is_gone_from_the_configuration_stops_counting(monkeypatch):
    clock = [0.0]
    secrets = [(SECRET,)]
    store = Recorder()
    keyring = Keyring(read=lambda: secrets[0], clock=lambda: clock[0])
    door = Door()
    door.app = create_app(Receiver(store=store, keyring=keyring, now=lambda: NOW))

    assert (await door.post()).status_code == 200
    secrets[0] = ()
    clock[0] = settings.SECRETS_TTL - 1
    assert (await door.post()).status_code == 200
    clock[0] = settings.SECRETS_TTL
    assert (await door.post()).status_code == 404
