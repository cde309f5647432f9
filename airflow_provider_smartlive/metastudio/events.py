"""
The events that MetaStudio reports: over HTTP (:class:`CallbackEvent`) and inside the RTC room
(:class:`RtcMessage`).

Source: the StartSmartLive page. Events carry no id, time or sequence number. How they are written is read mildly,
as the page shows too little to insist: null means absent, and so does a wrong type where nobody needs the field; a
message may be a text or an object; a byte order mark and blanks around a value are skipped; kinds and states are known
in either case; what no database can hold is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
)

from airflow_provider_smartlive.metastudio.base import COMMON, LenientModel, OpenEnum, storable

#: How deeply an event may be nested. The documented ones need 2 levels.
MAX_EVENT_DEPTH = 16

#: Ids have 1 to 64 characters in MetaStudio's schema.
EventId = Annotated[str, StringConstraints(min_length=1, max_length=64)]

_STRUCTURE = re.compile(r'\\.|["\[\]{}]', re.DOTALL)


class MalformedEvent(ValueError):  # noqa: N818 - it names what came, and is part of the public interface
    """An event cannot be read. The text says what is wrong and repeats no value."""


class EventType(StrEnum):
    """The kinds of event that can be subscribed to."""

    SHOOT_SCRIPT_SWITCH = "SHOOT_SCRIPT_SWITCH"
    RTMP_STREAM_STATE_CHANGE = "RTMP_STREAM_STATE_CHANGE"
    REPLY_COMMAND_FINISH = "REPLY_COMMAND_FINISH"


class StreamState(StrEnum):
    """The states of the RTMP link of one output."""

    CONNECTING = "CONNECTING"
    CONNECTED = "CONNECTED"
    DISCONNECTED = "DISCONNECTED"
    RECONNECTING = "RECONNECTING"
    END = "END"

    @property
    def is_final(self) -> bool:
        """Tell whether the link is over: MetaStudio will not connect again."""
        return self is StreamState.END


def _known_state(value: Any) -> Any:
    return _known(value, StreamState)


class _Message(LenientModel):
    SOURCE: ClassVar[str | None] = None

    model_config = ConfigDict(
        **COMMON, extra="ignore", frozen=True, coerce_numbers_to_str=True, str_strip_whitespace=True
    )


class _JobMessage(_Message):
    room_id: EventId = Field("", description="The room.")
    job_id: EventId = Field(description="The job, usually without dashes.")


class StreamStateChange(_JobMessage):
    """RTMP_STREAM_STATE_CHANGE: the link of one output changed its state."""

    output_url: str = Field("", repr=False, description="The ingest URL; it may contain a key.")
    stream_key: SecretStr = Field(SecretStr(""), description="The stream key, which is sent in clear.")
    state: Annotated[OpenEnum[StreamState], BeforeValidator(_known_state)] = Field(
        description="The state; one that is not known stays a text."
    )


class ScriptSwitch(_JobMessage):
    """SHOOT_SCRIPT_SWITCH: the next paragraph of the script began."""

    scene_script_name: str = Field("", description="The scene.")
    shoot_script_sequence_no: str = Field("", description="The paragraph's number, a text here.")
    shoot_script_title: str = Field("", description="The paragraph's title.")


class ReplyFinished(_JobMessage):
    """REPLY_COMMAND_FINISH: an inserted reply was spoken to its end."""

    reply_id: EventId = Field(description="The id of the command that inserted it (inferred).")


class UnknownMessage(_Message):
    """The message of an event that this version does not know."""

    SOURCE = "our own: whatever comes"

    room_id: EventId | None = None
    job_id: EventId | None = None
    #: The decoded message; not shown, as it may hold secrets.
    data: dict[str, Any] = Field(default_factory=dict, repr=False)


class CallbackEvent(BaseModel):
    """One event callback: ``{"event_type": "...", "message": "<JSON as a text>"}``; the message may be an object."""

    model_config = ConfigDict(**COMMON, frozen=True)

    MESSAGES: ClassVar[dict[str, type[_Message]]] = {
        EventType.RTMP_STREAM_STATE_CHANGE: StreamStateChange,
        EventType.SHOOT_SCRIPT_SWITCH: ScriptSwitch,
        EventType.REPLY_COMMAND_FINISH: ReplyFinished,
    }

    event_type: OpenEnum[EventType] = Field(description="The kind; one that is not known stays a text.")
    message: StreamStateChange | ScriptSwitch | ReplyFinished | UnknownMessage = Field(
        description="The decoded message."
    )

    @property
    def room_id(self) -> str | None:
        """The room, as MetaStudio spelled its id."""
        return self.message.room_id

    @property
    def job_id(self) -> str | None:
        """The job, as MetaStudio spelled its id."""
        return self.message.job_id

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """
        Read the body of a callback.

        :param raw: the body as it came; bounding its size is the caller's business.
        :raises MalformedEvent: if it is no such event.
        """
        envelope = _json_object(raw, "the body")
        event_type = _known(_text(envelope, "event_type"), cls.MESSAGES)
        decoded = _nested(envelope, "message")
        return cls(event_type=event_type, message=_message(cls.MESSAGES.get(event_type), decoded))


class LiveProgress(_Message):
    """``live_progress_notify``: how far the script has come."""

    script_name: str = Field("", description="The scene.")
    shoot_script_sequence_no: int | None = Field(None, description="The paragraph's number.")
    shoot_script_title: str = Field("", description="The paragraph's title.")
    offset: str = Field("", description="The position in it, without a documented unit.")
    reply_id: str | None = Field(None, description="The reply that is being spoken, if any.")


class ReplyFinishNotify(_Message):
    """``reply_command_finish_notify``: an inserted reply was spoken to its end."""

    reply_id: EventId = Field(description="The id of the reply.")


class RtcMessage(BaseModel):
    """One message of the RTC data channel: ``{"message_type": "...", "data": {...}}``."""

    model_config = ConfigDict(**COMMON, frozen=True)

    MESSAGES: ClassVar[dict[str, type[_Message]]] = {
        "live_progress_notify": LiveProgress,
        "reply_command_finish_notify": ReplyFinishNotify,
    }

    message_type: str = Field(description="The kind.")
    data: LiveProgress | ReplyFinishNotify | UnknownMessage = Field(description="The decoded content.")

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """
        Read a message of the RTC data channel.

        The page shows ``data`` once as an object and once as a text with JSON inside; both are read.

        :param raw: the message as it came.
        :raises MalformedEvent: if it is no such message.
        """
        envelope = _json_object(raw, "the message")
        message_type = _known(_text(envelope, "message_type"), cls.MESSAGES)
        decoded = _nested(envelope, "data")
        return cls(message_type=message_type, data=_message(cls.MESSAGES.get(message_type), decoded))


def _message(model: type[_Message] | None, decoded: dict[str, Any]) -> Any:
    try:
        if model is not None:
            return model.model_validate({name: value for name, value in decoded.items() if value is not None})
        ids = {name: decoded.get(name) for name in ("room_id", "job_id")}
        return UnknownMessage.model_validate({**ids, "data": decoded})
    except ValidationError as error:
        problems = ", ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['type']}" for e in error.errors(include_input=False)
        )
        raise MalformedEvent(f"message: {problems}") from None


def _nested(envelope: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an object that is nested as such, or as a text with JSON inside."""
    value = envelope.get(name)
    return value if isinstance(value, dict) else _json_object(_text(envelope, name).encode(), name)


