"""What a publisher asks of its encoder process, and how that may go wrong."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum


class Audio(StrEnum):
    """What is heard: silence, or a quiet tone of 441 Hz."""

    SILENT = "silent"
    TONE = "tone"


class LinkFault(StrEnum):
    """
    Why a link is not there.

    ``REFUSED``: nobody listens, or the handshake failed. ``DENIED``: the server said no to the stream.
    ``BROKEN``: it was connected and broke. ``FROZEN``: no progress for the time of the watchdog.
    ``UNAVAILABLE``: PyAV or Pillow is not installed, or the encoder process failed by itself.
    """

    REFUSED = "refused"
    DENIED = "denied"
    BROKEN = "broken"
    FROZEN = "frozen"
    UNAVAILABLE = "unavailable"


class MissingEncoderError(RuntimeError):
    """PyAV, or Pillow that draws the picture, is not installed; the text names what to install."""


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
        return cls(**fields)


def require_encoder() -> None:
    """
    Check that video can be drawn and published here.

    :raises MissingEncoderError: if it cannot; the text says what to install.
    """
    remedy = "pip install 'airflow-provider-smartlive[sandbox]'"
    if importlib.util.find_spec("PIL") is None:
        raise MissingEncoderError(f"Pillow, which draws the sandbox's picture, is not installed: {remedy}")
    if importlib.util.find_spec("av") is None:
        raise MissingEncoderError(f"PyAV, which publishes the sandbox's video, is not installed: {remedy}")
