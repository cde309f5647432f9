"""How a sandbox is set up: by the command line, a scenario file, or a test."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from airflow_provider_smartlive.metastudio.signing import Credentials
from airflow_provider_smartlive.sandbox.clock import MAX_RATE, MAX_SECONDS
from airflow_provider_smartlive.sandbox.model.faults import Fault
from airflow_provider_smartlive.sandbox.options import Assumptions
from airflow_provider_smartlive.sandbox.video.encoder_job import Audio


class ConfigError(Exception):
    """The sandbox cannot be set up like this; the text names the place and what is wrong."""


@dataclass(frozen=True)
class Account:
    """
    The one account that the sandbox knows.

    :param security_token: if given, the key pair is a temporary one and this token must come with it.
    :param token: a token that is always valid, for ``X-Auth-Token``.
    :param domain: the account's name for IAM.
    :param user: the user's name for IAM.
    :param password: the user's password for IAM; None refuses every log-in.
    :raises ValueError: if a key is empty or holds blanks.
    """

    access_key: str
    secret_key: str = field(repr=False)
    project_id: str
    security_token: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    domain: str = "sandbox"
    user: str = "sandbox"
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        # What no client could sign with is no key.
        Credentials(self.access_key, self.secret_key, self.security_token)


class RoomSeed(BaseModel):
    """
    A room that exists from the beginning.

    :param room_id: its id.
    :param name: its name.
    :param seconds: show seconds of one pass of its script; None: as its texts take.
    :param room: more of the room, as the API takes it (``CreateSmartLiveRoomReq``).
    """

    model_config = ConfigDict(extra="forbid")

    room_id: str = Field(min_length=1, max_length=64)
    name: str = Field("", max_length=256)
    seconds: float | None = Field(None, gt=0, le=MAX_SECONDS)
    room: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> RoomSeed:
        """
        Read ``ID``, ``ID=NAME`` or ``ID=NAME:SECONDS``.

        :raises ConfigError: if it looks otherwise.
        """
        room_id, _, rest = text.partition("=")
        name, colon, seconds = rest.rpartition(":")
        try:
            length = float(seconds) if colon else None
            return cls(room_id=room_id, name=name if colon else rest, seconds=length)
        except ValueError as error:
            raise ConfigError(f"room {text!r} must look like ID=NAME or ID=NAME:SECONDS") from error

    def body(self) -> dict[str, Any]:
        """Return the room as the API takes it."""
        return {"room_name": self.name or f"Room {self.room_id}", **self.room}


class Scenario(BaseModel):
    """
    What a scenario file holds: rooms, faults, assumptions, and how fast time passes.

    :param seed: decides the dice of the faults.
    :param time_scale: show seconds per second.
    """

    model_config = ConfigDict(extra="forbid")

    seed: int | None = None
    time_scale: float | None = Field(None, gt=0, le=MAX_RATE)
    rooms: list[RoomSeed] = Field(default_factory=list)
    faults: list[Fault] = Field(default_factory=list)
    assumptions: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Scenario:
        """
        Read a YAML or JSON file.

        :raises ConfigError: naming the place in the file that is wrong.
        """
        try:
            content = yaml.safe_load(path.read_text())
            scenario = cls.model_validate(content or {})
            Assumptions.model_validate(scenario.assumptions)
        except (OSError, yaml.YAMLError) as error:
            raise ConfigError(f"{path}: {error}") from error
        except ValidationError as error:
            raise ConfigError(f"{path}: {explain(error)}") from error
        return scenario


@dataclass(frozen=True)
class Config:
    """
    Everything that a sandbox is set up with.

    :param rate: show seconds per second.
    :param seed: decides the dice of the faults.
    :param state: the file that keeps the state; None: memory.
    :param any_room: whether a job may be started in a room that nobody made; None: if no room is given.
    :param link: ``rtmp`` publishes video, ``simulated`` claims to.
    :param picture: ``asked`` sends the size that the request asks for, ``small`` 270x480.
    :param audio: what is heard.
    :param may_crash: whether the fault "crash" ends the process; else it only breaks the connection, because the
        process is that of a test.
    :param ca_file: certificates to trust for https callback URLs, besides the system's.
    :param hosts: names by which ``/sandbox`` may be called, besides IP addresses and localhost.
    """

    account: Account
    rate: float = 1.0
    seed: int = 0
    state: Path | None = None
    any_room: bool | None = None
    rooms: tuple[RoomSeed, ...] = ()
    faults: tuple[Fault, ...] = ()
    assumptions: Assumptions = field(default_factory=Assumptions)
    link: Literal["rtmp", "simulated"] = "rtmp"
    picture: Literal["asked", "small"] = "asked"
    audio: Audio = Audio.SILENT
    may_crash: bool = False
    ca_file: Path | None = None
    hosts: tuple[str, ...] = ()

    def with_scenario(self, scenario: Scenario) -> Config:
        """Return the set-up with a scenario: its rooms and faults come first, its other values win."""
        assumptions = {**self.assumptions.model_dump(exclude_unset=True), **scenario.assumptions}
        return replace(
            self,
            rate=self.rate if scenario.time_scale is None else scenario.time_scale,
            seed=self.seed if scenario.seed is None else scenario.seed,
            rooms=(*scenario.rooms, *self.rooms),
            faults=(*scenario.faults, *self.faults),
            assumptions=Assumptions.model_validate(assumptions),
        )


def parse_assumptions(settings: list[str]) -> Assumptions:
    """
    Read ``NAME=VALUE`` settings of :class:`Assumptions`.

    :raises ConfigError: if there is no such assumption, or the value does not fit.
    """
    values: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"assumption {setting!r} must look like NAME=VALUE")
        values[name] = text
    try:
        return Assumptions.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error)) from error


def explain(error: ValidationError) -> str:
    """Say what is wrong and where, in one line."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems)
