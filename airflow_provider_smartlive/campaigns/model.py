"""
What stands in a campaign file, version 1.

The descriptions of the fields are those of the JSON Schema that editors complete by, and of ``docs/campaigns.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError

from airflow_provider_smartlive.campaigns import show_problems, source
from airflow_provider_smartlive.campaigns.fields import Duration, Name, OneOrMore, StoragePath, TimeZone
from airflow_provider_smartlive.campaigns.parts import FileModel
from airflow_provider_smartlive.campaigns.problems import CampaignError, Place, SourceFile, shown
from airflow_provider_smartlive.campaigns.reading import translated
from airflow_provider_smartlive.campaigns.show import Defaults, Show

#: The version of the file format that this release reads.
VERSION = 1


class Campaign(FileModel):
    """Shows that belong together: one DAG."""

    CALLED = "a campaign"

    version: Literal[1] = Field(description="The version of this format.")
    campaign: Name = Field(description="Its name, of letters, digits, - and _: the id of the DAG.")
    timezone: TimeZone = Field(
        description="What all times mean: a name of the IANA database, such as Asia/Shanghai."
    )
    description: str | None = Field(None, description="What it is about; shown with the DAG.")
    tags: OneOrMore[str] = Field(default_factory=list, description="Tags of the DAG.")
    quota: int | None = Field(
        None,
        strict=True,
        ge=1,
        description="How many livestreams the account of a connection may run at once.",
    )
    as_run_path: StoragePath | None = Field(
        None,
        description="The folder of the as-run log, as ObjectStoragePath takes it: s3://aws_default@bucket/as-run, "
        "file:///var/as-run; default: [smartlive] as_run_path.",
    )
    records_path: StoragePath | None = Field(
        None,
        description="The folder for MetaStudio's records of each show; without it they are not fetched.",
    )
    alert_if_not_over_after: Duration | None = Field(
        None,
        description="How long a run may take, from `check_before` its start to the end of its last show, until "
        "`notify` is told, whatever hangs.",
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
            raise CampaignError(translated(cls, error, file)) from None
        found._source = file
        if problems := list(found._problems()):
            raise CampaignError(file.problem(place, text) for place, text in problems)
        return found

    def _problems(self) -> Iterator[tuple[Place, str]]:
        names: dict[str, int] = {}
        for number, show in enumerate(self.shows):
            place: Place = ("shows", number)
            problems = list(show_problems.of_fields(show, self.zone)) or list(
                show_problems.of_length(show, self.zone)
            )
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
            if list(show_problems.of_fields(show, self.zone)):
                continue
            times = show.times(self.zone)
            if after < times.lead + times.length:
                text = f"is {after}, and {shown(show.name)} is over {times.lead + times.length} after its run begins"
                yield place, f"{text}. Write a longer one."


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
