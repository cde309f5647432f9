"""Which events a job reports, and where: ``live_event_callback_config`` and ``rtc_callback_config``."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from airflow_provider_smartlive.metastudio.base import Listed, OpenEnum, RequestModel, ResponseModel
from airflow_provider_smartlive.metastudio.callback_auth import AuthType
from airflow_provider_smartlive.metastudio.events import EventType


class RtcEventType(StrEnum):
    """What can be subscribed to on the RTC data channel."""

    LIVE_PROGRESS = "LIVE_PROGRESS"
    REPLY_COMMAND_FINISH = "REPLY_COMMAND_FINISH"


class LiveEventCallbackConfig(RequestModel):
    """Where and how MetaStudio reports events over HTTP."""

    live_event_type_callback_url: str | None = Field(
        None, max_length=2048, repr=False, description="The URL to call: https, with something secret inside."
    )
    auth_type: AuthType | None = Field(None, description="How calls are signed; default NONE.")
    key: str | None = Field(None, max_length=32, repr=False, description="The key of the signature.")
    callback_event_type: list[EventType] | None = Field(
        None, min_length=1, max_length=10, description="The kinds of event to report."
    )


class RtcCallbackConfig(RequestModel):
    """What MetaStudio reports on the RTC data channel."""

    rtc_callback_event_type: list[RtcEventType] | None = Field(
        None, min_length=1, max_length=10, description="The kinds of event to report; default LIVE_PROGRESS."
    )


class LiveEventCallbackEcho(ResponseModel):
    """The callback configuration as MetaStudio reports it; by the schema including URL and key."""

    live_event_type_callback_url: str | None = Field(None, repr=False, description="The URL that is called.")
    auth_type: OpenEnum[AuthType] | None = Field(None, description="How calls are signed.")
    key: str | None = Field(None, repr=False, description="The key of the signature.")
    callback_event_type: Listed[OpenEnum[EventType]] = Field(
        default_factory=list, description="The kinds of event that are reported."
    )


class RtcCallbackEcho(ResponseModel):
    """The RTC subscription as MetaStudio reports it."""

    SOURCE = "SDK SmartLiveJob.rtc_callback_config"

    rtc_callback_event_type: Listed[OpenEnum[RtcEventType]] = Field(default_factory=list)
