"""Being killed on a worker: honoured once, by whoever gets to it, and never in the handler's own thread."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from airflow_provider_smartlive.livestream import kill
from airflow_provider_smartlive.livestream.kill import KillSwitch


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kill, "LOOK_PATIENCE", 0.05)
    monkeypatch.setattr(kill, "STOP_PATIENCE", 0.05)


class Honour:
    """Counts how often a kill was honoured, and by which thread."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.threads: list[threading.Thread] = []
        self.finished = threading.Event()

    def __call__(self, understood: Callable[[], None]) -> None:
        self.threads.append(threading.current_thread())
        understood()
        if self.failures:
            raise self.failures.pop(0)
        self.finished.set()


def test_a_kill_before_there_is_a_job_is_only_noted() -> None:
    honour = Honour()
    switch = KillSwitch(honour)
    assert not switch.pulled
    switch.pull(at_once=False)
    assert switch.pulled
    assert honour.threads == []


def test_a_kill_is_honoured_by_a_thread_of_its_own() -> None:
    honour = Honour()
    KillSwitch(honour).pull(at_once=True)
    assert honour.finished.wait(5)
    assert honour.threads[0] is not threading.current_thread()


def test_it_is_honoured_once() -> None:
    honour = Honour()
    switch = KillSwitch(honour)
    switch.pull(at_once=True)
    switch.pull(at_once=True)
    switch.honour()
    assert len(honour.threads) == 1


def test_a_failure_leaves_it_to_the_next() -> None:
    honour = Honour(RuntimeError("the Execution API is away"), RuntimeError("still"))
    switch = KillSwitch(honour)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            switch.honour()
    switch.honour()
    assert len(honour.threads) == 3


@contextmanager
def handling(handler: Callable[[], None]) -> Iterator[None]:
    """Handle SIGTERM as Airflow's task runner does."""
    before = signal.signal(signal.SIGTERM, lambda *_: handler())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_signal_in_the_middle_of_a_message_to_the_supervisor_is_no_deadlock() -> None:
    """The main thread holds the channel's lock, and is inside the handler: nobody else can release it."""
    channel = threading.Lock()
    honoured: list[str] = []

    def honour(understood: Callable[[], None]) -> None:
        with channel:
            understood()
            honoured.append(threading.current_thread().name)

    switch = KillSwitch(honour)
    with handling(lambda: switch.pull(at_once=True)):
        with channel:
            signal.raise_signal(signal.SIGTERM)
            assert honoured == [], "the handler has come back empty-handed"
        switch.honour()  # the main thread's next step
    assert honoured == ["smartlive-kill"]


def test_nothing_is_slept_through() -> None:
    switch = KillSwitch(Honour())
    with handling(lambda: switch.pull(at_once=False)):
        threading.Timer(0.02, signal.pthread_kill, (threading.get_ident(), signal.SIGTERM)).start()
        switch.sleep(30)
    assert switch.pulled


def test_after_a_kill_it_only_naps(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is still to be found out is found out faster, but not by a loop that never rests."""
    naps: list[float] = []
    monkeypatch.setattr("time.sleep", naps.append)
    switch = KillSwitch(Honour())
    switch.pull(at_once=False)
    switch.sleep(3.0)
    switch.sleep(0.1)
    assert naps == [kill.NAP, 0.1]
