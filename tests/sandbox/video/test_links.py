"""Real publishers against the real RTMP server: what becomes of a link, and of the processes behind it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import psutil
import pytest

from airflow_provider_smartlive.metastudio.events import StreamState
from airflow_provider_smartlive.sandbox.rtmp.server import RtmpServer
from airflow_provider_smartlive.sandbox.video.encoder_job import LinkFault
from airflow_provider_smartlive.sandbox.video.publisher import Publisher

pytestmark = pytest.mark.processes

KEY = "fake-stream-key-1"
STREAM = f"live/{KEY}"


class Show:
    """A small publisher with its states."""

    def __init__(self, server: RtmpServer, **options: Any) -> None:
        self.states: list[str] = []
        self._changed = asyncio.Event()
        arguments: dict[str, Any] = {
            "title": "Tea room",
            "width": 270,
            "height": 480,
            "frame_rate": 5,
            "bitrate_kbit": 200,
            "max_exception_waiting": 0,
            **options,
        }
        self.publisher = Publisher(f"{server.url}/live", KEY, on_state=self._note, **arguments)

    def _note(self, state: StreamState) -> None:
        self.states.append(state.value)
        self._changed.set()

    async def until(self, *states: str) -> None:
        """Wait for exactly this story."""
        async with asyncio.timeout(20):
            while len(self.states) < len(states):
                self._changed.clear()
                await self._changed.wait()
        assert self.states == list(states)


async def until(condition: Callable[[], object], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - it ends by what another process does
            await asyncio.sleep(0.02)


@pytest.fixture
def events() -> list[str]:
    return []


@pytest.fixture
async def server(events: list[str]) -> AsyncIterator[RtmpServer]:
    async with RtmpServer(on_event=lambda kind, app, name: events.append(kind.value)) as running:
        yield running
        running.thaw()


async def test_video_and_sound_arrive_and_the_end_is_in_order(server: RtmpServer, events: list[str]) -> None:
    show = Show(server, audio="tone")
    await show.publisher.start()
    await show.until("CONNECTING", "CONNECTED")
    await until(lambda: server.streams[STREAM].video_frames >= 5)
    show.publisher.set_script_title("The second part")
    await until(lambda: show.publisher.stats.frames >= 8)
    assert show.publisher.stats.fps == pytest.approx(5, abs=2)
    await show.publisher.stop()
    await show.until("CONNECTING", "CONNECTED", "END")
    await until(lambda: not server.streams[STREAM].live)
    received, sent = server.streams[STREAM], show.publisher.stats
    # The last picture may still be inside the codec when the end is asked for.
    assert received.video_frames == pytest.approx(sent.frames, abs=1)
    assert received.audio_frames > 20
    assert (received.width, received.height) == (270, 480)
    assert events == ["published", "unpublished"]


async def test_kicked_and_back_again(server: RtmpServer) -> None:
    show = Show(server)
    await show.publisher.start()
    await show.until("CONNECTING", "CONNECTED")
    await until(lambda: server.streams[STREAM].video_frames >= 1)
    assert server.kick(STREAM)
    await show.until("CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING", "CONNECTED")
    assert show.publisher.stats.reconnects == 1
    await until(lambda: server.streams[STREAM].connections == 2)
    await show.publisher.stop()


async def test_a_server_that_dies_for_good(server: RtmpServer) -> None:
    show = Show(server, max_exception_waiting=1.5)
    await show.publisher.start()
    await show.until("CONNECTING", "CONNECTED")
    await server.stop()
    await show.until("CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING", "END")
    assert show.publisher.fault is LinkFault.REFUSED


async def test_a_server_that_comes_back(server: RtmpServer) -> None:
    show = Show(server)
    await show.publisher.start()
    await show.until("CONNECTING", "CONNECTED")
    await server.stop()
    await show.until("CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING")
    await server.start()
    await show.until("CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING", "CONNECTED")
    await show.publisher.stop()


async def test_a_key_that_is_denied(server: RtmpServer) -> None:
    server.refuse()
    show = Show(server, max_exception_waiting=1.5)
    await show.publisher.start()
    await show.until("CONNECTING", "DISCONNECTED", "RECONNECTING", "END")
    assert show.publisher.fault is LinkFault.DENIED
    assert not server.streams


async def test_nobody_listens() -> None:
    server = RtmpServer()
    await server.start()
    await server.stop()
    show = Show(server, max_exception_waiting=1.5)
    await show.publisher.start()
    await show.until("CONNECTING", "DISCONNECTED", "RECONNECTING", "END")
    assert show.publisher.fault is LinkFault.REFUSED


async def test_a_server_that_freezes(server: RtmpServer) -> None:
    """Nothing breaks: only the watchdog can tell. The bit rate fills the kernel's buffers soon."""
    show = Show(server, watchdog=1.0, bitrate_kbit=24_000, max_exception_waiting=1.5)
    await show.publisher.start()
    await show.until("CONNECTING", "CONNECTED")
    server.freeze()
    await show.until("CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING")
    assert show.publisher.fault is LinkFault.FROZEN
    await show.until("CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING", "END")
    await until(lambda: not _encoders(os.getpid()))


