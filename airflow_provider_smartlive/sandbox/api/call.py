"""One call of the API, as the operations see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from airflow_provider_smartlive.sandbox.api.answers import ApiAnswer, ApiError, invalid
from airflow_provider_smartlive.sandbox.api.authenticator import Authenticator
from airflow_provider_smartlive.sandbox.api.body import parse_json
from airflow_provider_smartlive.sandbox.backend import Backend
from airflow_provider_smartlive.sandbox.model.faults import Fault
from airflow_provider_smartlive.sandbox.model.jobs import StoredJob
from airflow_provider_smartlive.sandbox.model.rooms import StoredRoom


@dataclass
class ApiCall:
    """
    A call that was let in.

    :param path: the parameters of the path.
    :param query: the parameters of the query.
    :param base_url: scheme and host as the caller wrote them.
    :param faults: what goes wrong with this call.
    :param noted: more facts for the ledger; never secrets.
    """

    backend: Backend
    authenticator: Authenticator
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    base_url: str
    faults: Sequence[Fault] = ()
    noted: dict[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """
        Read the body.

        :raises ApiError: if it is no JSON object.
        """
        try:
            content = parse_json(self.body)
        except ValueError:
            raise ApiError(400, "MSS.00000002") from None
        if not isinstance(content, dict):
            raise ApiError(400, "MSS.00000002")
        return content

    def fault(self, action: str) -> Fault | None:
        """Return the fault of this kind that happens to the call, if any."""
        return next((fault for fault in self.faults if fault.action == action), None)

    @property
    def echoes(self) -> bool:
        """Whether the answer holds the callback configuration."""
        return self.backend.assumptions.echo_callback_config and self.fault("no_echo") is None

    def sees(self, job: StoredJob, *, lag: float) -> bool:
        """
        Tell whether the part of MetaStudio that answers knows of a job already.

        :param lag: seconds after its start in which it does not, unless a fault says otherwise.
        """
        fault = self.fault("lag")
        seconds = lag if fault is None else fault.seconds or 0.0
        return job.create_time <= self.backend.clock.now() - timedelta(seconds=seconds)

    def make_room(self) -> None:
        """Make the room of the path if it is not there, where any room may be used."""
        room_id = self.path["room_id"]
        rooms = self.backend.rooms
        if self.backend.any_room and rooms.get(room_id) is None and len(room_id) <= 64:
            rooms.create({"room_name": f"Room {room_id}"}, room_id=room_id)

    def room(self) -> StoredRoom:
        """
        Return the room of the path.

        :raises ApiError: if there is none.
        """
        room_id = self.path["room_id"]
        if not 1 <= len(room_id) <= 64:
            raise invalid("room_id must have 1 to 64 characters")
        room = self.backend.rooms.get(room_id)
        if room is None:
            raise ApiError.of(self.backend.assumptions.unknown_room)
        return room

    def job(self) -> StoredJob:
        """
        Return the job of the path.

        :raises ApiError: if there is none in the room of the path.
        """
        job = self.backend.engine.get(self.path["job_id"])
        key = self.backend.rooms.key
        assumptions = self.backend.assumptions
        if (
            job is None
            or key(job.room_id) != key(self.path["room_id"])
            or not self.sees(job, lag=assumptions.show_lag_seconds)
        ):
            raise ApiError.of(assumptions.unknown_job)
        return job


Handler = Callable[[ApiCall], Awaitable[ApiAnswer]]


@dataclass(frozen=True)
class Endpoint:
    """
    An operation of the API.

    :param name: its short name, for faults and the ledger.
    :param writes: whether it counts as a creating call for throttling.
    :param admits: lets a caller in who is not the account, such as the holder of a pre-signed URL.
    """

    name: str
    method: str
    path: str
    handler: Handler
    writes: bool = False
    admits: Callable[[ApiCall], bool] = lambda _: False