def _known(value: Any, words: Iterable[str]) -> Any:
    """Return the word that a text spells, in whatever case and with blanks around it; else the text without blanks."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    return next((word for word in words if word.upper() == text.upper()), text)


def _text(envelope: dict[str, Any], name: str) -> str:
    value = envelope.get(name)
    if not isinstance(value, str) or not value.strip():
        raise MalformedEvent(f"{name} must be a text that is not empty")
    return value


def _json_object(raw: bytes, name: str) -> dict[str, Any]:
    """Parse what may come from anybody: bounded depth, no repeated names, no NaN."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise MalformedEvent(f"{name} is not UTF-8") from None
    if _depth(text) > MAX_EVENT_DEPTH:
        raise MalformedEvent(f"{name} is nested too deeply")
    try:
        value = json.loads(text, object_pairs_hook=_without_repeats, strict=False)
        json.dumps(value, allow_nan=False)
    except MalformedEvent:
        raise
    except ValueError:
        raise MalformedEvent(f"{name} is not valid JSON") from None
    if not isinstance(value, dict):
        raise MalformedEvent(f"{name} must be a JSON object")
    cleaned: dict[str, Any] = storable(value)
    return cleaned


def _depth(text: str) -> int:
    """Return how deeply brackets are nested outside of texts; in one pass, whatever the text is."""
    depth = deepest = 0
    quoted = False
    for match in _STRUCTURE.finditer(text):
        mark = match[0]
        if mark == '"':
            quoted = not quoted
        elif not quoted and mark in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif not quoted and mark in "]}":
            depth -= 1
    return deepest


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise MalformedEvent("a name occurs twice in one object")
    return value
