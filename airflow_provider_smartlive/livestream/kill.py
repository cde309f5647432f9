"""
Stop the job of a task that is killed on a worker, if it was ended from outside.

Airflow calls ``on_kill`` from a signal handler, and gives the process five seconds. The handler may have
interrupted the main thread in the middle of a message to its supervisor, so it must not talk to the
supervisor itself: that channel's lock would never be released. The work is done by a thread, or, if that
thread finds the channel taken, by the main thread at its next step.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from airflow_provider_smartlive.exceptions import SmartLiveKilledError

#: Seconds that the handler waits for the thread to find out what happened to the task.
LOOK_TIMEOUT = 1.0

#: Seconds that it waits for the job to be stopped, within the five that Airflow gives.
STOP_TIMEOUT = 3.5

#: Seconds between two questions to MetaStudio once the process is to end.
NAP = 0.5


class KillHandler:
    """
    Handles a kill once, in whichever thread gets to it first.

    :param handle: finds out what happened, and stops the job if it has to; calls its argument once it has
        found out.
    """

    def __init__(self, handle: Callable[[Callable[[], None]], None]) -> None:
        self._handle = handle
        self._requested = threading.Event()
        self._identified = threading.Event()
        self._once = threading.Lock()
        self._done = False

    @property
    def requested(self) -> bool:
        """Whether the task is to end."""
        return self._requested.is_set()

    def request(self, *, at_once: bool) -> None:
        """
        Note the kill, from a signal handler.

        :param at_once: whether there is something to handle it with already; else the main thread does so
            later.
        """
        self._requested.set()
        if not at_once:
            return
        worker = threading.Thread(target=self.handle, name="smartlive-kill", daemon=True)
        worker.start()
        if self._identified.wait(LOOK_TIMEOUT):
            worker.join(STOP_TIMEOUT)

    def handle(self) -> None:
        """Handle the kill; a second call waits for the first and does nothing."""
        with self._once:
            if not self._done:
                self._handle(self._identified.set)
                self._done = True

    def end_if_requested(self) -> None:
        """
        Handle the kill and end the task, if it is to end.

        :raises SmartLiveKilledError: if it is.
        """
        if self.requested:
            self.handle()
            raise SmartLiveKilledError("The task was ended from outside.")

    def sleep(self, seconds: float) -> None:
        """Sleep, but not through a kill; after it, only nap: what is asked for in a loop is asked for faster."""
        if self.requested:
            time.sleep(min(seconds, NAP))
        else:
            self._requested.wait(seconds)
