"""The RTMP server and the small client, talking to each other inside one process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import struct
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_smartlive.sandbox.rtmp import amf
from airflow_provider_smartlive.sandbox.rtmp import register as rtmp_register
from airflow_provider_smartlive.sandbox.rtmp import server as rtmp_server
from airflow_provider_smartlive.sandbox.rtmp import session as rtmp_session
from airflow_provider_smartlive.sandbox.rtmp.chunks import ChunkReader, ChunkWriter, Message, MessageType
from airflow_provider_smartlive.sandbox.rtmp.platform import Platform
from airflow_provider_smartlive.sandbox.rtmp.server import RtmpServer, ServerEvent
from airflow_provider_smartlive.sandbox.video.encoder_job import LinkError, LinkFault
from tests.sandbox import rtmp_client
from tests.sandbox.rtmp_client import RtmpClient, split_url

KEY = "fake-stream-key-1"
STREAM = f"live/{KEY}"
CONFIGURATION = Message(MessageType.VIDEO, b"\x17\x00\x00\x00\x00avcc", 1)
PICTURE = Message(MessageType.VIDEO, b"\x17\x01\x00\x00\x00" + bytes(95), 1)
SOUND = Message(MessageType.AUDIO, b"\xaf\x01" + bytes(48), 1)
SOUND_CONFIGURATION = Message(MessageType.AUDIO, b"\xaf\x00\x12\x10", 1)


@pytest.fixture
async def server() -> AsyncIterator[RtmpServer]:
    async with RtmpServer() as running:
        yield running


async def connect(server: RtmpServer, stream: str = STREAM) -> RtmpClient:
    return await asyncio.to_thread(RtmpClient, f"{server.url}/{stream}")


async def until(condition: Callable[[], object]) -> None:
    """Let the server work until something holds; the other side of a socket has no better signal."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - it ends by what another process or thread does
            await asyncio.sleep(0.005)


async def over(server: RtmpServer, stream: str = STREAM) -> None:
    await until(lambda: not server.streams[stream].live)


async def test_counts_what_arrives(server: RtmpServer) -> None:
    client = await connect(server)
    assert server.streams[STREAM].live
    metadata = amf.encode("@setDataFrame", "onMetaData", {"width": 270.0, "height": 480.0})
    for message in (Message(MessageType.DATA, metadata, 1), CONFIGURATION, SOUND_CONFIGURATION):
        client.send(message)
    for _ in range(3):
        client.send(PICTURE)
        client.send(SOUND)
    client.close()
    await over(server)
    stats = server.streams[STREAM]
    assert (stats.video_frames, stats.audio_frames, stats.connections) == (3, 3, 1)
    assert stats.bytes == 3 * 150 + len(CONFIGURATION.payload) + len(SOUND_CONFIGURATION.payload)
    assert (stats.width, stats.height) == (270, 480)


async def test_enhanced_rtmp_is_counted_too(server: RtmpServer) -> None:
    client = await connect(server)
    for first in (0x90, 0x91, 0x93, 0x92):  # start, coded, coded without offset, end
        client.send(Message(MessageType.VIDEO, bytes([first]) + b"hvc1data", 1))
    client.close()
    await over(server)
    assert server.streams[STREAM].video_frames == 2


async def test_counts_go_on_over_reconnects_and_restarts() -> None:
    now = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    server = RtmpServer(now=lambda: now)
    await server.start()
    port = server.port
    for _ in range(2):
        client = await connect(server)
        client.send(PICTURE)
        client.close()
        await over(server)
        now += timedelta(minutes=1)
    await server.stop()
    await server.start()
    client = await connect(server)
    client.send(PICTURE)
    await until(lambda: server.streams[STREAM].video_frames == 3)
    await server.stop()
    client.close()
    stats = server.streams[STREAM]
    assert server.port == port
    assert (stats.connections, stats.live) == (3, False)
    assert stats.first_at == datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    assert stats.last_at == datetime(2026, 11, 23, 12, 2, tzinfo=UTC)


async def test_authorise_decides_by_application_and_name() -> None:
    asked: list[tuple[str, str]] = []

    def authorise(app: str, name: str) -> bool:
        asked.append((app, name))
        return name == KEY

    async with RtmpServer(authorise=authorise) as server:
        (await connect(server)).close()
        with pytest.raises(LinkError) as caught:
            await connect(server, "live/another-key")
        assert caught.value.fault is LinkFault.DENIED
        assert asked == [("live", KEY), ("live", "another-key")]
        assert list(server.streams) == [STREAM]


