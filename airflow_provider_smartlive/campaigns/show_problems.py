"""What does not fit together in a show whose fields are right one by one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from airflow.sdk import Asset

from airflow_provider_smartlive.campaigns.parts import Outlets, PlannedCommand, Standby
from airflow_provider_smartlive.campaigns.problems import Place, did_you_mean, shown
from airflow_provider_smartlive.campaigns.show import Show
from airflow_provider_smartlive.campaigns.times import exists, read_cron, until
from airflow_provider_smartlive.metastudio.ids import same_id
from airflow_provider_smartlive.metastudio.validation import RequestError

#: The longest livestream that MetaStudio takes (``max_live_duration``).
LONGEST_SHOW = timedelta(hours=168)


def of_fields(show: Show, zone: ZoneInfo) -> Iterator[tuple[Place, str]]:
    """Yield what does not fit together: the field, and what is wrong with it."""
    if isinstance(show.schedule, str):
        yield from _cron_problems(show, show.schedule)
    elif show.schedule is None:
        yield (
            ("schedule",),
            "is missing. Write a cron expression, such as '0 19 * * mon-fri', or a list of dates.",
        )
    else:
        yield from _date_problems(show, show.schedule, zone)
    if show.stop is None and show.max_duration is None:
        yield (
            ("stop",),
            "is missing. Write the time of day at which the show is stopped, or max_duration.",
        )
    if show.max_duration is not None and not timedelta(0) < show.max_duration <= LONGEST_SHOW:
        yield ("max_duration",), "has to be more than 0 and at most 168 hours."
    if show.check_before > timedelta(hours=12):
        yield ("check_before",), "has to be at most 12 hours."
    for name in ("alert_if_not_connected_after", *show.WITHIN):
        if getattr(show, name) == timedelta(0):
            yield (name,), "has to be more than 0."
    if show.outlets is not None:
        yield from _outlet_problems(show.outlets)
    if show.standby is not None:
        yield from _standby_problems(show, show.standby)
    yield from _preset_problems(show)
    for number, command in enumerate(show.commands):
        yield from _command_problems(command, ("commands", number))


def _cron_problems(show: Show, schedule: str) -> Iterator[tuple[Place, str]]:
    times, _ = read_cron(schedule)
    if times is None and show.start is None:
        yield ("start",), f"is missing. Write the time of day; schedule {schedule!r} names the days only."
    given = (show.start.hour, show.start.minute) if show.start is not None else None
    if times is not None and given is not None and times != (given,):
        days = schedule.split(maxsplit=2)[2]
        text = f"is {show.start:%H:%M}, and schedule {schedule!r} says another time."
        yield ("start",), f"{text} Leave start out, or write the schedule as '* * {days}'."
    for hour, minute in times or ((given,) if given else ()):
        yield from _equal_times(show, hour, minute)


def _date_problems(show: Show, dates: list[date], zone: ZoneInfo) -> Iterator[tuple[Place, str]]:
    if not dates:
        yield ("schedule",), "has no date in its list: the show never comes. Write a date."
    if show.start is None:
        yield ("start",), "is missing. Write the time of day at which the show goes live on these dates."
        return
    yield from _equal_times(show, show.start.hour, show.start.minute)
    for number, day in enumerate(dates):
        if day in dates[:number]:
            yield ("schedule", number), f"is {day}, which stands in the list already. Keep one of them."
        start = datetime.combine(day, show.start)
        times = {"start": start}
        if show.stop is not None:
            times["stop"] = start + until(start, show.stop)
        for name, at in times.items():
            if not exists(at, zone):
                ends = f", and ends on {at:%Y-%m-%d}" if at.date() != day else ""
                text = (
                    f"is {day}{ends}, when clocks are put forward in {zone.key}: there is no {at:%H:%M} then."
                )
                yield ("schedule", number), f"{text} Choose another {name}."


def _equal_times(show: Show, hour: int, minute: int) -> Iterator[tuple[Place, str]]:
    if show.stop is not None and (show.stop.hour, show.stop.minute) == (hour, minute):
        yield (
            ("stop",),
            f"is equal to the start ({show.stop:%H:%M}). Write another time; for 24 hours, max_duration: 24h.",
        )


def of_length(show: Show, zone: ZoneInfo) -> Iterator[tuple[Place, str]]:
    """Yield what does not fit into the time for which it lasts. The rest has to be free of problems."""
    times = show.times(zone)
    # The default of the alert is no mistake of whoever plans a short show.
    alert = {"alert_if_not_connected_after"} & show.model_fields_set
    for name in (*alert, *show.WITHIN):
        given = getattr(show, name)
        if given is not None and given > times.shortest:
            text = f"is {given}, and the show lasts {times.shortest}. Write a shorter one."
            yield (name,), text
    for number, command in enumerate(show.commands):
        if command.after >= times.length:
            text = f"is {command.after}, and the show lasts {times.length}. Write an earlier one."
            yield ("commands", number, "after"), text


def _outlet_problems(outlets: Outlets) -> Iterator[tuple[Place, str]]:
    for event in ("connected", "ended", "as_run"):
        for number, name in enumerate(getattr(outlets, event)):
            try:
                Asset(name)
            except ValueError as error:
                text = f"is {shown(name)}, which is no asset: {error}."
                yield ("outlets", event, number), f"{text} Write a name, such as smartlive://tea/ended."


def _standby_problems(show: Show, standby: Standby) -> Iterator[tuple[Place, str]]:
    if standby.room is None and not standby.outputs:
        yield ("standby",), "has neither room nor outputs. Write one of them, or leave standby out."
    elif same_id(standby.room or show.room, show.room) and standby.outputs in ([], show.outputs):
        field = "outputs" if standby.room is None else "room"
        yield ("standby", field), "is that of the show. Write another one."


def _preset_problems(show: Show) -> Iterator[tuple[Place, str]]:
    if not show.presets:
        return
    # These models cost more to import than the rest of a file to read.
    from airflow_provider_smartlive.metastudio.start import StartJobRequest

    try:
        StartJobRequest.read(show.presets)
    except RequestError as error:
        for place, text in error.problems:
            yield place, f"{text}."


def _command_problems(command: PlannedCommand, place: Place) -> Iterator[tuple[Place, str]]:
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
