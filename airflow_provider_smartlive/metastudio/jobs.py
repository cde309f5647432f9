"""
Livestream jobs: the answers to start, show, list and live-warning-info. The request is in the module ``start``.

Sources: the StartSmartLive page; the schema that Huawei publishes with its SDKs.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, field_validator

from airflow_provider_smartlive.metastudio.base import (
    Id,
    Listed,
    OpenEnum,
    Page,
    Response,
    ResponseModel,
    Source,
    Time,
)
from airflow_provider_smartlive.metastudio.rtc import RtcRoomInfo, RtcUser, RtcUserType
from airflow_provider_smartlive.metastudio.subscriptions import LiveEventCallbackEcho, RtcCallbackEcho
from airflow_provider_smartlive.metastudio.text import printable, safe_text
from airflow_provider_smartlive.metastudio.voice import CoStreamerEcho

__all__ = [
    "ErrorInfo",
    "JobList",
    "JobLog",
    "JobState",
    "LivePlatformInfo",
    "LiveWarning",
    "LiveWarningInfo",
    "RtcRoomInfo",
    "RtcUser",
    "RtcUserType",
    "SmartLiveJob",
    "StartJobResponse",
    "WarningType",
]


class JobState(StrEnum):
    """The states of a job. That the last three are final is inferred from their descriptions."""

    WAITING = "WAITING"
    PROCESSING = "PROCESSING"
    SUCCEED = "SUCCEED"
    FAILED = "FAILED"
    BLOCKED = "BLOCKED"

    @property
    def is_final(self) -> bool:
        """Tell whether the job is over."""
        return self in (JobState.SUCCEED, JobState.FAILED, JobState.BLOCKED)


class WarningType(StrEnum):
    """What may make a livestream look like a recording; the first one's spelling is MetaStudio's."""

    TOO_LESSS_SCRIPT_ITEMS = "TOO_LESSS_SCRIPT_ITEMS"
    TOO_SHORT_SCRIPT_TIME = "TOO_SHORT_SCRIPT_TIME"
    TOO_LESS_DANMAKU_RULES = "TOO_LESS_DANMAKU_RULES"
    RANDOM_PLAY_CLOSED = "RANDOM_PLAY_CLOSED"
    ROTATION_MODEL_CLOSED = "ROTATION_MODEL_CLOSED"


class LiveWarning(ResponseModel):
    """Something that may make a platform take the livestream for a recording."""

    warning_type: OpenEnum[WarningType] | None = Field(None, description="The kind of risk.")


class StartJobResponse(Response):
    """The answer (202) to a start."""

    job_id: Id = Field(description="The id of the job.")
    rtc_room_info: RtcRoomInfo | None = Field(None, description="The RTC room, where a client is needed.")
    live_event_report_url: str | None = Field(
        None, repr=False, description="Pre-signed URL to which live events (chat, gifts, ...) are reported."
    )
    live_event_callback_config: LiveEventCallbackEcho | None = Field(
        None, description="The callback configuration that took effect."
    )
    live_warning_info: Listed[LiveWarning] = Field(
        default_factory=list, description="Risks that MetaStudio sees."
    )
    limit_duration: Annotated[int | None, Source("SDK StartSmartLiveResponse")] = Field(
        None, description="Hours after which the livestream is stopped; 0: no limit."
    )


class LiveWarningInfo(Response):
    """The answer to live-warning-info: the risks of starting a room as it is now."""

    SOURCE = "SDK ShowLiveWarningInfoResponse"

    live_warning_info: Listed[LiveWarning] = Field(default_factory=list)
    limit_duration: int | None = None


class ErrorInfo(ResponseModel):
    """Why a job failed."""

    SOURCE = "SDK ErrorResponse in SmartLiveJob"

    error_code: str | None = None
    error_msg: str | None = None

    @field_validator("error_code", "error_msg", mode="after")
    @classmethod
    def _is_safe(cls, text: str | None) -> str | None:
        return None if text is None else safe_text(text)


class JobLog(ResponseModel):
    """Where the records of a finished job are; every URL is a secret. The misspelt name is MetaStudio's."""

    SOURCE = "SDK LiveJobLog"

    interaction_records_url: str | None = Field(None, repr=False)
    job_config_records_url: str | None = Field(None, repr=False)
    scripts_records_url: str | None = Field(None, repr=False)
    command_reviced_records_url: str | None = Field(None, repr=False)
    command_exec_records_url: str | None = Field(None, repr=False)


class LivePlatformInfo(ResponseModel):
    """The live platform that a job belongs to, such as Meituan."""

    SOURCE = "SDK PlatformLiveDetailInfo"

    platform_id: str | None = None
    platform: str | None = None
    account: str | None = Field(None, repr=False)
    live_id: str | None = None


class SmartLiveJob(Response):
    """
    A job as show and list report it (SDK model ShowSmartLiveResponse).

    ``duration`` and ``stream_duration`` are seconds; ``stream_duration`` above 0 means that the RTMP link
    was up. Only the id is needed: a job without a readable ``state`` is known, but not how it stands.
    """

    SOURCE = "SDK SmartLiveJob, ShowSmartLiveResponse"

    job_id: Id
    room_id: str | None = None
    room_name: str | None = None
    state: OpenEnum[JobState] | None = None
    duration: float | None = None
    start_time: Time = None
    end_time: Time = None
    error_info: ErrorInfo | None = None
    create_time: Time = None
    lastupdate_time: Time = None
    rtc_room_info: RtcRoomInfo | None = None
    live_event_report_url: str | None = Field(None, repr=False)
    live_event_callback_config: LiveEventCallbackEcho | None = None
    rtc_callback_config: RtcCallbackEcho | None = None
    stream_duration: float | None = None
    block_reason: str | None = None
    cover_url: str | None = Field(None, repr=False)
    co_streamer_config: CoStreamerEcho | None = None
    live_job_log: JobLog | None = None
    relation_live_platform_info: LivePlatformInfo | None = None
    used_resource_type: str | None = None
    is_ai_mark_on: bool | None = None

    @field_validator("room_name", mode="after")
    @classmethod
    def _is_printable(cls, name: str | None) -> str | None:
        return None if name is None else printable(name)

    @field_validator("block_reason", mode="after")
    @classmethod
    def _is_safe(cls, text: str | None) -> str | None:
        return None if text is None else safe_text(text)

    @property
    def is_final(self) -> bool:
        """Tell whether the job is over."""
        return isinstance(self.state, JobState) and self.state.is_final

    @property
    def is_active(self) -> bool:
        """
        Tell whether the job may still stream and cost money.

        A state that this version does not know, or cannot read, counts as active: giving up on a running job is
        the worse mistake.
        """
        return not self.is_final


class JobList(Page):
    """One page of a listing of jobs."""

    SOURCE = "SDK ListSmartLiveResponse"
    ENTRIES = "smart_live_jobs"

    smart_live_jobs: Listed[SmartLiveJob] = Field(default_factory=list)
