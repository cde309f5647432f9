"""The built-in platform: the RTMP server that plays the shopping site, and what is told about it."""

from __future__ import annotations

from typing import Any

from airflow_provider_smartlive.sandbox.hashes import key_hash
from airflow_provider_smartlive.sandbox.rtmp.output_url import join_output
from airflow_provider_smartlive.sandbox.rtmp.register import label
from airflow_provider_smartlive.sandbox.rtmp.server import RtmpServer, StreamStats

#: The application that publishers name; the URL to publish to is ``rtmp://HOST:PORT/live/KEY``.
APP = "live"


class Platform:
    """
    An RTMP server that admits stream keys.

    :param keys: the keys to admit; empty admits every key.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, *, keys: tuple[str, ...] = ()) -> None:
        def authorise(app: str, key: str) -> bool:
            return not keys or key in keys

        self.server = RtmpServer(host, port, authorise=authorise)

    @property
    def url(self) -> str:
        """The ingest URL, without a stream key."""
        return f"{self.server.url}/{APP}"

    def kick(self, url: str, key: str) -> bool:
        """Cut whoever publishes to an ingest URL with a stream key; tell whether somebody did."""
        prefix = f"{self.server.url}/"
        return url.startswith(prefix) and self.server.kick(join_output(url, key).removeprefix(prefix))

    def describe(self) -> dict[str, Any]:
        """Return what has arrived, by stream; the keys are hidden behind a hash."""
        return {"url": self.url, "streams": [_describe(n, s) for n, s in self.server.streams.items()]}


def _describe(name: str, stats: StreamStats) -> dict[str, Any]:
    app, _, key = name.rpartition("/")
    return {
        "stream": label(app),
        "key_hash": key_hash(key),
        "live": stats.live,
        "connections": stats.connections,
        "video_frames": stats.video_frames,
        "audio_frames": stats.audio_frames,
        "bytes": stats.bytes,
        "width": stats.width,
        "height": stats.height,
        "first_at": stats.first_at.isoformat() if stats.first_at else None,
        "last_at": stats.last_at.isoformat() if stats.last_at else None,
    }
