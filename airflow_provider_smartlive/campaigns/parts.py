"""The parts of a show that have fields of their own."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from airflow_provider_smartlive.campaigns.fields import (
    DOTTED_PATH,
    AssetName,
    ConnId,
    Duration,
    Id,
    OneOrMore,
)


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
    command: str | None = Field(
        None, description="MetaStudio's command, such as REWRITE_PLAY_SCRIPT, instead of `say`."
    )
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

    connected: OneOrMore[AssetName] = Field(default_factory=list, description="When the stream is CONNECTED.")
    ended: OneOrMore[AssetName] = Field(
        default_factory=list,
        description="When the livestream has ended well, and how.",
    )
    as_run: OneOrMore[AssetName] = Field(
        default_factory=list,
        description="Its row of the as-run log, also if it has failed.",
    )


class Standby(FileModel):
    """Where a show goes live if MetaStudio refuses its start."""

    CALLED = "a standby"

    room: Id | None = Field(None, description="MetaStudio's room; that of the show by default.")
    outputs: Annotated[OneOrMore[ConnId], Field(max_length=1)] = Field(
        default_factory=list,
        description="The Airflow connection that holds the RTMP output; that of the show by default.",
    )
