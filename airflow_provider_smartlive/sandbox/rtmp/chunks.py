"""RTMP's chunk layer: messages cut into chunks and put together again, without any I/O."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum

#: Both sides start with this chunk size until a Set Chunk Size message changes it (bytes).
DEFAULT_CHUNK_SIZE = 128

#: The largest chunk size that the protocol allows (bytes); a message, and so a chunk, ends before it does.
MAX_CHUNK_SIZE = 0x7FFFFFFF

#: Publishers use four or five chunk streams; each one open costs memory.
MAX_CHUNK_STREAMS = 32

#: A stamp of this value in the 24-bit field says that 32 bits follow.
_EXTENDED = 0xFFFFFF

_HEADER_SIZES = (11, 7, 3, 0)


class ProtocolError(ValueError):
    """The peer does not speak RTMP, or exceeds a limit; the text says how, never with content."""


class MessageType(IntEnum):
    """The message types that a publisher and a server exchange."""

    SET_CHUNK_SIZE = 1
    ABORT = 2
    ACKNOWLEDGEMENT = 3
    USER_CONTROL = 4
    WINDOW_SIZE = 5
    PEER_BANDWIDTH = 6
    AUDIO = 8
    VIDEO = 9
    DATA_AMF3 = 15
    COMMAND_AMF3 = 17
    DATA = 18
    COMMAND = 20


@dataclass(frozen=True)
class Message:
    """
    One RTMP message.

    :param kind: the message type, see :class:`MessageType`; unknown ones pass as numbers.
    :param payload: the bytes of the message.
    :param stream_id: the message stream; 0 is the connection itself.
    :param timestamp: milliseconds, 32 bits, wrapping.
    """

    kind: int
    payload: bytes
    stream_id: int = 0
    timestamp: int = 0


@dataclass
class _ChunkStream:
    timestamp: int = 0
    delta: int = 0
    length: int = 0
    kind: int = 0
    stream_id: int = 0
    extended: bool = False
    known: bool = False
    partial: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True)
class _Header:
    """The front of one chunk: its sizes on the wire and the stream's values that it leads to."""

    size: int
    timestamp: int
    delta: int
    length: int
    kind: int
    stream_id: int
    extended: bool


class ChunkReader:
    """
    Puts the chunks of one direction together to messages.

    Set Chunk Size and Abort are obeyed here, because they change how the following bytes read; they are
    returned all the same.

    :param max_message: the largest message (bytes), may be changed later; of unfinished ones twice as much
        is kept at most.
    """

    def __init__(self, max_message: int) -> None:
        self.max_message = max_message
        self._chunk_size = DEFAULT_CHUNK_SIZE
        self._streams: dict[int, _ChunkStream] = {}
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """
        Take bytes as they came from the wire and return the messages that they complete.

        :param data: any number of bytes, cut anywhere.
        :raises ProtocolError: if they break the protocol or a limit; the reader is of no use afterwards.
        """
        self._buffer += data
        messages: list[Message] = []
        at = 0
        while (consumed := self._read_chunk(at, messages)) > 0:
            at += consumed
        del self._buffer[:at]
        return messages

    def _read_chunk(self, at: int, messages: list[Message]) -> int:
        """Read the chunk at a position if it is complete; return its size on the wire, else 0."""
        basic = self._basic_header(at)
        if basic is None:
            return 0
        form, chunk_stream_id, basic_size = basic
        stream = self._stream(chunk_stream_id)
        header = self._message_header(at + basic_size, form, stream)
        if header is None:
            return 0
        self._check(header)
        payload_size = min(self._chunk_size, header.length - len(stream.partial))
        start = at + basic_size + header.size
        if len(self._buffer) < start + payload_size:
            return 0
        self._streams[chunk_stream_id] = stream
        self._advance(stream, header, self._buffer[start : start + payload_size])
        if len(stream.partial) == stream.length:
            message = Message(stream.kind, bytes(stream.partial), stream.stream_id, stream.timestamp)
            stream.partial = bytearray()
            self._obey(message)
            messages.append(message)
        return basic_size + header.size + payload_size

    def _basic_header(self, at: int) -> tuple[int, int, int] | None:
        """Return header format, chunk stream id and size; None if bytes are missing."""
        first = self._buffer[at : at + 1]
        if not first:
            return None
        form, number = first[0] >> 6, first[0] & 0x3F
        if number > 1:
            return form, number, 1
        size = number + 2
        if len(self._buffer) < at + size:
            return None
        return form, int.from_bytes(self._buffer[at + 1 : at + size], "little") + 64, size

    def _stream(self, chunk_stream_id: int) -> _ChunkStream:
        stream = self._streams.get(chunk_stream_id)
        if stream is None:
            if len(self._streams) >= MAX_CHUNK_STREAMS:
                raise ProtocolError(f"more than {MAX_CHUNK_STREAMS} chunk streams are open")
            stream = _ChunkStream()
        return stream

    def _message_header(self, at: int, form: int, stream: _ChunkStream) -> _Header | None:
        # librtmp begins chunk streams with format 1, which has all that a message needs besides its stream.
        if form > 1 and not stream.known:
            raise ProtocolError("a chunk refers to a previous one of its chunk stream, and there is none")
        if form < 3 and stream.partial:
            raise ProtocolError("a message starts before the previous one of its chunk stream is complete")
        size = _HEADER_SIZES[form]
        raw = bytes(self._buffer[at : at + size])
        if len(raw) < size:
            return None
        stamp = int.from_bytes(raw[:3], "big") if size else 0
        extended = stamp == _EXTENDED if size else stream.extended
        if extended:
            more = bytes(self._buffer[at + size : at + size + 4])
            if form < 3 or _begins(more, stream.delta):
                if len(more) < 4:
                    return None
                stamp = int.from_bytes(more, "big")
                size += 4
        length, kind, stream_id = stream.length, stream.kind, stream.stream_id
        if form <= 1:
            length, kind = int.from_bytes(raw[3:6], "big"), raw[6]
        if form == 0:
            stream_id = int.from_bytes(raw[7:11], "little")
        if form == 3 and stream.partial:
            return _Header(size, stream.timestamp, stream.delta, length, kind, stream_id, extended)
        delta = stamp if form < 3 else stream.delta
        timestamp = delta if form == 0 else (stream.timestamp + delta) & 0xFFFFFFFF
        return _Header(size, timestamp, delta, length, kind, stream_id, extended)

    def _check(self, header: _Header) -> None:
        if header.length > self.max_message:
            raise ProtocolError(f"a message of {header.length} bytes exceeds the limit of {self.max_message}")
        unfinished = sum(len(other.partial) for other in self._streams.values())
        if unfinished + min(self._chunk_size, header.length) > 2 * self.max_message:
            raise ProtocolError("too many unfinished messages are open")

    @staticmethod
    def _advance(stream: _ChunkStream, header: _Header, payload: bytearray) -> None:
        stream.timestamp, stream.delta = header.timestamp, header.delta
        stream.length, stream.kind, stream.stream_id = header.length, header.kind, header.stream_id
        stream.extended, stream.known = header.extended, True
        stream.partial += payload

    def _obey(self, message: Message) -> None:
        if message.kind == MessageType.SET_CHUNK_SIZE:
            size = unsigned(message) & MAX_CHUNK_SIZE
            if not 1 <= size <= MAX_CHUNK_SIZE:
                raise ProtocolError(f"a chunk size of {size} bytes is outside 1..{MAX_CHUNK_SIZE}")
            self._chunk_size = size
        elif message.kind == MessageType.ABORT:
            aborted = self._streams.get(unsigned(message))
            if aborted is not None:
                aborted.partial = bytearray()


