"""The RTC room of a job, for the user's own client."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from airflow_provider_smartlive.metastudio.base import Listed, OpenEnum, ResponseModel


class RtcUserType(StrEnum):
    """The parts that users of an RTC room play."""

    CAPTURE = "CAPTURE"
    ANIMATION = "ANIMATION"
    RENDER = "RENDER"
    PLAYER = "PLAYER"
    INFERENCE_USER = "INFERENCE_USER"
    END_USER = "END_USER"


class RtcUser(ResponseModel):
    """A user that may join the RTC room of a job."""

    user_type: OpenEnum[RtcUserType] | None = Field(None, description="The part that the user plays.")
    user_id: str | None = Field(None, description="The id to join with.")
    signature: str | None = Field(None, repr=False, description="The token to join with; a secret.")
    ctime: int | None = Field(None, description="Until when the token is valid, Unix seconds.")


class RtcRoomInfo(ResponseModel):
    """The RTC room of a job. Its signatures stay in memory: they must not end up in an XCom or a log."""

    app_id: str | None = Field(None, description="The RTC application.")
    room_id: str | None = Field(None, description="The RTC room; not MetaStudio's room.")
    users: Listed[RtcUser] = Field(default_factory=list, description="Who may join.")