async def test_an_authorise_that_fails_admits_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def authorise(app: str, name: str) -> bool:
        raise RuntimeError(f"no idea about {name}")

    async with RtmpServer(authorise=authorise) as server:
        with pytest.raises(LinkError):
            await connect(server)
    assert "RuntimeError" in caplog.text
    assert KEY not in caplog.text


async def test_refuse_denies_new_publishers_only(server: RtmpServer) -> None:
    before = await connect(server)
    server.refuse()
    with pytest.raises(LinkError) as caught:
        await connect(server, "live/fake-stream-key-2")
    assert caught.value.fault is LinkFault.DENIED
    before.send(PICTURE)
    await until(lambda: server.streams[STREAM].video_frames == 1)
    server.refuse(False)
    (await connect(server, "live/fake-stream-key-2")).close()
    before.close()


async def test_kick_cuts_the_connection(server: RtmpServer) -> None:
    client = await connect(server)
    assert server.kick(STREAM)
    assert not server.streams[STREAM].live
    assert not server.kick(STREAM)
    await until(lambda: _is_broken(client))
    client.close()


async def test_a_second_publisher_takes_the_stream_over(server: RtmpServer) -> None:
    first = await connect(server)
    second = await connect(server)
    await until(lambda: _is_broken(first))
    second.send(PICTURE)
    await until(lambda: server.streams[STREAM].video_frames == 1)
    assert server.streams[STREAM].live
    assert server.streams[STREAM].connections == 2
    first.close()
    second.close()


async def test_freeze_stops_reading_and_thaw_loses_nothing(server: RtmpServer) -> None:
    client = await connect(server)
    client.send(PICTURE)
    await until(lambda: server.streams[STREAM].video_frames == 1)
    server.freeze()
    client.send(PICTURE)
    newcomer = asyncio.create_task(connect(server, "live/fake-stream-key-2"))
    await asyncio.wait({newcomer}, timeout=0.1)
    assert not newcomer.done()
    assert server.streams[STREAM].video_frames == 1
    server.thaw()
    (await newcomer).close()
    await until(lambda: server.streams[STREAM].video_frames == 2)
    client.close()


