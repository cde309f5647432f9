"""``airflow smartlive campaign``: what is wrong with campaign files, what they plan, and whether all is there."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from airflow.sdk.timezone import utcnow

from airflow_provider_smartlive.campaigns import schema
from airflow_provider_smartlive.campaigns.build import SUFFIXES
from airflow_provider_smartlive.campaigns.calendar import icalendar
from airflow_provider_smartlive.campaigns.checks import Finding, Preroll
from airflow_provider_smartlive.campaigns.model import Campaign
from airflow_provider_smartlive.campaigns.notify import Recipient
from airflow_provider_smartlive.campaigns.parts import Notifier
from airflow_provider_smartlive.campaigns.plan import (
    airings,
    by_start,
    conflicts,
    moved_by_clocks,
    never,
    on_air,
)
from airflow_provider_smartlive.campaigns.problems import CampaignError, Problem
from airflow_provider_smartlive.campaigns.show import Show
from airflow_provider_smartlive.cli import airflow_core
from airflow_provider_smartlive.cli.airflow_core import CommandHook, ConnectionNotFoundError
from airflow_provider_smartlive.cli.errors import command, fail
from airflow_provider_smartlive.cli.output import note, one_line, plural, say, say_json, table
from airflow_provider_smartlive.client.connection import MissingConnectionError

if TYPE_CHECKING:
    from airflow.sdk import Connection

_COLUMNS = ("start", "stop", "length", "campaign", "show", "room", "outputs", "standby", "zone")

#: Columns that say nothing if all rows have the same.
_IF_DIFFERENT = ("campaign", "zone")


#: The field of a show that a check is about; the whole show without one.
_FIELDS = ("connection", "room", "outputs", "interaction", "pool", "standby")


@dataclass(frozen=True)
class CheckedShow:
    """
    What was found about a show.

    :param number: which show of the campaign it is, from 0.
    :param findings: what is not as it has to be.
    """

    campaign: Campaign
    number: int
    findings: tuple[Finding, ...]

    @property
    def show(self) -> Show:
        """The show."""
        return self.campaign.shows[self.number]

    def problem(self, finding: Finding) -> Problem:
        """Return a finding with file, line and field."""
        field = (finding.check,) if finding.check in _FIELDS else ()
        return self.campaign.source.problem(("shows", self.number, *field), finding.text)

    def facts(self) -> dict[str, object]:
        """Return it as JSON has it."""
        findings = [
            {"check": finding.check, "blocks": finding.blocks, **asdict(self.problem(finding))}
            for finding in self.findings
        ]
        show = self.show
        return {
            "campaign": self.campaign.campaign,
            "show": show.name,
            "room": show.room,
            "findings": findings,
        }


@command
def lint(args: Namespace) -> None:
    """Print what is wrong, one problem a line; exits with 1 if there is something."""
    now = utcnow()
    campaigns, problems = _read(args.files)
    planned = airings(campaigns, now, now + timedelta(days=args.days))
    # What is wrong with a default is so in each show.
    problems = sorted(
        {
            *problems,
            *never(campaigns, now),
            *_twice(campaigns),
            *_notifiers(campaigns),
            *conflicts([*on_air(campaigns, now), *planned]),
        }
    )
    moved = sorted(set(moved_by_clocks(planned)))
    if args.json:
        say_json(
            {
                "ok": not problems,
                "problems": [asdict(problem) for problem in problems],
                "notes": [asdict(problem) for problem in moved],
            }
        )
    else:
        for problem in problems:
            say(one_line(problem))
        for problem in moved:
            note(f"Note: {problem}")
    if problems:
        fail(f"{plural(len(problems), 'problem')} in {plural(len(_paths(args.files)), 'file')}.")
    if not args.json:
        shows = sum(len(campaign.shows) for campaign in campaigns)
        count = f"{plural(len(campaigns), 'campaign')}, {plural(shows, 'show')}"
        say(f"{count}: {plural(len(planned), 'airing')} in the next {args.days} days, no conflict.")


@command
def plan(args: Namespace) -> None:
    """Print what goes live; exits with 1 if a file is wrong, or airings are in conflict."""
    campaigns, problems = _read(args.files)
    if problems:
        _refuse(problems)
    now = utcnow().astimezone(UTC)
    begins = [(campaign, _begin(campaign, args, now)) for campaign in campaigns]
    length = timedelta(days=args.days)
    planned = by_start(
        one for campaign, begin in begins for one in airings([campaign], begin, begin + length)
    )
    running = [one for campaign, begin in begins for one in on_air([campaign], begin)]
    found = conflicts([*running, *planned])
    if found and not args.with_conflicts:
        _refuse(found)
    for problem in found:
        note(str(problem))
    if args.format == "json":
        for one in planned:
            say_json(one.facts())
    elif args.format == "ical":
        say(icalendar(planned, now=now).removesuffix("\r\n"))
    elif planned:
        _print_plan([one.row() for one in planned])
    else:
        say("Nothing goes live then.")


def _print_plan(rows: Sequence[dict[str, object]]) -> None:
    same = [name for name in _IF_DIFFERENT if len({row[name] for row in rows}) == 1]
    if same:
        say(", ".join(f"{name} {rows[0][name]}" for name in same))
    empty = () if any(row["standby"] for row in rows) else ("standby",)
    say(table([column for column in _COLUMNS if column not in (*same, *empty)], rows))


@command
def check(args: Namespace) -> None:
    """Check what each show needs, as the DAG does before its start; exits with 1 if something would stop a show."""
    campaigns, problems = _read(args.files)
    if problems:
        _refuse(problems)
    shows = [
        (campaign, number)
        for campaign in campaigns
        for number, show in enumerate(campaign.shows)
        if args.show in (None, show.name)
    ]
    if not shows:
        fail(f"There is no show {args.show!r} in these files.")
    results = [
        CheckedShow(campaign, number, tuple(_findings(campaign, campaign.shows[number])))
        for campaign, number in shows
    ]
    if args.json:
        for result in results:
            say_json(result.facts())
    else:
        say(table(("status", "campaign", "show", "check", "found"), _rows(results)))
    stopped = sum(any(finding.blocks for finding in result.findings) for result in results)
    if stopped:
        fail(f"{stopped} of {plural(len(results), 'show')} could not go live now.")


@command
def print_schema(args: Namespace) -> None:
    """Print the JSON Schema, or where it is."""
    say(str(schema.PATH) if args.path else schema.PATH.read_text(encoding="utf-8").rstrip())


def _paths(files: Sequence[str]) -> list[Path]:
    """Return the campaign files: those that are named, and those in folders that are."""
    found: dict[Path, None] = {}
    for name in files:
        path = Path(name)
        inside = sorted(one for one in path.rglob("*") if one.suffix in SUFFIXES) if path.is_dir() else [path]
        if not inside:
            fail(f"{name}: there is no campaign file in this folder ({' or '.join(SUFFIXES)}).")
        found.update(dict.fromkeys(inside))
    return list(found)


def _read(files: Sequence[str]) -> tuple[list[Campaign], list[Problem]]:
    """Read what can be read; one bad file keeps no other from being looked at."""
    campaigns: list[Campaign] = []
    problems: list[Problem] = []
    for path in _paths(files):
        try:
            campaigns.append(Campaign.read(path))
        except CampaignError as error:
            problems += error.problems
    return campaigns, problems


def _refuse(problems: Iterable[Problem]) -> NoReturn:
    *others, last = sorted(problems)
    for problem in others:
        note(str(problem))
    fail(str(last))


def _begin(campaign: Campaign, args: Namespace, now: datetime) -> datetime:
    """Return from when on a plan is asked for; a day begins where the campaign is."""
    return now if args.begin is None else datetime.combine(args.begin, time(0), campaign.zone)


def _twice(campaigns: Sequence[Campaign]) -> Iterator[Problem]:
    """Yield the campaigns that have the name of another one: two DAGs of one id hide each other."""
    seen: dict[str, str] = {}
    for campaign in campaigns:
        first = seen.setdefault(campaign.campaign, campaign.source.name)
        if first != campaign.source.name:
            text = f"is {campaign.campaign!r}, as in {first}. A DAG id has to be unique: choose another name."
            yield campaign.source.problem(("campaign",), text)


def _notifiers(campaigns: Sequence[Campaign]) -> Iterator[Problem]:
    """Yield the notifiers that cannot be loaded here."""
    for campaign in campaigns:
        for number, show in enumerate(campaign.shows):
            for at, notified in enumerate(show.notify):
                if not isinstance(notified, Notifier):
                    continue
                try:
                    Recipient(notified.notifier, notified.arguments).load()
                except Exception as error:  # whatever the constructor of somebody's class raises
                    text = f"{error}. Install it here, or correct its path and arguments"
                    yield campaign.source.problem(("shows", number, "notify", at), f"{text}.")


def _findings(campaign: Campaign, show: Show) -> Iterator[Finding]:
    try:
        hook = CommandHook(show.connection)
        hook.profile()
    except (ConnectionNotFoundError, ValueError) as error:
        yield Finding("connection", str(error))
        return
    preroll = Preroll(
        hook=hook,
        room_id=show.room,
        output_conn_ids=show.outputs,
        interaction_conn_id=show.interaction,
        quota=campaign.quota,
        # What runs now would be in the way now.
        start=utcnow().astimezone(UTC),
        own=None,
        find_connection=_find_connection,
    )
    if show.standby is not None:
        preroll = preroll.with_standby(show.standby.room, show.standby.outputs)
    yield from preroll.findings()
    yield from _pool(show)


def _pool(show: Show) -> Iterator[Finding]:
    if show.pool is None:
        return
    found = airflow_core.pool(show.pool)
    make = f"`airflow pools set {show.pool} SLOTS DESCRIPTION --include-deferred`"
    if found is None:
        yield Finding(
            "pool", f"there is no pool {show.pool!r}: the show would wait for ever. Make it: {make}."
        )
    elif not found.counts_deferred:
        text = f"pool {show.pool!r} does not count deferred tasks, so it limits nothing. Change it: {make}."
        yield Finding("pool", text, blocks=False)


def _find_connection(conn_id: str, argument: str) -> Connection:
    try:
        return CommandHook.get_connection(conn_id)
    except ConnectionNotFoundError as error:
        raise MissingConnectionError(f"{argument}: {error}") from None


def _rows(results: Iterable[CheckedShow]) -> Iterator[dict[str, object]]:
    for result in results:
        name = {"campaign": result.campaign.campaign, "show": result.show.name}
        if not result.findings:
            yield {**name, "status": "ok", "check": "all", "found": f"room {result.show.room} can go live"}
        for finding in result.findings:
            status = "FAIL" if finding.blocks else "warn"
            yield {**name, "status": status, "check": finding.check, "found": str(result.problem(finding))}
