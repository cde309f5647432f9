from __future__ import annotations

import asyncio
import threading

import pytest
from structlog.testing import capture_logs

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.receiver import keyring as keyrings
from airflow_provider_smartlive.receiver.keyring import Keyring, SecretsUnavailable


class Source:
    """Where secrets come from: says what it is told to, and how often it was asked."""

    def __init__(self):
        self.says = ("fake-secret",)
        self.asked = 0
        self.now = 0.0
        self.keyring = Keyring(read=self.read, clock=lambda: self.now)

    def read(self):
        self.asked += 1
        assert threading.current_thread() is not threading.main_thread(), (
            "the event loop must not wait for it"
        )
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


async def test_secrets_are_read_once_per_time_to_live():
    source = Source()
    for source.now in (0.0, 1.0, settings.SECRETS_TTL - 1):
        assert await source.keyring.secrets() == ("fake-secret",)
    assert source.asked == 1

    source.says = ("fake-newer", "fake-secret")
    source.now = settings.SECRETS_TTL
    assert await source.keyring.secrets() == ("fake-newer", "fake-secret")
    assert source.asked == 2


async def test_many_at_once_cause_one_read():
    source = Source()
    await asyncio.gather(*(source.keyring.secrets() for _ in range(50)))

    assert source.asked == 1


async def test_a_backend_that_is_away_costs_neither_the_old_secrets_nor_a_read_per_request():
    source = Source()
    await source.keyring.secrets()
    source.says = RuntimeError("backend is away")
    source.now = settings.SECRETS_TTL
    with capture_logs() as lines:
        assert [await source.keyring.secrets() for _ in range(3)] == [("fake-secret",)] * 3

    assert source.asked == 2
    assert len(lines) == 1
    assert "fake-secret" not in str(lines)


async def test_a_backend_that_hangs_holds_no_callback_up(monkeypatch):
    monkeypatch.setattr(keyrings, "READ_TIMEOUT", 0.01)
    source, released = Source(), threading.Event()
    await source.keyring.secrets()
    source.now = settings.SECRETS_TTL
    source.says, read = ("fake-newer",), source.read
    monkeypatch.setattr(source.keyring, "_read", lambda: released.wait(30) and read())
    try:
        async with asyncio.timeout(5):
            for _ in range(2):
                answers = await asyncio.gather(*(source.keyring.secrets() for _ in range(50)))
                assert set(answers) == {("fake-secret",)}
    finally:
        released.set()

    await asyncio.wait_for(source.keyring._reading.done.wait(), 5)
    assert await source.keyring.secrets() == ("fake-newer",)
    assert source.asked == 2


async def test_a_backend_that_hangs_from_the_start_lets_nobody_in_and_holds_nobody_up(monkeypatch):
    monkeypatch.setattr(keyrings, "READ_TIMEOUT", 0.01)
    released = threading.Event()
    keyring = Keyring(read=lambda: released.wait(30) and ("fake-secret",))
    try:
        answers = await asyncio.gather(*(keyring.secrets() for _ in range(50)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {SecretsUnavailable}
    finally:
        released.set()


async def test_without_any_answer_yet_nobody_is_judged_and_it_is_soon_asked_again():
    source = Source()
    source.says = RuntimeError("backend is away")
    for _ in range(3):
        with pytest.raises(SecretsUnavailable):
            await source.keyring.secrets()
    assert source.asked == 1

    source.says, source.now = ("fake-secret",), keyrings.RETRY_UNREAD
    assert await source.keyring.secrets() == ("fake-secret",)


@pytest.mark.parametrize("known", [True, False])
async def test_a_reading_that_never_ends_is_followed_by_another_one(monkeypatch, known):
    monkeypatch.setattr(keyrings, "READ_TIMEOUT", 0.01)
    source, released, read = Source(), threading.Event(), None
    if known:
        await source.keyring.secrets()
        source.now = settings.SECRETS_TTL
    read, source.says = source.read, ("fake-newer",)

    def hang():
        released.wait(30)
        return ("fake-older",)

    try:
        monkeypatch.setattr(source.keyring, "_read", hang)
        await asyncio.gather(source.keyring.secrets(), return_exceptions=True)
        monkeypatch.setattr(source.keyring, "_read", read)
        source.now += keyrings.HANGS_AFTER - 1
        await asyncio.gather(source.keyring.secrets(), return_exceptions=True)
        assert source.asked == int(known)
        source.now += 1
        monkeypatch.setattr(keyrings, "READ_TIMEOUT", 5)
        assert await source.keyring.secrets() == ("fake-newer",)
    finally:
        released.set()
    for thread in threading.enumerate():
        if thread.name == "smartlive-secrets":
            await asyncio.to_thread(thread.join, 5)
    await asyncio.sleep(0)

    assert await source.keyring.secrets() == ("fake-newer",), "what was given up says nothing any more"


async def test_a_secret_that_cannot_be_used_is_told_once_and_not_shown():
    source = Source()
    source.says = ("fake-short", "f" * 32)
    with capture_logs() as lines:
        for source.now in (0.0, settings.SECRETS_TTL, 2 * settings.SECRETS_TTL):
            assert await source.keyring.secrets() == source.says

    (line,) = lines
    assert (line["left_out"], line["of"]) == (1, 2)
    assert "fake-short" not in str(line)


async def test_the_configuration_is_read_past_the_settings_own_cache(monkeypatch):
    settings.callback_secrets()
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_SECRETS", "fake-a, fake-b,")

    assert await Keyring().secrets() == ("fake-a", "fake-b")
