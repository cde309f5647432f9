"""The RTMP links of a job: what the engine asks of one, and a simulated one for machines without video."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from airflow_provider_smartlive.metastudio.events import StreamState
from airflow_provider_smartlive.sandbox.video.encoder_job import Audio, LinkFault
from airflow_provider_smartlive.sandbox.video.publisher import Publisher, PublisherStats

#: The picture of a job that does not ask for one: a fraction of what MetaStudio would send.
_SMALL: dict[str, Any] = {"width": 270, "height": 480, "frame_rate": "15", "bitrate": 500}


@dataclass(frozen=True)
class LinkSpec:
    """
    What a link needs to know.

    :param room_name: written into the picture.
    :param video: the ``video_config`` of the job; empty if it has none.
    :param on_state: told about each change of state, END last and once.
    """

    output_url: str = field(repr=False)
    stream_key: str = field(repr=False)
    room_name: str
    video: dict[str, Any]
    on_state: Callable[[StreamState], None]


class Link(Protocol):
    """A link that publishes until it is stopped; a lost one reconnects for ever."""

    stats: PublisherStats
    fault: LinkFault | None

    async def start(self) -> None:
        """Begin to connect; returns without waiting for the connection."""

    async def stop(self) -> None:
        """End the link; END has been told when it returns."""

    def set_script_title(self, script_title: str) -> None:
        """Show what is being said."""


LinkFactory = Callable[[LinkSpec], Link]


class SimulatedLink:
    """A link that claims to be connected and publishes nothing: thousands of them cost nothing."""

    def __init__(self, spec: LinkSpec) -> None:
        self._tell = spec.on_state
        self._ended = False
        self.stats = PublisherStats()
        self.fault: LinkFault | None = None

    async def start(self) -> None:
        """Claim to be connected."""
        self._tell(StreamState.CONNECTING)
        self._tell(StreamState.CONNECTED)

    async def stop(self) -> None:
        """Claim to have ended."""
        if not self._ended:
            self._ended = True
            self._tell(StreamState.END)

    def set_script_title(self, script_title: str) -> None:
        """Show nothing: there is no picture."""


def video_links(*, small: bool, audio: Audio) -> LinkFactory:
    """
    Return what opens real links.

    :param small: send 270x480 whatever the job asks for.
    :param audio: what is heard.
    """

    def open_link(spec: LinkSpec) -> Link:
        video = (
            _SMALL if small else {**_SMALL, **{name: value for name, value in spec.video.items() if value}}
        )
        return Publisher(
            spec.output_url,
            spec.stream_key or None,
            title=spec.room_name,
            width=video["width"],
            height=video["height"],
            frame_rate=int(video["frame_rate"]),
            bitrate_kbit=video["bitrate"],
            audio=audio,
            on_state=spec.on_state,
            max_exception_waiting=0,  # giving up runs on the show clock, which is the job's
        )

    return open_link
