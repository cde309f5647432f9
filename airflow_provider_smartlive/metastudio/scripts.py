"""
What a virtual human says and how it reacts: scenes, paragraphs and interaction rules of a room.

They also are the parameters of the commands that rewrite a running job. Source: the schema of Huawei's
SDKs. Pictures (backgrounds, layers) stay free-form: they are made in MetaStudio's editor.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from airflow_provider_smartlive.metastudio.base import RequestModel
from airflow_provider_smartlive.metastudio.review import ReviewConfig
from airflow_provider_smartlive.metastudio.voice import VoiceConfig

FreeForm = dict[str, Any]


class PlayType(StrEnum):
    """When an inserted reply is spoken."""

    APPEND = "APPEND"
    INSERT = "INSERT"
    PLAY_NOW = "PLAY_NOW"


class PlayRole(StrEnum):
    """Who speaks an inserted reply."""

    STREAMER = "STREAMER"
    CO_STREAMER = "CO_STREAMER"


class ReplyMode(StrEnum):
    """What a rule that fits does."""

    SYSTEM_REPLY = "SYSTEM_REPLY"
    CALLBACK = "CALLBACK"
    SYSTEM_REPLY_AND_CALLBACK = "SYSTEM_REPLY_AND_CALLBACK"
    SHOW_LAYER = "SHOW_LAYER"
    INTELLIGENT_REPLY = "INTELLIGENT_REPLY"


class ReplyOrder(StrEnum):
    """Which of several replies comes next."""

    RANDOM = "RANDOM"
    ORDER = "ORDER"


class Relation(StrEnum):
    """How several conditions are combined; RESERVED replies when no other rule fits."""

    AND = "AND"
    OR = "OR"
    RESERVED = "RESERVED"


class TagOperation(StrEnum):
    """What is done with a value before it is compared."""

    SUM = "SUM"
    AVG = "AVG"
    COUNT = "COUNT"
    NONE = "NONE"


class TagMatch(StrEnum):
    """How a value is compared."""

    EQUAL = "EQUAL"
    REGEX = "REGEX"
    MATH_GT = "MATH_GT"
    MATH_GE = "MATH_GE"
    MATH_LT = "MATH_LT"
    MATH_LE = "MATH_LE"
    MATH_EQ = "MATH_EQ"


class ScriptText(RequestModel):
    """What is said, plain or with SSML tags."""

    SOURCE = "SDK TextConfig"

    text: str = Field(
        min_length=1, max_length=300_000, description="The words; usually below 2000 characters."
    )


class ScriptAudio(RequestModel):
    """What is played instead of a synthesised voice."""

    SOURCE = "SDK LiveAudioConfig"

    asset_id: str | None = Field(None, max_length=64, description="An audio asset.")
    audio_url: str | None = Field(None, max_length=2048, repr=False, description="MP3 below 100 MB.")
    subtitle_url: str | None = Field(None, max_length=2048, repr=False, description="SRT below 1 MB.")


class Paragraph(RequestModel):
    """One paragraph of a scene."""

    SOURCE = "SDK LiveShootScriptItem"

    sequence_no: int | None = Field(None, ge=0, le=2**31 - 1, description="Its number.")
    title: str | None = Field(None, max_length=256, description="Its title, shown in events.")
    text_config: ScriptText | None = Field(None, description="What is said.")
    audio_config: ScriptAudio | None = Field(None, description="What is played.")
    relation_product: FreeForm | None = Field(None, description="The product on offer.")


class Scene(RequestModel):
    """One scene of the script of a room."""

    SOURCE = "SDK LiveVideoScriptInfo"

    script_id: str | None = Field(None, min_length=1, max_length=64, description="Set by MetaStudio.")
    script_name: str = Field(min_length=1, max_length=256, description="Its name, shown in events.")
    script_description: str | None = Field(None, max_length=1024, description="A note.")
    dh_id: str | None = Field(None, max_length=64, description="Not in use yet.")
    model_asset_id: str | None = Field(None, max_length=64, description="The virtual human.")
    voice_config: VoiceConfig | None = Field(None, description="Its voice.")
    background_config: list[FreeForm] | None = Field(None, max_length=10, description="Backgrounds.")
    layer_config: list[FreeForm] | None = Field(None, max_length=100, description="Layers of the picture.")
    shoot_scripts: list[Paragraph] = Field(max_length=100, description="The paragraphs.")


class InteractionConfig(RequestModel):
    """How replies interrupt the script."""

    SOURCE = "SDK LiveRoomInteractionConfig"

    play_type: PlayType | None = Field(None, description="When replies are spoken; default INSERT.")
    ignore_current_sentence: bool | None = Field(None, description="Drop the rest of a sentence cut short.")


class ConditionTag(RequestModel):
    """One comparison with a part of a live event."""

    SOURCE = "SDK HitConditionTag"

    tag: str | None = Field(None, max_length=256, description="The field of the event's content.")
    operation: TagOperation | None = Field(None, description="What is done first; default NONE.")
    match: TagMatch | None = Field(None, description="How it is compared.")
    value: str | None = Field(None, max_length=1024, description="What it is compared with.")


class Condition(RequestModel):
    """When a rule fits."""

    SOURCE = "SDK HitCondition"

    relation: Relation | None = Field(None, description="How the comparisons are combined.")
    priority: int | None = Field(None, ge=0, le=999, description="Lower comes first; default 500.")
    tags: list[ConditionTag] | None = Field(None, min_length=1, max_length=5, description="Comparisons.")


class Trigger(RequestModel):
    """What a rule does."""

    SOURCE = "SDK TriggerProcess"

    time_window: int | None = Field(
        None, ge=-1, le=7200, description="Seconds of rest afterwards; 0: none; -1: once per livestream."
    )
    reply_mode: ReplyMode | None = Field(None, description="How it replies.")
    layer_config: FreeForm | None = Field(None, description="A layer to show.")
    extra_layer_config: FreeForm | None = Field(None, description="Another layer to show.")
    reply_texts: list[Annotated[str, StringConstraints(max_length=1024)]] | None = Field(
        None, max_length=5, description="Texts to choose from."
    )
    reply_audios: list[FreeForm] | None = Field(None, max_length=5, description="Audios to choose from.")
    reply_order: ReplyOrder | None = Field(None, description="Which of them comes next.")
    reply_role: PlayRole | None = Field(None, description="Who replies; default STREAMER.")
    robot_id: str | None = Field(None, max_length=64, description="The robot of INTELLIGENT_REPLY.")
    play_type: PlayType | None = Field(None, description="When it replies; default PLAY_NOW.")


class InteractionRule(RequestModel):
    """One rule of interaction."""

    SOURCE = "SDK LiveRoomInteractionRuleInfo"

    rule_index: str | None = Field(None, max_length=64, description="Set by MetaStudio.")
    rule_name: str | None = Field(None, max_length=256, description="Its name.")
    enabled: bool | None = Field(None, description="Default true.")
    event_type: int | None = Field(
        None, ge=0, le=100, description="1 comment, 2 enter, 3 like, 4 gift, 10 preset script."
    )
    hit_condition: Condition | None = Field(None, description="When it fits.")
    trigger: Trigger | None = Field(None, description="What it does.")
    review_config: ReviewConfig | None = Field(None, description="For accounts that Huawei enabled.")
    group_id: str | None = Field(None, min_length=1, max_length=64, description="The library it came from.")
    group_name: str | None = Field(None, min_length=1, max_length=256, description="That library's name.")
    enabled_scenes: list[str] | None = Field(
        None, max_length=100, description="Names of scenes; all if unset."
    )
