"""The second voice of a livestream: ``co_streamer_config`` of a start request."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from airflow_provider_smartlive.metastudio.base import OpenEnum, RequestModel, ResponseModel

#: The schema's limit for a voice asset id; the SDK's text says 256.
VOICE_ID_IN_SCHEMA = 64


class StreamerAction(StrEnum):
    """What the streamer does while the co-streamer speaks."""

    SILENCE = "SILENCE"
    VOLUME_DOWN = "VOLUME_DOWN"


class VoiceConfig(RequestModel):
    """A voice."""

    voice_asset_id: str = Field(min_length=1, max_length=256, description="The asset id of the timbre.")
    speed: int | None = Field(None, ge=50, le=200, description="Percent of normal speed; default 100.")
    pitch: int | None = Field(None, ge=50, le=200, description="Percent of normal pitch; default 100.")
    volume: int | None = Field(None, ge=90, le=240, description="Volume, without a unit; default 140.")


class CoStreamerConfig(RequestModel):
    """A second voice beside the streamer's."""

    voice_config: VoiceConfig | None = Field(None, description="The co-streamer's voice.")
    streamer_action: StreamerAction | None = Field(
        None, description="What the streamer does while the co-streamer speaks."
    )


class VoiceEcho(ResponseModel):
    """A voice as MetaStudio reports it."""

    SOURCE = "SDK SmartLiveJob.co_streamer_config"

    voice_asset_id: str | None = None
    speed: int | None = None
    pitch: int | None = None
    volume: int | None = None


class CoStreamerEcho(ResponseModel):
    """The second voice as MetaStudio reports it."""

    SOURCE = "SDK SmartLiveJob.co_streamer_config"

    voice_config: VoiceEcho | None = None
    streamer_action: OpenEnum[StreamerAction] | None = None
