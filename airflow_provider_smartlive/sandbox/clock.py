"""
The sandbox's clock: one time line for the show, with a rate, and the time of day for what goes on the wire.

What MetaStudio *plays* (a script, ``max_live_duration``, the wait before a job starts) takes show seconds:
at rate 60 an hour of livestream passes in a minute. What is *said on the wire* (time stamps, signatures of
requests and callbacks) is the time of day, because the other side compares it with its own clock.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

#: Show seconds per second, at most: a livestream of a week in less than a second.
MAX_RATE = 1_000_000.0

#: Seconds that a clock is stepped by or is off, at most: 30 years. Beyond, times of day end.
MAX_SECONDS = 1_000_000_000.0


def _time_of_day() -> datetime:
    return datetime.now(UTC)


class Clock:
    """
    A clock that tasks can sleep on, and that can be sped up or stepped while they do.

    :param rate: show seconds per real second, 0 to :data:`MAX_RATE`; 0 stands still until it is stepped.
    :param shown: show seconds that have already passed, to go on after a restart.
    :param wall: tells the time of day (aware, UTC).
    :param monotonic: tells real seconds, never backwards.
    """

    def __init__(
        self,
        rate: float = 1.0,
        *,
        shown: float = 0.0,
        wall: Callable[[], datetime] = _time_of_day,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = _checked_rate(rate)
        self._wall = wall
        self._monotonic = monotonic
        self._base = shown
        self._anchor = monotonic()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._alarm: asyncio.TimerHandle | None = None
        self._skew = timedelta()

    @property
    def rate(self) -> float:
        """Show seconds per real second."""
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        rate = _checked_rate(rate)
        self._rebase(self.shown())
        self._rate = rate
        self._arm()

    @property
    def skew(self) -> timedelta:
        """How far the sandbox's time of day is off (a fault that clients must survive)."""
        return self._skew

    @skew.setter
    def skew(self, skew: timedelta) -> None:
        if abs(skew.total_seconds()) > MAX_SECONDS:
            raise ValueError(f"skew must be {MAX_SECONDS:.0f} seconds at most")
        self._skew = skew

    def now(self) -> datetime:
        """Tell the time of day, with the skew."""
        return self._wall() + self.skew

    def shown(self) -> float:
        """Tell how many show seconds have passed."""
        return self._base + (self._monotonic() - self._anchor) * self._rate

    def step(self, seconds: float) -> None:
        """
        Let show time jump forward; whoever sleeps until then wakes up.

        :param seconds: show seconds, 0 to :data:`MAX_SECONDS`.
        """
        if not 0 <= seconds <= MAX_SECONDS:
            raise ValueError(f"a clock steps forward by 0 to {MAX_SECONDS:.0f} seconds, not by {seconds}")
        self._jump(self.shown() + seconds)

    async def sleep(self, seconds: float) -> None:
        """Sleep for so many show seconds."""
        await self.sleep_until(self.shown() + seconds)

    async def sleep_until(self, shown: float) -> None:
        """Sleep until so many show seconds have passed; returns at once if they have."""
        if shown <= self.shown():
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (shown, next(self._order), woken))
        self._arm()
        await woken

    def _jump(self, shown: float) -> None:
        self._rebase(shown)
        self._wake()

    def _rebase(self, shown: float) -> None:
        self._base = shown
        self._anchor = self._monotonic()

    def _arm(self) -> None:
        """Set the alarm for the first sleeper: one timer, however many sleep."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        if self._sleepers and self._rate > 0:
            delay = max(0.0, (self._sleepers[0][0] - self.shown()) / self._rate)
            self._alarm = asyncio.get_running_loop().call_later(delay, self._wake)

    def _wake(self) -> None:
        shown = self.shown()
        while self._sleepers and self._sleepers[0][0] <= shown:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
        if self._sleepers:
            self._arm()


def _checked_rate(rate: float) -> float:
    if not 0 <= rate <= MAX_RATE:
        raise ValueError(
            f"rate must be 0 or more show seconds per second, and {MAX_RATE:.0f} at most, not {rate}"
        )
    return rate


#: How often :meth:`ManualClock.advance` hands control to the other tasks before it calls them settled.
_TURNS = 60


class ManualClock(Clock):
    """
    A clock that moves only when it is told to: for tests.

    :param start: the time of day at show second 0.
    :param shown: show seconds that have already passed.
    """

    def __init__(
        self, start: datetime = datetime(2026, 11, 23, 12, 0, tzinfo=UTC), *, shown: float = 0.0
    ) -> None:
        super().__init__(0.0, shown=shown, monotonic=lambda: 0.0)
        self._start = start

    def now(self) -> datetime:
        """Tell the time of day: the start plus the show time, plus the skew."""
        return self._start + timedelta(seconds=self.shown()) + self.skew

    async def advance(self, seconds: float) -> None:
        """
        Move on, waking the sleepers one after the other and letting each of them act.

        :param seconds: show seconds, 0 or more.
        """
        target = self.shown() + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            self._jump(self._sleepers[0][0])
            await self.settle()
        self._jump(target)
        await self.settle()

    async def settle(self) -> None:
        """Let the other tasks run until they wait again."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
