"""Callbacks: signed as asked, in order, repeated, and wrong on demand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_smartlive.metastudio.callback_auth import (
    AuthType,
    CallbackAuthError,
    CallbackAuthProblem,
    SignedForm,
    verify,
)
from airflow_provider_smartlive.metastudio.events import CallbackEvent, MalformedEvent, StreamState
from airflow_provider_smartlive.sandbox.model.faults import Fault
from airflow_provider_smartlive.sandbox.options import Assumptions
from tests.sandbox.stage_set import (
    CALLBACK,
    CALLBACK_KEY,
    CALLBACK_URL,
    STREAM_KEY,
    DeliveryError,
    StageSet,
    message_of,
)


@pytest.fixture
async def stage() -> AsyncIterator[StageSet]:
    made = StageSet()
    yield made
    await made.close()


def check(
    stage: StageSet, post: tuple[str, dict[str, str], bytes], auth_type: AuthType, **options: Any
) -> Any:
    url, headers, _ = post
    return verify(
        CALLBACK_URL,
        auth_type=auth_type,
        key=CALLBACK_KEY,
        query=urlsplit(url).query,
        headers=headers,
        now=stage.clock.now(),
        window=timedelta(minutes=1),
        forms=options.get("forms", [SignedForm.HOST_PATH_QUERY]),
    )


@pytest.mark.parametrize("auth_type", [AuthType.MSS_A_HEAD, AuthType.MSS_A])
async def test_callbacks_are_signed_as_the_job_asks(stage: StageSet, auth_type: AuthType) -> None:
    await stage.go_live(live_event_callback_config={**CALLBACK, "auth_type": auth_type.value})
    for post in stage.mail.posts:
        assert check(stage, post, auth_type) is not None
    is_in_url = stage.mail.posts[0][0] != CALLBACK_URL
    assert is_in_url == (auth_type is AuthType.MSS_A)


async def test_without_a_key_callbacks_go_out_unsigned(stage: StageSet) -> None:
    await stage.go_live(live_event_callback_config={**CALLBACK, "auth_type": "NONE"})
    assert stage.mail.posts[0][:2] == (CALLBACK_URL, {"Content-Type": "application/json"})


async def test_a_callback_holds_what_the_page_shows(stage: StageSet) -> None:
    job = await stage.go_live()
    body = json.loads(stage.mail.posts[0][2])
    assert body.keys() == {"event_type", "message"}
    assert json.loads(body["message"]) == {
        "room_id": job.room_id.replace("-", ""),
        "job_id": job.job_id.replace("-", ""),
        "output_url": "rtmp://push.example.com/live",
        "stream_key": STREAM_KEY,
        "state": "CONNECTING",
    }


async def test_only_subscribed_events_are_called_back(stage: StageSet) -> None:
    await stage.go_live(seconds=6)
    await stage.clock.advance(10)
    assert {event.event_type for event in stage.mail.events()} == {"RTMP_STREAM_STATE_CHANGE"}
    silent = StageSet()
    await silent.go_live(live_event_callback_config=None)
    assert silent.mail.posts == []
    await silent.close()


async def test_what_is_not_answered_with_2xx_is_repeated_and_then_given_up(stage: StageSet) -> None:
    stage.mail.answers = [500, DeliveryError("ClientConnectorError"), 302, 404]
    job = await stage.go_live()
    assert stage.mail.states() == ["CONNECTING"] * 4 + ["CONNECTED"]
    assert stage.pauses == [1.0, 1.0, 1.0]
    outcomes = [(e["outcome"], e.get("status")) for e in stage.ledger("callback", state="CONNECTING")]
    assert outcomes == [
        ("answered", 500),
        ("ClientConnectorError", None),
        ("answered", 302),
        ("answered", 404),
        ("given up", None),
    ]
    counts = stage.backend.callback_sender.counts(job)
    assert (counts.events, counts.attempts, counts.answered) == (2, 5, 1)


async def test_a_receiver_that_does_not_answer_times_out() -> None:
    async def never(url: str, headers: dict[str, str], body: bytes) -> int:
        await asyncio.Event().wait()
        return 200

    assumptions = Assumptions(callback_timeout_seconds=0.01, callback_attempts=1)
    stage = StageSet(assumptions=assumptions, post=never)
    job = await stage.go_live()
    await stage.backend.callback_sender.drain(job)
    assert [e["outcome"] for e in stage.ledger("callback", state="CONNECTED")] == ["timeout", "given up"]
    await stage.close()


async def live_with(*faults: Fault, **assumptions: Any) -> StageSet:
    """Run one job from start to END under faults, every callback answered."""
    stage = StageSet(faults=faults, assumptions=Assumptions(**assumptions))
    job = await stage.go_live(seconds=5)
    await stage.clock.advance(10)
    await stage.backend.callback_sender.drain(job)
    await stage.clock.settle()
    await stage.close()
    return stage


async def test_callbacks_can_be_dropped() -> None:
    stage = StageSet(faults=(Fault(target="callback", action="drop", event="END"),))
    await stage.go_live(seconds=5)
    await stage.clock.advance(10)
    assert stage.mail.states() == ["CONNECTING", "CONNECTED"]
    assert len(stage.ledger("callback", state="END", outcome="dropped")) == 1
    await stage.close()


async def test_callbacks_can_be_duplicated() -> None:
    stage = await live_with(Fault(target="callback", action="duplicate", event="CONNECTED", count=3))
    assert stage.mail.states() == ["CONNECTING", "CONNECTED", "CONNECTED", "CONNECTED", "END"]


async def test_callbacks_can_be_reordered() -> None:
    async def for_ever(seconds: float) -> None:
        await asyncio.Event().wait()

    # Nothing can be sent because it waited long enough.
    fault = Fault(target="callback", action="reorder", event="CONNECTING")
    stage = StageSet(faults=(fault,), pause=for_ever)
    await stage.go_live(seconds=5)
    assert stage.mail.states() == ["CONNECTED", "CONNECTING"]
    await stage.close()


async def test_a_held_back_callback_is_sent_when_no_other_comes() -> None:
    stage = await live_with(Fault(target="callback", action="reorder", event="END", seconds=7))
    assert stage.mail.states() == ["CONNECTING", "CONNECTED", "END"]
    assert stage.pauses == [7]


async def test_callbacks_can_be_late_and_keep_their_order() -> None:
    stage = await live_with(Fault(target="callback", action="delay", event="CONNECTING", seconds=30))
    assert stage.pauses == [30]
    assert stage.mail.states() == ["CONNECTING", "CONNECTED", "END"]


WRONG = [
    (Fault(target="callback", action="missign"), CallbackAuthProblem.MISMATCH),
    (Fault(target="callback", action="unsigned"), CallbackAuthProblem.MISSING),
    (Fault(target="callback", action="skew", seconds=-600), CallbackAuthProblem.EXPIRED),
    (Fault(target="callback", action="skew", seconds=600), CallbackAuthProblem.FROM_THE_FUTURE),
]


@pytest.mark.parametrize(("fault", "problem"), WRONG)
async def test_callbacks_can_be_signed_wrongly(fault: Fault, problem: CallbackAuthProblem) -> None:
    stage = await live_with(fault)
    with pytest.raises(CallbackAuthError) as caught:
        check(stage, stage.mail.posts[0], AuthType.MSS_A_HEAD)
    assert caught.value.reason is problem


@pytest.mark.parametrize("form", ["not-json", "bad-message", "no-state", "truncated", "list"])
async def test_callbacks_can_be_malformed(form: Any) -> None:
    stage = await live_with(Fault(target="callback", action="malformed", form=form))
    with pytest.raises(MalformedEvent):
        CallbackEvent.parse(stage.mail.posts[0][2])


async def test_callbacks_can_be_huge() -> None:
    stage = await live_with(Fault(target="callback", action="malformed", form="huge"))
    assert len(stage.mail.posts[0][2]) > 1_000_000


async def test_the_signed_form_and_the_spelling_of_ids_are_assumptions() -> None:
    stage = await live_with(callback_form="full-url", callback_ids="dashed")
    assert check(stage, stage.mail.posts[-1], AuthType.MSS_A_HEAD, forms=[SignedForm.FULL_URL])
    assert message_of(stage.mail.posts[0][2])["room_id"] == "24bad716-87b1-45e5-8912-6102f7693265"


async def test_the_ledger_holds_no_secret(stage: StageSet) -> None:
    stage.mail.answers = [DeliveryError("TimeoutError")]
    await stage.go_live(seconds=5)
    stage.links[0].tell(StreamState.DISCONNECTED, StreamState.RECONNECTING)
    await stage.clock.advance(500)
    whole = json.dumps(list(stage.backend.ledger.read(limit=10_000)))
    assert "callback" in whole
    for secret in (CALLBACK_URL, "fake-token", CALLBACK_KEY, STREAM_KEY):
        assert secret not in whole
