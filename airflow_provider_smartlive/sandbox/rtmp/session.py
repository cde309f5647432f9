"""One connection of a publisher to the RTMP server: handshake, commands, media."""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Callable

from airflow_provider_smartlive.sandbox.rtmp import amf
from airflow_provider_smartlive.sandbox.rtmp.chunks import (
    ChunkReader,
    ChunkWriter,
    Message,
    MessageType,
    ProtocolError,
    unsigned,
)
from airflow_provider_smartlive.sandbox.rtmp.register import ServerEvent, StreamRegister

#: Before it is admitted a peer may send commands only, and those are small (bytes).
COMMAND_LIMIT = 64 * 1024

#: A key frame of 1080p at 30 Mbit/s stays well below (bytes).
MEDIA_LIMIT = 8 * 1024 * 1024

#: A peer that sends nothing for so long is gone, or never was a publisher (seconds).
SILENCE_LIMIT = 30.0

#: Longer names of an application or a stream are refused; MetaStudio allows 1024 characters each.
NAME_LIMIT = 2048

_HANDSHAKE_SIZE = 1536
_READ_SIZE = 64 * 1024
_WINDOW = 2_500_000
_OUT_CHUNK_SIZE = 4096
_CONTROL, _COMMANDS, _STATUS = 2, 3, 5
_STREAM_ID = 1


