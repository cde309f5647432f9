"""
What stands in a campaign file, version 1.

The descriptions of the fields are those of the JSON Schema that editors complete by, and of ``docs/campaigns.md``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self
from zoneinfo import ZoneInfo

from airflow.sdk import Asset
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
)

from airflow_provider_smartlive.campaigns import source
from airflow_provider_smartlive.campaigns.fields import (
    DOTTED_PATH,
    AssetName,
    ConnId,
    Duration,
    Id,
    Name,
    OneOrMore,
    Schedule,
    StoragePath,
    TimeOfDay,
    TimeZone,
)
from airflow_provider_smartlive.campaigns.problems import (
    CampaignError,
    Place,
    Problem,
    SourceFile,
    did_you_mean,
    shown,
)
from airflow_provider_smartlive.campaigns.times import ShowTimes, exists, read_cron
from airflow_provider_smartlive.metastudio.ids import normalise_id
from airflow_provider_smartlive.metastudio.validation import RequestError
from airflow_provider_smartlive.provider_info import DEFAULT_CONN_ID

#: The version of the file format that this release reads.
VERSION = 1

#: The longest livestream that MetaStudio takes (``max_live_duration``).
LONGEST_SHOW = timedelta(hours=168)

_SUBJECT = re.compile(r"^(Input|String|List|Dictionary|Value|Tuple) should ")


class FileModel(BaseModel):
    """A part of a campaign file: what it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    #: What errors call it.
    CALLED: ClassVar[str]


class Notifier(FileModel):
    """A notifier of Airflow, or any callable that takes a task's context."""

    CALLED = "a notifier"

    notifier: str = Field(
        description="Its dotted path, such as airflow.providers.smtp.notifications.smtp.SmtpNotifier.",
        pattern=rf"^{DOTTED_PATH.pattern}$",
    )
    arguments: dict[str, Any] = Field(
        default_factory=dict, description="What it is made with; {{ message }} is what happened."
    )


def _notifier(value: Any) -> Any:
    return {"notifier": value} if isinstance(value, str) else value


Notified = Annotated[
    Annotated[ConnId, Tag("[connection]")]
    | Annotated[Notifier, BeforeValidator(_notifier), Tag("[notifier]")],
    Discriminator(
        lambda value: (
            "[notifier]" if not isinstance(value, str) or DOTTED_PATH.fullmatch(value) else "[connection]"
        )
    ),
]


class PlannedCommand(FileModel):
    """Something that the livestream is told while it is on the air."""

    CALLED = "a command"

    after: Duration = Field(description="When, counted from CONNECTED.")
    say: str | None = Field(
        None, min_length=1, description="What the virtual human says: short for INSERT_PLAY_SCRIPT."
    )
    command: str | None = Field(None, description="MetaStudio's command, such as REWRITE_PLAY_SCRIPT.")
    params: dict[str, Any] | None = Field(None, description="Its parameters, as on MetaStudio's page.")

    @property
    def request(self) -> dict[str, Any]:
        """Return the arguments of the operator that sends it."""
        if self.say is not None:
            return {"command": "INSERT_PLAY_SCRIPT", "command_params": {"text_config": {"text": self.say}}}
        return {"command": self.command, "command_params": self.params}


class Outlets(FileModel):
    """The assets that are told of a show, so that other DAGs run then."""

    CALLED = "the outlets"

    connected: OneOrMore[AssetName] = Field(
        default_factory=list, description="Assets that are told when the stream is CONNECTED."
    )
    ended: OneOrMore[AssetName] = Field(
        default_factory=list,
        description="Assets that are told when the livestream has ended well, and how.",
    )
    as_run: OneOrMore[AssetName] = Field(
        default_factory=list,
        description="Assets that are told its row of the as-run log, also if it has failed.",
    )


