"""The web server: MetaStudio's API, IAM's token endpoint and the sandbox's own API on one port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from airflow_provider_smartlive.sandbox.api import commands as api_commands
from airflow_provider_smartlive.sandbox.api import jobs as api_jobs
from airflow_provider_smartlive.sandbox.api import rooms as api_rooms
from airflow_provider_smartlive.sandbox.api.authenticator import Authenticator
from airflow_provider_smartlive.sandbox.api.call import Endpoint
from airflow_provider_smartlive.sandbox.api.control import ControlApi, refuse
from airflow_provider_smartlive.sandbox.api.dispatcher import Dispatcher
from airflow_provider_smartlive.sandbox.api.origin_check import OriginCheck
from airflow_provider_smartlive.sandbox.backend import Backend
from airflow_provider_smartlive.sandbox.clock import Clock
from airflow_provider_smartlive.sandbox.config import Config
from airflow_provider_smartlive.sandbox.model.engine import load_shown
from airflow_provider_smartlive.sandbox.model.http_post import HttpPost
from airflow_provider_smartlive.sandbox.model.store import StateStore
from airflow_provider_smartlive.sandbox.rtmp.platform import Platform
from airflow_provider_smartlive.sandbox.video.encoder_job import require_encoder
from airflow_provider_smartlive.sandbox.video.links import LinkFactory, SimulatedLink, video_links

ENDPOINTS: tuple[Endpoint, ...] = (*api_jobs.ENDPOINTS, *api_commands.ENDPOINTS, *api_rooms.ENDPOINTS)

#: Real seconds for open calls to finish when the sandbox stops.
_SHUTDOWN_SECONDS = 2

#: With these socket options closing a connection sends a reset instead of an orderly end.
_RESET = struct.pack("ii", 1, 0)

#: Open connections by the address of the client, so that a fault can cut one in the middle of a call.
_connections: dict[Any, asyncio.Transport] = {}


class _Protocol(H11Protocol):
    """uvicorn's protocol, which also remembers its connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn itself
        super().connection_made(transport)
        _connections[transport.get_extra_info("peername")[:2]] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        _connections.pop(self.transport.get_extra_info("peername")[:2], None)
        super().connection_lost(exc)


class _Server(uvicorn.Server):
    """uvicorn's server, which tells when it listens and leaves signals to whoever runs the sandbox."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def break_off(request: Request) -> None:
    """Cut the connection of a request with a reset."""
    transport = _connections.get(tuple(request.client) if request.client else None)
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()


class Sandbox:
    """
    A running sandbox; an async context manager.

    :param config: how it is set up.
    :param host: the address to listen on.
    :param port: the port; 0 takes a free one.
    :param clock: the show clock; default: one with the configured rate, that goes on where the state file stands.
    :param open_link: opens RTMP links; default: as configured.
    :param platform: the built-in platform, started and stopped with the sandbox.
    :raises StateError: if the state file cannot be used.
    """

    def __init__(
        self,
        config: Config,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock | None = None,
        open_link: LinkFactory | None = None,
        platform: Platform | None = None,
    ) -> None:
        store = StateStore(config.state)
        self._socket = _listen(host, port)
        self._host = host
        self._platform = platform
        self._post = HttpPost(config.ca_file)
        self.backend = Backend(
            config,
            [operation.name for operation in ENDPOINTS],
            store=store,
            clock=clock or Clock(config.rate, shown=load_shown(store)),
            open_link=open_link or link_factory(config),
            post=self._post,
            platform=platform,
        )
        self._server = _Server(
            uvicorn.Config(
                make_app(self.backend),
                http=_Protocol,
                lifespan="off",
                access_log=False,
                log_config=None,
                log_level="warning",
                timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """``http://HOST:PORT``."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._socket.getsockname()[1]}"

    async def __aenter__(self) -> Self:
        if self._platform is not None:
            await self._platform.server.start()
        self.backend.start()
        self._serving = asyncio.create_task(self._server.serve([self._socket]))
        await self._server.ready.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving
        await self.backend.close()
        await self._post.close()
        if self._platform is not None:
            await self._platform.server.stop()


def make_app(backend: Backend) -> Starlette:
    """Return the web application."""
    authenticator = Authenticator(backend.account, backend.clock, backend.assumptions)
    dispatcher = Dispatcher(backend, authenticator, break_off)

    async def not_found(request: Request, error: Exception) -> Response:
        if request.scope["path"].startswith("/sandbox"):
            return await refuse(request, error)
        return await dispatcher.unknown(request)

    routes: list[Route | Mount] = [
        Route(operation.path, dispatcher.endpoint(operation), methods=[operation.method])
        for operation in ENDPOINTS
    ]
    own = Middleware(OriginCheck, hosts=backend.config.hosts)
    routes.append(Mount("/sandbox", routes=ControlApi(backend, authenticator).routes(), middleware=[own]))
    return Starlette(routes=routes, exception_handlers={HTTPException: not_found})


def link_factory(config: Config) -> LinkFactory:
    """
    Return what opens links as the configuration says.

    :raises MissingEncoderError: if what encodes video is not installed.
    """
    if config.link == "simulated":
        return SimulatedLink
    require_encoder()
    return video_links(small=config.picture == "small", audio=config.audio)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, because asyncio turns Nagle's delay off only where it knows that the protocol is TCP.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    return listening
