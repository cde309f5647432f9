"""
Livestream jobs: the request that starts one, and the answers to start, show, list and live-warning-info.

Sources: the StartSmartLive page; the schema that Huawei publishes with its SDKs for ranges. Where the two
differ, the wider range is enforced and :meth:`StartJobRequest.warnings` speaks for the narrower one.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from airflow_provider_smartlive.metastudio.addresses import is_confidential
from airflow_provider_smartlive.metastudio.base import (
    Listed,
    OpenEnum,
    RequestModel,
    Response,
    ResponseModel,
    Source,
    Time,
)
from airflow_provider_smartlive.metastudio.play import (
    AutoStopMode,
    LiveExitConfig,
    PlayMode,
    PlayPolicy,
    RandomPlayMode,
)
from airflow_provider_smartlive.metastudio.rtc import RtcRoomInfo, RtcUser, RtcUserType
from airflow_provider_smartlive.metastudio.rtmp import RtmpRequest
from airflow_provider_smartlive.metastudio.subscriptions import (
    LiveEventCallbackConfig,
    LiveEventCallbackEcho,
    RtcCallbackConfig,
    RtcCallbackEcho,
    RtcEventType,
)
from airflow_provider_smartlive.metastudio.video import (
    ClipMode,
    Codec,
    FrameRate,
    SubtitleConfig,
    VideoConfig,
)
from airflow_provider_smartlive.metastudio.voice import (
    VOICE_ID_IN_SCHEMA,
    CoStreamerConfig,
    CoStreamerEcho,
    StreamerAction,
    VoiceConfig,
)

__all__ = [
    "AutoStopMode",
    "ClipMode",
    "CoStreamerConfig",
    "Codec",
    "ErrorInfo",
    "FrameRate",
    "JobList",
    "JobLog",
    "JobRunConfig",
    "JobState",
    "LiveEventCallbackConfig",
    "LiveExitConfig",
    "LiveWarning",
    "LiveWarningInfo",
    "PlayMode",
    "PlayPolicy",
    "RandomPlayMode",
    "ResourceType",
    "RtcCallbackConfig",
    "RtcEventType",
    "RtcRoomInfo",
    "RtcUser",
    "RtcUserType",
    "SmartLiveJob",
    "StartJobRequest",
    "StartJobResponse",
    "StreamerAction",
    "SubtitleConfig",
    "VideoConfig",
    "ViewMode",
    "VoiceConfig",
    "WarningType",
]


class ViewMode(StrEnum):
    """Orientation of the picture."""

    LANDSCAPE = "LANDSCAPE"
    VERTICAL = "VERTICAL"


class ResourceType(StrEnum):
    """Which kind of purchase a job may use."""

    PERIOD = "PERIOD"
    ONDEMAND = "ONDEMAND"
    UNLIMITED = "UNLIMITED"
    ONE_TIME = "ONE_TIME"


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


class JobRunConfig(RequestModel):
    """Under which conditions a job may run."""

    SOURCE = "SDK LiveJobRunConfig"

    allow_resource_type: ResourceType | None = Field(
        None, description="Which kind of purchase the job may use; default UNLIMITED."
    )
    single_job_in_room: bool | None = Field(
        None, description="Refuse the start if the room has a running job; default false."
    )


class StartJobRequest(RtmpRequest):
    """
    What a livestream is started with. Everything is optional; what is left out comes from the room.

    :raises ValueError: (as pydantic's ValidationError) naming the field, never its value.
    """

    video_config: VideoConfig | None = Field(None, description="The output picture.")
    play_policy: PlayPolicy | None = Field(None, description="How the script is played.")
    interaction_callback_url: str | None = Field(
        None, max_length=2048, repr=False, description="Where interaction rules with reply mode CALLBACK ask."
    )
    live_event_callback_config: LiveEventCallbackConfig | None = Field(
        None, description="Where and how events are reported over HTTP."
    )
    rtc_callback_config: RtcCallbackConfig | None = Field(
        None, description="What is reported on the RTC data channel."
    )
    view_mode: ViewMode | None = Field(
        None, description="Default VERTICAL; newer texts derive it from the resolution: leave it out."
    )
    co_streamer_config: CoStreamerConfig | None = Field(None, description="A second voice.")
    job_run_config: Annotated[JobRunConfig | None, Source("SDK StartSmartLiveReq")] = Field(
        None, description="Under which conditions the job may run."
    )

    def warnings(self) -> list[str]:
        """Return a sentence per field that MetaStudio's schema allows but its texts rule out."""
        return [f"{name}: {text}" for name, text in self._warnings()]

    def _warnings(self) -> Iterator[tuple[str, str]]:
        if self.video_config is not None:
            for name, text in self.video_config.warnings():
                yield f"video_config.{name}", text
        if self.play_policy is not None:
            for name, text in self.play_policy.warnings():
                yield f"play_policy.{name}", text
        if len(self.output_urls or ()) > 1:
            yield "output_urls", "MetaStudio supports one RTMP output; start one job per platform"
        if self._view_mode_contradicts():
            yield "view_mode", "does not fit video_config's width and height; leave it out"
        callback = self.live_event_callback_config
        if callback is not None and not is_confidential(callback.live_event_type_callback_url or "https:"):
            yield (
                "live_event_callback_config.live_event_type_callback_url",
                "MetaStudio calls https URLs only",
            )
        voice = self.co_streamer_config.voice_config if self.co_streamer_config else None
        if voice is not None and len(voice.voice_asset_id) > VOICE_ID_IN_SCHEMA:
            yield "co_streamer_config.voice_config.voice_asset_id", "the schema ends at 64 characters"

    def _view_mode_contradicts(self) -> bool:
        if self.view_mode is None or self.video_config is None:
            return False
        wide = self.video_config.width > self.video_config.height
        return wide != (self.view_mode is ViewMode.LANDSCAPE)


class LiveWarning(ResponseModel):
    """Something that may make a platform take the livestream for a recording."""

    warning_type: OpenEnum[WarningType] | None = Field(None, description="The kind of risk.")


class StartJobResponse(Response):
    """The answer (202) to a start."""

    job_id: str = Field(min_length=1, description="The id of the job.")
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


class JobLog(ResponseModel):
    """Where the records of a finished job are; every URL is a secret. The misspelt name is MetaStudio's."""

    SOURCE = "SDK LiveJobLog"

    interaction_records_url: str | None = Field(None, repr=False)
    job_config_records_url: str | None = Field(None, repr=False)
    scripts_records_url: str | None = Field(None, repr=False)
    command_reviced_records_url: str | None = Field(None, repr=False)
    command_exec_records_url: str | None = Field(None, repr=False)


class SmartLiveJob(Response):
    """
    A job as show and list report it (SDK model ShowSmartLiveResponse).

    ``duration`` and ``stream_duration`` are seconds; ``stream_duration`` above 0 means that the RTMP link
    was up.
    """

    SOURCE = "SDK SmartLiveJob, ShowSmartLiveResponse"

    job_id: str = Field(min_length=1)
    room_id: str | None = None
    room_name: str | None = None
    state: OpenEnum[JobState]
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
    relation_live_platform_info: ResponseModel | None = None
    used_resource_type: str | None = None
    is_ai_mark_on: bool | None = None

    @property
    def is_final(self) -> bool:
        """Tell whether the job is over."""
        return isinstance(self.state, JobState) and self.state.is_final

    @property
    def is_active(self) -> bool:
        """
        Tell whether the job may still stream and cost money.

        A state that this version does not know counts as active: giving up on a running job is the worse
        mistake.
        """
        return not self.is_final


class JobList(Response):
    """
    One page of a listing.

    :ivar count: how many jobs there are in all pages.
    """

    SOURCE = "SDK ListSmartLiveResponse"

    count: int
    smart_live_jobs: Listed[SmartLiveJob] = Field(default_factory=list)
