"""
Apply events to the callback table. Pure.

Events carry no id, time or sequence number, so counters and timeline are as observed. What never depends on
order or repetition is END: it is final for its stream, and counted by the outputs that were started. Whatever a week of
events brings, it stays small.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from airflow_provider_smartlive.callbacks.size import MAX_TRANSITIONS, fits, fitted
from airflow_provider_smartlive.callbacks.table import (
    CallbackTable,
    JobCallbacks,
    Replies,
    Scripts,
    StreamRow,
    Unrecognised,
    UnrecognisedEvent,
    reply_mark,
)
from airflow_provider_smartlive.metastudio.events import (
    CallbackEvent,
    ReplyFinished,
    ScriptSwitch,
    StreamState,
    StreamStateChange,
)
from airflow_provider_smartlive.metastudio.ids import normalise_id
from airflow_provider_smartlive.metastudio.outputs import Output, describe_output

#: Bounds of the table. One try of a task has one job, rarely two, and a job has one RTMP output today; what
#: goes beyond the bounds is counted where that tells something, and never grows the value.
MAX_JOBS = 4
MAX_STREAMS = 8
MAX_UNKNOWN_STATES = 8
MAX_REPLIES = 20
MAX_SWITCHES = 10
MAX_UNRECOGNISED = 10
MAX_DIGESTS = 32
MAX_REFRESHES = 8
MAX_TABLE_TEXT = 80
MAX_LABEL = 120
MAX_TABLE_NAME = 64
MAX_NUMBER = 12

_T = TypeVar("_T")
_NOT_VISIBLE_ASCII = re.compile(r"[^!-~]")

#: Where unknown states are counted for which a stream has no room left.
OTHER_STATE = "OTHER"

_KNOWN_STATES = frozenset(state.value for state in StreamState)

#: What is reported of a link that is made.
_COMES_UP = (StreamState.CONNECTING, StreamState.CONNECTED)


class OutcomeKind(StrEnum):
    """What an event did to the table."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    LATE = "late"
    UNRECOGNISED = "unrecognised"


@dataclass(frozen=True)
class Outcome:
    """
    What an event did, for those who decide whom to wake.

    :param kind: What happened to it.
    :param job_id: The job that it is about, normalised; None if it names none.
    :param state: The stream state that it reported, if it is about a stream.
    :param reached: The states, or the mark of the reply, that the job reached with this event and had not
        before.
    :param all_ended: Whether this event ended the last output of the job that counts. END may be reached later than
        that (:meth:`~.table.JobCallbacks.has_reached`).
    """

    kind: OutcomeKind
    job_id: str | None = None
    state: str | None = None
    reached: frozenset[str] = frozenset()
    all_ended: bool = False


def event_digest(signed_at: datetime | None, body: bytes) -> str | None:
    """
    Return the mark by which a repetition of an event is recognised.

    Time and body together: the same body at another time is another observation. Without a signed time there
    is no mark, because a link that reconnects twice sends the same bytes twice.
    """
    if signed_at is None:
        return None
    return hashlib.sha256(f"{int(signed_at.timestamp())}:".encode() + body).hexdigest()[:12]


