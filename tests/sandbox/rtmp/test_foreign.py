"""The sandbox's RTMP against software that others wrote: ffmpeg publishes to it, nginx receives from it."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import av
import pytest

from airflow_provider_smartlive.metastudio.events import StreamState
from airflow_provider_smartlive.sandbox.rtmp.server import RtmpServer
from airflow_provider_smartlive.sandbox.video.encoder_job import LinkFault
from airflow_provider_smartlive.sandbox.video.publisher import Publisher

pytestmark = pytest.mark.processes

KEY = "fake-stream-key-1"

FFMPEG = shutil.which("ffmpeg")
#: Debian keeps nginx outside an ordinary user's PATH.
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
MODULE = next(
    (
        path
        for folder in ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/etc/nginx/modules")
        if (path := Path(folder, "ngx_rtmp_module.so")).exists()
    ),
    None,
)

needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="the program ffmpeg is not on PATH")
needs_nginx = pytest.mark.skipif(
    NGINX is None or MODULE is None, reason="nginx with its RTMP module (libnginx-mod-rtmp) is not installed"
)


async def ffmpeg(url: str, *codec: str) -> int:
    """Publish two seconds of a test picture with a tone, as fast as it goes."""
    assert FFMPEG is not None
    process = await asyncio.create_subprocess_exec(
        FFMPEG, "-nostdin", "-loglevel", "quiet", "-f", "lavfi", "-i", "testsrc=size=270x480:rate=5",
        "-f", "lavfi", "-i", "sine", "-t", "2", "-pix_fmt", "yuv420p", *codec, "-f", "flv", url,
    )  # fmt: skip
    async with asyncio.timeout(20):
        return await process.wait()


@needs_ffmpeg
@pytest.mark.parametrize(
    "codec",
    [
        pytest.param(["-c:v", "libx264", "-c:a", "aac"], id="h264"),
        pytest.param(["-c:v", "flv1", "-c:a", "libmp3lame"], id="flash"),
    ],
)
async def test_ffmpeg_publishes_to_the_server(codec: list[str]) -> None:
    async with RtmpServer(authorise=lambda app, name: (app, name) == ("live", KEY)) as server:
        assert await ffmpeg(f"{server.url}/live/{KEY}", *codec) == 0
        stats = server.streams[f"live/{KEY}"]
        assert stats.video_frames == 10
        assert stats.audio_frames > 50
        assert (stats.width, stats.height) == (270, 480)


@needs_ffmpeg
async def test_ffmpeg_is_denied_with_a_wrong_key() -> None:
    async with RtmpServer(authorise=lambda app, name: name == KEY) as server:
        assert await ffmpeg(f"{server.url}/live/another-key") != 0
        assert not server.streams


@pytest.fixture
async def nginx(tmp_path: Path) -> AsyncIterator[str]:
    """An nginx that records what it receives, and lets only our key in."""
    assert NGINX is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        f"""
        load_module {MODULE};
        daemon off; master_process off; pid {tmp_path}/nginx.pid; error_log {tmp_path}/error.log;
        events {{ worker_connections 64; }}
        rtmp {{ server {{
            listen 127.0.0.1:{port};
            application live {{ live on; record all; record_path {tmp_path}; record_unique off; }}
            application closed {{ live on; deny publish all; }}
        }} }}
        """
    )
    process = await asyncio.create_subprocess_exec(
        NGINX, "-p", str(tmp_path), "-e", str(tmp_path / "error.log"), "-c", str(configuration)
    )
    try:
        async with asyncio.timeout(10):
            while not await _answers(port):
                assert process.returncode is None, (tmp_path / "error.log").read_text()
                await asyncio.sleep(0.02)
        yield f"rtmp://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@needs_nginx
async def test_nginx_receives_what_can_be_watched(nginx: str, tmp_path: Path) -> None:
    states: list[StreamState] = []
    publisher = Publisher(
        f"{nginx}/live",
        KEY,
        title="Tea room",
        frame_rate=5,
        audio="tone",
        on_state=states.append,
    )
    await publisher.start()
    async with asyncio.timeout(15):
        while publisher.stats.frames < 10:  # noqa: ASYNC110 - it ends by what another process does
            await asyncio.sleep(0.02)
    await publisher.stop()
    assert states == [StreamState.CONNECTING, StreamState.CONNECTED, StreamState.END]
    with av.open(str(tmp_path / f"{KEY}.flv")) as recording:
        picture, sound = recording.streams.video[0], recording.streams.audio[0]
        assert (picture.width, picture.height, picture.codec_context.name) == (270, 480, "h264")
        frames = [frame for packet in recording.demux(picture, sound) for frame in packet.decode()]
    pictures = [frame for frame in frames if isinstance(frame, av.VideoFrame)]
    assert len(pictures) == pytest.approx(publisher.stats.frames, abs=2)
    assert len(frames) - len(pictures) > 50
    # The marker moves, so no two pictures are the same, and the picture is not black.
    assert len({bytes(frame.planes[0]) for frame in pictures}) == len(pictures)
    assert max(bytes(pictures[0].planes[0])) > 200


@needs_nginx
async def test_nginx_says_no(nginx: str) -> None:
    """It does so by admitting the publisher and cutting it then; this ends all the same."""
    states: list[str] = []
    publisher = Publisher(
        f"{nginx}/closed",
        KEY,
        title="Tea room",
        frame_rate=5,
        max_exception_waiting=2.5,
        on_state=lambda state: states.append(state.value),
    )
    await publisher.start()
    async with asyncio.timeout(15):
        await publisher.wait()
    assert states[:4] == ["CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING"]
    assert states[-1] == "END"
    assert publisher.fault is LinkFault.BROKEN
