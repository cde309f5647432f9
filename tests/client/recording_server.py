"""A server that keeps what came over the wire, byte for byte, and answers (or fails) as a test says."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

from airflow_provider_smartlive.metastudio import signing

ACCESS_KEY = "FAKEACCESSKEY0000001"
SECRET_KEY = "fake-secret-key-for-tests-only-0000000001"


@dataclass(frozen=True)
class Recorded:
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]  # lower-case names
    body: bytes

    @property
    def url(self) -> str:
        return f"http://{self.headers['host']}{self.target}"

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def signed_names(self) -> list[str]:
        return self.headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")

    def accepted_by_us(self, now: datetime | None = None) -> bool:
        """Verify with the project's own verifier."""
        access_key = signing.verify(
            self.method,
            self.url,
            self.headers,
            self.body,
            secret_key_for={ACCESS_KEY: SECRET_KEY}.get,
            now=now or datetime.now(UTC),
        )
        return access_key == ACCESS_KEY

    def accepted_by_huawei(self) -> bool:
        """Sign the same request with Huawei's own signer and compare."""
        parts = urlsplit(self.url)
        request = SdkRequest(
            method=self.method,
            schema=parts.scheme,
            host=parts.netloc,
            resource_path=parts.path,
            query_params=parse_qsl(parts.query, keep_blank_values=True),
            header_params={name: self.headers[name] for name in self.signed_names},
            body=self.body,
        )
        signed = Signer(BasicCredentials(ACCESS_KEY, SECRET_KEY)).sign(request)
        return signed.header_params["Authorization"] == self.headers["authorization"]


#: What the server does with one connection after the request was read.
Behaviour = Callable[[socket.socket], None]


def answer(status: int, body: Any = None, **headers: str) -> Behaviour:
    """A complete answer; header names are written with ``_`` for ``-``."""
    content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(content)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return lambda connection: connection.sendall("\r\n".join([*lines, "", ""]).encode() + content)


def truncated(status: int, body: bytes) -> Behaviour:
    """An answer of which the second half never comes."""
    head = f"HTTP/1.1 {status} Status\r\nContent-Length: {2 * len(body)}\r\nConnection: close\r\n\r\n"
    return lambda connection: connection.sendall(head.encode() + body)


def hang_up(connection: socket.socket) -> None:
    """Close the connection without an answer."""


def reset(connection: socket.socket) -> None:
    """Close the connection the hard way."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


class RecordingServer:
    """Every connection carries one request.

    :param context: speak TLS.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self.requests: list[Recorded] = []
        self.script: deque[Behaviour] = deque()
        self.stalled = threading.Event()  # set when a test that let us stall is over
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    def will(self, *behaviours: Behaviour) -> None:
        self.script.extend(behaviours)

    def stall(self, connection: socket.socket) -> None:
        """Read the request and say nothing until the test is over."""
        self.stalled.wait(60)

    def close(self) -> None:
        self.stalled.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(60)
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            request = _read_request(connection)
            if request is None:
                return
            self.requests.append(request)
            behaviour = self.script.popleft() if self.script else answer(500, b"nothing scripted")
            behaviour(connection)
            connection.close()


def _read_request(connection: socket.socket) -> Recorded | None:
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65536)
        if not chunk:
            return None
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    request_line, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = request_line.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return Recorded(method, target, headers, body)


@contextmanager
def recording_server(context: ssl.SSLContext | None = None) -> Iterator[RecordingServer]:
    server = RecordingServer(context)
    try:
        yield server
    finally:
        server.close()
