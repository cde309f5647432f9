"""What a publisher asks of its encoder process, and how that may go wrong."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Protocol


class Engine(StrEnum):
    """What encodes and sends: FFmpeg's libraries in the encoder process, or the ``ffmpeg`` program."""

    PYAV = "pyav"
    FFMPEG = "ffmpeg"


class Audio(StrEnum):
    """What is heard: silence, or a quiet tone of 441 Hz."""

    SILENT = "silent"
    TONE = "tone"


class LinkFault(StrEnum):
    """
    Why a link is not there.

    ``REFUSED``: nobody listens, or the handshake failed. ``DENIED``: the server said no to the stream.
    ``BROKEN``: it was connected and broke. ``FROZEN``: no progress for the time of the watchdog.
    ``UNAVAILABLE``: the engine is not installed, or the encoder process failed by itself.
    """

    REFUSED = "refused"
    DENIED = "denied"
    BROKEN = "broken"
    FROZEN = "frozen"
    UNAVAILABLE = "unavailable"


class MissingEngineError(RuntimeError):
    """The engine, or Pillow that draws the picture, is not installed; the text names what to install."""


class LinkError(Exception):
    """
    The link cannot be opened, or broke. It carries no text of libraries: theirs quotes the URL with the key.

    :param fault: what happened.
    """

    def __init__(self, fault: LinkFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


@dataclass(frozen=True)
class EncoderJob:
    """
    All that an encoder process needs; it travels as JSON over standard input, because arguments show in ``ps``.

    :param url: the RTMP URL with the stream key.
    :param room_name: the large text of the picture.
    :param script_title: the small text; can be changed while it runs.
    :param width: pixels, even.
    :param height: pixels, even.
    :param frame_rate: pictures per second.
    :param bitrate_kbit: of the video, kbit/s, kept constant by filler so that the load is the real one.
    :param audio: what is heard.
    :param engine: what encodes and sends.
    :param stuck_after: seconds without progress after which the process ends itself.
    """

    url: str = field(repr=False)
    room_name: str
    script_title: str = ""
    width: int = 270
    height: int = 480
    frame_rate: int = 25
    bitrate_kbit: int = 500
    audio: Audio = Audio.SILENT
    engine: Engine = Engine.PYAV
    stuck_after: float = 30.0

    def dump(self) -> bytes:
        """Return the job as one line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def load(cls, line: str | bytes) -> EncoderJob:
        """
        Read the line that :meth:`dump` made.

        :raises ValueError: if it is none.
        :raises TypeError: if a field is missing or unknown.
        """
        fields = json.loads(line)
        fields["audio"] = Audio(fields["audio"])
        fields["engine"] = Engine(fields["engine"])
        return cls(**fields)


class Link(Protocol):
    """A connection of an engine to an RTMP server that has accepted the stream."""

    frames: int
    sent_bytes: int

    def send(self, planes: tuple[bytes, bytes, bytes], index: int) -> None:
        """
        Send a picture and the sound up to it.

        :param planes: luma and the two chroma planes (yuv420p), without padding.
        :param index: the number of the picture since the start, at the job's frame rate; may skip.
        :raises LinkError: if the link broke.
        """

    def close(self) -> None:
        """End the stream in good order."""


def require(engine: Engine) -> None:
    """
    Check that an engine can run here.

    :raises MissingEngineError: if it cannot; the text says what to install.
    """
    remedy = "pip install 'airflow-provider-smartlive[sandbox]'"
    if importlib.util.find_spec("PIL") is None:
        raise MissingEngineError(f"Pillow, which draws the sandbox's picture, is not installed: {remedy}")
    if engine is Engine.PYAV and importlib.util.find_spec("av") is None:
        raise MissingEngineError(f"PyAV, which publishes the sandbox's video, is not installed: {remedy}")
    if engine is Engine.FFMPEG and shutil.which("ffmpeg") is None:
        raise MissingEngineError("the program ffmpeg is not on PATH: install it, or use the engine 'pyav'")