class Defaults(FileModel):
    """What all shows have in common, unless they say otherwise. A show's own value replaces the whole of it."""

    CALLED = "a show"

    schedule: Schedule | None = Field(
        None,
        description="When it comes: a cron expression of five fields, or a list of dates. With `start`, minute and "
        "hour of the expression are `* *`.",
    )
    start: TimeOfDay | None = Field(None, description="The time of day at which it goes live.")
    stop: TimeOfDay | None = Field(
        None,
        description="The time of day at which it is stopped; on the next day unless it is after the start.",
    )
    max_duration: Duration | None = Field(None, description="How long it lasts at most.")
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
        timedelta(hours=1), description="How late it may still go live; later it is skipped."
    )
    alert_if_not_connected_after: Duration = Field(
        timedelta(minutes=5),
        description="How long after the start the stream may take to be CONNECTED until `notify` is told.",
    )
    connected_within: Duration | None = Field(
        None,
        description="How long after the start the stream may take to be CONNECTED before the livestream is stopped and "
        "fails; a retry starts another one.",
    )
    fail_on_disconnect_longer_than: Duration | None = Field(
        None,
        description="How long the stream may be interrupted before the livestream is stopped and fails, likewise.",
    )
    max_reconnects: int | None = Field(
        None,
        ge=0,
        description="How often the stream may be interrupted before the livestream is stopped and fails, likewise.",
    )
    min_on_air: Duration | None = Field(
        None,
        description="How long it has to be on the air: if it ends before, and not as planned, it fails, likewise.",
    )
    outlets: Outlets | None = Field(None, description="The assets that are told of it.")
    notify: OneOrMore[Notified] = Field(
        default_factory=list,
        description="Who is told what goes wrong: Airflow connections, or notifiers by their dotted paths.",
    )
    retries: int = Field(2, ge=0, le=20, description="How often a start that failed is tried again.")
    pool: str | None = Field(
        None, min_length=1, description="The Airflow pool; it has to count deferred tasks."
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

    room: Id = Field(description="MetaStudio's room.")
    show: Name | None = Field(None, description="Its name in the file and in the grid; the room by default.")

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

    def problems(self, zone: ZoneInfo) -> Iterator[tuple[Place, str]]:
        """Yield what does not fit together: the field, and what is wrong with it."""
        if isinstance(self.schedule, str):
            yield from self._cron_problems(self.schedule)
        elif self.schedule is None:
            yield (
                ("schedule",),
                "is missing. Write a cron expression, such as '0 19 * * mon-fri', or a list of dates.",
            )
        else:
            yield from self._date_problems(self.schedule, zone)
        if self.stop is None and self.max_duration is None:
            yield (
                ("stop",),
                "is missing. Write the time of day at which the show is stopped, or max_duration.",
            )
        if self.max_duration is not None and not timedelta(0) < self.max_duration <= LONGEST_SHOW:
            yield ("max_duration",), "has to be more than 0 and at most 168 hours."
        if self.check_before > timedelta(hours=12):
            yield ("check_before",), "has to be at most 12 hours."
        for name in ("alert_if_not_connected_after", *self.WITHIN):
            if getattr(self, name) == timedelta(0):
                yield (name,), "has to be more than 0."
        if self.outlets is not None:
            yield from self._outlet_problems(self.outlets)
        yield from self._preset_problems()
        for number, command in enumerate(self.commands):
            yield from self._command_problems(command, ("commands", number))

    def _cron_problems(self, schedule: str) -> Iterator[tuple[Place, str]]:
        times, _ = read_cron(schedule)
        if times is None and self.start is None:
            yield ("start",), f"is missing. Write the time of day; schedule {schedule!r} names the days only."
        given = (self.start.hour, self.start.minute) if self.start is not None else None
        if times is not None and given is not None and times != (given,):
            days = schedule.split(maxsplit=2)[2]
            text = f"is {self.start:%H:%M}, and schedule {schedule!r} says another time."
            yield ("start",), f"{text} Leave start out, or write the schedule as '* * {days}'."
        for hour, minute in times or ((given,) if given else ()):
            yield from self._equal_times(hour, minute)

    def _date_problems(self, dates: list[date], zone: ZoneInfo) -> Iterator[tuple[Place, str]]:
        if not dates:
            yield ("schedule",), "has no date in its list: the show never comes. Write a date."
        if self.start is None:
            yield ("start",), "is missing. Write the time of day at which the show goes live on these dates."
            return
        yield from self._equal_times(self.start.hour, self.start.minute)
        for number, day in enumerate(dates):
            if day in dates[:number]:
                yield ("schedule", number), f"is {day}, which stands in the list already. Keep one of them."
            for name, at in (("start", self.start), ("stop", self.stop)):
                if at is not None and not exists(datetime.combine(day, at), zone):
                    text = (
                        f"is {day}, when clocks are put forward in {zone.key}: there is no {at:%H:%M} then."
                    )
                    yield ("schedule", number), f"{text} Choose another {name}."

    def _equal_times(self, hour: int, minute: int) -> Iterator[tuple[Place, str]]:
        if self.stop is not None and (self.stop.hour, self.stop.minute) == (hour, minute):
            yield (
                ("stop",),
                f"is equal to the start ({self.stop:%H:%M}). Write another time; for 24 hours, max_duration: 24h.",
            )

    def length_problems(self, zone: ZoneInfo) -> Iterator[tuple[Place, str]]:
        """Yield what does not fit into the time for which it lasts. The rest has to be free of problems."""
        times = self.times(zone)
        for name in self.WITHIN:
            given = getattr(self, name)
            if given is not None and given > times.shortest:
                text = f"is {given}, and the show lasts {times.shortest}. Write a shorter one."
                yield (name,), text
        for number, command in enumerate(self.commands):
            if command.after >= times.length:
                yield ("commands", number, "after"), "is not before the show is over."

    def _outlet_problems(self, outlets: Outlets) -> Iterator[tuple[Place, str]]:
        for event in ("connected", "ended", "as_run"):
            for number, name in enumerate(getattr(outlets, event)):
                try:
                    Asset(name)
                except ValueError as error:
                    text = f"is {shown(name)}, which is no asset: {error}."
                    yield ("outlets", event, number), f"{text} Write a name, such as smartlive://tea/ended."

    def _preset_problems(self) -> Iterator[tuple[Place, str]]:
        if not self.presets:
            return
        # These models cost more to import than the rest of a file to read.
        from airflow_provider_smartlive.metastudio.start import StartJobRequest

        try:
            StartJobRequest.read(self.presets)
        except RequestError as error:
            for place, text in error.problems:
                yield place, f"{text}."

    def _command_problems(self, command: PlannedCommand, place: Place) -> Iterator[tuple[Place, str]]:
        if (command.say is None) == (command.command is None):
            yield place, "has to have either say or command."
            return
        if command.say is not None and command.params is not None:
            yield (*place, "params"), "is for command. Leave it out beside say."
            return
        from airflow_provider_smartlive.metastudio.commands import Command, CommandRequest

        known = [known.value for known in Command]
        if command.command is not None and command.command not in known:
            yield (*place, "command"), f"is {shown(command.command)}. {did_you_mean(command.command, known)}"
            return
        try:
            CommandRequest.read(
                {"command": command.request["command"], "params": command.request["command_params"]}
            )
        except RequestError as error:
            for inner, text in error.problems:
                yield (*place, *inner), f"{text}."


class Campaign(FileModel):
    """Shows that belong together: one DAG."""

    CALLED = "a campaign"

    version: Literal[1] = Field(description="The version of this format.")
    campaign: Name = Field(description="Its name: the id of the DAG.")
    timezone: TimeZone = Field(
        description="What all times mean: a name of the IANA database, such as Asia/Shanghai."
    )
    description: str | None = Field(None, description="What it is about; shown with the DAG.")
    tags: OneOrMore[str] = Field(default_factory=list, description="Tags of the DAG.")
    quota: int | None = Field(
        None, ge=1, description="How many livestreams the account of a connection may run at once."
    )
    as_run_path: StoragePath | None = Field(
        None,
        description="The folder of the as-run log, such as s3://aws_default@bucket/as-run; default: [smartlive] "
        "as_run_path.",
    )
    alert_if_not_over_after: Duration | None = Field(
        None,
        description="How long a run may take, from its beginning (`check_before` the start) to the end of its last "
        "show, until `notify` is told, whatever hangs.",
    )
    defaults: Defaults | None = Field(None, description="What all shows have in common.")
    shows: list[Show] = Field(min_length=1, description="What goes live.")

    _source: SourceFile | None = None

    @cached_property
    def zone(self) -> ZoneInfo:
        """The time zone of all its times."""
        return ZoneInfo(self.timezone)

    @property
    def source(self) -> SourceFile:
        """The file that it was read from."""
        return self._source or SourceFile(self.campaign, {}, {})

    @classmethod
    def read(cls, path: Path, name: str | None = None) -> Self:
        """
        Read a campaign file.

        :param path: the file.
        :param name: how errors name it; its path by default.
        :raises CampaignError: with everything that is wrong with it.
        """
        return cls.of(source.read(path, name))

    @classmethod
    def of(cls, file: SourceFile) -> Self:
        """
        Make a campaign of what stands in a file.

        :raises CampaignError: with everything that is wrong with it.
        """
        _check_version(file)
        fields = _with_defaults(file.content)
        try:
            found = cls.model_validate(fields)
        except ValidationError as error:
            raise CampaignError(_translated(cls, error, file)) from None
        found._source = file
        if problems := list(found._problems()):
            raise CampaignError(file.problem(place, text) for place, text in problems)
        return found

    def _problems(self) -> Iterator[tuple[Place, str]]:
        names: dict[str, int] = {}
        for number, show in enumerate(self.shows):
            place: Place = ("shows", number)
            problems = list(show.problems(self.zone)) or list(show.length_problems(self.zone))
            for inner, text in problems:
                yield (*place, *inner), text
            if show.name.lower() in names:
                first = names[show.name.lower()]
                field = "show" if show.show else "room"
                yield (
                    (*place, field),
                    f"is {shown(show.name)}, as of shows[{first}]. Give one of them a name of its own: show: NAME.",
                )
            names.setdefault(show.name.lower(), number)
        yield from self._deadline_problems()
        kinds = {isinstance(show.schedule, str) for show in self.shows if show.schedule is not None}
        if len(kinds) > 1:
            odd = next(n for n, show in enumerate(self.shows) if not isinstance(show.schedule, str))
            text = "is a list of dates, and others of this file have cron expressions. A DAG has one kind of schedule"
            yield ("shows", odd, "schedule"), f"{text}: put the shows with dates into a file of their own."

    def _deadline_problems(self) -> Iterator[tuple[Place, str]]:
        place: Place = ("alert_if_not_over_after",)
        after = self.alert_if_not_over_after
        if after is None:
            return
        if not any(show.notify for show in self.shows):
            yield place, "has nobody to tell. Write notify, into defaults or a show."
        for show in self.shows:
            # What is wrong with a show is said there.
            if list(show.problems(self.zone)):
                continue
            times = show.times(self.zone)
            if after < times.lead + times.length:
                text = f"is {after}, and {shown(show.name)} is over {times.lead + times.length} after its run begins"
                yield place, f"{text}. Write a longer one."


def room_key(room: str) -> str:
    """Return the spelling under which rooms are compared."""
    return normalise_id(room)


def _check_version(file: SourceFile) -> None:
    """Refuse another version before its other fields are judged by this one's rules."""
    version = file.content.get("version")
    if version == VERSION and not isinstance(version, bool):
        return
    problem = "is missing" if version is None else f"is {shown(version)}, which this release does not know"
    raise CampaignError([file.problem(("version",), f"{problem}. Write `version: {VERSION}`.")])


def _with_defaults(content: Mapping[str, Any]) -> dict[str, Any]:
    """Put the defaults into each show: one level, nothing is merged any deeper."""
    defaults, shows = content.get("defaults"), content.get("shows")
    fields = dict(content)
    if isinstance(defaults, Mapping) and isinstance(shows, list):
        fields["shows"] = [{**defaults, **show} if isinstance(show, Mapping) else show for show in shows]
    return fields


def _translated(model: type[FileModel], error: ValidationError, file: SourceFile) -> Iterator[Problem]:
    for found in error.errors(include_url=False, include_input=False, include_context=False):
        # What is in brackets is no field, but the alternative that was tried.
        place: Place = tuple(part for part in found["loc"] if not str(part).startswith("["))
        yield file.problem(place, _text(_model_around(model, place), place, found["type"], found["msg"]))


def _text(model: type[FileModel], place: Place, kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        name = str(place[-1])
        fix = _OPERATORS_NAMES.get(name) if model is not Campaign else None
        return f"is no field of {model.CALLED}. {fix or did_you_mean(name, model.model_fields)}"
    field = model.model_fields.get(str(place[-1])) if place else None
    about = field.description if field is not None and field.description else ""
    if kind == "missing":
        return f"is missing. {about}".rstrip()
    if kind == "model_type":
        return f"has to be {_model_around(model, (*place, '')).CALLED}, with fields of its own."
    if kind == "string_pattern_mismatch":
        return f"has characters that are not taken there. {about}".rstrip()
    text = message.removeprefix("Value error, ")
    own = text != message
    return f"{text}." if own else f"{_SUBJECT.sub('has to ', text)}. {about}".rstrip()


#: What to write for arguments of the operators that have another name in a file.
_OPERATORS_NAMES: Mapping[str, str] = {
    "start_at": "Write schedule and start.",
    "stop_at": "Write stop.",
    "room_id": "Write room.",
    "output_conn_ids": "Write outputs.",
    "interaction_conn_id": "Write interaction.",
    "smartlive_conn_id": "Write connection.",
    "request": "Write its fields, such as play_policy.",
}

#: The models of the fields that hold some.
_INNER: dict[str, type[FileModel]] = {
    "shows": Show,
    "defaults": Defaults,
    "commands": PlannedCommand,
    "notify": Notifier,
    "outlets": Outlets,
}


def _model_around(model: type[FileModel], place: Place) -> type[FileModel]:
    for part in place[:-1]:
        model = _INNER.get(str(part), model)
    return model
