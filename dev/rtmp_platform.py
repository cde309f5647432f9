"""The "platform" of the demo and the tests: the sandbox's RTMP server, run beside synchronous code."""

from __future__ import annotations

import asyncio
import secrets
import threading
from types import TracebackType
from typing import Self

from airflow_provider_smartlive.sandbox.rtmp_server import RtmpServer, StreamStats

APP = "live"


class RtmpPlatform:
    """
    An RTMP server on 127.0.0.1 and a free port that admits the stream keys it has issued; a context manager.

    Its event loop runs in a thread of this process, so that what arrived can be read directly.
    """

    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rtmp-platform", daemon=True)
        self.server = RtmpServer(authorise=lambda app, key: app == APP and key in self._keys)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.server.start(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self.server.stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """The ingest URL, without a stream key."""
        return f"{self.server.url}/{APP}"

    def issue_key(self) -> str:
        """Return a new stream key that the platform admits."""
        key = f"fake-stream-key-{secrets.token_hex(8)}"
        self._keys.add(key)
        return key

    def stats(self, key: str) -> StreamStats:
        """Return what has arrived with a stream key."""
        return self.server.streams.get(f"{APP}/{key}", StreamStats())
