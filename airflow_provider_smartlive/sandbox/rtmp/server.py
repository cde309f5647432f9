"""A small RTMP server that plays the shopping platform: it receives streams and counts what arrives."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from airflow_provider_smartlive.sandbox.rtmp.amf import AmfError
from airflow_provider_smartlive.sandbox.rtmp.chunks import ProtocolError
from airflow_provider_smartlive.sandbox.rtmp.register import ServerEvent, StreamRegister, StreamStats
from airflow_provider_smartlive.sandbox.rtmp.session import Session

__all__ = ["RtmpServer", "ServerEvent", "StreamStats"]

log = logging.getLogger(__name__)

#: More connections at the same time are closed at once.
MAX_CONNECTIONS = 200

#: Small on purpose (bytes): with a large one the kernel would take in much video for a frozen server before
#: the publisher feels it.
RECEIVE_BUFFER = 64 * 1024


class RtmpServer:
    """
    Receives RTMP streams on the local machine; an async context manager.

    :param host: the address to listen on.
    :param port: the port; 0 takes a free one.
    :param authorise: decides by application and stream name who may publish; None admits everybody.
        Publishers built on FFmpeg take the path's first two segments as the application if there are three.
    :param on_event: is told (kind, application, stream name), see :class:`ServerEvent`; must return quickly.
    :param now: the clock that stamps the statistics.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        authorise: Callable[[str, str], bool] | None = None,
        on_event: Callable[[ServerEvent, str, str], None] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._host = host
        self._port = port
        self._register = StreamRegister(authorise, on_event, now)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._thawed = asyncio.Event()
        self._thawed.set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def port(self) -> int:
        """The port that the server listens on; before the start, the one asked for."""
        return self._port

    @property
    def url(self) -> str:
        """The server's URL without an application: ``rtmp://HOST:PORT``."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"rtmp://{host}:{self._port}"

    @property
    def streams(self) -> Mapping[str, StreamStats]:
        """Statistics by ``application/stream name``, over all connections. The names are secrets."""
        return self._register.streams

    async def start(self) -> None:
        """
        Listen; after a stop, on the same port again and with the counts kept.

        :raises OSError: if the port is taken.
        """
        self._server = await asyncio.start_server(self._serve, self._host, self._port)
        for listening in self._server.sockets:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and cut all connections."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def freeze(self) -> None:
        """Stop reading: publishers run into TCP's back-pressure, and new ones get no answer."""
        self._thawed.clear()

    def thaw(self) -> None:
        """Read again."""
        self._thawed.set()

    def refuse(self, refusing: bool = True) -> None:
        """Deny new publishers, or admit them again; those that publish already stay."""
        self._register.refusing = refusing

    def kick(self, stream: str) -> bool:
        """
        Cut the connection that publishes a stream, as a platform does that ends a show.

        :param stream: ``application/stream name``.
        :return: whether somebody published it.
        """
        publisher = self._register.publisher(stream)
        if publisher is None:
            return False
        self._register.leave(publisher, ServerEvent.KICKED)
        publisher.drop()
        return True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._tasks) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._tasks.add(task)
        session = Session(reader, writer, self._register, self._thawed, cut=task.cancel)
        try:
            await session.run()
            writer.close()
        except (ProtocolError, AmfError) as error:
            log.info("a connection was closed: %s", error)
        except (OSError, TimeoutError):
            log.info("a connection broke or went silent")
        except asyncio.CancelledError:
            # Kicked, replaced or stopped: all of them end here, and nobody waits for a result.
            log.debug("a connection was cut")
        finally:
            self._tasks.discard(task)
            self._register.leave(session, ServerEvent.LOST)
            if not writer.is_closing():
                writer.transport.abort()
