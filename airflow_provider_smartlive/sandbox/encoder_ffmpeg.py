"""
The encoder's other engine: the ``ffmpeg`` program.

It only encodes; its output comes back over a pipe and is published from here. Would it publish by itself, its URL
with the stream key would stand in the list of processes for everybody to read.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
from dataclasses import replace
from typing import IO

from airflow_provider_smartlive.sandbox import amf
from airflow_provider_smartlive.sandbox.encoder_job import Audio, EncoderJob, LinkError, LinkFault
from airflow_provider_smartlive.sandbox.rtmp_chunks import Message, MessageType
from airflow_provider_smartlive.sandbox.rtmp_client import RtmpClient

_SAMPLE_RATE = 44_100
_FLV_HEADER = 9 + 4
_TAG_HEADER = 11
_TAG_TRAILER = 4

#: Seconds that the program gets to hand out what it still holds.
_FLUSH = 2.0


class FfmpegLink:
    """
    Lets the program encode, and publishes what it hands out.

    :param job: what to publish, and where.
    :raises LinkError: if the server is not there, does not want the stream, or the program does not start.
    """

    def __init__(self, job: EncoderJob) -> None:
        self.frames = 0
        self.sent_bytes = 0
        self._fault: LinkFault | None = None
        self._client = RtmpClient(job.url)
        try:
            self._program = subprocess.Popen(  # noqa: S603 - numbers and our own words only, and no shell
                _command(job), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError:
            self._client.close()
            raise LinkError(LinkFault.UNAVAILABLE) from None
        self._relay = threading.Thread(target=self._forward, daemon=True)
        self._relay.start()

    def send(self, planes: tuple[bytes, bytes, bytes], index: int) -> None:
        """
        Send a picture; the program adds the sound.

        :param index: not used: the program counts by itself, so that pictures left out make the video shorter.
        :raises LinkError: if the link or the program broke.
        """
        stdin = self._program.stdin
        assert stdin is not None
        try:
            for plane in planes:
                stdin.write(plane)
            stdin.flush()
        except OSError:
            self._relay.join(_FLUSH)
            raise LinkError(self._fault or LinkFault.UNAVAILABLE) from None

    def close(self) -> None:
        """End the stream in good order, as far as the link still allows."""
        if self._program.stdin is not None:
            with contextlib.suppress(OSError):
                self._program.stdin.close()
        self._relay.join(_FLUSH)
        self._program.kill()
        self._client.close()

    def _forward(self) -> None:
        stdout = self._program.stdout
        assert stdout is not None
        try:
            _take(stdout, _FLV_HEADER)
            while True:
                self._publish(_next_tag(stdout))
        except EOFError:
            pass  # the program ended; whoever feeds it finds out
        except LinkError as error:
            self._fault = error.fault
            self._program.kill()

    def _publish(self, message: Message) -> None:
        if message.kind == MessageType.DATA:
            # Servers keep metadata for later viewers only if they are told to.
            message = replace(message, payload=amf.encode("@setDataFrame") + message.payload)
        self._client.send(message)
        if message.kind in (MessageType.VIDEO, MessageType.AUDIO):
            self.sent_bytes += len(message.payload)
        # Behind a byte on the codec, 1 marks a coded picture and 0 its configuration.
        if message.kind == MessageType.VIDEO and message.payload[1:2] == b"\x01":
            self.frames += 1


def _command(job: EncoderJob) -> list[str]:
    sound = f"sine=frequency=441:sample_rate={_SAMPLE_RATE}" if job.audio is Audio.TONE else "anullsrc"
    rate = f"{job.bitrate_kbit}k"
    pictures = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{job.width}x{job.height}"]
    return [
        "ffmpeg", "-nostdin", "-loglevel", "quiet",
        *pictures, "-r", str(job.frame_rate), "-i", "pipe:0",
        "-f", "lavfi", "-i", sound, "-shortest",
        "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p",
        "-g", str(2 * job.frame_rate), "-b:v", rate, "-maxrate", rate, "-bufsize", rate,
        "-x264-params", "nal-hrd=cbr:filler=1",
        "-c:a", "aac", "-b:a", "64k", "-ac", "1", "-ar", str(_SAMPLE_RATE),
        "-flush_packets", "1", "-f", "flv", "-flvflags", "no_duration_filesize", "pipe:1",
    ]  # fmt: skip


def _next_tag(stream: IO[bytes]) -> Message:
    header = _take(stream, _TAG_HEADER)
    size = int.from_bytes(header[1:4], "big")
    timestamp = int.from_bytes(header[7:8] + header[4:7], "big")
    payload = _take(stream, size)
    _take(stream, _TAG_TRAILER)
    return Message(header[0] & 0x1F, payload, 1, timestamp)


def _take(stream: IO[bytes], size: int) -> bytes:
    part = stream.read(size)
    if len(part) < size:
        raise EOFError
    return part
