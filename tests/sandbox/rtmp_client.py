"""A small blocking RTMP publisher that sends any message: what no encoder would let a test send to the server."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import struct
from typing import NamedTuple
from urllib.parse import urlsplit

from airflow_provider_smartlive.sandbox.rtmp import amf
from airflow_provider_smartlive.sandbox.rtmp.chunks import (
    ChunkReader,
    ChunkWriter,
    Message,
    MessageType,
    ProtocolError,
    unsigned,
)
from airflow_provider_smartlive.sandbox.video.encoder_job import LinkError, LinkFault

#: Seconds for which the server may take nothing, or owe an answer.
PATIENCE = 10.0

_HANDSHAKE_SIZE = 1536
_CHUNK_SIZE = 4096
#: A server sends commands only, and those are small (bytes).
_ANSWER_LIMIT = 64 * 1024
_CONTROL, _COMMANDS, _MEDIA = 2, 3, 4
_PING_REQUEST, _PING_RESPONSE = 6, 7


class Target(NamedTuple):
    """Where an RTMP URL leads."""

    host: str
    port: int
    secure: bool
    app: str
    name: str
    tc_url: str


def split_url(url: str) -> Target:
    """
    Split an RTMP URL as FFmpeg does: of three segments and more the first two are the application.

    :param url: ``rtmp://HOST[:PORT]/APP/NAME`` or ``rtmps://``.
    :raises ValueError: if a part is missing; the text does not quote it.
    """
    scheme, _, rest = url.partition("://")
    place, _, path = rest.partition("/")
    segments = path.split("/")
    count = min(2, len(segments) - 1)
    app, name = "/".join(segments[:count]), "/".join(segments[count:])
    address = urlsplit(f"//{place}")
    if scheme.lower() not in ("rtmp", "rtmps") or not address.hostname or not app or not name:
        raise ValueError("an RTMP URL has the form rtmp://HOST[:PORT]/APPLICATION/STREAM")
    secure = scheme.lower() == "rtmps"
    port = address.port or (443 if secure else 1935)
    return Target(address.hostname, port, secure, app, name, f"{scheme}://{place}/{app}")


class RtmpClient:
    """
    Connects and publishes.

    :param url: the RTMP URL with the stream key.
    :raises LinkError: if the server is not there or does not want the stream.
    """

    def __init__(self, url: str) -> None:
        self._reader = ChunkReader(_ANSWER_LIMIT)
        self._writer = ChunkWriter()
        self._answers: list[list[amf.Value]] = []
        target = split_url(url)
        try:
            self._socket = _open(target)
        except OSError:
            raise LinkError(LinkFault.REFUSED) from None
        try:
            self._handshake()
            self._publish(target)
        except LinkError:
            self._socket.close()
            raise
        except (OSError, ProtocolError, amf.AmfError):
            self._socket.close()
            raise LinkError(LinkFault.REFUSED) from None

    def send(self, message: Message) -> None:
        """
        Send an audio, video or metadata message.

        :raises LinkError: if the link broke, or the server took nothing for :data:`PATIENCE`.
        """
        try:
            self._write(message, _MEDIA)
            while select.select([self._socket], [], [], 0)[0]:
                self._receive()
        except TimeoutError:
            raise LinkError(LinkFault.FROZEN) from None
        except (OSError, ProtocolError, amf.AmfError):
            raise LinkError(LinkFault.BROKEN) from None

    def close(self) -> None:
        """Say goodbye, as far as the link still allows, and close."""
        with contextlib.suppress(OSError):
            self._command("deleteStream", 0, None, 1)
            self._socket.shutdown(socket.SHUT_WR)
        self._socket.close()

    def _handshake(self) -> None:
        hello = b"\x03" + bytes(8) + os.urandom(_HANDSHAKE_SIZE - 8)
        self._socket.sendall(hello)
        answer = b""
        while len(answer) < 1 + 2 * _HANDSHAKE_SIZE:
            part = self._socket.recv(1 + 2 * _HANDSHAKE_SIZE - len(answer))
            if not part:
                raise ConnectionResetError
            answer += part
        self._socket.sendall(answer[1 : 1 + _HANDSHAKE_SIZE])

    def _publish(self, target: Target) -> None:
        self._write(Message(MessageType.SET_CHUNK_SIZE, struct.pack(">I", _CHUNK_SIZE)), _CONTROL)
        properties: dict[str, amf.Value] = {
            "app": target.app,
            "type": "nonprivate",
            "flashVer": "FMLE/3.0",
            "tcUrl": target.tc_url,
        }
        self._command("connect", 1, properties)
        self._await_result(1)
        self._command("releaseStream", 2, None, target.name)
        self._command("FCPublish", 3, None, target.name)
        self._command("createStream", 4, None)
        stream = self._await_result(4)
        self._stream = int(stream) if isinstance(stream, float) else 1
        self._command("publish", 5, None, target.name, "live", stream=self._stream)
        self._await_status()

    def _await_result(self, number: int) -> amf.Value:
        while True:
            name, *rest = [*self._next_answer(), None, None, None]
            if rest[0] == number and name == "_result":
                return rest[2]
            if rest[0] == number and name == "_error":
                raise LinkError(LinkFault.DENIED)

    def _await_status(self) -> None:
        while True:
            name, _, _, status = [*self._next_answer(), None, None, None][:4]
            if name == "onStatus" and isinstance(status, dict):
                if status.get("level") == "error":
                    raise LinkError(LinkFault.DENIED)
                return

    def _next_answer(self) -> list[amf.Value]:
        while not self._answers:
            self._receive()
        return self._answers.pop(0)

    def _receive(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionResetError
        for message in self._reader.feed(data):
            if message.kind == MessageType.COMMAND:
                self._answers = [*self._answers[-16:], amf.decode(message.payload)]
            elif message.kind == MessageType.USER_CONTROL:
                self._pong(message)

    def _pong(self, message: Message) -> None:
        """Answer a ping: a server that gets no answer takes the publisher for gone."""
        if unsigned(message) >> 16 == _PING_REQUEST:
            answer = struct.pack(">H", _PING_RESPONSE) + message.payload[2:6]
            self._write(Message(MessageType.USER_CONTROL, answer), _CONTROL)

    def _command(self, name: str, number: int, *values: amf.Value, stream: int = 0) -> None:
        payload = amf.encode(name, number, *values)
        self._write(Message(MessageType.COMMAND, payload, stream), _COMMANDS)

    def _write(self, message: Message, chunk_stream_id: int) -> None:
        self._socket.sendall(self._writer.write(message, chunk_stream_id))


def _open(target: Target) -> socket.socket:
    plain = socket.create_connection((target.host, target.port), timeout=PATIENCE)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not target.secure:
        return plain
    return ssl.create_default_context().wrap_socket(plain, server_hostname=target.host)
