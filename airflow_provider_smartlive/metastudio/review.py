"""Exemption from content review, a part of several requests."""

from __future__ import annotations

from pydantic import Field

from airflow_provider_smartlive.metastudio.base import RequestModel


class ReviewConfig(RequestModel):
    """How texts are reviewed."""

    SOURCE = "SDK ReviewConfig"

    no_need_review: bool | None = Field(
        None, description="Skip the review; for accounts that Huawei enabled."
    )
