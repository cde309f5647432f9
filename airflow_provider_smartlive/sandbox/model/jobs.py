"""Livestream jobs as the sandbox keeps them, and as the API answers them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from airflow_provider_smartlive.metastudio.jobs import JobState
from airflow_provider_smartlive.sandbox.model.faults import Fault
from airflow_provider_smartlive.sandbox.model.script import PlayedParagraph

#: The records that a finished job names; the misspelt one is MetaStudio's.
RECORDS = (
    "interaction_records_url",
    "job_config_records_url",
    "scripts_records_url",
    "command_reviced_records_url",
    "command_exec_records_url",
)


def wire_time(at: datetime | None) -> str | None:
    """Write a UTC time as MetaStudio does: RFC 3339, 20 characters."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}" if at else None


def present(fields: dict[str, Any]) -> dict[str, Any]:
    """Leave out the fields without a value: MetaStudio's schema knows no null."""
    return {name: value for name, value in fields.items() if value is not None}


class OutputRecord(BaseModel):
    """
    One RTMP output of a job.

    :param url: the ingest URL as it was given.
    :param stream_key: the stream key as it was given, empty if there is none.
    :param state: the last state of the link, None before it was opened.
    :param connects: how often the link was CONNECTED.
    """

    url: str = Field(repr=False)
    stream_key: str = Field("", repr=False)
    state: str | None = None
    connects: int = 0


class InsertedSpeech(BaseModel):
    """A command that inserts speech, and how far it is."""

    command_id: str
    command: str
    params: dict[str, Any] = Field(default_factory=dict, repr=False)
    seconds: float
    state: str = "waiting"


class Place(BaseModel):
    """
    How far a script is.

    :param began: when the current paragraph began, in seconds of the show clock.
    :param pass_number: the number of the pass, from 0.
    :param index: the position of the paragraph in its pass, from 0.
    :param is_announced: whether its beginning was told.
    """

    began: float
    pass_number: int = 0
    index: int = 0
    is_announced: bool = False


class StoredJob(BaseModel):
    """
    A job. Times of day are for the API; ``*_shown`` are seconds of the show clock.

    :param settings: the request, completed by the room's and the tenant's settings.
    :param script: what is played.
    :param ready_shown: when the job leaves WAITING.
    :param processing_shown: when it became PROCESSING.
    :param place: how far the script is; None before it began.
    :param connected_shown: since when at least one link is connected.
    :param streamed: show seconds in which at least one link was connected, up to ``connected_shown``.
    :param faults: what is going to happen to this job.
    :param report_key: signs the URL for live events.
    """

    job_id: str
    room_id: str
    room_name: str
    room_type: str
    state: JobState = JobState.WAITING
    error_code: str | None = None
    error_msg: str | None = None
    block_reason: str | None = None
    create_time: datetime
    update_time: datetime
    start_time: datetime | None = None
    end_time: datetime | None = None
    ready_shown: float
    processing_shown: float | None = None
    place: Place | None = None
    connected_shown: float | None = None
    ended_shown: float | None = None
    streamed: float = 0.0
    settings: dict[str, Any] = Field(default_factory=dict, repr=False)
    script: list[PlayedParagraph] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    outputs: list[OutputRecord] = Field(default_factory=list)
    rtc_room: dict[str, Any] = Field(default_factory=dict, repr=False)
    report_key: str = Field(repr=False)
    play_signal: bool = False
    now_playing: PlayedParagraph | None = None
    commands: list[InsertedSpeech] = Field(default_factory=list)
    faults: list[Fault] = Field(default_factory=list)

    @property
    def is_active(self) -> bool:
        """Whether the job goes on."""
        return not self.state.is_final

    @property
    def policy(self) -> dict[str, Any]:
        """The play policy; empty if there is none."""
        return self.settings.get("play_policy") or {}

    @property
    def exit_config(self) -> dict[str, Any]:
        """The exit configuration; empty if there is none."""
        return self.policy.get("live_exit_config") or {}

    @property
    def callback(self) -> dict[str, Any]:
        """The callback configuration; empty if there is none."""
        return self.settings.get("live_event_callback_config") or {}

    def stream_seconds(self, shown: float) -> float:
        """Return the show seconds for which at least one link was connected."""
        return self.streamed + (shown - self.connected_shown if self.connected_shown is not None else 0.0)

    def fault(self, action: str) -> Fault | None:
        """Return the fault of this kind that the job is to suffer, if any."""
        return next((fault for fault in self.faults if fault.action == action), None)

    def view(
        self, shown: float, *, report_url: str, record_url: Callable[[str], str], echo: bool
    ) -> dict[str, Any]:
        """
        Return the job as show and list answer it.

        :param shown: the show clock.
        :param report_url: the pre-signed URL for live events.
        :param record_url: returns where a record of the finished job is, by the name of its field.
        :param echo: whether the callback configuration is among it.
        """
        until = shown if self.ended_shown is None else self.ended_shown
        began = self.processing_shown
        return present(
            {
                "job_id": self.job_id,
                "room_id": self.room_id,
                "room_name": self.room_name,
                "state": self.state.value,
                "duration": round(until - began, 3) if began is not None else 0.0,
                "stream_duration": round(self.stream_seconds(until), 3),
                "start_time": wire_time(self.start_time),
                "end_time": wire_time(self.end_time),
                "create_time": wire_time(self.create_time),
                "lastupdate_time": wire_time(self.update_time),
                "error_info": self._error(),
                "block_reason": self.block_reason,
                "rtc_room_info": self.rtc_room if self.is_active else None,
                "live_event_report_url": report_url,
                "live_event_callback_config": (self.callback or None) if echo else None,
                "rtc_callback_config": self.settings.get("rtc_callback_config"),
                "co_streamer_config": self.settings.get("co_streamer_config"),
                "live_job_log": None if self.is_active else {name: record_url(name) for name in RECORDS},
                "relation_live_platform_info": self.settings.get("relation_live_platform_info"),
                "used_resource_type": self._resource_type(),
            }
        )

    def started(self, *, report_url: str, echo: bool) -> dict[str, Any]:
        """Return the answer to the start request."""
        return present(
            {
                "job_id": self.job_id,
                "rtc_room_info": self.rtc_room,
                "live_event_report_url": report_url,
                "live_event_callback_config": (self.callback or None) if echo else None,
                **self.warning_view(),
            }
        )

    def warning_view(self) -> dict[str, Any]:
        """Return the warnings as the API answers them; empty if there is none."""
        view: dict[str, Any] = {}
        if self.warnings:
            view["live_warning_info"] = [{"warning_type": warning} for warning in self.warnings]
        if self.exit_config.get("max_live_duration"):
            view["limit_duration"] = self.exit_config["max_live_duration"]
        return view

    def _error(self) -> dict[str, str] | None:
        if self.error_code is None:
            return None
        return {"error_code": self.error_code, "error_msg": self.error_msg or "Internal Error"}

    def _resource_type(self) -> str:
        allowed = (self.settings.get("job_run_config") or {}).get("allow_resource_type", "UNLIMITED")
        return "ONDEMAND" if allowed == "UNLIMITED" else str(allowed)
