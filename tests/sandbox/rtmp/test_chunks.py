from __future__ import annotations

import struct
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_smartlive.sandbox.rtmp.chunks import (
    MAX_CHUNK_STREAMS,
    ChunkReader,
    ChunkWriter,
    Message,
    MessageType,
    ProtocolError,
)

LIMIT = 100_000

#: Kinds that the chunk layer itself does not act on.
MESSAGES = st.builds(
    Message,
    kind=st.sampled_from([MessageType.AUDIO, MessageType.VIDEO, MessageType.COMMAND, MessageType.DATA]),
    payload=st.binary(max_size=600),
    stream_id=st.integers(0, 3),
    timestamp=st.one_of(st.integers(0, 200), st.integers(0xFFFFF0, 0x1000010), st.integers(0, 0xFFFFFFFF)),
)
CHUNK_STREAMS = st.sampled_from([3, 63, 64, 319, 320, 65599])


def _in_pieces(reader: ChunkReader, data: bytes, cuts: list[int]) -> list[Message]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [m for start, end in pairwise(edges) for m in reader.feed(data[start:end])]


def _kept(reader: ChunkReader) -> int:
    """Return how many bytes a reader keeps of messages that are not complete."""
    return len(reader._buffer) + sum(len(stream.partial) for stream in reader._streams.values())


@given(
    st.lists(st.tuples(MESSAGES, CHUNK_STREAMS), max_size=12),
    st.sampled_from([1, 7, 128, 4096]),
    st.lists(st.integers(0, 10_000), max_size=8),
)
def test_messages_survive_any_cutting(sent: list[tuple[Message, int]], size: int, cuts: list[int]) -> None:
    writer, reader = ChunkWriter(), ChunkReader(LIMIT)
    set_size = Message(MessageType.SET_CHUNK_SIZE, struct.pack(">I", size))
    data = writer.write(set_size, 2) + b"".join(writer.write(message, stream) for message, stream in sent)
    assert _in_pieces(reader, data, cuts)[1:] == [message for message, _ in sent]
    assert _kept(reader) == 0


def test_the_four_header_formats_and_their_sizes() -> None:
    writer, reader = ChunkWriter(), ChunkReader(LIMIT)
    sent = [
        Message(MessageType.AUDIO, b"aaaa", 1, 1000),
        Message(MessageType.VIDEO, b"bb", 1, 1040),
        Message(MessageType.VIDEO, b"cc", 1, 1090),
        Message(MessageType.VIDEO, b"dd", 1, 1140),
    ]
    wire = [writer.write(message, 4) for message in sent]
    assert [len(one) - len(message.payload) for one, message in zip(wire, sent, strict=True)] == [12, 8, 4, 1]
    assert [one[0] >> 6 for one in wire] == [0, 1, 2, 3]
    assert reader.feed(b"".join(wire)) == sent


def test_an_extended_timestamp_is_repeated_in_every_chunk() -> None:
    message = Message(MessageType.VIDEO, bytes(300), 1, 0x01234567)
    wire = ChunkWriter().write(message, 4)
    assert wire.count(b"\x01\x23\x45\x67") == 3
    assert ChunkReader(LIMIT).feed(wire) == [message]


@pytest.mark.parametrize("length", [129, 130, 300, 512])
@pytest.mark.parametrize("piece", [1, 1000])
def test_an_extended_timestamp_that_is_not_repeated(length: int, piece: int) -> None:
    """Older librtmp and OBS leave it out of chunks of format 3: their streams broke after 4 hours and 40 minutes."""
    message = Message(MessageType.VIDEO, bytes(range(1, 256)) * 2 + bytes(2), 1, 0x01000000)
    message = replace(message, payload=message.payload[:length])
    wire = ChunkWriter().write(message, 4)
    extension = b"\x01\x00\x00\x00"
    first, later = wire[: 16 + 128], wire[16 + 128 :]
    assert later.count(b"\xc4" + extension) == (length - 1) // 128
    wire = first + later.replace(b"\xc4" + extension, b"\xc4")
    reader = ChunkReader(LIMIT)
    sent = wire + ChunkWriter().write(message, 5)
    got = [m for at in range(0, len(sent), piece) for m in reader.feed(sent[at : at + piece])]
    assert got == [message, message]


