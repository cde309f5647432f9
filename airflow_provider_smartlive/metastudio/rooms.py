"""Rooms: the place, script and settings of livestreams. Source: the schema of Huawei's SDKs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from airflow_provider_smartlive.metastudio.base import Id, Listed, OpenEnum, Page, Response, Time
from airflow_provider_smartlive.metastudio.jobs import ErrorInfo
from airflow_provider_smartlive.metastudio.play import PlayPolicy
from airflow_provider_smartlive.metastudio.review import ReviewConfig
from airflow_provider_smartlive.metastudio.rtmp import RtmpRequest
from airflow_provider_smartlive.metastudio.scripts import FreeForm, InteractionConfig, InteractionRule, Scene
from airflow_provider_smartlive.metastudio.start import ViewMode
from airflow_provider_smartlive.metastudio.subscriptions import (
    LiveEventCallbackConfig,
    LiveEventCallbackEcho,
    RtcCallbackConfig,
)
from airflow_provider_smartlive.metastudio.video import VideoConfig
from airflow_provider_smartlive.metastudio.voice import CoStreamerConfig


class RoomType(StrEnum):
    """How long a room lives: TEMP is removed when its job ends."""

    NORMAL = "NORMAL"
    TEMP = "TEMP"
    TEMPLATE = "TEMPLATE"


class RoomState(StrEnum):
    """Whether a room can be used; the reason is in ``error_info``."""

    ENABLE = "ENABLE"
    DISABLE = "DISABLE"
    BLOCKED = "BLOCKED"


class ConfirmState(StrEnum):
    """Where an account has rooms confirmed by a person."""

    UNCONFIRM = "UNCONFIRM"
    CONFIRMED = "CONFIRMED"
    REJECT = "REJECT"


class RoomCallbackConfig(LiveEventCallbackConfig):
    """Where and how the jobs of a room report events, unless their start says otherwise."""

    SOURCE = "SDK LiveRoomEventCallBackConfig"

    is_inheritance_platform_callback: bool | None = Field(
        None, description="Take over the callback configuration of the live platform."
    )


class CreateRoomRequest(RtmpRequest):
    """What a room is made of; only the name is mandatory."""

    SOURCE = "SDK CreateSmartLiveRoomReq"

    room_name: str = Field(min_length=1, max_length=256, description="Its name.")
    room_description: str | None = Field(None, max_length=1024, description="A note.")
    room_type: RoomType | None = Field(None, description="How long it lives; default NORMAL.")
    scene_scripts: list[Scene] | None = Field(
        None, min_length=1, max_length=100, description="What is played."
    )
    interaction_config: InteractionConfig | None = Field(None, description="How replies interrupt it.")
    interaction_rules: list[InteractionRule] | None = Field(
        None, max_length=500, description="What is replied to."
    )
    play_policy: PlayPolicy | None = Field(None, description="How the script is played.")
    video_config: VideoConfig | None = Field(None, description="The output picture.")
    backup_model_asset_ids: list[Annotated[str, StringConstraints(max_length=64)]] | None = Field(
        None, max_length=32, description="Virtual humans to take turns; the SDK's text allows 5."
    )
    live_event_callback_config: RoomCallbackConfig | None = Field(
        None, description="Where and how events are reported over HTTP."
    )
    rtc_callback_config: RtcCallbackConfig | None = Field(
        None, description="What is reported on the RTC data channel."
    )
    review_config: ReviewConfig | None = Field(None, description="For accounts that Huawei enabled.")
    shared_config: FreeForm | None = Field(None, description="Who else may use it.")
    view_mode: ViewMode | None = Field(None, description="Derived from the resolution: leave it out.")
    co_streamer_config: CoStreamerConfig | None = Field(None, description="A second voice.")
    priv_data: str | None = Field(None, max_length=8192, description="A text that comes back as it is.")
    relation_live_platform_info: FreeForm | None = Field(None, description="The live platform.")


class CreateRoomResponse(Response):
    """The answer (200) to a create."""

    SOURCE = "SDK CreateSmartLiveRoomResponse"

    room_id: Id


class Room(Response):
    """
    A room as show and list report it; show adds script and settings.

    What this version has no field for (scripts, rules, pictures, platform) is in ``model_extra``.
    """

    SOURCE = "SDK SmartLiveRoomBaseInfo, ShowSmartLiveRoomResponse"

    room_id: Id
    room_name: str | None = None
    room_type: OpenEnum[RoomType] | None = None
    room_state: OpenEnum[RoomState] | None = None
    room_description: str | None = None
    view_mode: OpenEnum[ViewMode] | None = None
    error_info: ErrorInfo | None = None
    create_time: Time = None
    update_time: Time = None
    last_job_start_time: Time = None
    last_job_end_time: Time = None
    # Not JobState: a room knows CANCELED as well.
    last_job_status: str | None = None
    confirm_state: OpenEnum[ConfirmState] | None = None
    script_version: str | None = None
    priv_data: str | None = None
    output_urls: Listed[str] = Field(default_factory=list, repr=False)
    stream_keys: Listed[str] = Field(default_factory=list, repr=False)
    live_event_callback_config: LiveEventCallbackEcho | None = None


class RoomList(Page):
    """One page of a listing of rooms."""

    SOURCE = "SDK ListSmartLiveRoomsResponse"
    ENTRIES = "smart_live_rooms"

    smart_live_rooms: Listed[Room] = Field(default_factory=list)
