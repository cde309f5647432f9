"""The transport of tasks, by ``requests``."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError

from airflow_provider_smartlive.client.body import Body, BodyUnreadableError, ResponseTooLargeError
from airflow_provider_smartlive.client.connection import ConnectionProfile
from airflow_provider_smartlive.client.errors import TransportFailure
from airflow_provider_smartlive.client.flow import Authorise, OutgoingRequest, utc_now
from airflow_provider_smartlive.client.network import proxy_of, tls_context
from airflow_provider_smartlive.client.operations import HttpResponse

#: Bytes that are read at once.
CHUNK = 64 * 1024

#: Bytes that one line of the headers may have, and how many lines: what Python's own HTTP client takes. A token of
#: IAM is one header, of up to 16,384 characters.
MAX_HEADER = 65536
MAX_HEADERS = 100

#: Seconds to establish a connection: a host that is there answers in well under one.
CONNECT_TIMEOUT = 10.0


def connect_timeout(seconds: float) -> float:
    """Return the part of a request's time that its connection may take, so that it is known when nothing was sent."""
    return min(CONNECT_TIMEOUT, 0.75 * seconds)


class RequestsAuth(AuthBase):
    """Adds the headers that prove who asks to a prepared request, when it will not change any more."""

    def __init__(self, authorise: Authorise) -> None:
        self.authorise = authorise

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign, as the last step of the preparation."""
        body = request.body or b""
        if isinstance(body, str):
            body = body.encode()
        if not isinstance(body, bytes):
            raise TypeError("A streamed body cannot be signed: pass bytes or text.")
        headers = {name: _text(value) for name, value in request.headers.items()}
        request.headers.update(self.authorise(request.method or "GET", request.url or "", headers, body))
        return request


def send_with_requests(
    profile: ConnectionProfile, outgoing: OutgoingRequest, seconds: float
) -> HttpResponse | TransportFailure:
    """
    Send a request and wait for the complete answer.

    :param seconds: for all of it.
    :raises NetworkSetupError: if proxy or certificate authorities of this machine are wrong.
    """
    try:
        prepared = requests.Request(
            outgoing.method,
            outgoing.url,
            headers=dict(outgoing.headers),
            data=outgoing.body or None,
            auth=RequestsAuth(outgoing.authorise),
        ).prepare()
    except (requests.RequestException, ValueError):
        return TransportFailure.ADDRESS
    response = respond(profile, prepared, seconds, is_late=lambda: outgoing.is_late(utc_now()))
    if isinstance(response, TransportFailure):
        return response
    return HttpResponse(response.status_code, dict(response.headers), response.content)


def respond(
    profile: ConnectionProfile,
    prepared: requests.PreparedRequest,
    seconds: float,
    *,
    is_late: Callable[[], bool] = lambda: False,
    read: Callable[[requests.Response], bytes] | None = None,
) -> requests.Response | TransportFailure:
    """
    Send a prepared request over a connection of its own, and wait for the complete answer.

    The adapter is used directly: a session would prepare a redirect that nobody asked for, and stumble over one that
    leads nowhere.

    :param seconds: for all of it.
    :param is_late: tells, once the connection stands, that nothing may be sent over it any more.
    :param read: takes the body from the wire and returns what the answer shall hold of it; by default all of it,
        bounded and decompressed.
    :return: the answer with its body read.
    :raises NetworkSetupError: if proxy or certificate authorities of this machine are wrong.
    """
    url = prepared.url or ""
    proxy = proxy_of(url, profile)
    secure = "https" in (urlsplit(url).scheme, urlsplit(proxy or "").scheme)
    adapter = _Adapter(tls_context(profile) if secure else None)
    with _Deadline.of(seconds, is_late) as deadline:
        try:
            response = adapter.send(
                prepared,
                stream=True,
                timeout=(connect_timeout(seconds), seconds),
                proxies={"http": proxy, "https": proxy} if proxy else {},
            )
            response._content = (read or _read)(response)
            return TransportFailure.TIMEOUT if deadline.over else response
        except ResponseTooLargeError:
            return TransportFailure.TOO_LARGE
        except (
            requests.RequestException,
            HTTPError,
            http.client.HTTPException,
            BodyUnreadableError,
            OSError,
            ValueError,
        ) as error:
            failure = _failure_of_requests(error)
            return TransportFailure.TIMEOUT if deadline.over and failure is TransportFailure.LOST else failure
        finally:
            adapter.close()


def _read(response: requests.Response) -> bytes:
    body = Body(response.headers.get("Content-Encoding"), response.headers.get("Content-Type"))
    try:
        for chunk in response.raw.stream(CHUNK, decode_content=False):
            body.feed(chunk)
    finally:
        response.close()
    return body.finish()


class _Deadline:
    """
    Cuts the connections of a request when its time is over, whatever they wait for just then.

    The time-outs of sockets only count since the last byte: a server that sends one a second would never be left.
    """

    def __init__(self, seconds: float, is_late: Callable[[], bool]) -> None:
        self.over = False
        self._is_late = is_late
        self._until = monotonic() + seconds
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()

    @classmethod
    @contextmanager
    def of(cls, seconds: float, is_late: Callable[[], bool]) -> Iterator[_Deadline]:
        """Watch over the connections that this thread opens, for some seconds."""
        deadline = cls(seconds, is_late)
        timer = threading.Timer(seconds, deadline._cut)
        timer.daemon = True
        timer.start()
        token = _deadline.set(deadline)
        try:
            yield deadline
        finally:
            _deadline.reset(token)
            timer.cancel()
            deadline._forget()

    def watch(self, opened: socket.socket) -> None:
        """
        Watch over a new connection.

        :raises TimeoutError: if the time is over already; nothing may be sent any more.
        """
        with self._lock:
            if self.over:
                opened.close()
                raise TimeoutError
            # TLS takes the socket over; a second handle on it stays ours.
            self._sockets.append(opened.dup())

    def check(self) -> None:
        """
        Check that there is time left, right before something is sent.

        The timer is a thread of this process: if all of it stood still, what was to be cut long ago may go on first.

        :raises TimeoutError: if the time is over, or that by which the request had to be sent.
        """
        if self.over or monotonic() >= self._until or self._is_late():
            raise TimeoutError

    def _cut(self) -> None:
        with self._lock:
            self.over = True
            for opened in self._sockets:
                with suppress(OSError):  # closed by the other side
                    opened.shutdown(socket.SHUT_RDWR)

    def _forget(self) -> None:
        with self._lock:
            for opened in self._sockets:
                opened.close()
            self._sockets.clear()


_deadline: ContextVar[_Deadline] = ContextVar("_deadline")


class _Head:
    """The lines of an answer's head: the end of the connection is no end of the head, as Python takes it to be."""

    def __init__(self, lines: Any) -> None:
        self._lines = lines

    def readline(self, limit: int) -> bytes:
        line: bytes = self._lines.readline(limit)
        if not line:
            raise http.client.RemoteDisconnected("The headers are not complete.")
        return line

    def close(self) -> None:
        self._lines.close()