def apply_event(
    table: CallbackTable,
    event: CallbackEvent,
    *,
    at: datetime,
    fingerprint_key: bytes,
    signed_at: datetime | None = None,
    digest: str | None = None,
    current_job: str | None = None,
    outputs: Sequence[str] = (),
    refreshes: Callable[[], Sequence[str]] = tuple,
    refused: Callable[[], Sequence[str]] = tuple,
) -> tuple[CallbackTable, Outcome]:
    """
    Take one event into the table.

    :param table: The table before.
    :param event: The event, verified and parsed.
    :param at: When it was accepted.
    :param fingerprint_key: The key of the callback URL for the fingerprints of outputs.
    :param signed_at: The time that MetaStudio signed; orders states, as events may overtake each other.
    :param digest: :func:`event_digest` of the event.
    :param current_job: The job that the task instance waits for, if that is known: it keeps its place in the
        table whatever other jobs are reported.
    :param outputs: Fingerprints of the outputs that the job was started with; END is counted by them. Empty if they are
        not known: then every link counts that was up.
    :param refreshes: Returns the marks of the commands that exchanged the outputs of the job, in any order. Called only
        when an output is new, ends, or comes up after it was exchanged.
    :param refused: Returns the marks of those commands that were refused. Called only when one has exchanged outputs.
    """
    if digest is not None and digest in table.digests:
        return table, Outcome(OutcomeKind.DUPLICATE)
    message = event.message
    if not isinstance(message, StreamStateChange | ScriptSwitch | ReplyFinished):
        return unrecognised(table, str(event.event_type), "unknown event type", at=at, digest=digest)

    before = _reported(table, message, at)
    if isinstance(message, StreamStateChange):
        stream_key = message.stream_key.get_secret_value()
        output = describe_output(message.output_url, stream_key, key=fingerprint_key)
        state = _name(str(message.state))
        if before.refreshes:
            before = _without_refreshes(before, refused())
        row = _row_of(before, output)
        if state == StreamState.END or row is None or (row.replaced and state in _COMES_UP):
            before = _with_refreshes(before, refreshes())
        after, kind = _with_stream(before, output, state, at, signed_at, outputs)
        outcome = _outcome_of_stream(before, after, state, kind)
    elif isinstance(message, ScriptSwitch):
        after, outcome = _with_script(before, message, at), Outcome(OutcomeKind.APPLIED, before.job_id)
    else:
        after, outcome = _with_reply(before, message)

    kept = before.job_id if current_job is None else normalise_id(current_job)
    applied = _counted(table, at, digest).model_copy(update={"jobs": _placed(table.jobs, after, kept)})
    return fitted(applied, kept), outcome


def unrecognised(
    table: CallbackTable, event_type: str, problem: str, *, at: datetime, digest: str | None = None
) -> tuple[CallbackTable, Outcome]:
    """
    Keep a note of a verified event that cannot be read, if there is room for it beside all jobs.

    :param event_type: Its type, or an empty text if not even that can be read.
    :param problem: What is wrong with it. It must not repeat the event's values.
    """
    if digest is not None and digest in table.digests:
        return table, Outcome(OutcomeKind.DUPLICATE)
    note = UnrecognisedEvent(at=at, event_type=_name(event_type), problem=_text(problem))
    old = table.unrecognised or Unrecognised()
    new = Unrecognised(count=old.count + 1, recent=_latest(old.recent, note, MAX_UNRECOGNISED))
    noted = _counted(table, at, digest).model_copy(update={"unrecognised": new})
    shortened = fitted(noted)
    return shortened if fits(shortened) else table, Outcome(OutcomeKind.UNRECOGNISED)


def _reported(
    table: CallbackTable, message: StreamStateChange | ScriptSwitch | ReplyFinished, at: datetime
) -> JobCallbacks:
    """Return what is known of a job about which another event has come."""
    job_id, room_id = (normalise_id(_name(value)) for value in (message.job_id, message.room_id))
    job = table.job(job_id) or JobCallbacks(job_id=job_id, first_at=at, last_at=at)
    number = table.events + 1
    return job.model_copy(update={"last_at": at, "last_event": number, "room_id": room_id or job.room_id})


def _counted(table: CallbackTable, at: datetime, digest: str | None) -> CallbackTable:
    digests = table.digests if digest is None else _latest(table.digests, digest, MAX_DIGESTS)
    return table.model_copy(update={"events": table.events + 1, "updated_at": at, "digests": digests})


def _placed(jobs: list[JobCallbacks], job: JobCallbacks, kept: str) -> list[JobCallbacks]:
    """Put a job back in its place; a new one goes last, and may push out the one that was silent longest."""
    if any(other.job_id == job.job_id for other in jobs):
        return [job if other.job_id == job.job_id else other for other in jobs]
    if len(jobs) >= MAX_JOBS:
        silent = min((other for other in jobs if other.job_id != kept), key=lambda other: other.last_event)
        jobs = [other for other in jobs if other is not silent]
    return [*jobs, job]


def _row_of(job: JobCallbacks, output: Output) -> StreamRow | None:
    """Return the latest link to an output."""
    return next((row for row in reversed(job.streams) if row.fingerprint == output.fingerprint), None)


