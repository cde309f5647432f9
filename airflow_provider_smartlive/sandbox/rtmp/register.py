"""Who publishes which stream to the RTMP server, and what has arrived of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from airflow_provider_smartlive.sandbox.rtmp import amf
from airflow_provider_smartlive.sandbox.rtmp.chunks import Message, MessageType

log = logging.getLogger(__name__)

#: Streams remembered; beyond that the one admitted first among those that are over is forgotten.
MAX_STREAM_STATS = 1000


class ServerEvent(StrEnum):
    """What ``on_event`` is told about a stream."""

    PUBLISHED = "published"
    DENIED = "denied"
    UNPUBLISHED = "unpublished"
    LOST = "lost"
    KICKED = "kicked"
    REPLACED = "replaced"


@dataclass
class StreamStats:
    """
    What arrived for one stream, over all its connections.

    :param video_frames: coded pictures, configuration records not counted.
    :param audio_frames: coded audio frames, configuration records not counted.
    :param bytes: audio and video bytes, without RTMP's own headers.
    :param width: pixels, as the publisher's metadata say; 0 if they do not.
    :param height: pixels, likewise.
    :param first_at: when the first audio or video message arrived.
    :param last_at: when the last one arrived.
    :param connections: how often a publisher was admitted.
    :param live: whether a publisher is admitted now.
    """

    video_frames: int = 0
    audio_frames: int = 0
    bytes: int = 0
    width: int = 0
    height: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    connections: int = 0
    live: bool = False


class Publishing(Protocol):
    """A connection that publishes."""

    def drop(self) -> None:
        """Cut the connection."""


class StreamRegister:
    """
    Admits publishers, one for each stream, and counts.

    A publisher of a stream that is live already takes it over: it is mostly the same one, whose broken link
    the server has not noticed yet.

    :param authorise: decides by application and stream name; None admits everybody.
    :param on_event: is told (kind, application, stream name).
    :param now: the clock that stamps the statistics.
    """

    def __init__(
        self,
        authorise: Callable[[str, str], bool] | None,
        on_event: Callable[[ServerEvent, str, str], None] | None,
        now: Callable[[], datetime],
    ) -> None:
        self.refusing = False
        self._authorise = authorise
        self._on_event = on_event
        self._now = now
        self._stats: dict[str, StreamStats] = {}
        self._publishers: dict[str, Publishing] = {}
        self._names: dict[Publishing, tuple[str, str]] = {}

    @property
    def streams(self) -> Mapping[str, StreamStats]:
        """Statistics by ``application/stream name``. The names are secrets."""
        return MappingProxyType(self._stats)

    def publisher(self, stream: str) -> Publishing | None:
        """Return who publishes ``application/stream name`` now."""
        return self._publishers.get(stream)

    def admit(self, publisher: Publishing, app: str, name: str) -> bool:
        """Say whether somebody may publish under a name, and note that it does."""
        if self.refusing or not self._may_publish(app, name):
            self._tell(ServerEvent.DENIED, app, name)
            return False
        stream = joined(app, name)
        before = self._publishers.get(stream)
        if before is not None:
            self.leave(before, ServerEvent.REPLACED)
            before.drop()
        self._publishers[stream] = publisher
        self._names[publisher] = (app, name)
        stats = self._stats.setdefault(stream, StreamStats())
        stats.connections += 1
        stats.live = True
        self._forget()
        self._tell(ServerEvent.PUBLISHED, app, name)
        return True

    def media(self, publisher: Publishing, message: Message) -> None:
        """Count an audio, video or metadata message of an admitted publisher."""
        if publisher not in self._names:
            return
        stats = self._stats[joined(*self._names[publisher])]
        if message.kind == MessageType.DATA:
            stats.width, stats.height = _picture_size(message.payload) or (stats.width, stats.height)
            return
        stats.last_at = self._now()
        stats.first_at = stats.first_at or stats.last_at
        stats.bytes += len(message.payload)
        if message.kind == MessageType.VIDEO:
            stats.video_frames += _is_picture(message.payload)
        else:
            stats.audio_frames += _is_sound(message.payload)

    def leave(self, publisher: Publishing, event: ServerEvent) -> None:
        """Note why somebody publishes no more; nothing happens if it did not."""
        if publisher in self._names:
            app, name = self._names.pop(publisher)
            del self._publishers[joined(app, name)]
            self._stats[joined(app, name)].live = False
            self._tell(event, app, name)

    def _may_publish(self, app: str, name: str) -> bool:
        if self._authorise is None:
            return True
        try:
            return self._authorise(app, name)
        except Exception as error:
            # Not its text, which might quote the name.
            log.warning("authorise failed: %s", type(error).__name__)
            return False

    def _forget(self) -> None:
        if len(self._stats) > MAX_STREAM_STATS:
            over = next((stream for stream, stats in self._stats.items() if not stats.live), None)
            if over is not None:
                del self._stats[over]

    def _tell(self, event: ServerEvent, app: str, name: str) -> None:
        log.info("%s: %s", label(app), event)
        if self._on_event is not None:
            try:
                self._on_event(event, app, name)
            except Exception as error:
                # A listener's mistake must not cut a stream; its text might quote the name.
                log.warning("on_event failed on %s: %s", event, type(error).__name__)


def joined(app: str, name: str) -> str:
    """Return ``application/stream name``, or the name alone if there is no application."""
    return f"{app}/{name}" if app else name


def label(app: str) -> str:
    """Return a stream's name for logs: the first part of the application, the rest as asterisks."""
    return f"{app.split('/')[0].split('?')[0][:64]}/***"


def _is_picture(payload: bytes) -> bool:
    """Tell a coded picture from configuration, in classic FLV and in Enhanced RTMP."""
    if len(payload) < 2:
        return False
    if payload[0] & 0x80:
        return payload[0] & 0x0F in (1, 3)
    return payload[0] & 0x0F != 7 or payload[1] == 1


def _is_sound(payload: bytes) -> bool:
    """Tell coded audio from AAC's configuration record."""
    return len(payload) >= 2 and (payload[0] >> 4 != 10 or payload[1] == 1)


def _picture_size(payload: bytes) -> tuple[int, int] | None:
    try:
        values = amf.decode(payload)
    except amf.AmfError:
        return None
    for value in values:
        if isinstance(value, dict):
            width, height = value.get("width"), value.get("height")
            if isinstance(width, float) and isinstance(height, float):
                return int(width), int(height)
    return None