async def test_a_frozen_server_pushes_back(server: RtmpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without back-pressure a publisher would never notice, and the server would collect without bound."""
    monkeypatch.setattr(rtmp_client, "PATIENCE", 0.3)
    client = await connect(server)
    server.freeze()
    large = Message(MessageType.VIDEO, b"\x17\x01\x00\x00\x00" + bytes(1_000_000), 1)

    def flood() -> None:
        for _ in range(50):
            client.send(large)

    with pytest.raises(LinkError) as caught:
        await asyncio.to_thread(flood)
    assert caught.value.fault is LinkFault.FROZEN
    client.close()


async def test_events_tell_the_story_and_logs_hide_the_name(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "airflow_provider_smartlive")
    told: list[tuple[ServerEvent, str, str]] = []
    async with RtmpServer(on_event=lambda *event: told.append(event)) as server:
        first = await connect(server)
        second = await connect(server)
        second.close()
        await over(server)
        third = await connect(server)
        server.kick(STREAM)
        server.refuse()
        with pytest.raises(LinkError):
            await connect(server)
        server.refuse(False)
        fourth = await connect(server)
    for client in (first, third, fourth):
        client.close()
    assert {(app, name) for _, app, name in told} == {("live", KEY)}
    assert [kind.value for kind, _, _ in told] == [
        "published", "replaced", "published", "unpublished", "published", "kicked", "denied", "published", "lost",
    ]  # fmt: skip
    assert "live/***: kicked" in caplog.text
    assert KEY not in caplog.text


async def test_a_listener_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def listener(kind: ServerEvent, app: str, name: str) -> None:
        raise RuntimeError(name)

    async with RtmpServer(on_event=listener) as server:
        client = await connect(server)
        client.send(PICTURE)
        await until(lambda: server.streams[STREAM].video_frames == 1)
        client.close()
    assert "RuntimeError" in caplog.text
    assert KEY not in caplog.text


HELLO = b"\x03" + bytes(1536) + bytes(1536)


def command(*values: amf.Value) -> bytes:
    return ChunkWriter().write(Message(MessageType.COMMAND, amf.encode(*values)), 3)


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", id="a browser"),
        pytest.param(b"\x06" + bytes(1536), id="another version"),
        pytest.param(HELLO + random.Random(1).randbytes(5000), id="noise"),
        pytest.param(HELLO + b"\x04\x00\x00\x00\xff\xff\xff\x09\x01\x00\x00\x00", id="a huge message"),
        pytest.param(HELLO + command("publish", 1.0, None, KEY, "live"), id="publish before connect"),
        pytest.param(HELLO + command("connect", 1.0, {"tcUrl": "rtmp://127.0.0.1"}), id="no application"),
        pytest.param(HELLO + command("connect", 1.0, {"app": "a" * 3000}), id="a long application"),
        pytest.param(
            HELLO + command("connect", 1.0, {"app": ""}) + command("publish", 2.0, None, "", "live"),
            id="neither application nor name",
        ),
        pytest.param(
            HELLO + command("connect", 1.0, {"app": "live"}) + command("publish", 2.0, None, "x" * 3000),
            id="a long name",
        ),
        pytest.param(
            HELLO + ChunkWriter().write(Message(MessageType.COMMAND, b"\x0a\x00\x00\x00\x01" * 99), 3),
            id="nested arguments",
        ),
    ],
)
async def test_bad_bytes_close_their_own_connection_only(server: RtmpServer, wire: bytes) -> None:
    client = await connect(server)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(wire)
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionError):  # as good an end as any
            await reader.read()
    writer.close()
    client.send(PICTURE)
    await until(lambda: server.streams[STREAM].video_frames == 1)
    assert list(server.streams) == [STREAM]
    client.close()


async def answers(
    server: RtmpServer, app: str, key: str, *, chunk_stream_id: int = 3, amf3: bool = False
) -> list[list[amf.Value]]:
    """Publish as an encoder does that waits for each answer, and return all answers up to the status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    chunks, incoming = ChunkWriter(), ChunkReader(10_000)
    got: list[list[amf.Value]] = []

    async def call(*values: amf.Value | int, until: str) -> None:
        payload = amf.encode(*values)
        message = (
            Message(MessageType.COMMAND_AMF3, b"\x00" + payload)
            if amf3
            else Message(MessageType.COMMAND, payload)
        )
        writer.write(chunks.write(message, chunk_stream_id))
        before = len(got)
        while until not in (answer[0] for answer in got[before:]):
            data = await reader.read(4096)
            assert data, "the server closed the connection"
            got.extend(amf.decode(m.payload) for m in incoming.feed(data) if m.kind == MessageType.COMMAND)

    async with asyncio.timeout(5):
        writer.write(HELLO)
        await reader.readexactly(1 + 2 * 1536)
        await call("connect", 1, {"app": app, "tcUrl": f"rtmp://127.0.0.1/{app}"}, until="_result")
        await call("releaseStream", 2, None, key, until="_result")
        await call("FCPublish", 3, None, key, until="onFCPublish")
        await call("createStream", 4, None, until="_result")
        await call("publish", 5, None, key, "live", until="onStatus")
    writer.close()
    return got


@pytest.mark.parametrize(
    ("app", "key", "stream"),
    [
        pytest.param("", KEY, KEY, id="a URL without a path"),
        pytest.param("/", KEY, KEY, id="a slash"),
        pytest.param("live?auth=a/b", KEY, f"live?auth=a/b/{KEY}", id="a query"),
        pytest.param(f"live/{KEY}", "", STREAM, id="the key in the URL"),
        pytest.param(f"live/{KEY}?auth=a/b", "", f"{STREAM}?auth=a/b", id="the key and a query in the URL"),
        pytest.param(KEY, "", KEY, id="nothing but the key"),
    ],
)
async def test_publishers_name_application_and_stream_in_many_ways(
    server: RtmpServer, caplog: pytest.LogCaptureFixture, app: str, key: str, stream: str
) -> None:
    caplog.set_level(logging.INFO, "airflow_provider_smartlive")
    status = (await answers(server, app, key))[-1][3]
    assert isinstance(status, dict)
    assert status["code"] == "NetStream.Publish.Start"
    assert list(server.streams) == [stream]
    assert KEY not in caplog.text


async def test_the_platform_shows_only_the_first_part_of_a_stream() -> None:
    platform = Platform()
    await platform.server.start()
    await answers(platform.server, "live/inside?auth=fake-auth", KEY)
    await platform.server.stop()
    described = platform.describe()
    assert [stream["stream"] for stream in described["streams"]] == ["live/***"]
    assert not any(secret in str(described) for secret in (KEY, "fake-auth", "inside"))


@pytest.mark.parametrize("chunk_stream_id", [3, 63, 64, 319, 320, 65599])
@pytest.mark.parametrize("amf3", [False, True])
async def test_commands_come_on_any_chunk_stream_and_in_both_encodings(
    server: RtmpServer, chunk_stream_id: int, amf3: bool
) -> None:
    got = await answers(server, "live", KEY, chunk_stream_id=chunk_stream_id, amf3=amf3)
    assert [answer[0] for answer in got] == [
        "_result", "_result", "_result", "onFCPublish", "_result", "onStatus",
    ]  # fmt: skip
    assert list(server.streams) == [STREAM]


async def test_a_silent_connection_is_closed(server: RtmpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtmp_session, "SILENCE_LIMIT", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


async def test_too_many_connections_are_closed(server: RtmpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtmp_server, "MAX_CONNECTIONS", 1)
    client = await connect(server)
    with pytest.raises(LinkError) as caught:
        await connect(server)
    assert caught.value.fault is LinkFault.REFUSED
    client.send(PICTURE)
    await until(lambda: server.streams[STREAM].video_frames == 1)
    client.close()


async def test_old_streams_are_forgotten(server: RtmpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtmp_register, "MAX_STREAM_STATS", 2)
    lasting = await connect(server)
    for number in range(3):
        (await connect(server, f"live/fake-{number}")).close()
        await over(server, f"live/fake-{number}")
    assert list(server.streams) == [STREAM, "live/fake-2"]
    lasting.close()


async def test_what_arrived_is_acknowledged(server: RtmpServer) -> None:
    """Some publishers stop when a window's worth of bytes was not acknowledged."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    chunks = ChunkWriter()
    writer.write(HELLO)
    for message in (
        Message(MessageType.WINDOW_SIZE, struct.pack(">I", 100_000)),
        Message(MessageType.COMMAND, amf.encode("connect", 1.0, {"app": "live"})),
        Message(MessageType.COMMAND, amf.encode("publish", 2.0, None, KEY, "live")),
        *[Message(MessageType.VIDEO, b"\x17\x01" + bytes(50_000), 1)] * 5,
    ):
        writer.write(chunks.write(message, 3))
    answers = ChunkReader(10_000)
    async with asyncio.timeout(5):
        await reader.readexactly(1 + 2 * 1536)
        messages: list[Message] = []
        while not any(message.kind == MessageType.ACKNOWLEDGEMENT for message in messages):
            messages += answers.feed(await reader.read(1000))
    writer.close()


async def test_unknown_calls_get_an_error_not_silence(server: RtmpServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(HELLO + command("getStreamLength", 7.0, None, "x"))
    async with asyncio.timeout(5):
        await reader.readexactly(1 + 2 * 1536)
        answer = ChunkReader(10_000).feed(await reader.read(1000))
    assert amf.decode(answer[0].payload)[:2] == ["_error", 7.0]
    writer.close()


def test_the_url_is_split_as_ffmpeg_does() -> None:
    assert split_url("rtmp://h/live/k")[:5] == ("h", 1935, False, "live", "k")
    assert split_url("rtmp://h:1/a/b/c/d?e=/f")[:5] == ("h", 1, False, "a/b", "c/d?e=/f")
    target = split_url("rtmps://[::1]/live/k")
    assert (target.host, target.port, target.secure, target.tc_url) == (
        "::1",
        443,
        True,
        "rtmps://[::1]/live",
    )


@pytest.mark.parametrize("url", ["rtmp://h", "rtmp://h/app", "rtmp:///a/b", "http://h/a/b", "rtmp://h/a/"])
def test_a_url_without_all_parts_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="form rtmp://"):
        split_url(url)


async def test_nobody_listens() -> None:
    server = RtmpServer()
    await server.start()
    await server.stop()
    with pytest.raises(LinkError) as caught:
        await connect(server)
    assert caught.value.fault is LinkFault.REFUSED


def _is_broken(client: RtmpClient) -> bool:
    try:
        client.send(PICTURE)
    except LinkError as error:
        return error.fault is LinkFault.BROKEN
    return False
