"""The rules of an exchange, driven by hand: no wire, no clock, no chance."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest

from airflow_provider_smartlive.client.connection import ConnectionProfile
from airflow_provider_smartlive.client.errors import StartOutcomeUnknown, TransportFailure, Unreachable
from airflow_provider_smartlive.client.flow import LONGEST_BACKOFF, OutgoingRequest, RequestFlow
from airflow_provider_smartlive.client.operations import HttpResponse, Operation
from airflow_provider_smartlive.client.tokens import TokenCache
from airflow_provider_smartlive.metastudio.errors import MetaStudioError, ServerError, Throttled
from airflow_provider_smartlive.metastudio.signing import Credentials

PROFILE = ConnectionProfile(
    conn_id="live",
    endpoint="https://metastudio.example.com",
    project_id="fake-project",
    authentication=Credentials("FAKEACCESSKEY", "fake-secret-key"),
)
GOOD = HttpResponse(200, {}, b"good")
READ = Operation("read", "GET", "/thing", lambda answer: answer.body, repeatable=True)
WRITE = Operation("write", "POST", "/thing", lambda answer: answer.body)
START = Operation("start", "POST", "/thing", lambda answer: answer.body, starts_job=True)


def _answer(status: int, **headers: str) -> HttpResponse:
    return HttpResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, b"")


def _conduct(call: Operation, *replies: HttpResponse | TransportFailure, attempts: int = 4, uniform=max):
    """Play an exchange; return what it came to and what was sent."""
    exchange = RequestFlow(
        PROFILE,
        attempts=attempts,
        tokens=TokenCache(),
        now=lambda: datetime(2026, 11, 22, 12, tzinfo=UTC),
        log=logging.getLogger("test"),
        uniform=uniform,
    )
    steps = exchange.run(call)
    sent: list[OutgoingRequest] = [next(steps)]
    try:
        for reply in replies:
            sent += [steps.send(reply)]
    except StopIteration as done:
        return done.value, sent
    except MetaStudioError as error:
        return error, sent
    pytest.fail("The exchange wants to go on.")


REPEATED = {
    # what came: (a read, a write, a start) is sent again
    TransportFailure.NAME: (True, True, False),
    TransportFailure.CONNECT: (True, True, False),
    TransportFailure.PROXY: (True, True, False),
    TransportFailure.LATE: (True, True, False),
    TransportFailure.TLS: (False, False, False),
    TransportFailure.ADDRESS: (False, False, False),
    TransportFailure.TOO_LARGE: (False, False, False),
    TransportFailure.TIMEOUT: (True, False, False),
    TransportFailure.LOST: (True, False, False),
    429: (True, True, False),
    500: (True, False, False),
    502: (True, False, False),
    503: (True, False, False),
    504: (True, False, False),
    400: (False, False, False),
    401: (False, False, False),
    403: (False, False, False),
    404: (False, False, False),
    302: (False, False, False),
}


@pytest.mark.parametrize("came", REPEATED, ids=str)
@pytest.mark.parametrize(
    ("which", "call"), [(0, READ), (1, WRITE), (2, START)], ids=["read", "write", "start"]
)
def test_what_is_sent_again(came, which, call):
    reply = came if isinstance(came, TransportFailure) else _answer(came)
    if REPEATED[came][which]:
        result, sent = _conduct(call, reply, GOOD)
        assert (result, len(sent)) == (b"good", 2)
    else:
        result, sent = _conduct(call, reply)
        assert isinstance(result, MetaStudioError)
        assert len(sent) == 1


def test_every_trouble_is_in_the_table():
    assert set(TransportFailure) <= REPEATED.keys()


OPEN = [
    TransportFailure.TIMEOUT,
    TransportFailure.LOST,
    TransportFailure.TOO_LARGE,
    _answer(500),
    _answer(502),
    _answer(503),
    _answer(504),
]
CLEAR = [
    TransportFailure.TLS,
    TransportFailure.ADDRESS,
    _answer(302),
    _answer(400),
    _answer(401),
    _answer(403),
    _answer(404),
    _answer(409),
]


@pytest.mark.parametrize("reply", OPEN, ids=str)
def test_an_open_start(reply):
    assert isinstance(_conduct(START, reply)[0], StartOutcomeUnknown)


@pytest.mark.parametrize("reply", CLEAR, ids=str)
def test_a_clear_start(reply):
    assert not isinstance(_conduct(START, reply)[0], StartOutcomeUnknown)


@pytest.mark.parametrize("reply", OPEN + CLEAR, ids=str)
def test_only_a_start_can_be_open(reply):
    assert not isinstance(_conduct(WRITE, reply, attempts=1)[0], StartOutcomeUnknown)


def test_a_start_that_never_arrived_is_clear_and_sent_once():
    result, sent = _conduct(START, TransportFailure.CONNECT)
    assert isinstance(result, Unreachable)
    assert len(sent) == 1


def test_the_last_error_counts():
    result, sent = _conduct(READ, TransportFailure.LOST, _answer(429), _answer(500), attempts=3)
    assert isinstance(result, ServerError)
    assert len(sent) == 3


def test_pauses_grow_and_are_bounded():
    _, sent = _conduct(READ, *[_answer(500)] * 9, attempts=9)
    assert [step.pause for step in sent] == [
        0,
        1,
        2,
        4,
        8,
        16,
        LONGEST_BACKOFF,
        LONGEST_BACKOFF,
        LONGEST_BACKOFF,
    ]


def test_jitter_is_full():
    """The whole range down to nothing: half of a fleet that failed together comes back in the first half."""
    _, sent = _conduct(READ, _answer(500), GOOD, uniform=min)
    assert sent[1].pause == 0


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_comes_before_the_jitter(status):
    _, sent = _conduct(READ, _answer(status, Retry_After="30"), GOOD)
    assert sent[1].pause == 31


@pytest.mark.parametrize(
    "text", ["30.0", " 30 ", "30, 30", "Sun, 22 Nov 2026 12:00:30 GMT", "Sun, 22 Nov 2026 13:00:30 +0100"]
)
def test_retry_after_as_servers_write_it(text):
    _, sent = _conduct(READ, _answer(503, Retry_After=text), GOOD)
    assert sent[1].pause == 31


def test_a_retry_after_that_is_a_date_counts_by_the_server_s_clock():
    ahead = _answer(503, Retry_After="Sun, 22 Nov 2026 15:00:30 GMT", Date="Sun, 22 Nov 2026 15:00:00 GMT")
    _, sent = _conduct(READ, ahead, GOOD)
    assert sent[1].pause == 31


@pytest.mark.parametrize(
    "text", ["", "soon", "-1", "1e3", "nan", "Sun, 22 Nov 2026 11:59:30 GMT", "Sun, 99 Nov 2026", "\u0661"]
)
def test_a_retry_after_that_means_nothing_is_ignored(text):
    _, sent = _conduct(READ, _answer(503, Retry_After=text), GOOD)
    assert sent[1].pause == 1


@pytest.mark.parametrize("call", [READ, START])
def test_a_server_that_asks_for_much_patience(call):
    result, sent = _conduct(call, _answer(429, Retry_After="61"))
    assert isinstance(result, Throttled)
    assert len(sent) == 1


def test_messages_name_host_and_port_only():
    call = Operation(
        "report", "POST", "https://u:fake-secret@h.example.com:8443/p?auth_key=fake-secret", lambda a: None
    )
    call = Operation(call.name, call.method, call.target, call.parse, self_authorised=True)
    result, _ = _conduct(call, TransportFailure.LOST)
    assert "h.example.com:8443" in str(result)
    assert "fake-secret" not in f"{result} {result!r}"
