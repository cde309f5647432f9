"""
The callback table: what MetaStudio reported about the jobs of one task instance.

A small, bounded, versioned value, which Airflow shows as an XCom. It is a cache: it may be gone after a
retry, and MetaStudio is then the truth. The module ``apply`` takes events into it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError, computed_field

from airflow_provider_smartlive.metastudio.events import StreamState
from airflow_provider_smartlive.metastudio.ids import normalise_id

#: What a job reaches when a reply was spoken to its end, beside the states of its streams.
_REPLY = "REPLY/"


def reply_mark(reply_id: str) -> str:
    """Return what a task waits for that waits for a reply, in place of a stream state."""
    return f"{_REPLY}{normalise_id(reply_id)}"


class _Row(BaseModel):
    # Extra fields come from a later release of the same version: readable, and lost at the next save.
    model_config = ConfigDict(frozen=True, extra="ignore")


class StreamRow(_Row):
    """
    The RTMP link to one output.

    :param label: The output as it may be shown: scheme, host and path without the last segment.
    :param fingerprint: Tells apart outputs that look alike; keyed, so that it does not help to guess a key.
    :param state: The last state, by the time that MetaStudio signed where there is one, else by arrival.
    :param ended: Whether END was seen. Nothing takes it back.
    :param replaced_by: Marks of the commands that have exchanged the outputs since this link was first seen.
    :param first_at: When the first event about this link was accepted.
    :param last_at: When the last one was.
    :param last_event: The number of the last one (:attr:`CallbackTable.events`): the clocks of API servers differ.
    :param signed_at: The signed time of the event that set ``state``; None if events are not signed.
    :param counts: How often each state was reported.
    :param transitions: The latest changes of the state, with the time of acceptance.
    :param down_since: Since when the link has not been CONNECTED: it is interrupted, or never was up.
    """

    label: str
    fingerprint: str
    state: str
    ended: bool = False
    replaced_by: list[str] = []
    first_at: AwareDatetime
    last_at: AwareDatetime
    last_event: int = 0
    signed_at: AwareDatetime | None = None
    counts: dict[str, int] = {}
    transitions: list[tuple[str, AwareDatetime]] = []
    down_since: AwareDatetime | None = None

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated property
    @property
    def replaced(self) -> bool:
        """
        Whether a command has exchanged the outputs since this link was first seen.

        It no longer counts: its END, if there is one, may come before or after the new link is up.
        """
        return bool(self.replaced_by)

    def is_open(self) -> bool:
        """Tell whether the link was ever connected, and has neither ended nor been replaced; it may be interrupted."""
        return bool(self.counts.get(StreamState.CONNECTED)) and not (self.ended or self.replaced)

    def interrupted_since(self) -> datetime | None:
        """Return since when the link is not connected, be it interrupted or never up; None if it is, or has ended."""
        return None if self.ended else self.down_since


class Scripts(_Row):
    """
    Where the show is in its script.

    :param scene: Name of the scene (``scene_script_name``).
    :param sequence_no: Number of the paragraph, as the text that MetaStudio sends.
    :param title: Title of the paragraph.
    :param at: When the switch to it was accepted.
    :param switches: How many switches were reported.
    :param recent: The latest switches: number of the paragraph, and when the switch was accepted.
    """

    scene: str
    sequence_no: str
    title: str
    at: AwareDatetime
    switches: int = 0
    recent: list[tuple[str, AwareDatetime]] = []


class Replies(_Row):
    """
    Replies to viewers that were spoken.

    :param finished: How many were reported.
    :param recent: The ids of the latest.
    """

    finished: int = 0
    recent: list[str] = []


class JobCallbacks(_Row):
    """
    What was reported about one job.

    :param job_id: Normalised: lower case, no dashes.
    :param last_event: The number of the last event about this job (:attr:`CallbackTable.events`).
    :param ended_at: When the last output that counts reported END. It stays, whatever is reported later; only a command
        that exchanges the outputs takes it back.
    :param refreshes: Marks of the commands that exchanged the outputs, the latest last.
    :param omitted_streams: Events about outputs for which there was no room.
    """

    job_id: str
    room_id: str = ""
    first_at: AwareDatetime
    last_at: AwareDatetime
    last_event: int = 0
    ended_at: AwareDatetime | None = None
    refreshes: list[str] = []
    streams: list[StreamRow] = []
    omitted_streams: int = 0
    scripts: Scripts | None = None
    replies: Replies | None = None

    def has_reached(self, state: str) -> bool:
        """
        Tell whether a stream state was ever reported.

        For END, whether the stream has ended and no other link is open, be it older or newer: the output may have been
        exchanged in MetaStudio's console, and the show goes on although the new link is interrupted. For the mark of a
        reply, whether it is among the latest.
        """
        if state == StreamState.END:
            return self.ended() and not self.has_open_link()
        if state.startswith(_REPLY):
            return self.replies is not None and state in map(reply_mark, self.replies.recent)
        return any(stream.counts.get(state) for stream in self.streams)

    def ended_links(self) -> int:
        """Return how many links have ended."""
        return sum(stream.ended for stream in self.streams)

    def has_open_link(self) -> bool:
        """Tell whether a link was up and may be up again: it has neither ended nor been replaced."""
        return any(stream.is_open() for stream in self.streams)

    def interrupted_since(self, expected_outputs: int = 1) -> datetime | None:
        """
        Return since when a stream is not connected, be it interrupted or never up; None if none is missing.

        A link that another one has replaced (a refreshed output URL) is not missing.

        :param expected_outputs: With how many RTMP outputs the job was started.
        """
        streams = [stream for stream in self.streams if not (stream.ended or stream.replaced)]
        down = sorted(at for stream in streams if (at := stream.interrupted_since()) is not None)
        missing = max(expected_outputs, 1) - (len(streams) - len(down))
        return down[-missing:][0] if down and missing > 0 else None

    def reconnects(self) -> int:
        """Return how often MetaStudio has reported that it reconnects a link which has not ended or been replaced."""
        return sum(
            stream.counts.get(StreamState.RECONNECTING, 0)
            for stream in self.streams
            if not (stream.ended or stream.replaced)
        )

    def ended(self) -> bool:
        """Tell whether every output that counts has reported END. No later event takes it back."""
        return self.ended_at is not None


class UnrecognisedEvent(_Row):
    """
    A verified event that this release could not read.

    :param problem: What is wrong with it, without its values.
    """

    at: AwareDatetime
    event_type: str
    problem: str


class Unrecognised(_Row):
    """How many verified events could not be read, and the latest of them."""

    count: int = 0
    recent: list[UnrecognisedEvent] = []


class CallbackTable(_Row):
    """
    Everything that was reported to one life of a task instance.

    :param version: Of this format.
    :param generation: Of the life; an event of a later one begins a new table.
    :param address: Where the start of this life was sent: MetaStudio's endpoint and the project.
    :param events: How many events were taken in, duplicates not counted.
    :param jobs: The latest jobs, the oldest first.
    :param digests: Marks of the latest signed events, by which repetitions are recognised.
    """

    version: Literal[2] = 2
    generation: str = ""
    address: str | None = None
    events: int = 0
    updated_at: AwareDatetime | None = None
    jobs: list[JobCallbacks] = []
    unrecognised: Unrecognised | None = None
    digests: list[str] = []

    @classmethod
    def load(cls, value: object) -> Self:
        """
        Read an XCom's value. Nothing, and anything that is no table of this version, is an empty table.

        A table that somebody overwrote or that a later release wrote must not stop events: it is a cache.
        """
        if value is None:
            return cls()
        try:
            return cls.model_validate(value)
        except ValidationError:
            return cls()

    def dump(self) -> dict[str, Any]:
        """Return the table as JSON-able primitives."""
        return self.model_dump(mode="json", exclude_none=True)

    def job(self, job_id: str) -> JobCallbacks | None:
        """Return what was reported about a job, in whatever spelling its id comes."""
        wanted = normalise_id(job_id)
        return next((job for job in self.jobs if job.job_id == wanted), None)
