"""The whole door: the app as Airflow mounts it, with the real store behind it, on both databases."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from starlette.middleware.base import BaseHTTPMiddleware
from structlog.testing import capture_logs

from airflow_provider_smartlive.callbacks.messages import JOB_ID_KEY, XCOM_TABLE_KEY, ResumeEvent
from airflow_provider_smartlive.callbacks.table import CallbackTable
from airflow_provider_smartlive.callbacks.url import CallbackTarget, issue
from airflow_provider_smartlive.metastudio.callback_auth import AuthType, sign
from airflow_provider_smartlive.receiver.app import Receiver, create_app
from airflow_provider_smartlive.receiver.keyring import Keyring
from airflow_provider_smartlive.receiver.store import Store
from tests.support.callback_events import JOB, body, stream_body

SECRET = "fake-callback-secret-for-the-whole-door-0"
BASE = "https://airflow.example.com"
NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


def _airflow(database):
    """Build what Airflow's own app has around ours: the access log, a middleware of the old kind, a mount."""
    from airflow.api_fastapi.common.http_access_log import HttpAccessLogMiddleware

    async def pass_on(request, call_next):
        return await call_next(request)

    receiver = Receiver(
        store=Store(sessions=database.sessions), keyring=Keyring(read=lambda: (SECRET,)), now=lambda: NOW
    )
    app = FastAPI()
    app.mount("/smartlive", create_app(receiver))
    app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
    app.add_middleware(HttpAccessLogMiddleware)
    return app


def _issued(owner, *, generation=0, auth_type=AuthType.MSS_A_HEAD):
    return issue(
        CallbackTarget(owner, str(generation), generation),
        base_url=BASE,
        secrets=[SECRET],
        auth_type=auth_type,
    )


async def _send(app, issued, content, *, at=NOW):
    url, headers = sign(issued.url, auth_type=issued.auth_type, key=issued.key, now=at)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://internal") as client:
        return await client.post(url.removeprefix(BASE), content=content, headers=headers)


@pytest.fixture
def owner(database):
    return database.task(xcoms={JOB_ID_KEY: JOB})


async def test_a_stream_from_connecting_to_end(database, owner):
    app, issued = _airflow(database), _issued(owner)
    for second, state in enumerate(("CONNECTING", "CONNECTED", "END")):
        answer = await _send(app, issued, stream_body(state), at=NOW + timedelta(seconds=second))
        assert (answer.status_code, answer.json()) == (200, {"result": "applied"})

    row = database.row(owner)
    assert row.state == "scheduled"
    assert ResumeEvent.load(row.next_kwargs["event"]).source == "callback"
    table = CallbackTable.load(database.xcom(owner, XCOM_TABLE_KEY))
    assert [state for state, _ in table.job(JOB).streams[0].transitions] == ["CONNECTING", "CONNECTED", "END"]


