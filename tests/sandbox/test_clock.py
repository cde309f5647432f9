"""The clock: a rate, steps, and sleepers that follow both."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_smartlive.sandbox.clock import Clock, ManualClock


class Seconds:
    """Real seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_show_time_passes_at_the_rate() -> None:
    seconds = Seconds()
    clock = Clock(60, shown=5, monotonic=seconds)
    seconds.now = 10
    assert clock.shown() == 605


def test_a_new_rate_holds_from_now_on() -> None:
    seconds = Seconds()
    clock = Clock(60, monotonic=seconds)
    seconds.now = 1
    clock.rate = 1
    seconds.now = 11
    assert clock.shown() == 70


def test_the_time_of_day_is_real_whatever_the_rate() -> None:
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    clock = Clock(3600, wall=lambda: noon)
    assert clock.now() == noon
    clock.skew = timedelta(minutes=20)
    assert clock.now() == noon + timedelta(minutes=20)


@pytest.mark.parametrize("bad", [-1, -0.5])
def test_time_does_not_run_backwards(bad: float) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        Clock(bad)
    clock = Clock()
    with pytest.raises(ValueError, match="0 or more"):
        clock.rate = bad
    with pytest.raises(ValueError, match="forward"):
        clock.step(bad)


async def test_sleepers_wake_in_order_when_time_is_moved() -> None:
    clock = ManualClock()
    woken: list[str] = []

    async def sleep(seconds: float, name: str) -> None:
        await clock.sleep(seconds)
        woken.append(f"{name}@{clock.shown():g}")

    tasks = [asyncio.create_task(sleep(s, n)) for s, n in ((3, "c"), (1, "a"), (2, "b"))]
    await clock.advance(2.5)
    assert woken == ["a@1", "b@2"]
    await clock.advance(1)
    assert woken == ["a@1", "b@2", "c@3"]
    await asyncio.gather(*tasks)


async def test_a_step_wakes_a_sleeper_of_a_running_clock() -> None:
    clock = Clock(1.0)
    sleeper = asyncio.create_task(clock.sleep(3600))
    await asyncio.sleep(0)
    clock.step(3600)
    await asyncio.wait_for(sleeper, 1)


async def test_a_sleeper_of_a_fast_clock_wakes_early() -> None:
    clock = Clock(36_000)
    await asyncio.wait_for(clock.sleep(3600), 5)
    assert clock.shown() >= 3600


async def test_a_faster_rate_reaches_those_who_sleep_already() -> None:
    clock = Clock(0)
    sleeper = asyncio.create_task(clock.sleep(100))
    await asyncio.sleep(0)
    clock.rate = 100_000
    await asyncio.wait_for(sleeper, 1)


async def test_a_sleeper_may_give_up() -> None:
    clock = ManualClock()
    sleeper = asyncio.create_task(clock.sleep(1))
    await clock.settle()
    sleeper.cancel()
    await clock.advance(5)
    assert sleeper.cancelled()


async def test_manual_time_of_day_follows_the_show() -> None:
    clock = ManualClock()
    before = clock.now()
    await clock.advance(90)
    assert clock.now() - before == timedelta(seconds=90)