def _with_refreshes(job: JobCallbacks, marks: Sequence[str]) -> JobCallbacks:
    """
    Begin to count END anew if the outputs were exchanged.

    Whether MetaStudio reports END for the old links, before or after the new ones are up, is not known. So no link
    counts that was seen before: neither does its END end the show, nor is it waited for.
    """
    new = [mark for mark in marks if mark not in job.refreshes]
    if not new:
        return job
    replaced = [
        row.model_copy(update={"replaced_by": [*row.replaced_by, *new][-MAX_REFRESHES:]})
        for row in job.streams
    ]
    known = [*job.refreshes, *new][-MAX_REFRESHES:]
    return job.model_copy(update={"streams": replaced, "refreshes": known, "ended_at": None})


def _without_refreshes(job: JobCallbacks, marks: Sequence[str]) -> JobCallbacks:
    """
    Undo what commands have changed that were refused after all.

    Unless another command has exchanged them too, the outputs are what they were. Whether that ends the show is judged
    with the event that is being applied.
    """
    if not set(marks) & set(job.refreshes):
        return job
    rows = [
        row.model_copy(update={"replaced_by": [mark for mark in row.replaced_by if mark not in marks]})
        for row in job.streams
    ]
    known = [mark for mark in job.refreshes if mark not in marks]
    return job.model_copy(update={"streams": rows, "refreshes": known})


def _with_stream(
    job: JobCallbacks,
    output: Output,
    state: str,
    at: datetime,
    signed_at: datetime | None,
    outputs: Sequence[str],
) -> tuple[JobCallbacks, OutcomeKind]:
    old = _row_of(job, output)
    if old is not None and _is_back(old, state, signed_at):
        old = None
    if old is not None:
        changed = _with_state(old, state, at, signed_at, job.last_event)
        streams = [changed if row is old else row for row in job.streams]
    else:
        kept = _with_room(job.streams, started=output.fingerprint in outputs, outputs=outputs)
        if kept is None:
            return job.model_copy(update={"omitted_streams": job.omitted_streams + 1}), OutcomeKind.APPLIED
        label = _name(output.label, MAX_LABEL)
        new = StreamRow(label=label, fingerprint=output.fingerprint, state="", first_at=at, last_at=at)
        streams = [*kept, _with_state(new, state, at, signed_at, job.last_event)]
    after = job.model_copy(update={"streams": streams})
    if not after.ended() and _is_complete(after, outputs):
        after = after.model_copy(update={"ended_at": at})
    return after, OutcomeKind.LATE if old is not None and old.ended else OutcomeKind.APPLIED


def _is_back(row: StreamRow, state: str, signed_at: datetime | None) -> bool:
    """
    Tell whether an output that was exchanged is in use again, so that its link is a new one.

    After one command it may be the old link that goes on; after another one that link is long gone.
    """
    return len(row.replaced_by) > 1 and state in _COMES_UP and not _is_overtaken(row, signed_at)


def _with_room(streams: list[StreamRow], *, started: bool, outputs: Sequence[str]) -> list[StreamRow] | None:
    """Return the rows with room for one more, or None. An output that was started comes before what nobody started."""
    if len(streams) < MAX_STREAMS:
        return streams
    given_up = [row for row in streams if row.replaced or (started and row.fingerprint not in outputs)]
    if not given_up:
        return None
    silent = min(given_up, key=lambda row: (not row.replaced, row.last_event))
    return [row for row in streams if row is not silent]


def _is_complete(job: JobCallbacks, outputs: Sequence[str]) -> bool:
    """
    Tell whether every output that counts has ended.

    These are the ones that were started, if each of them was reported. Otherwise MetaStudio spells them in another way,
    or they are not known: then all links count that were up, and at least as many must have been reported.
    """
    if job.refreshes:
        outputs = ()
    rows = [row for row in job.streams if not row.replaced]
    started = {row.fingerprint: row for row in rows if row.fingerprint in outputs}
    if outputs and len(started) == len(set(outputs)):
        return all(row.ended for row in started.values())
    were_up = [row for row in rows if StreamState.CONNECTED in row.counts]
    return len(rows) >= max(len(outputs), 1) and all(row.ended for row in were_up or rows)