class Session:
    """
    Talks to one publisher until it leaves, breaks the protocol, or is cancelled.

    :param reader: the connection's incoming side.
    :param writer: the connection's outgoing side.
    :param register: admits the publisher and counts.
    :param thawed: is clear while the server is frozen.
    :param cut: ends the connection at once.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        register: StreamRegister,
        thawed: asyncio.Event,
        cut: Callable[[], object],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._register = register
        self._thawed = thawed
        self._cut = cut
        self._incoming = ChunkReader(COMMAND_LIMIT)
        self._outgoing = ChunkWriter()
        self._window = _WINDOW
        self._received = 0
        self._acknowledged = 0
        self._app: str | None = None
        self._publishing = False
        self._over = False

    async def run(self) -> None:
        """
        Serve the connection to its end.

        :raises ProtocolError: if the peer does not speak RTMP.
        :raises amf.AmfError: if a command cannot be read.
        :raises OSError: if the connection breaks.
        :raises TimeoutError: if the peer is silent for :data:`SILENCE_LIMIT`.
        """
        data = await self._handshake()
        while data and not self._over:
            for message in self._incoming.feed(data):
                self._handle(message)
            self._acknowledge(len(data))
            # Waiting here for a peer that does not read bounds what is kept for it.
            await self._writer.drain()
            data = b"" if self._over else await self._read()

    def drop(self) -> None:
        """Cut the connection."""
        self._cut()

    async def _handshake(self) -> bytes:
        """Do the plain handshake; return the bytes that came behind it."""
        data = b""
        while len(data) < 1 + _HANDSHAKE_SIZE:
            data += await self._more()
            if data[0] != 3:
                raise ProtocolError("the first byte is not RTMP version 3")
        # Four zero bytes in the place of a version make publishers use the plain handshake.
        self._writer.write(
            b"\x03" + bytes(8) + os.urandom(_HANDSHAKE_SIZE - 8) + data[1 : 1 + _HANDSHAKE_SIZE]
        )
        data = data[1 + _HANDSHAKE_SIZE :]
        while len(data) < _HANDSHAKE_SIZE:
            data += await self._more()
        return data[_HANDSHAKE_SIZE:] or await self._read()

    async def _more(self) -> bytes:
        data = await self._read()
        if not data:
            raise ProtocolError("the connection ended within the handshake")
        return data

    async def _read(self) -> bytes:
        await self._thawed.wait()
        async with asyncio.timeout(SILENCE_LIMIT):
            data = await self._reader.read(_READ_SIZE)
        # A read that was under way when the server froze must not slip through.
        await self._thawed.wait()
        return data

    def _acknowledge(self, size: int) -> None:
        self._received += size
        if self._received - self._acknowledged >= self._window:
            self._acknowledged = self._received
            self._control(MessageType.ACKNOWLEDGEMENT, struct.pack(">I", self._received & 0xFFFFFFFF))

    def _handle(self, message: Message) -> None:
        if message.kind == MessageType.WINDOW_SIZE:
            # A window of a few bytes would make us answer every one of them.
            self._window = max(unsigned(message), _READ_SIZE)
        elif message.kind == MessageType.COMMAND:
            self._command(message.payload)
        elif message.kind == MessageType.COMMAND_AMF3:
            self._command(message.payload[1:])  # AMF3 commands are AMF0 behind a zero byte
        elif self._publishing and message.kind in (MessageType.AUDIO, MessageType.VIDEO, MessageType.DATA):
            self._register.media(self, message)

    def _command(self, payload: bytes) -> None:
        values: list[amf.Value] = [*amf.decode(payload), None, None, None, None]
        name, transaction, *arguments = values
        number = transaction if isinstance(transaction, float) else 0.0
        if name == "connect":
            self._connect(number, arguments[0])
        elif name == "createStream":
            self._reply("_result", number, None, _STREAM_ID)
        elif name == "releaseStream":
            self._reply("_result", number, None, None)
        elif name == "FCPublish":
            self._reply("_result", number, None, None)
            # Some encoders go on only after this call; whether the stream may be published, publish tells.
            self._reply("onFCPublish", 0.0, None, _status("status", "NetStream.Publish.Start", "publishing"))
        elif name == "publish":
            self._publish(arguments[1])
        elif name in ("FCUnpublish", "deleteStream", "closeStream"):
            self._unpublish()
        elif number:
            self._reply(
                "_error", number, None, _status("error", "NetConnection.Call.Failed", "not supported")
            )

    def _connect(self, number: float, properties: amf.Value) -> None:
        app = properties.get("app") if isinstance(properties, dict) else None
        if not isinstance(app, str) or len(app) > NAME_LIMIT:
            raise ProtocolError("connect names no application")
        self._app = app.strip("/")
        self._control(MessageType.WINDOW_SIZE, struct.pack(">I", _WINDOW))
        self._control(MessageType.PEER_BANDWIDTH, struct.pack(">IB", _WINDOW, 2))
        self._control(MessageType.SET_CHUNK_SIZE, struct.pack(">I", _OUT_CHUNK_SIZE))
        server: dict[str, amf.Value] = {"fmsVer": "FMS/3,0,1,123", "capabilities": 31.0}
        self._reply(
            "_result", number, server, _status("status", "NetConnection.Connect.Success", "connected")
        )

    def _publish(self, name: amf.Value) -> None:
        if self._app is None or self._publishing:
            raise ProtocolError("publish comes before connect, or twice")
        if not isinstance(name, str) or len(name) > NAME_LIMIT:
            raise ProtocolError("publish names no stream")
        app, name = (self._app, name) if name else _split_application(self._app)
        if not name:
            raise ProtocolError("publish names no stream")
        if self._register.admit(self, app, name):
            self._publishing = True
            self._incoming.max_message = MEDIA_LIMIT
            self._on_status(_status("status", "NetStream.Publish.Start", "publishing"))
        else:
            self._over = True
            self._on_status(_status("error", "NetStream.Publish.BadName", "this stream may not be published"))

    def _unpublish(self) -> None:
        if self._publishing:
            self._publishing = False
            self._incoming.max_message = COMMAND_LIMIT
            self._register.leave(self, ServerEvent.UNPUBLISHED)
            self._on_status(_status("status", "NetStream.Unpublish.Success", "unpublished"))

    def _control(self, kind: MessageType, payload: bytes) -> None:
        self._writer.write(self._outgoing.write(Message(kind, payload), _CONTROL))

    def _reply(self, name: str, number: float, *values: amf.Value) -> None:
        message = Message(MessageType.COMMAND, amf.encode(name, number, *values))
        self._writer.write(self._outgoing.write(message, _COMMANDS))

    def _on_status(self, status: dict[str, amf.Value]) -> None:
        message = Message(MessageType.COMMAND, amf.encode("onStatus", 0.0, None, status), _STREAM_ID)
        self._writer.write(self._outgoing.write(message, _STATUS))


def _split_application(app: str) -> tuple[str, str]:
    """Return application and stream name of a publisher that was given the whole URL and no stream key."""
    path, mark, query = app.partition("?")
    parent, _, name = path.rpartition("/")
    return parent, f"{name}{mark}{query}"


def _status(level: str, code: str, description: str) -> dict[str, amf.Value]:
    return {"level": level, "code": code, "description": description}
