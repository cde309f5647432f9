"""The outputs of a running job: opens their links, tells their states, gives up on lost ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from airflow_provider_smartlive.metastudio.events import EventType, StreamState
from airflow_provider_smartlive.sandbox.model.jobs import OutputRecord, StoredJob
from airflow_provider_smartlive.sandbox.model.ledger import Kind
from airflow_provider_smartlive.sandbox.model.run_context import RunContext
from airflow_provider_smartlive.sandbox.video.links import Link, LinkSpec
from airflow_provider_smartlive.sandbox.video.publisher import PublisherStats

#: Minutes for which a link may stay away when the job does not say (SDK text).
_EXCEPTION_WAITING_MINUTES = 3


class OutputLinks:
    """
    Publishes a job to all of its outputs.

    :param job: the job; its outputs are kept up to date.
    :param context: what is around it.
    :param on_lost: told when the last link has ended although nobody stopped it.
    """

    def __init__(self, job: StoredJob, context: RunContext, on_lost: Callable[[], object]) -> None:
        self._job = job
        self._context = context
        self._on_lost = on_lost
        self._links: list[tuple[OutputRecord, Link]] = []
        self._giving_up: dict[int, asyncio.Task[None]] = {}
        self._is_mute = False
        #: Outputs that were moved away from: their links run until the new one is connected ...
        self._leaving: list[tuple[OutputRecord, Link]] = []
        #: ... or are stopped in silence, and END of these is told last.
        self._silent: list[OutputRecord] = []
        self._end_last: list[OutputRecord] = []
        self._stopping: set[asyncio.Task[None]] = set()
        #: Set when a link was CONNECTED for the first time.
        self.connected = asyncio.Event()

    async def open(self) -> None:
        """Open the links to all outputs of the job."""
        for output in self._job.outputs:
            output.state = None  # after a restart every link begins anew
            await self._open(output)

    async def move(self, outputs: list[OutputRecord]) -> None:
        """Publish to other outputs from now on; END of the old ones is told as assumed (``refresh_old_end``)."""
        old, self._links = self._links, []
        self._job.outputs = outputs
        when = self._context.assumptions.refresh_old_end
        if when == "after-connect":
            self._leaving += old
        else:
            if when != "first":
                self._silent += [output for output, _ in old]
            if when == "last":
                self._end_last += [output for output, _ in old]
            await _stop(old)
        await self.open()

    async def stop(self) -> bool:
        """End all links, and tell whether there was any."""
        await _stop([*self._links, *self._leaving])
        for output in self._end_last:
            self._silent.remove(output)
            self._changed(output, StreamState.END)
        self._end_last = []
        return bool(self._links)

    async def abandon(self) -> None:
        """End all links without telling anybody: the sandbox is going down."""
        self._is_mute = True
        for task in self._giving_up.values():
            task.cancel()
        links = [*self._links, *self._leaving]
        await asyncio.gather(*(link.stop() for _, link in links), return_exceptions=True)

    def show_title(self, title: str) -> None:
        """Show in the picture what is being said."""
        for _, link in self._links:
            link.set_script_title(title)

    def kick(self) -> list[bool]:
        """Cut all outputs at the built-in platform; tell for each whether it was there."""
        return [self._context.kick(output.url, output.stream_key) for output in self._job.outputs]

    def stats(self) -> list[PublisherStats]:
        """Return what was sent, by output."""
        return [link.stats for _, link in self._links]

    async def _open(self, output: OutputRecord) -> None:
        link = self._context.open_link(
            LinkSpec(
                output_url=output.url,
                stream_key=output.stream_key,
                room_name=self._job.room_name,
                video=self._job.settings.get("video_config") or {},
                on_state=partial(self._changed, output),
            )
        )
        self._links.append((output, link))
        await link.start()

    def _changed(self, output: OutputRecord, state: StreamState) -> None:
        if self._is_mute or any(output is silent for silent in self._silent):
            return
        output.state = state.value
        output.connects += state is StreamState.CONNECTED
        self._count_streaming()
        self._context.save(self._job)
        fault = next((link.fault for known, link in self._links if known is output), None)
        self._context.note(
            Kind.LINK, self._job, output=self._number(output), state=state.value, fault=fault and fault.value
        )
        message = {"output_url": output.url, "stream_key": output.stream_key, "state": state.value}
        self._context.notify(self._job, EventType.RTMP_STREAM_STATE_CHANGE, message)
        self._watch(output, state)
        if state is StreamState.CONNECTED:
            self.connected.set()
            self._stop_leaving()
        if state is StreamState.END and all(known.state == StreamState.END for known in self._job.outputs):
            self._on_lost()

    def _stop_leaving(self) -> None:
        if self._leaving:
            leaving, self._leaving = self._leaving, []
            task = asyncio.create_task(_stop(leaving))
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)

    def _number(self, output: OutputRecord) -> int | None:
        """Return the position of an output; None for one that was moved away from."""
        return next((n for n, known in enumerate(self._job.outputs) if known is output), None)

    def _count_streaming(self) -> None:
        job, shown = self._job, self._context.clock.shown()
        is_connected = any(output.state == StreamState.CONNECTED for output in job.outputs)
        if is_connected and job.connected_shown is None:
            job.connected_shown = shown
        if not is_connected and job.connected_shown is not None:
            job.streamed = job.stream_seconds(shown)
            job.connected_shown = None

    def _watch(self, output: OutputRecord, state: StreamState) -> None:
        """Begin to lose patience with a lost link, or get it back."""
        waiting = self._giving_up.pop(id(output), None) if state is not StreamState.RECONNECTING else None
        if waiting is not None:
            waiting.cancel()
        minutes = self._job.exit_config.get("max_exception_waiting_duration", _EXCEPTION_WAITING_MINUTES)
        if state is StreamState.DISCONNECTED and minutes:
            self._giving_up[id(output)] = asyncio.create_task(self._give_up(output, minutes * 60))

    async def _give_up(self, output: OutputRecord, seconds: float) -> None:
        await self._context.clock.sleep(seconds)
        await asyncio.gather(*(link.stop() for known, link in self._links if known is output))


async def _stop(links: list[tuple[OutputRecord, Link]]) -> None:
    await asyncio.gather(*(link.stop() for _, link in links))


def make_outputs(urls: list[str], stream_keys: list[str]) -> list[OutputRecord]:
    """Pair ingest URLs with their stream keys by position."""
    keys = [*stream_keys, *([""] * len(urls))]
    return [OutputRecord(url=url, stream_key=key) for url, key in zip(urls, keys, strict=False)]
