"""A clock that only moves when somebody waits, and an event loop that waits by it: no test sleeps."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import selectors
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

#: No test lasts longer than this by its clock; one that waits for ever fails instead.
LONGEST = timedelta(hours=36)

#: Real seconds after which a loop with nothing to do is taken for stuck. Only a thread can still wake it.
STUCK = 5.0


@dataclass
class Clock:
    """
    The time of a test; sleeping moves it, and what is due on the way happens on the way.

    :param now: when the test begins.
    """

    now: datetime = NOON
    began: datetime = field(init=False)
    _plans: list[tuple[datetime, int, Callable[[], object]]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.began = self.now

    def __call__(self) -> datetime:
        return self.now

    @property
    def seconds(self) -> float:
        """Seconds since the test began."""
        return (self.now - self.began).total_seconds()

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        """Let something happen so many seconds after the test began."""
        heapq.heappush(self._plans, (self.began + timedelta(seconds=seconds), next(self._numbers), action))

    def sleep(self, seconds: float) -> None:
        until = self.now + timedelta(seconds=seconds)
        while self.now < until:
            self.step((until - self.now).total_seconds())

    def step(self, seconds: float) -> None:
        """Sleep until something happens, at most so long."""
        if self.now - self.began > LONGEST:
            raise AssertionError(f"{LONGEST} have passed, and nobody has ended it")
        until = self.now + timedelta(seconds=seconds)
        if not self._plans or self._plans[0][0] > until:
            self.now = until
            return
        self.now = max(self.now, self._plans[0][0])
        while self._plans and self._plans[0][0] <= self.now:
            heapq.heappop(self._plans)[2]()

    @property
    def has_plans(self) -> bool:
        return bool(self._plans)


class _Selector(selectors.SelectSelector):
    """Instead of waiting it moves the clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is not None or self._clock.has_plans:
            # Never by nothing: a rounding error must not keep a timer from coming due.
            self._clock.step(3600.0 if timeout is None else max(timeout, 1e-6))
            return ready
        ready = super().select(STUCK)
        if not ready:
            raise AssertionError("the loop waits for something that will never come")
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is a clock's."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(_Selector(clock))
        self._virtual_clock = clock

    def time(self) -> float:
        return self._virtual_clock.seconds

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Run it here and now: by a clock that only moves when nobody works, a thread would be late."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done


def run(clock: Clock, main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine by a clock."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.run(main)