class _Answer(http.client.HTTPResponse):
    """An answer with a complete head, behind any number of interim ones (103 Early Hints): Python only skips 100."""

    def begin(self) -> None:
        received: Any = self.fp
        self.fp = _Head(received)  # type: ignore[assignment]  # the methods that begin() calls
        try:
            super().begin()
        finally:
            self.fp = received

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]  # not in typeshed
        interim = 100 <= status < 200 and status != http.HTTPStatus.SWITCHING_PROTOCOLS
        return version, http.HTTPStatus.CONTINUE if interim else status, reason


class _Connection(HTTPConnection):
    response_class = _Answer

    def _new_conn(self) -> socket.socket:
        opened = super()._new_conn()
        _watch(self, opened)
        return opened

    def connect(self) -> None:
        super().connect()
        _check_time(self)


class _SecureConnection(HTTPSConnection):
    response_class = _Answer

    def _new_conn(self) -> socket.socket:
        opened = super()._new_conn()
        _watch(self, opened)
        return opened

    def connect(self) -> None:
        try:
            super().connect()
        except OSError as error:
            # The handshake hangs: nothing was sent yet.
            if isinstance(error, TimeoutError) or _deadline.get().over:
                raise ConnectTimeoutError(self, "no connection in time") from None
            raise
        _check_time(self)


def _watch(connection: HTTPConnection, opened: socket.socket) -> None:
    try:
        _deadline.get().watch(opened)
    except TimeoutError:
        raise ConnectTimeoutError(connection, "no connection in time") from None


def _check_time(connection: HTTPConnection) -> None:
    try:
        _deadline.get().check()
    except TimeoutError:
        connection.close()
        raise ConnectTimeoutError(connection, "no connection in time") from None


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Adapter(HTTPAdapter):
    """
    Sends one request over connections that a deadline watches.

    :param context: what decides which certificates are trusted; None if none is needed.
    """

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(
            proxy, ssl_context=self._context, proxy_ssl_context=self._context, **kwargs
        )
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
        return manager

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Leave it to the context, which requests would otherwise let trust more."""


def _failure_of_requests(error: Exception) -> TransportFailure:
    cause: Any = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)  # what urllib3 gave up on
    match error:
        case requests.exceptions.ProxyError():
            return TransportFailure.PROXY
        case requests.exceptions.SSLError():
            return _failure_of_tls(reason)
        case requests.exceptions.ConnectTimeout():
            return TransportFailure.CONNECT
        case requests.exceptions.Timeout():
            return TransportFailure.TIMEOUT
        case requests.exceptions.InvalidURL() | requests.exceptions.InvalidHeader():
            return TransportFailure.ADDRESS
    if isinstance(reason, NameResolutionError):
        return TransportFailure.NAME
    return TransportFailure.CONNECT if isinstance(reason, ConnectTimeoutError) else TransportFailure.LOST


def _failure_of_tls(reason: Any) -> TransportFailure:
    """An untrusted certificate shows before anything is sent; other TLS errors can also come afterwards."""
    cause = reason.args[0] if getattr(reason, "args", None) else None
    unsent = (
        isinstance(cause, ssl.SSLCertVerificationError)
        or getattr(cause, "reason", "") == "WRONG_VERSION_NUMBER"
    )
    return TransportFailure.TLS if unsent else TransportFailure.LOST


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