class ChunkWriter:
    """
    Cuts the messages of one direction into chunks, with the shortest header that the previous message allows.

    Obeys a Set Chunk Size message that passes through it.
    """

    def __init__(self) -> None:
        self._chunk_size = DEFAULT_CHUNK_SIZE
        self._streams: dict[int, _ChunkStream] = {}

    def write(self, message: Message, chunk_stream_id: int) -> bytes:
        """
        Return a message as it goes on the wire.

        :param message: the message.
        :param chunk_stream_id: 2 for protocol control, 3 and above (up to 65599) for anything else.
        """
        previous = self._streams.get(chunk_stream_id)
        form, stamp = _shortest_form(message, previous)
        extended = stamp >= _EXTENDED
        extension = struct.pack(">I", stamp) if extended else b""
        fields = struct.pack(">I", min(stamp, _EXTENDED))[1:]
        fields += struct.pack(">I", len(message.payload))[1:] + bytes([message.kind])
        fields += struct.pack("<I", message.stream_id)
        parts = [_basic_header(form, chunk_stream_id), fields[: _HEADER_SIZES[form]], extension]
        for start in range(0, len(message.payload) or 1, self._chunk_size):
            if start:
                parts += [_basic_header(3, chunk_stream_id), extension]
            parts.append(message.payload[start : start + self._chunk_size])
        self._streams[chunk_stream_id] = _ChunkStream(
            message.timestamp, stamp, len(message.payload), message.kind, message.stream_id, extended
        )
        if message.kind == MessageType.SET_CHUNK_SIZE:
            self._chunk_size = unsigned(message)
        return b"".join(parts)


def unsigned(message: Message) -> int:
    """
    Return the 32-bit number with which a protocol control message begins.

    :raises ProtocolError: if the message is shorter.
    """
    if len(message.payload) < 4:
        raise ProtocolError(f"a control message of type {message.kind} is shorter than four bytes")
    return int.from_bytes(message.payload[:4], "big")


def _begins(data: bytes, stamp: int) -> bool:
    """
    Tell whether bytes repeat an extended timestamp, as far as they have come.

    In chunks of format 3 the specification wants it repeated; older librtmp and OBS go on with the message.
    """
    return struct.pack(">I", stamp).startswith(data)


def _basic_header(form: int, chunk_stream_id: int) -> bytes:
    if chunk_stream_id < 64:
        return bytes([form << 6 | chunk_stream_id])
    if chunk_stream_id < 320:
        return bytes([form << 6, chunk_stream_id - 64])
    return bytes([form << 6 | 1]) + (chunk_stream_id - 64).to_bytes(2, "little")


def _shortest_form(message: Message, previous: _ChunkStream | None) -> tuple[int, int]:
    """Return the header format and the stamp that it carries: absolute in format 0, else the difference."""
    if previous is None or previous.stream_id != message.stream_id or message.timestamp < previous.timestamp:
        return 0, message.timestamp
    delta = message.timestamp - previous.timestamp
    if (len(message.payload), message.kind) != (previous.length, previous.kind):
        return 1, delta
    if delta != previous.delta:
        return 2, delta
    return 3, delta
