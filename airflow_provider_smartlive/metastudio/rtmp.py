"""Where a livestream goes: the RTMP part of a start request and of a room."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from airflow_provider_smartlive.metastudio.base import Request

OutputUrl = Annotated[str, StringConstraints(max_length=1024, pattern=r"^rtmps?://[^/\s]+(/\S*)?$")]
StreamKey = Annotated[str, StringConstraints(max_length=1024)]


class RtmpRequest(Request):
    """
    A request that may name RTMP outputs.

    :raises ValueError: (as pydantic's ValidationError) if an URL is no RTMP URL, or if there are stream
        keys, but not one for each URL.
    """

    output_urls: list[OutputUrl] | None = Field(
        None, repr=False, description="RTMP ingest URLs; MetaStudio supports one."
    )
    stream_keys: list[StreamKey] | None = Field(
        None, repr=False, description="Stream keys, one per output URL in the same order; empty: in the URL."
    )

    @model_validator(mode="after")
    def _keys_belong_to_urls(self) -> Self:
        urls, keys = len(self.output_urls or ()), len(self.stream_keys or ())
        if keys and keys != urls:
            raise ValueError(
                f"stream_keys has {keys} entries for {urls} output_urls: give one key per URL in the same "
                'order, "" where the URL holds the key'
            )
        return self
