"""Bound what one sender can cause, with bounded memory. In one process: several API servers add up."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from concurrent.futures import Executor, Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

_MINUTE = 60.0

#: Seconds before work that is held up is tried again: the first pause, and the longest. Each is twice the one before.
FIRST_LOCK_PAUSE = 0.1
LONGEST_LOCK_PAUSE = 0.5

_T = TypeVar("_T")


class RateLimit:
    """
    So many per minute for each key, counted in windows of one minute that begin with the first.

    :param clock: Seconds, monotonic.
    :param max_keys: How many keys are remembered; the one that was used longest ago is forgotten first.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, max_keys: int = 10_000) -> None:
        self._clock = clock
        self._max_keys = max_keys
        self._windows: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()

    def allows(self, key: Hashable, per_minute: int) -> bool:
        """Count one use of a key, and tell whether it is within the limit."""
        now = self._clock()
        began, used = self._windows.pop(key, (now, 0))
        if now - began >= _MINUTE:
            began, used = now, 0
        self._windows[key] = (began, used + 1)
        if len(self._windows) > self._max_keys:
            self._windows.popitem(last=False)
        return used < per_minute


class LogThrottle:
    """
    Lets one line per minute and kind through to the log, and counts the rest.

    The kinds must be few and our own: nothing that a stranger chooses.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[str, tuple[float, int]] = {}

    def lets_through(self, kind: str) -> int | None:
        """Return how many were held back since the last line, or None if this one is to be held back too."""
        now = self._clock()
        last, held_back = self._last.get(kind, (-_MINUTE, 0))
        if kind in self._last and now - last < _MINUTE:
            self._last[kind] = (last, held_back + 1)
            return None
        self._last[kind] = (now, 0)
        return held_back


@dataclass
class _Piece:
    """A piece of work that waits for its turn; whoever waits for it does so in this event loop."""

    work: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    future: Future[Any] = field(default_factory=Future)
    pause: float = FIRST_LOCK_PAUSE


class Turns:
    """
    Runs work in threads, one piece at a time for each key, in the order in which it came.

    Events of one task wait for each other in the database anyway. Waiting here they take no thread from other tasks,
    however many there are and however long somebody else holds the task's row.

    :param executor: Has the threads.
    :param held_up: What work raises that cannot be done yet. It is tried again after a pause, in which it takes no
        thread, for as long as somebody waits for it.
    """

    def __init__(self, executor: Executor, *, held_up: type[Exception] | tuple[()] = ()) -> None:
        self._executor = executor
        self._held_up = held_up
        self._lock = threading.Lock()
        #: The piece that runs or is about to, and what waits behind it, for each key that has one.
        self._waiting: dict[Hashable, deque[_Piece]] = {}

    async def run(self, key: Hashable, work: Callable[[], _T]) -> _T:
        """
        Run a piece of work after those of the same key that came before, and return its result.

        Who stops waiting takes its work back, unless it has begun; the next piece waits for it then all the same.
        """
        piece = _Piece(work, asyncio.get_running_loop())
        with self._lock:
            is_first = key not in self._waiting
            self._waiting.setdefault(key, deque()).append(piece)
        if is_first:
            self._executor.submit(self._run_next, key)
        result: _T = await asyncio.wrap_future(piece.future)
        return result

    def _run_next(self, key: Hashable) -> None:
        with self._lock:
            piece = self._waiting[key][0]
        if not piece.future.cancelled() and not self._is_done(piece) and self._comes_back(key, piece):
            return
        with self._lock:
            self._waiting[key].popleft()
            is_last = not self._waiting[key]
            if is_last:
                del self._waiting[key]
        if not is_last:
            # Behind what other keys wait for: no key keeps a thread to itself.
            self._executor.submit(self._run_next, key)

    def _is_done(self, piece: _Piece) -> bool:
        """Do a piece of work and hand over its result, or tell that it is held up."""
        # Whoever has stopped waiting meanwhile wants neither result nor error.
        try:
            result = piece.work()
        except self._held_up:
            return False
        except BaseException as error:
            with suppress(InvalidStateError):
                piece.future.set_exception(error)
        else:
            with suppress(InvalidStateError):
                piece.future.set_result(result)
        return True

    def _comes_back(self, key: Hashable, piece: _Piece) -> bool:
        """Try the first piece of a key again after a pause; False if its event loop has ended."""
        pause, piece.pause = piece.pause, min(2 * piece.pause, LONGEST_LOCK_PAUSE)
        try:
            piece.loop.call_soon_threadsafe(piece.loop.call_later, pause, self._resubmit, key)
        except RuntimeError:
            return False
        return True

    def _resubmit(self, key: Hashable) -> None:
        with suppress(RuntimeError):  # the executor was shut down: the server ends
            self._executor.submit(self._run_next, key)
