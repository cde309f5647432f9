"""One RTMP output of a sandbox job: publishes video and tells how its link fares."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from airflow_provider_smartlive.metastudio.events import StreamState
from airflow_provider_smartlive.sandbox.rtmp.output_url import join_output
from airflow_provider_smartlive.sandbox.video.encoder_job import (
    Audio,
    EncoderJob,
    LinkFault,
    require_encoder,
)
from airflow_provider_smartlive.sandbox.video.encoder_process import EncoderProcess

log = logging.getLogger(__name__)

#: How long MetaStudio tries to get an interrupted link back if ``max_exception_waiting_duration`` is not set
#: (seconds; SDK text: three minutes).
DEFAULT_WAITING = 180.0

#: Seconds between attempts to reconnect; the last one is repeated. What MetaStudio does is not documented.
RETRY_PAUSES = (1.0, 2.0, 4.0, 5.0)

#: Real seconds without any progress after which a link is taken for broken.
WATCHDOG = 10.0

#: Real seconds that an encoder gets to end its stream in good order.
STOP_GRACE = 3.0


@dataclass
class PublisherStats:
    """
    What was sent, over all connections.

    :param frames: pictures.
    :param bytes: of encoded video and audio.
    :param fps: pictures per second, as measured lately; 0 while not connected.
    :param reconnects: how often the link came back.
    """

    frames: int = 0
    bytes: int = 0
    fps: float = 0.0
    reconnects: int = 0


class Encoder(Protocol):
    """What the publisher needs of an encoder; :class:`EncoderProcess` is the real one."""

    async def report(self) -> dict[str, Any] | None:
        """Return the next report, or None when there will be no more."""

    def retitle(self, script_title: str) -> None:
        """Show another script title."""

    def finish(self) -> None:
        """Ask it to end the stream in good order."""

    async def kill(self) -> None:
        """End it now."""


class Publisher:
    """
    Publishes to one output until it is stopped or the link stays away for too long.

    The states come from the link's own fate: CONNECTING, CONNECTED, then for every interruption one DISCONNECTED
    and one RECONNECTING, then CONNECTED again or END. Nobody listening and a refused key count as an
    interruption from the beginning (assumed; MetaStudio does not say).

    :param output_url: the ingest URL.
    :param stream_key: the stream key, if it is separate.
    :param title: the room's name, shown large.
    :param script_title: what is being said, shown below; see :meth:`set_script_title`.
    :param width: pixels, 16 and more; an odd one loses a pixel, because the codec takes even ones.
    :param height: pixels, likewise.
    :param frame_rate: pictures per second; the video runs in real time whatever the sandbox's clock does.
    :param bitrate_kbit: of the video, kbit/s.
    :param audio: silence or a tone.
    :param on_state: is called with each state, one after the other; should return soon.
    :param max_exception_waiting: seconds for which a lost link may stay away, as ``sleep`` counts them; None for
        :data:`DEFAULT_WAITING`, 0 for ever.
    :param sleep: the clock on which that waiting and the pauses between attempts pass.
    :param watchdog: real seconds; see :data:`WATCHDOG`.
    :param launch: starts an encoder.
    :raises ValueError: if the output cannot be published to, naming the field.
    """

    def __init__(  # noqa: PLR0913  an encoder has many options, and each is named by whoever calls
        self,
        output_url: str,
        stream_key: str | None,
        *,
        title: str,
        script_title: str = "",
        width: int = 270,
        height: int = 480,
        frame_rate: int = 25,
        bitrate_kbit: int = 500,
        audio: Audio | str = Audio.SILENT,
        on_state: Callable[[StreamState], Awaitable[None] | None],
        max_exception_waiting: float | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        watchdog: float = WATCHDOG,
        launch: Callable[[EncoderJob], Awaitable[Encoder]] = EncoderProcess.launch,
    ) -> None:
        self._url = join_output(output_url, stream_key)
        self._title = title
        self._script_title = script_title
        self._size = (max(16, width - width % 2), max(16, height - height % 2))
        self._frame_rate = frame_rate
        self._bitrate_kbit = bitrate_kbit
        self._audio = Audio(audio)
        self._on_state = on_state
        self._waiting = DEFAULT_WAITING if max_exception_waiting is None else max_exception_waiting
        self._sleep = sleep
        self._watchdog = watchdog
        self._launch = launch
        self._encoder: Encoder | None = None
        self._over = asyncio.Event()
        self._away = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._giving_up: asyncio.Task[None] | None = None
        self._connections = 0
        #: The state last told; None before the start.
        self.state: StreamState | None = None
        #: Why the link is not there, or was not there the last time.
        self.fault: LinkFault | None = None
        self.stats = PublisherStats()

    async def start(self) -> None:
        """
        Begin; returns at once.

        :raises MissingEncoderError: if PyAV or Pillow is not installed.
        :raises RuntimeError: if it was started before.
        """
        if self._task is not None:
            raise RuntimeError("a publisher starts once: make another one")
        require_encoder()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End the stream in good order and return after END was told."""
        self._over.set()
        await self.wait()

    async def wait(self) -> None:
        """Return after END was told."""
        if self._task is not None:
            await asyncio.shield(self._task)

    def set_script_title(self, script_title: str) -> None:
        """Show another script title, also after the next reconnect."""
        self._script_title = script_title
        if self._encoder is not None:
            self._encoder.retitle(script_title)

    async def _run(self) -> None:
        await self._tell(StreamState.CONNECTING)
        attempts = 0
        while not self._over.is_set():
            await self._attempt()
            if self._over.is_set():
                break
            if self._giving_up is None:
                attempts = 0
                self._giving_up = asyncio.create_task(self._give_up())
            if self.state is not StreamState.RECONNECTING:
                await self._tell(StreamState.DISCONNECTED)
                await self._tell(StreamState.RECONNECTING)
            self._away.set()
            await self._pause(RETRY_PAUSES[min(attempts, len(RETRY_PAUSES) - 1)])
            attempts += 1
        self._go_on()
        await self._tell(StreamState.END)

    async def _attempt(self) -> None:
        """Connect, and stay connected until the link breaks or the publisher is over."""
        job = EncoderJob(
            url=self._url,
            room_name=self._title,
            script_title=self._script_title,
            width=self._size[0],
            height=self._size[1],
            frame_rate=self._frame_rate,
            bitrate_kbit=self._bitrate_kbit,
            audio=self._audio,
            stuck_after=2 * self._watchdog,
        )
        try:
            self._encoder = await self._launch(job)
        except OSError as error:
            log.warning("the encoder process could not be started: %s", error)
            self.fault = LinkFault.UNAVAILABLE
            return
        following = asyncio.create_task(self._follow(self._encoder))
        over = asyncio.create_task(self._over.wait())
        try:
            await asyncio.wait({following, over}, return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                self._encoder.finish()
                await asyncio.wait({following}, timeout=STOP_GRACE)
            if following.done():
                self.fault = following.result()
        finally:
            following.cancel()
            over.cancel()
            self.stats.fps = 0.0
            await self._encoder.kill()
            self._encoder = None

    async def _follow(self, encoder: Encoder) -> LinkFault | None:
        """Act on the encoder's reports until it ends or makes no progress, and return why that was."""
        frames_before, bytes_before = self.stats.frames, self.stats.bytes
        while True:
            try:
                async with asyncio.timeout(self._watchdog):
                    report = await encoder.report()
            except TimeoutError:
                return LinkFault.FROZEN
            match report:
                case {"event": "connected"}:
                    await self._connected()
                case {"event": "stats", "frames": int(frames), "bytes": int(size), "fps": float(fps)}:
                    self.stats.frames = frames_before + frames
                    self.stats.bytes = bytes_before + size
                    self.stats.fps = fps
                    self._go_on()
                case {"event": "closed"}:
                    return None
                case {"event": "failed", "fault": str(fault), "text": str(text)}:
                    if text:
                        log.warning("the encoder failed: %s", text)
                    return LinkFault(fault)
                case None:
                    return LinkFault.UNAVAILABLE

    async def _connected(self) -> None:
        self._away.clear()
        self.fault = None
        self._connections += 1
        self.stats.reconnects = self._connections - 1
        await self._tell(StreamState.CONNECTED)

    async def _give_up(self) -> None:
        """End the publisher when the link stayed away for too long; while it is back, only if it breaks again."""
        if self._waiting > 0:
            await self._sleep(self._waiting)
            await self._away.wait()
            self._over.set()

    def _go_on(self) -> None:
        """
        Call :meth:`_give_up` off.

        Not as soon as the link is back but when it has carried video for a moment: some servers admit everybody
        and then cut those whom they do not want, which would go on for ever.
        """
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None

    async def _pause(self, seconds: float) -> None:
        over = asyncio.create_task(self._over.wait())
        rest = asyncio.ensure_future(self._sleep(seconds))
        await asyncio.wait({over, rest}, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        rest.cancel()

    async def _tell(self, state: StreamState) -> None:
        self.state = state
        try:
            answer = self._on_state(state)
            if inspect.isawaitable(answer):
                await answer
        except Exception as error:
            # A listener's mistake must not end the stream; its text might quote the key.
            log.warning("on_state failed on %s: %s", state, type(error).__name__)