def _outcome_of_stream(before: JobCallbacks, after: JobCallbacks, state: str, kind: OutcomeKind) -> Outcome:
    # The end of one link may be what END has waited for that other links had reported.
    candidates = {state, StreamState.END.value}
    reached = {name for name in candidates if after.has_reached(name) and not before.has_reached(name)}
    return Outcome(kind, after.job_id, state, frozenset(reached), after.ended() and not before.ended())


def _with_state(
    stream: StreamRow, state: str, at: datetime, signed_at: datetime | None, number: int
) -> StreamRow:
    counted = state if state in _KNOWN_STATES or _has_room_for(stream, state) else OTHER_STATE
    changes: dict[str, Any] = {
        "last_at": at,
        "last_event": number,
        "counts": {**stream.counts, counted: stream.counts.get(counted, 0) + 1},
    }
    is_end = state == StreamState.END
    overtaken = _is_overtaken(stream, signed_at)
    if not stream.ended and (is_end or not overtaken):
        changes |= {"state": state, "ended": is_end, "signed_at": signed_at or stream.signed_at}
        if state == StreamState.CONNECTED:
            changes["down_since"] = None
        elif not is_end and (state in _KNOWN_STATES or not stream.state):
            changes["down_since"] = stream.down_since or at
        if state != stream.state:
            changes["transitions"] = _latest(stream.transitions, (state, at), MAX_TRANSITIONS)
    elif overtaken and state == StreamState.CONNECTED and stream.down_since is not None:
        # The link may have been up since then: of two interruptions the later one counts.
        changes["down_since"] = stream.last_at
    return stream.model_copy(update=changes)


def _is_overtaken(stream: StreamRow, signed_at: datetime | None) -> bool:
    """
    Tell whether an event is older than the one that set the state of its stream.

    MetaStudio signs whole seconds. Of the events of one second CONNECTED counts as the last, in whatever order they
    come: to take a link for down that is up would end a show by ``fail_on_disconnect_longer_than``, and the next event
    corrects the other mistake.
    """
    if signed_at is None or stream.signed_at is None:
        return False
    second, known = int(signed_at.timestamp()), int(stream.signed_at.timestamp())
    return second < known or (second == known and stream.state == StreamState.CONNECTED)


def _has_room_for(stream: StreamRow, state: str) -> bool:
    """Whether an unknown state is counted by its name. The known ones always are: tasks wait for them."""
    return state in stream.counts or len(stream.counts.keys() - _KNOWN_STATES) < MAX_UNKNOWN_STATES


def _with_script(job: JobCallbacks, message: ScriptSwitch, at: datetime) -> JobCallbacks:
    old = job.scripts
    number = _name(message.shoot_script_sequence_no)
    scripts = Scripts(
        scene=_text(message.scene_script_name),
        sequence_no=number,
        title=_text(message.shoot_script_title),
        at=at,
        switches=1 + (old.switches if old else 0),
        recent=_latest(old.recent if old else [], (number[:MAX_NUMBER], at), MAX_SWITCHES),
    )
    return job.model_copy(update={"scripts": scripts})


def _with_reply(job: JobCallbacks, message: ReplyFinished) -> tuple[JobCallbacks, Outcome]:
    old, mark = job.replies or Replies(), reply_mark(message.reply_id)
    reached = frozenset({mark}) if not job.has_reached(mark) else frozenset()
    recent = _latest(old.recent, _name(message.reply_id), MAX_REPLIES)
    after = job.model_copy(update={"replies": Replies(finished=old.finished + 1, recent=recent)})
    return after, Outcome(OutcomeKind.APPLIED, job.job_id, reached=reached)


def _latest(items: list[_T], item: _T, bound: int) -> list[_T]:
    return [*items[1 - bound :], item] if len(items) >= bound else [*items, item]


def _name(value: str, bound: int = MAX_TABLE_NAME) -> str:
    """Cut what should be a plain word to size, and keep out what is not visible ASCII."""
    return _NOT_VISIBLE_ASCII.sub("?", value[:bound])


def _text(value: str) -> str:
    """Cut a text for people to size, and keep out control characters (PostgreSQL refuses NUL in JSON)."""
    return "".join(char if char.isprintable() else "?" for char in value[:MAX_TABLE_TEXT])
