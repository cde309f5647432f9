"""Being killed on a worker: honoured once, by whoever gets to it, and never in the handler's own thread."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from airflow_provider_smartlive.exceptions import SmartLiveKilledError
from airflow_provider_smartlive.livestream import kill
from airflow_provider_smartlive.livestream.kill import KillHandler


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kill, "LOOK_TIMEOUT", 0.05)
    monkeypatch.setattr(kill, "STOP_TIMEOUT", 0.05)


class Handle:
    """Counts how often a kill was honoured, and by which thread."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.threads: list[threading.Thread] = []
        self.finished = threading.Event()

    def __call__(self, identified: Callable[[], None]) -> None:
        self.threads.append(threading.current_thread())
        identified()
        if self.failures:
            raise self.failures.pop(0)
        self.finished.set()


def test_a_kill_before_there_is_a_job_is_only_noted() -> None:
    handle = Handle()
    handler = KillHandler(handle)
    assert not handler.requested
    handler.request(at_once=False)
    assert handler.requested
    assert handle.threads == []


def test_a_kill_is_honoured_by_a_thread_of_its_own() -> None:
    handle = Handle()
    KillHandler(handle).request(at_once=True)
    assert handle.finished.wait(5)
    assert handle.threads[0] is not threading.current_thread()


def test_it_is_honoured_once() -> None:
    handle = Handle()
    handler = KillHandler(handle)
    handler.request(at_once=True)
    handler.request(at_once=True)
    handler.handle()
    assert len(handle.threads) == 1


def test_a_failure_leaves_it_to_the_next() -> None:
    handle = Handle(RuntimeError("the Execution API is away"), RuntimeError("still"))
    handler = KillHandler(handle)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            handler.handle()
    handler.handle()
    assert len(handle.threads) == 3


def test_a_step_goes_on_until_the_task_is_to_end() -> None:
    handle = Handle()
    handler = KillHandler(handle)
    handler.end_if_requested()
    handler.request(at_once=False)
    with pytest.raises(SmartLiveKilledError):
        handler.end_if_requested()
    assert len(handle.threads) == 1, "handled before it leaves"


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

    def handle(identified: Callable[[], None]) -> None:
        with channel:
            identified()
            honoured.append(threading.current_thread().name)

    handler = KillHandler(handle)
    with handling(lambda: handler.request(at_once=True)):
        with channel:
            signal.raise_signal(signal.SIGTERM)
            assert honoured == [], "the handler has come back empty-handed"
        handler.handle()  # the main thread's next step
    assert honoured == ["smartlive-kill"]


def test_nothing_is_slept_through() -> None:
    handler = KillHandler(Handle())
    with handling(lambda: handler.request(at_once=False)):
        threading.Timer(0.02, signal.pthread_kill, (threading.get_ident(), signal.SIGTERM)).start()
        handler.sleep(30)
    assert handler.requested


def test_after_a_kill_it_only_naps(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is still to be found out is found out faster, but not by a loop that never rests."""
    naps: list[float] = []
    monkeypatch.setattr("time.sleep", naps.append)
    handler = KillHandler(Handle())
    handler.request(at_once=False)
    handler.sleep(3.0)
    handler.sleep(0.1)
    assert naps == [kill.NAP, 0.1]
