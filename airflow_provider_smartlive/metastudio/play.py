"""How a livestream's script is played and when it ends: ``play_policy`` of a start request."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from airflow_provider_smartlive.metastudio.base import RequestModel, Source


class PlayMode(StrEnum):
    """What drives the virtual human."""

    TEXT = "TEXT"
    AUDIO = "AUDIO"
    NO_PRESET = "NO_PRESET"


class RandomPlayMode(StrEnum):
    """What is shuffled from the second round on."""

    NONE = "NONE"
    SCENE = "SCENE"
    SCRIPT_ITEM = "SCRIPT_ITEM"
    SCENE_AND_SCRIPT_ITEM = "SCENE_AND_SCRIPT_ITEM"


class AutoStopMode(StrEnum):
    """What is waited for when the time is up."""

    FORCE_EXIT = "FORCE_EXIT"
    SEGMENT_END = "SEGMENT_END"
    SCENE_END = "SCENE_END"
    SCRIPT_END = "SCRIPT_END"


class LiveExitConfig(RequestModel):
    """
    When MetaStudio ends a livestream by itself.

    Also the parameters of the command RESET_EXIT_CONFIG.
    """

    SOURCE = "SDK LiveExitConfig, since 3.1.138"

    max_live_duration: int | None = Field(
        None,
        ge=0,
        le=168,
        description="Hours after which the livestream is stopped; 0 or unset: no limit. "
        "With FORCE_EXIT it is at most 5 minutes late, with other modes by the time that finishing takes.",
    )
    auto_stop_mode: AutoStopMode | None = Field(
        None, description="What is finished first; default FORCE_EXIT, at once."
    )
    max_exception_waiting_duration: int | None = Field(
        None,
        ge=0,
        le=60,
        description="Minutes of trying to go on after an interruption; unset: 3, may vary; 0: for ever.",
    )

    def warnings(self) -> Iterator[tuple[str, str]]:
        """Yield (field, text) for what is allowed but rarely meant."""
        if self.max_exception_waiting_duration == 0:
            yield (
                "max_exception_waiting_duration",
                "0 waits for ever: an interrupted livestream costs money until it is stopped; use 1 to 60",
            )


class PlayPolicy(RequestModel):
    """How the script is played."""

    repeat_count: int | None = Field(
        None, ge=-1, le=100, description="-1: until stopped; 0 (the default): once; n: n + 1 times."
    )
    auto_play_script: bool | None = Field(
        None, description="Default true; false waits for play_start over RTC, which HTTP does not offer."
    )
    play_mode: PlayMode | None = Field(None, description="Default TEXT; NO_PRESET has no script at all.")
    random_play_mode: RandomPlayMode | None = Field(
        None, description="Shuffling from the second round on; default SCRIPT_ITEM."
    )
    need_independent_capture_client: bool | None = Field(
        None, description="True adds an RTC user CAPTURE beside PLAYER; default false."
    )
    live_exit_config: Annotated[LiveExitConfig | None, Source("SDK PlayPolicy, since 3.1.138")] = Field(
        None, description="When MetaStudio ends the livestream by itself."
    )
    is_rewrite_delay: Annotated[bool | None, Source("SDK PlayPolicy")] = Field(
        None, description="Script edits take effect in the next round instead of at once; default false."
    )

    def warnings(self) -> Iterator[tuple[str, str]]:
        """Yield (field, text) for what is allowed but rarely meant."""
        if self.live_exit_config is not None:
            for name, text in self.live_exit_config.warnings():
                yield f"live_exit_config.{name}", text