async def test_a_repeated_event_is_acknowledged_and_counted_once(database, owner):
    app, issued = _airflow(database), _issued(owner)
    answers = [await _send(app, issued, stream_body("CONNECTED")) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert [answer.json()["result"] for answer in answers] == ["applied", "duplicate", "duplicate"]
    assert CallbackTable.load(database.xcom(owner, XCOM_TABLE_KEY)).events == 1


async def test_an_end_that_was_captured_ends_no_other_run_and_no_later_life(database, owner):
    app, other = _airflow(database), database.task(xcoms={JOB_ID_KEY: JOB})
    issued, elsewhere = _issued(owner), _issued(other)
    _, captured = sign(issued.url, auth_type=issued.auth_type, key=issued.key, now=NOW)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://internal") as client:
        moved = await client.post(
            elsewhere.url.removeprefix(BASE), content=stream_body("END"), headers=captured
        )
        database.change(owner, max_tries=1)  # the user cleared the task
        late = await client.post(issued.url.removeprefix(BASE), content=stream_body("END"), headers=captured)

    assert (moved.status_code, late.status_code) == (404, 410)
    assert [database.row(task).state for task in (owner, other)] == ["deferred", "deferred"]
    assert [database.xcom(task, XCOM_TABLE_KEY) for task in (owner, other)] == [None, None]


async def test_a_captured_signature_with_the_body_of_another_job_ends_nothing(database, owner):
    # The signature does not cover the body, so this gets in; it must not get any further.
    answer = await _send(_airflow(database), _issued(owner), stream_body("END", job_id="0" * 32))

    assert answer.status_code == 200
    assert database.row(owner).state == "deferred"


async def test_a_deleted_run_is_gone(database, owner):
    app, issued = _airflow(database), _issued(owner)
    database.remove_run(owner)

    assert (await _send(app, issued, stream_body("END"))).status_code == 410


async def test_what_cannot_be_read_is_shown(database, owner):
    app, issued = _airflow(database), _issued(owner)
    malformed = await _send(app, issued, b'{"event_type": "X"')
    unknown = await _send(app, issued, body("PLATFORM_BANNED"))

    assert (malformed.status_code, unknown.status_code) == (400, 200)
    notes = CallbackTable.load(database.xcom(owner, XCOM_TABLE_KEY)).unrecognised
    assert notes.count == 2
    assert [note.event_type for note in notes.recent] == ["", "PLATFORM_BANNED"]


async def test_the_log_tells_the_story_without_a_secret(database, owner):
    app, issued = _airflow(database), _issued(owner)
    with capture_logs() as lines:
        await _send(app, issued, stream_body("END"))
        await _send(app, _issued(owner, auth_type=AuthType.MSS_A), stream_body("CONNECTED"))
        await _send(app, _issued(owner, generation=7), stream_body("CONNECTED"))
        await _send(app, issued, b"{")
        for _ in range(3):
            await _send(app, issued, stream_body("END"), at=NOW - timedelta(hours=1))

    text = json.dumps(lines, default=str)
    for secret in (
        SECRET,
        issued.key,
        issued.url.rpartition("/")[2],
        "gAAAAA",
        "fake-stream-key",
        "fake-separate",
    ):
        assert secret not in text
    by_event = {}
    for line in lines:
        by_event.setdefault(line["event"], []).append(line)
    stored = by_event["smartlive: callback stored"][0]
    assert stored["dag_id"] == owner.dag_id
    assert (stored["run_id"], stored["task_id"], stored["map_index"]) == (owner.run_id, owner.task_id, -1)
    assert (stored["job_id"], stored["stream_state"], stored["owner_resumed"]) == (JOB, "END", True)
    assert len(by_event["smartlive: callback refused"]) == 1  # three refusals, one line
    assert by_event["smartlive: callback refused"][0]["reason"] == "signature_expired"
    assert {line["reason"] for line in by_event["smartlive: callback rejected"]} == {"gone", "malformed"}
    access = by_event["request finished"]
    assert {line["path"] for line in access} == {"/smartlive/callbacks/***"}
    assert {line["query"] for line in access} == {""}


async def test_a_link_that_flaps_does_not_fill_the_log(database, owner):
    app, issued = _airflow(database), _issued(owner)
    with capture_logs() as lines:
        for second in range(6):
            state = ("RECONNECTING", "CONNECTED")[second % 2]
            await _send(app, issued, stream_body(state), at=NOW + timedelta(seconds=second))

    stored = [line for line in lines if line["event"] == "smartlive: callback stored"]
    assert [line["stream_state"] for line in stored if line["log_level"] == "info"] == [
        "RECONNECTING",
        "CONNECTED",
    ]


async def test_metrics_are_counted(database, owner, monkeypatch):
    from airflow.observability import stats

    counts: dict[str, int] = {}
    timings: list[tuple[str, float]] = []
    monkeypatch.setattr(
        stats, "incr", lambda name, count=1: counts.update({name: counts.get(name, 0) + count})
    )
    monkeypatch.setattr(stats, "timing", lambda name, milliseconds: timings.append((name, milliseconds)))
    app, issued = _airflow(database), _issued(owner)
    await _send(app, issued, stream_body("END"), at=NOW - timedelta(seconds=2))
    await _send(app, issued, stream_body("END"), at=NOW - timedelta(seconds=2))
    await _send(app, issued, stream_body("END"), at=NOW - timedelta(hours=1))

    prefix = "smartlive.callbacks."
    assert counts == {
        prefix + "received": 3,
        prefix + "applied": 1,
        prefix + "duplicate": 1,
        prefix + "resumed": 1,
        prefix + "refused.signature_expired": 1,
    }
    assert timings[0] == (prefix + "lag", 2000.0)


async def test_many_senders_at_once_lose_nothing(database, owner):
    app, issued = _airflow(database), _issued(owner)
    contents = [stream_body("RECONNECTING", sequence=number) for number in range(32)]
    answers = await asyncio.gather(*(_send(app, issued, content) for content in contents * 2))

    assert {answer.status_code for answer in answers} == {200}
    table = CallbackTable.load(database.xcom(owner, XCOM_TABLE_KEY))
    assert table.events == 32
    assert table.job(JOB).streams[0].counts == {"RECONNECTING": 32}


@pytest.fixture
def locked(postgresql):
    """Starters whose rows somebody else has locked; set the event to unlock them."""
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    owners = [postgresql.task(xcoms={JOB_ID_KEY: JOB}) for _ in range(12)]
    session = postgresql.sessions()
    with session as held:
        for owner in owners:
            held.execute(select(TaskInstance.id).where(*postgresql._is(owner)).with_for_update()).one()
        yield owners, held
    postgresql.forget()


@pytest.mark.processes
async def test_locked_rows_hold_no_event_of_others_up_and_their_own_events_come_through(postgresql, locked):
    owners, holder = locked
    app, other = _airflow(postgresql), postgresql.task(xcoms={JOB_ID_KEY: JOB})
    held = [asyncio.create_task(_send(app, _issued(owner), stream_body("END"))) for owner in owners]
    await asyncio.sleep(0.3)  # every one of them has found its row locked
    began = time.monotonic()
    answer = await _send(app, _issued(other), stream_body("END"))
    took = time.monotonic() - began
    assert not any(task.done() for task in held)
    holder.rollback()

    assert (answer.status_code, took < 1) == (200, True)
    assert {answer.status_code for answer in await asyncio.gather(*held)} == {200}
    assert {postgresql.row(task).state for task in [*owners, other]} == {"scheduled"}


@pytest.mark.processes
async def test_a_row_that_stays_locked_is_answered_before_metastudio_gives_up(postgresql, locked):
    owners, _ = locked
    app, began = _airflow(postgresql), time.monotonic()
    answers = await asyncio.gather(*(_send(app, _issued(owner), stream_body("END")) for owner in owners))

    assert time.monotonic() - began < 5
    assert {(answer.status_code, answer.headers["retry-after"]) for answer in answers} == {(503, "5")}


def _json(value):
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"room_id": []},
        {"room_id": "x" * 65},
        {"output_url": {}},
        {"stream_key": [1]},
        {"room_id": True, "output_url": [], "stream_key": {}},
        {"state": " end "},
        {"job_id": f" {JOB} "},
        {"job_id": f"\0{JOB}\0"},
        {"room_id": "a\0b", "output_url": "rtmp://a\0", "stream_key": "\ud800", "more": "\0\udfff"},
        {"more": "x" * 10_000},
    ],
    ids=repr,
)
@pytest.mark.parametrize("event_type", ["RTMP_STREAM_STATE_CHANGE", " rtmp_Stream_state_change\n"])
async def test_an_end_counts_however_it_is_written(database, owner, changes, event_type):
    message = {"room_id": "24bad716", "job_id": JOB, "state": "END"} | changes
    answer = await _send(
        _airflow(database), _issued(owner), _json({"event_type": event_type, "message": message})
    )

    assert (answer.status_code, answer.json()) == (200, {"result": "applied"})
    assert database.row(owner).state == "scheduled"


@pytest.mark.parametrize(
    ("event_type", "needed"),
    [("SHOOT_SCRIPT_SWITCH", {}), ("REPLY_COMMAND_FINISH", {"reply_id": "\0r\ud800\0"}), ("\0NEW\udfff", {})],
)
@pytest.mark.parametrize("odd", ["\0", "\ud800", "a\0b\udfff", [], "x" * 5_000])
async def test_no_text_of_an_event_is_refused_by_the_database(database, owner, event_type, needed, odd):
    names = ("room_id", "scene_script_name", "shoot_script_sequence_no", "shoot_script_title", "other")
    message = {"job_id": JOB, **dict.fromkeys(names, odd), **needed}
    answer = await _send(
        _airflow(database), _issued(owner), _json({"event_type": event_type, "message": message})
    )

    assert answer.status_code == 200
    assert CallbackTable.load(database.xcom(owner, XCOM_TABLE_KEY)).events == 1