def test_a_first_chunk_of_format_1() -> None:
    """librtmp begins a chunk stream like this, with the answer to a ping for instance."""
    wire = b"\x42" + bytes(3) + b"\x00\x00\x06" + b"\x04" + struct.pack(">HI", 7, 12345)
    assert ChunkReader(LIMIT).feed(wire) == [Message(MessageType.USER_CONTROL, struct.pack(">HI", 7, 12345))]


@pytest.mark.parametrize("size", [60_000, 0xFFFFFF, 0x1000000, 0x7FFFFFFF])
def test_every_chunk_size_of_the_protocol_is_taken(size: int) -> None:
    writer, reader = ChunkWriter(), ChunkReader(LIMIT)
    video = Message(MessageType.VIDEO, bytes(LIMIT), 1, 40)
    sent = [Message(MessageType.SET_CHUNK_SIZE, struct.pack(">I", size)), video]
    assert reader.feed(b"".join(writer.write(message, 4) for message in sent)) == sent


def test_interleaved_chunk_streams() -> None:
    audio, video = Message(MessageType.AUDIO, b"a" * 200, 1, 5), Message(MessageType.VIDEO, b"v" * 200, 1, 6)
    first, second = ChunkWriter().write(audio, 4), ChunkWriter().write(video, 6)
    head = 12 + 128
    mixed = first[:head] + second[:head] + first[head:] + second[head:]
    assert ChunkReader(LIMIT).feed(mixed) == [audio, video]


def test_abort_drops_what_was_begun() -> None:
    video = Message(MessageType.VIDEO, b"v" * 200, 1, 6)
    whole = ChunkWriter().write(video, 6)
    abort = Message(MessageType.ABORT, struct.pack(">I", 6))
    reader = ChunkReader(LIMIT)
    assert reader.feed(whole[: 12 + 128] + ChunkWriter().write(abort, 2)) == [abort]
    assert _kept(reader) == 0
    assert reader.feed(whole) == [video]


@given(st.lists(st.binary(max_size=3000), max_size=6))
def test_garbage_raises_nothing_else_and_keeps_little(pieces: list[bytes]) -> None:
    reader = ChunkReader(1000)
    try:
        for piece in pieces:
            reader.feed(piece)
            assert _kept(reader) <= 2 * 1000 + 3000
    except ProtocolError:
        pass


def _set_size(size: int) -> bytes:
    return ChunkWriter().write(Message(MessageType.SET_CHUNK_SIZE, struct.pack(">I", size)), 2)


def _begun(chunk_stream_id: int, length: int = 1000) -> bytes:
    """The first chunk of a longer message."""
    return ChunkWriter().write(Message(MessageType.VIDEO, bytes(length), 1), chunk_stream_id)[: 12 + 128]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        pytest.param(b"\xc4", "there is none", id="continues nothing"),
        pytest.param(b"\x84" + bytes(3), "there is none", id="refers to nothing"),
        pytest.param(_set_size(0), "outside", id="chunk size 0"),
        pytest.param(_begun(4) + b"\x04" + bytes(11), "before the previous one", id="begins again"),
        pytest.param(
            ChunkWriter().write(Message(MessageType.ABORT, b"\x00"), 2), "shorter", id="short control"
        ),
        pytest.param(b"\x04\x00\x00\x00\x01\x86\xa1\x09\x01\x00\x00\x00", "exceeds the limit", id="too long"),
        pytest.param(
            b"".join(_begun(3 + n) for n in range(MAX_CHUNK_STREAMS + 1)),
            "chunk streams",
            id="too many streams",
        ),
    ],
)
def test_violations_are_named(data: bytes, problem: str) -> None:
    with pytest.raises(ProtocolError, match=problem):
        ChunkReader(LIMIT).feed(data)


def test_many_unfinished_messages_hit_the_limit() -> None:
    reader = ChunkReader(1000)
    many = b"".join(_begun(3 + n) for n in range(MAX_CHUNK_STREAMS))
    with pytest.raises(ProtocolError, match="too many unfinished"):
        reader.feed(many)


def test_a_long_message_is_not_kept_before_it_is_allowed() -> None:
    """The length is judged by the header, before the content comes."""
    reader = ChunkReader(1000)
    wire = ChunkWriter().write(Message(MessageType.VIDEO, bytes(1001), 1), 4)
    with pytest.raises(ProtocolError, match="exceeds"):
        reader.feed(wire[:12])