async def test_stopping_while_the_server_is_frozen(server: RtmpServer) -> None:
    show = Show(server)
    server.freeze()
    await show.publisher.start()
    await show.until("CONNECTING")
    await until(lambda: _encoders(os.getpid()))
    await show.publisher.stop()
    await show.until("CONNECTING", "END")
    assert not _encoders(os.getpid())


async def test_the_list_of_processes_shows_no_key(server: RtmpServer) -> None:
    others = {*psutil.Process().children(recursive=True)}  # such as the stack of another test
    show = Show(server)
    await show.publisher.start()
    await show.until("CONNECTING", "CONNECTED")
    processes = {*psutil.Process().children(recursive=True)} - others
    words = [word for process in processes for word in process.cmdline()]
    assert any(word.endswith("video.encoder") for word in words)
    assert not any(KEY in word for word in words)
    await show.publisher.stop()


async def test_an_encoder_that_is_killed_is_replaced(server: RtmpServer) -> None:
    show = Show(server)
    await show.publisher.start()
    await show.until("CONNECTING", "CONNECTED")
    (encoder,) = _encoders(os.getpid())
    family = [encoder, *encoder.children(recursive=True)]
    encoder.kill()
    await show.until("CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING", "CONNECTED")
    await until(lambda: not any(map(_is_alive, family)))
    await show.publisher.stop()


OWNER = """
import asyncio, sys
from airflow_provider_smartlive.sandbox.video.publisher import Publisher

async def main():
    publisher = Publisher(
        sys.argv[1], "fake-stream-key-1", title="Tea room", frame_rate=5, watchdog=1.0,
        max_exception_waiting=0, on_state=lambda state: print(state, flush=True),
    )
    await publisher.start()
    await publisher.wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("frozen", [False, True], ids=["live", "frozen"])
async def test_no_encoder_outlives_its_owner(server: RtmpServer, frozen: bool) -> None:
    """SIGKILL leaves the owner no time to clean up. Frozen is the hard case: FFmpeg's library hangs then."""
    if frozen:
        server.freeze()
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, f"{server.url}/live", stdout=asyncio.subprocess.PIPE
    )
    assert owner.stdout is not None
    assert await owner.stdout.readline() == b"CONNECTING\n"
    if frozen:
        await until(lambda: _encoders(owner.pid) and _has_connected(_encoders(owner.pid)[0], server.port))
    else:
        assert await owner.stdout.readline() == b"CONNECTED\n"
    family = psutil.Process(owner.pid).children(recursive=True)
    assert family
    owner.send_signal(signal.SIGKILL)
    await owner.wait()
    await until(lambda: not any(map(_is_alive, family)))


def _encoders(owner: int) -> list[psutil.Process]:
    found = []
    for process in psutil.Process(owner).children():
        try:
            if any(word.endswith("video.encoder") for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue  # it ended in between
    return found


def _has_connected(process: psutil.Process, port: int) -> bool:
    return any(link.raddr and link.raddr.port == port for link in process.net_connections("tcp"))


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
