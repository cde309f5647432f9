"""Encodes and publishes by PyAV: FFmpeg's libraries inside the encoder process."""

from __future__ import annotations

import array
import contextlib
import errno
import math
from collections.abc import Sequence

import av
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Stream
from av.video.plane import VideoPlane
from av.video.stream import VideoStream

from airflow_provider_smartlive.sandbox.video.encoder_job import Audio, EncoderJob, LinkError, LinkFault
from airflow_provider_smartlive.sandbox.video.picture import Picture

_SAMPLE_RATE = 44_100
_SAMPLES = 1024
#: 441 Hz at 44.1 kHz: a period is exactly this many samples, so that frames join without a click.
_PERIOD = 100
_LOUDNESS = 0.05


class PyavLink:
    """
    Encodes H.264 and AAC and publishes them. Opening blocks, with the interpreter's lock held.

    :param job: what to publish, and where.
    :ivar picture: what draws the pictures of the job.
    :raises LinkError: if the server is not there or does not want the stream.
    """

    def __init__(self, job: EncoderJob) -> None:
        self.frames = 0
        self.sent_bytes = 0
        self._job = job
        self._samples = 0
        self._sound = _sound(job.audio)
        self.picture = Picture(job.width, job.height, room_name=job.room_name)
        try:
            self._container = av.open(job.url, "w", format="flv")
            self._video = self._add_video()
            self._audio = self._add_audio()
            self._container.start_encoding()
        except av.FFmpegError as error:
            # FFmpeg reports a server's "no" to a command as "operation not permitted".
            denied = error.errno == errno.EPERM
            raise LinkError(LinkFault.DENIED if denied else LinkFault.REFUSED) from None

    def send(self, planes: tuple[bytes, bytes, bytes], index: int) -> None:
        """
        Send a picture and the sound up to it.

        :param planes: luma and the two chroma planes (yuv420p), without padding.
        :param index: the number of the picture since the start, at the job's frame rate; may skip.

        :raises LinkError: if the link broke.
        """
        frame = av.VideoFrame(self._video.width, self._video.height, "yuv420p")
        for plane, content in zip(frame.planes, planes, strict=True):
            plane.update(_padded(content, plane))
        frame.pts = index
        try:
            self._mux(self._video.encode(frame))
            while self._samples * self._job.frame_rate <= index * _SAMPLE_RATE:
                self._send_sound()
        except av.FFmpegError:
            raise LinkError(LinkFault.BROKEN) from None
        self.frames += 1

    def close(self) -> None:
        """End the stream in good order, as far as the link still allows."""
        with contextlib.suppress(av.FFmpegError):
            self._mux(self._video.encode(None))
            self._mux(self._audio.encode(None))
            self._container.close()

    def _send_sound(self) -> None:
        frame = av.AudioFrame("fltp", "mono", _SAMPLES)
        frame.sample_rate = _SAMPLE_RATE
        frame.pts = self._samples
        start = self._samples % _PERIOD
        frame.planes[0].update(self._sound[start : start + _SAMPLES].tobytes())
        self._samples += _SAMPLES
        self._mux(self._audio.encode(frame))

    def _mux(self, packets: Sequence[Packet[Stream]]) -> None:
        for packet in packets:
            size = packet.size
            self._container.mux(packet)
            self.sent_bytes += size

    def _add_video(self) -> VideoStream:
        rate = f"{self._job.bitrate_kbit}k"
        options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "maxrate": rate,
            "bufsize": rate,
            # Filler keeps the rate constant; a still picture would otherwise need next to nothing.
            "x264-params": "nal-hrd=cbr:filler=1",
        }
        video = self._container.add_stream("libx264", rate=self._job.frame_rate, options=options)
        video.width, video.height, video.pix_fmt = self._job.width, self._job.height, "yuv420p"
        video.bit_rate = self._job.bitrate_kbit * 1000
        video.codec_context.gop_size = 2 * self._job.frame_rate
        return video

    def _add_audio(self) -> AudioStream:
        audio = self._container.add_stream("aac", rate=_SAMPLE_RATE, layout="mono")
        audio.bit_rate = 64_000
        return audio


def _sound(audio: Audio) -> array.array[float]:
    """Return a stretch of sound from which a frame can be cut at any place within the first period."""
    loudness = _LOUDNESS if audio is Audio.TONE else 0.0
    turn = 2 * math.pi / _PERIOD
    return array.array("f", (loudness * math.sin(turn * at) for at in range(_PERIOD + _SAMPLES)))


def _padded(content: bytes, plane: VideoPlane) -> bytes:
    """Fill every line of a plane up to the length that the codec wants in memory."""
    width, padding = plane.width, bytes(plane.line_size - plane.width)
    if not padding:
        return content
    return b"".join(content[start : start + width] + padding for start in range(0, len(content), width))
