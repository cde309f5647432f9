"""
Commands to a running job: inserted speech, rewritten scripts, new exit rules.

Parameters are typed where they are documented (MetaStudio's appendix on HTTP commands, the SDK's text) and
free-form otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from pydantic import Field, SerializeAsAny, ValidationInfo, field_validator

from airflow_provider_smartlive.metastudio.base import (
    OpenEnum,
    Request,
    RequestModel,
    Response,
    Source,
    decode_json,
)
from airflow_provider_smartlive.metastudio.play import LiveExitConfig
from airflow_provider_smartlive.metastudio.review import ReviewConfig
from airflow_provider_smartlive.metastudio.scripts import (
    FreeForm,
    InteractionRule,
    PlayRole,
    PlayType,
    Scene,
)
from airflow_provider_smartlive.metastudio.validation import Parts

_APPENDIX = "MetaStudio API reference, appendix on HTTP commands"


class Command(StrEnum):
    """The known commands. SHOW_LAYER is named in the SDK's text, but not in its schema."""

    INSERT_PLAY_SCRIPT = "INSERT_PLAY_SCRIPT"
    INSERT_PLAY_AUDIO = "INSERT_PLAY_AUDIO"
    REWRITE_PLAY_SCRIPT = "REWRITE_PLAY_SCRIPT"
    REWRITE_INTERACTION_RULES = "REWRITE_INTERACTION_RULES"
    GET_CURRENT_PLAYING_SCRIPTS = "GET_CURRENT_PLAYING_SCRIPTS"
    GET_LIVE_JOB_CONFIG_INFO = "GET_LIVE_JOB_CONFIG_INFO"
    CLEAN_UP_INSERT_COMMAND = "CLEAN_UP_INSERT_COMMAND"
    RESET_EXIT_CONFIG = "RESET_EXIT_CONFIG"
    REFRESH_OUTPUT_URL = "REFRESH_OUTPUT_URL"
    SHOW_LAYER = "SHOW_LAYER"


class SpokenText(RequestModel):
    """The words of an inserted reply."""

    SOURCE = _APPENDIX

    text: str = Field(min_length=1, max_length=131_072, description="The words, plain or with SSML tags.")


class PlayText(RequestModel):
    """Parameters of INSERT_PLAY_SCRIPT (``PlayTextInfo``): the virtual human says something."""

    SOURCE = _APPENDIX

    text_config: SpokenText | None = Field(None, description="What is said.")
    play_type: PlayType | None = Field(None, description="When; default PLAY_NOW.")
    play_role: PlayRole | None = Field(None, description="Who says it; default STREAMER.")
    rule_index: str | None = Field(
        None, max_length=64, description="The interaction rule that this replies to, from its callback."
    )


class PlayAudio(RequestModel):
    """Parameters of INSERT_PLAY_AUDIO (``PlayAudioInfo``): the virtual human speaks with a recorded voice."""

    SOURCE = _APPENDIX

    audio_url: str | None = Field(None, max_length=2048, repr=False, description="Where the audio is.")
    play_type: PlayType | None = Field(None, description="When; default APPEND.")
    play_role: PlayRole | None = Field(None, description="Who speaks; default STREAMER.")
    rule_index: Annotated[str | None, Source("inferred from PlayTextInfo, whose text names audio")] = Field(
        None, max_length=64, description="The interaction rule that this replies to, from its callback."
    )


class RewriteScript(RequestModel):
    """Parameters of REWRITE_PLAY_SCRIPT: what has not been played yet, anew."""

    SOURCE = "SDK ControlSmartLiveReq; that the list has its room's name is inferred"

    scene_scripts: list[Scene] = Field(min_length=1, max_length=100, description="The scenes.")


class RewriteRules(RequestModel):
    """Parameters of REWRITE_INTERACTION_RULES."""

    SOURCE = "SDK ControlSmartLiveReq; that the list has its room's name is inferred"

    interaction_rules: list[InteractionRule] = Field(max_length=500, description="The rules.")


class CommandRequest(Request):
    """
    A command.

    :raises ValueError: (as pydantic's ValidationError) if the parameters do not fit a command that is
        documented.
    """

    SOURCE = "SDK ControlSmartLiveReq"

    PARAMS: ClassVar[Mapping[str, type[RequestModel]]] = MappingProxyType(
        {
            Command.INSERT_PLAY_SCRIPT: PlayText,
            Command.INSERT_PLAY_AUDIO: PlayAudio,
            Command.REWRITE_PLAY_SCRIPT: RewriteScript,
            Command.REWRITE_INTERACTION_RULES: RewriteRules,
            Command.RESET_EXIT_CONFIG: LiveExitConfig,
        }
    )

    command: OpenEnum[Command] = Field(description="The name; others than the known ones are passed on.")
    params: SerializeAsAny[RequestModel] | FreeForm | None = Field(
        None, repr=False, description="Depends on the command."
    )
    review_config: ReviewConfig | None = Field(None, description="For accounts that Huawei enabled.")

    @property
    def is_question(self) -> bool:
        """Tell whether the command only asks: it changes nothing, and may be sent again."""
        return self.command in (Command.GET_CURRENT_PLAYING_SCRIPTS, Command.GET_LIVE_JOB_CONFIG_INFO)

    @classmethod
    def _parts(cls, fields: Any) -> Parts:
        command = fields.get("command") if isinstance(fields, Mapping) else None
        return {"params": cls.PARAMS.get(command)} if isinstance(command, str) else {}

    @field_validator("params", mode="before")
    @classmethod
    def _typed_where_documented(cls, params: Any, info: ValidationInfo) -> Any:
        model = cls.PARAMS.get(info.data.get("command", ""))
        return params if params is None or model is None else model.model_validate(params)


class CommandResponse(Response):
    """
    The answer to a command.

    ``command_id`` is what REPLY_COMMAND_FINISH reports as ``reply_id`` (inferred). ``result`` is JSON as a
    text for the commands that ask for something; it may hold stream keys.
    """

    SOURCE = "SDK ExecuteSmartLiveCommandResponse"

    command_id: str | None = None
    command: OpenEnum[Command] | None = None
    result: str | None = Field(None, repr=False)

    def decoded_result(self) -> Any:
        """
        Return what ``result`` says, or None without one.

        :raises ValueError: if it is not JSON.
        """
        return decode_json(self.result) if self.result else None
