from __future__ import annotations

import pytest

from airflow_provider_smartlive.callbacks.limits import Rarely, RateLimit


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_so_many_per_minute_and_no_more(clock):
    rate = RateLimit(clock=clock)

    assert [rate.allows("a", 2) for _ in range(4)] == [True, True, False, False]
    clock.now += 59.9
    assert not rate.allows("a", 2)
    clock.now += 0.1
    assert rate.allows("a", 2)


def test_keys_do_not_share_a_limit(clock):
    rate = RateLimit(clock=clock)

    assert rate.allows("a", 1)
    assert rate.allows("b", 1)
    assert not rate.allows("a", 1)


def test_memory_is_bounded_and_the_busy_keys_are_remembered(clock):
    rate = RateLimit(clock=clock, max_keys=3)
    rate.allows("busy", 2)
    for number in range(10):
        rate.allows("busy", 100)
        rate.allows(number, 2)

    assert len(rate._windows) == 3
    assert not rate.allows("busy", 2)


def test_a_kind_gets_one_line_per_minute_and_the_rest_is_counted(clock):
    rarely = Rarely(clock=clock)

    assert [rarely.lets_through("token") for _ in range(4)] == [0, None, None, None]
    assert rarely.lets_through("time") == 0
    clock.now += 60
    assert rarely.lets_through("token") == 3
    clock.now += 60
    assert rarely.lets_through("token") == 0


def test_the_first_line_comes_through_soon_after_the_machine_started():
    assert Rarely(clock=lambda: 0.5).lets_through("token") == 0
