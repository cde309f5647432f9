"""The picture of a livestream: ``video_config`` of a start request."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from airflow_provider_smartlive.metastudio.base import RequestModel, Source

#: What the SDK's text allows for livestreams, in pixels. The schema, which other products share, allows more.
LIVE_SIZES = ((1080, 1920), (1920, 1080))

#: What the SDK's text allows for livestreams, in kbit/s.
LIVE_BITRATES = range(1000, 8001)

#: Frames per second of every livestream (SDK text).
LIVE_FRAME_RATE = "25"


class ClipMode(StrEnum):
    """How the picture is fitted into the output."""

    RESIZE = "RESIZE"
    CROP = "CROP"


class Codec(StrEnum):
    """Video codecs of MetaStudio; livestreams use H264."""

    H264 = "H264"
    VP8 = "VP8"
    VP9 = "VP9"
    QTRLE = "QTRLE"


class FrameRate(StrEnum):
    """Frames per second; a text in the API."""

    FPS_24 = "24"
    FPS_25 = "25"
    FPS_30 = "30"


_SubtitlePixels = Annotated[int | None, Field(ge=0, le=1920)]
_Colour = Annotated[str | None, Field(pattern=r"^#[0-9A-Fa-f]{6}$")]


class SubtitleConfig(RequestModel):
    """Where and how subtitles are drawn. Livestreams do not show subtitles yet (SDK text)."""

    dx: _SubtitlePixels = Field(None, description="Left edge of the subtitle box, pixels.")
    dy: _SubtitlePixels = Field(None, description="Lower edge of the subtitle box, pixels.")
    font_name: str | None = Field(
        None, max_length=64, description="Font; MetaStudio's default is HarmonyOS_Sans_SC_Black."
    )
    font_size: int | None = Field(
        None,
        ge=0,
        le=120,
        description="Font size; default 54. The page allows 4 to 120, other texts 24 to 120.",
    )
    h: _SubtitlePixels = Field(None, description="Height of the subtitle box, pixels; only for editors.")
    w: _SubtitlePixels = Field(None, description="Width of the subtitle box, pixels; only for editors.")
    font_color: Annotated[_Colour, Source("SDK SubtitleConfig")] = Field(
        None, description="Colour of the letters as #RRGGBB; default #FFFFFF."
    )
    stroke_color: Annotated[_Colour, Source("SDK SubtitleConfig")] = Field(
        None, description="Colour of the outline as #RRGGBB."
    )
    stroke_thickness: Annotated[float | None, Source("SDK SubtitleConfig")] = Field(
        None, ge=0, le=50, description="Thickness of the outline, pixels."
    )
    opacity: Annotated[float | None, Source("SDK SubtitleConfig")] = Field(
        None, ge=0, le=1, description="0 is invisible, 1 (the default) is solid."
    )


class VideoConfig(RequestModel):
    """
    The output picture.

    :raises ValueError: (as pydantic's ValidationError) for a value outside of the documented range, and for
        ``dx`` or ``dy`` without ``clip_mode=CROP``, where they mean nothing.
    """

    clip_mode: ClipMode | None = Field(None, description="Fitting of the picture; default RESIZE.")
    codec: Codec = Field(
        Codec.H264,
        description="Video codec. Mandatory on the page, H264 by default in the schema: always sent.",
    )
    bitrate: int = Field(ge=40, le=30000, description="Average bitrate, kbit/s; livestreams 1000 to 8000.")
    width: int = Field(ge=0, le=3840, description="Width, pixels; livestreams 1080 or 1920.")
    height: int = Field(ge=0, le=3840, description="Height, pixels; livestreams 1920 or 1080.")
    frame_rate: FrameRate | None = Field(None, description="Frames per second; default 25, and fixed at 25.")
    is_subtitle_enable: bool | None = Field(None, description="Draw subtitles; default false.")
    subtitle_config: SubtitleConfig | None = Field(None, description="Where and how subtitles are drawn.")
    dx: int | None = Field(None, ge=-1920, le=3840, description="Left edge of the crop, pixels; CROP only.")
    dy: int | None = Field(None, ge=-1920, le=3840, description="Upper edge of the crop, pixels; CROP only.")
    is_enable_super_resolution: bool | None = Field(None, description="Super resolution; default false.")
    is_end_at_first_frame: Annotated[bool | None, Source("SDK VideoConfig")] = Field(
        None, description="End on the first frame, for seamless joins; video production only."
    )
    output_external_url: Annotated[str | None, Source("SDK VideoConfig")] = Field(
        None,
        min_length=1,
        max_length=2048,
        repr=False,
        description="Where a produced video is uploaded; for accounts that Huawei enabled.",
    )
    is_vocabulary_config_enable: Annotated[bool | None, Source("SDK VideoConfig, newer than 2025-07")] = (
        Field(None, description="Apply the account's pronunciation rules; video production only.")
    )

    @model_validator(mode="after")
    def _offsets_belong_to_a_crop(self) -> Self:
        if self.clip_mode is not ClipMode.CROP and (self.dx is not None or self.dy is not None):
            raise ValueError("dx and dy take effect with clip_mode=CROP only: set it, or leave them out")
        return self

    def warnings(self) -> Iterator[tuple[str, str]]:
        """Yield (field, text) for what the schema allows but the texts rule out for livestreams."""
        if self.codec is not Codec.H264:
            yield "codec", f"{self.codec} is for video production; livestreams use H264"
        if self.bitrate not in LIVE_BITRATES:
            yield "bitrate", "livestreams need 1000 to 8000 kbit/s"
        if (self.width, self.height) not in LIVE_SIZES:
            yield "width", "livestreams support 1080x1920 and 1920x1080 (width x height) only"
        if self.frame_rate not in (None, LIVE_FRAME_RATE):
            yield "frame_rate", "livestreams always run at 25 frames per second"
        if self.is_subtitle_enable:
            yield "is_subtitle_enable", "livestreams do not support subtitles yet"
        for name in ("is_enable_super_resolution", "is_end_at_first_frame", "is_vocabulary_config_enable"):
            if getattr(self, name):
                yield name, "works in video production only, not in livestreams"
        size = self.subtitle_config.font_size if self.subtitle_config else None
        if size is not None and size < 24:
            yield "subtitle_config.font_size", "sizes below 24 are outside of the usable range of 24 to 120"
