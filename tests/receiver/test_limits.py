from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_smartlive.receiver.limits import LogThrottle, RateLimit, Turns


def test_so_many_per_minute_and_no_more(clock):
    rate = RateLimit(clock=lambda: clock.seconds)

    assert [rate.allows("a", 2) for _ in range(4)] == [True, True, False, False]
    clock.sleep(59.9)
    assert not rate.allows("a", 2)
    clock.sleep(0.1)
    assert rate.allows("a", 2)


def test_keys_do_not_share_a_limit(clock):
    rate = RateLimit(clock=lambda: clock.seconds)

    assert rate.allows("a", 1)
    assert rate.allows("b", 1)
    assert not rate.allows("a", 1)


def test_memory_is_bounded_and_the_busy_keys_are_remembered(clock):
    rate = RateLimit(clock=lambda: clock.seconds, max_keys=3)
    rate.allows("busy", 2)
    for number in range(10):
        rate.allows("busy", 100)
        rate.allows(number, 2)

    assert len(rate._windows) == 3
    assert not rate.allows("busy", 2)


def test_a_kind_gets_one_line_per_minute_and_the_rest_is_counted(clock):
    throttle = LogThrottle(clock=lambda: clock.seconds)

    assert [throttle.lets_through("token") for _ in range(4)] == [0, None, None, None]
    assert throttle.lets_through("time") == 0
    clock.sleep(60)
    assert throttle.lets_through("token") == 3
    clock.sleep(60)
    assert throttle.lets_through("token") == 0


def test_the_first_line_comes_through_soon_after_the_machine_started():
    assert LogThrottle(clock=lambda: 0.5).lets_through("token") == 0


@pytest.fixture
def executor():
    with ThreadPoolExecutor(4) as executor:
        yield executor


async def test_work_of_one_key_is_done_one_after_the_other(executor):
    turns, running, most = Turns(executor), [], []

    def work(number):
        running.append(number)
        most.append(len(running))
        running.remove(number)
        return number

    answers = await asyncio.gather(
        *(turns.run("task", lambda number=number: work(number)) for number in range(50))
    )

    assert answers == list(range(50))
    assert max(most) == 1
    executor.shutdown()  # the last turn ends after its answer is there
    assert not turns._waiting


async def test_who_stops_waiting_leaves_its_turn_to_nobody_before_the_work_is_done(executor):
    turns, released = Turns(executor), threading.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await turns.run("task", lambda: released.wait(30))
    next_one = asyncio.create_task(turns.run("task", released.is_set))
    assert await turns.run("other task", lambda: "done") == "done"
    released.set()

    assert await next_one


async def test_a_busy_key_does_not_keep_a_thread_to_itself():
    with ThreadPoolExecutor(1) as executor:
        turns, order = Turns(executor), []
        work = [("busy", number) for number in range(5)] + [("other", 0)]
        await asyncio.gather(
            *(turns.run(key, lambda piece=(key, number): order.append(piece)) for key, number in work)
        )

    assert order.index(("other", 0)) < 3


async def test_work_that_nobody_waits_for_any_more_is_not_begun(executor):
    turns, released, done = Turns(executor), threading.Event(), []
    first = asyncio.create_task(turns.run("task", lambda: released.wait(30)))
    given_up = asyncio.create_task(turns.run("task", lambda: done.append("given up")))
    last = asyncio.create_task(turns.run("task", lambda: done.append("last")))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.sleep(0)
    released.set()
    await asyncio.gather(first, last)

    assert done == ["last"]


async def test_work_that_fails_ends_its_turn(executor):
    turns = Turns(executor)
    with pytest.raises(ZeroDivisionError):
        await turns.run("task", lambda: 1 / 0)

    assert await turns.run("task", lambda: 1) == 1


class _NotYetError(Exception):
    """What work raises that is held up."""


async def test_work_that_is_held_up_takes_no_thread_and_is_tried_again_in_its_place():
    with ThreadPoolExecutor(1) as executor:
        turns, order, free = Turns(executor, held_up=_NotYetError), [], threading.Event()

        def held_up():
            if not free.is_set():
                raise _NotYetError
            order.append("held up")

        waiting = [asyncio.create_task(turns.run("locked", held_up))]
        waiting.append(asyncio.create_task(turns.run("locked", lambda: order.append("behind it"))))
        await turns.run("other", lambda: order.append("other"))
        free.set()
        await asyncio.gather(*waiting)

    assert order == ["other", "held up", "behind it"]
    assert not turns._waiting


async def test_work_that_stays_held_up_is_given_up_with_its_sender():
    with ThreadPoolExecutor(1) as executor:
        turns = Turns(executor, held_up=_NotYetError)

        def held_up():
            raise _NotYetError

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await turns.run("locked", held_up)

        assert await turns.run("locked", lambda: "done") == "done"
