"""A sandbox inside a test's own process."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Coroutine
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

from airflow_provider_smartlive.sandbox.config import Account, Config, RoomSeed
from airflow_provider_smartlive.sandbox.model.faults import Fault
from airflow_provider_smartlive.sandbox.rtmp.platform import Platform
from airflow_provider_smartlive.sandbox.server import Sandbox

_T = TypeVar("_T")

#: Show seconds per second in tests that do not choose: a script of 20 seconds is over in one.
QUICK_RATE = 20.0


def made_up_account() -> Account:
    """Return an account with made-up keys."""
    return Account(
        access_key="FAKEACCESSKEY",
        secret_key=f"fake-secret-{secrets.token_hex(8)}",
        project_id="fake-project",
    )


def quick_config(**changes: Any) -> Config:
    """
    Return a set-up for tests: fast, without video.

    :param changes: fields of :class:`Config` to change.
    """
    return replace(Config(account=made_up_account(), rate=QUICK_RATE, link="simulated"), **changes)


class LocalSandbox:
    """
    A sandbox that runs in a thread of this process; a context manager.

    :param config: how it is set up; default: :func:`quick_config`.
    :param with_rtmp: run the built-in platform beside it.
    """

    def __init__(self, config: Config | None = None, *, with_rtmp: bool = False) -> None:
        self.config = config or quick_config()
        self._with_rtmp = with_rtmp
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="smartlive-sandbox", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._run(self._start())
        except BaseException:
            self._end_thread()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._sandbox.__aexit__(None, None, None))
        self._end_thread()

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        self.platform = Platform() if self._with_rtmp else None
        self._sandbox = Sandbox(self.config, platform=self.platform)
        await self._sandbox.__aenter__()

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``."""
        return self._sandbox.url

    @property
    def account(self) -> Account:
        """Who may call."""
        return self.config.account

    def connection(self) -> dict[str, Any]:
        """Return an Airflow connection to the sandbox, as the JSON form of a connection has it."""
        return {
            "conn_type": "smartlive",
            "host": self.url,
            "login": self.account.access_key,
            "password": self.account.secret_key,
            "extra": {"project_id": self.account.project_id},
        }

    def add_room(self, room_id: str, name: str = "", *, seconds: float | None = None, **room: Any) -> str:
        """
        Make a room and return its id.

        :param seconds: show seconds of its script; None: as its texts take.
        :param room: more of the room, as the API takes it (``CreateSmartLiveRoomReq``).
        """
        seed = RoomSeed(room_id=room_id, name=name, seconds=seconds, room=room)
        rooms = self._sandbox.backend.rooms
        self._do(lambda: rooms.create(seed.body(), room_id=room_id, seconds=seconds))
        return room_id

    def add_fault(self, **rule: Any) -> Fault:
        """
        Let something go wrong.

        :param rule: the fields of :class:`~airflow_provider_smartlive.sandbox.model.faults.Fault`.
        """
        return self._do(lambda: self._sandbox.backend.faults.add(Fault(**rule)))

    def clear_faults(self) -> None:
        """Let nothing go wrong any more."""
        self._do(self._sandbox.backend.faults.clear)

    def step(self, seconds: float) -> None:
        """Let show time jump forward by so many seconds."""
        self._do(lambda: self._sandbox.backend.clock.step(seconds))

    def ledger(self, **filters: Any) -> list[dict[str, Any]]:
        """
        Return what happened, the oldest first.

        :param filters: ``kind``, ``job_id``, ``room_id``, ``after``, ``limit``.
        """
        return self._do(lambda: list(self._sandbox.backend.ledger.read(**filters)))

    def states(self, job_id: str | None = None) -> list[str]:
        """
        Return the states that jobs went through.

        :param job_id: only of this job.
        """
        return [entry["state"] for entry in self.ledger(kind="job", job_id=job_id) if "state" in entry]

    def _do(self, work: Callable[[], _T]) -> _T:
        async def do() -> _T:
            return work()

        return self._run(do())

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
