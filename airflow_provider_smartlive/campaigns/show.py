"""A show in a campaign file."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic import Field

from airflow_provider_smartlive.campaigns.fields import (
    ConnId,
    Duration,
    Id,
    Name,
    OneOrMore,
    Schedule,
    TimeOfDay,
)
from airflow_provider_smartlive.campaigns.parts import FileModel, Notified, Outlets, PlannedCommand, Standby
from airflow_provider_smartlive.campaigns.times import ShowTimes, read_cron
from airflow_provider_smartlive.provider_info import DEFAULT_CONN_ID


class Defaults(FileModel):
    """What all shows have in common, unless they say otherwise. A show's own value replaces the whole of it."""

    CALLED = "a show"

    schedule: Schedule | None = Field(
        None,
        description="When it comes: a cron expression of five fields, such as `0 19 * * mon-fri`, or a list of dates; "
        "a file has one kind. With `start`, minute and hour of the expression are `* *`.",
    )
    start: TimeOfDay | None = Field(None, description="The time of day at which it goes live.")
    stop: TimeOfDay | None = Field(
        None,
        description="The time of day at which it is stopped; on the next day unless it is after the start.",
    )
    max_duration: Duration | None = Field(
        None, description="How long it lasts at most; `stop` may come first."
    )
    connection: ConnId = Field(DEFAULT_CONN_ID, description="The Airflow connection to MetaStudio.")
    outputs: Annotated[OneOrMore[ConnId], Field(max_length=1)] = Field(
        default_factory=list,
        description="The Airflow connection that holds the RTMP output. Without it the room's own setting counts.",
    )
    interaction: ConnId | None = Field(
        None, description="The Airflow connection whose host is the interaction_callback_url."
    )
    video_config: dict[str, Any] | None = Field(None, description="The picture, as on MetaStudio's page.")
    play_policy: dict[str, Any] | None = Field(None, description="How the script is played, likewise.")
    view_mode: str | None = Field(None, description="LANDSCAPE or VERTICAL.")
    co_streamer_config: dict[str, Any] | None = Field(None, description="A second voice, likewise.")
    rtc_callback_config: dict[str, Any] | None = Field(None, description="Events over RTC, likewise.")
    job_run_config: dict[str, Any] | None = Field(None, description="When a job may run, likewise.")
    commands: list[PlannedCommand] = Field(
        default_factory=list, description="What the livestream is told while it is on the air."
    )
    check_before: Duration = Field(
        timedelta(minutes=10),
        description="How long before the start everything is checked; not on the day before.",
    )
    start_window: Duration = Field(
        timedelta(hours=1), description="How late after its start it may go live; later it is skipped."
    )
    alert_if_not_connected_after: Duration = Field(
        timedelta(minutes=5),
        description="How long after the start the stream may take to be CONNECTED until `notify` is told.",
    )
    connected_within: Duration | None = Field(
        None,
        description="How long after the start the stream may take to be CONNECTED, or the livestream is stopped and "
        "fails; a retry starts another one.",
    )
    fail_on_disconnect_longer_than: Duration | None = Field(
        None,
        description="How long the stream may be interrupted, likewise.",
    )
    max_reconnects: int | None = Field(
        None,
        strict=True,
        ge=0,
        description="How often the stream may be interrupted, likewise.",
    )
    min_on_air: Duration | None = Field(
        None,
        description="How long it has to be on the air, unless it ends as planned, likewise.",
    )
    outlets: Outlets | None = Field(None, description="The assets that are told of it.")
    notify: OneOrMore[Notified] = Field(
        default_factory=list,
        description='Who is told what goes wrong: Airflow connections of type http (gets {"text": ...} as JSON), '
        "slackwebhook, discord or apprise, if that provider is installed; dotted paths of notifiers, or of functions "
        "that take a task's context; or {notifier: PATH, arguments: {...}}, where {{ message }} is what happened.",
    )
    retries: int = Field(
        2, strict=True, ge=0, le=20, description="How often a start that failed is tried again."
    )
    pool: str | None = Field(
        None,
        min_length=1,
        description="The Airflow pool that limits how many go live at once; it has to count deferred tasks. A show "
        "without a slot waits, until `start_window` is over.",
    )
    tags: OneOrMore[str] = Field(default_factory=list, description="Tags of the DAG.")

    #: Durations that limit the livestream, as its operator has them; none is longer than it lasts.
    WITHIN: ClassVar[tuple[str, ...]] = (
        "connected_within",
        "fail_on_disconnect_longer_than",
        "min_on_air",
    )

    #: Fields of MetaStudio's request.
    PRESETS: ClassVar[tuple[str, ...]] = (
        "video_config",
        "play_policy",
        "view_mode",
        "co_streamer_config",
        "rtc_callback_config",
        "job_run_config",
    )


class Show(Defaults):
    """A room that goes live again and again."""

    room: Id = Field(description="The id of MetaStudio's room.")
    show: Name | None = Field(
        None,
        description="Its name in the file and in the grid, of letters, digits, - and _; the room by default.",
    )
    standby: Standby | None = Field(
        None,
        description="Where it goes live if MetaStudio refuses its start, and certainly has no job of it: a room, "
        "outputs, or both.",
    )

    @property
    def name(self) -> str:
        """Its name: the id of its task group."""
        return self.show or re.sub(r"[^A-Za-z0-9_-]", "-", self.room)

    @property
    def presets(self) -> dict[str, Any]:
        """Return the fields of MetaStudio's request that are given."""
        given = {name: getattr(self, name) for name in self.PRESETS}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def limits(self) -> dict[str, Any]:
        """Return what is not to happen to the livestream, as the operator that starts it takes it."""
        given = {name: getattr(self, name) for name in (*self.WITHIN, "max_reconnects")}
        return {name: value for name, value in given.items() if value is not None}

    def times(self, zone: ZoneInfo) -> ShowTimes:
        """Return when it goes out. It has to be free of problems."""
        crons: tuple[str, ...] = ()
        if isinstance(self.schedule, str):
            times, days = read_cron(self.schedule)
            if self.start is not None:
                times = ((self.start.hour, self.start.minute),)
            crons = tuple(f"{minute} {hour} {days}" for hour, minute in times or ())
        return ShowTimes(
            zone,
            crons=crons,
            dates=tuple(self.schedule) if isinstance(self.schedule, list) else (),
            start=self.start,
            stop=self.stop,
            max_duration=self.max_duration,
            lead=self.check_before,
        )
