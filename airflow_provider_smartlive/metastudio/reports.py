"""Live events that users report to MetaStudio (chat, gifts, ...), to which the virtual human reacts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import IntEnum
from itertools import islice
from typing import Any, Self

from pydantic import Field

from airflow_provider_smartlive.metastudio.base import Request, RequestModel, Response
from airflow_provider_smartlive.metastudio.review import ReviewConfig

#: Most events that one call may carry.
MAX_EVENTS = 1000


class LiveEventType(IntEnum):
    """What happened in the livestream."""

    COMMENT = 1
    ENTER = 2
    LIKE = 3
    GIFT = 4
    SUBSCRIBE = 5
    VIEWERS = 6


class LiveEvent(RequestModel):
    """
    One live event.

    ``type`` is a :class:`LiveEventType` or another number of 0 to 100; ``content`` is JSON as a text, whose
    form depends on the type: ``{"user": {...}, "content": "..."}`` for a comment, ``{"numberOfViewers": 1}`` for
    viewers.
    """

    SOURCE = "SDK LiveEvent"

    timestamp: int = Field(ge=0, le=4102415999000, description="Unix milliseconds.")
    type: int | None = Field(None, ge=0, le=100, description="The kind of event.")
    content: str | None = Field(None, max_length=4096, description="JSON as a text.")

    @classmethod
    def of(cls, event_type: LiveEventType, content: dict[str, Any], *, at: datetime) -> Self:
        """
        Build an event from decoded parts.

        :param event_type: the kind of event.
        :param content: what the SDK's text of ``LiveEvent.content`` asks for.
        :param at: an aware datetime.
        """
        text = json.dumps(content, ensure_ascii=False)
        return cls(timestamp=int(at.timestamp() * 1000), type=event_type, content=text)


class EventReport(Request):
    """One report of 1 to 1000 events; ``total`` is counted."""

    SOURCE = "SDK ReportLiveEventReq"

    events: list[LiveEvent] = Field(min_length=1, max_length=MAX_EVENTS, description="The events.")
    total: int = Field(
        default_factory=lambda known: len(known.get("events", ())), description="How many events there are."
    )
    review_config: ReviewConfig | None = Field(None, description="For accounts that Huawei enabled.")

    @staticmethod
    def read_answer(body: bytes, *, request_id: str | None) -> ReportResponse:
        """
        Read the answer to a report.

        :param request_id: of the HTTP response.
        """
        return ReportResponse.from_body(body, request_id=request_id)


def reports(events: Iterable[LiveEvent]) -> Iterator[EventReport]:
    """
    Split any number of events into as few reports as possible.

    :param events: the events in the order in which they are reported.
    """
    remaining = iter(events)
    while chunk := list(islice(remaining, MAX_EVENTS)):
        yield EventReport(events=chunk)


class ReportResponse(Response):
    """The answer to a report; it has a URL if ``refresh_url=true`` was asked for."""

    SOURCE = "SDK LiveEventReportResponse"

    live_event_report_url: str | None = Field(None, repr=False)
