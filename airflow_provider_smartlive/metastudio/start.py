"""
The request that starts a livestream job.

Sources: the StartSmartLive page; the schema that Huawei publishes with its SDKs for ranges. Where the two
differ, the wider range is enforced and :meth:`StartJobRequest.warnings` speaks for the narrower one.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from airflow_provider_smartlive.metastudio.addresses import is_confidential
from airflow_provider_smartlive.metastudio.base import RequestModel, Source
from airflow_provider_smartlive.metastudio.play import (
    AutoStopMode,
    LiveExitConfig,
    PlayMode,
    PlayPolicy,
    RandomPlayMode,
)
from airflow_provider_smartlive.metastudio.rtmp import RtmpRequest
from airflow_provider_smartlive.metastudio.subscriptions import (
    LiveEventCallbackConfig,
    RtcCallbackConfig,
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
    StreamerAction,
    VoiceConfig,
)

__all__ = [
    "AutoStopMode",
    "ClipMode",
    "CoStreamerConfig",
    "Codec",
    "FrameRate",
    "JobRunConfig",
    "LiveEventCallbackConfig",
    "LiveExitConfig",
    "PlayMode",
    "PlayPolicy",
    "RandomPlayMode",
    "ResourceType",
    "RtcCallbackConfig",
    "RtcEventType",
    "StartJobRequest",
    "StreamerAction",
    "SubtitleConfig",
    "VideoConfig",
    "ViewMode",
    "VoiceConfig",
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
            yield (
                "output_urls",
                "MetaStudio supports one RTMP output; start one job per platform (a task per output_conn_ids)",
            )
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
