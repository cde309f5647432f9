"""Starts again what of Airflow ended by itself, as the supervisor of a deployment does."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from dev.process import Program

#: Seconds between two looks, and so the longest that a process is away.
LOOK = 5.0


class Supervisor:
    """
    A thread that looks after programs while its context lasts.

    :param programs: by name; those that live when they are looked at are left alone.
    :param hands: is held by whoever kills a program and starts it again.
    :param look: seconds between two looks.
    """

    def __init__(self, programs: Mapping[str, Program], hands: threading.Lock, *, look: float = LOOK) -> None:
        #: How often each program was started again.
        self.restarts: Counter[str] = Counter()
        self._programs = programs
        self._hands = hands
        self._look = look
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(self._look):
            with self._hands:
                for name, program in self._programs.items():
                    if not program.running:
                        program.start()
                        self.restarts[name] += 1
