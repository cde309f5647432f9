"""Identifiers of rooms and jobs: REST answers write them with dashes, callbacks without."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class JobRef:
    """
    A job and the room in which it runs: what MetaStudio's API needs to be asked about it.

    :param room_id: the id of the room, as MetaStudio or a user wrote it.
    :param job_id: the id of the job, likewise.
    """

    room_id: str
    job_id: str

    def __str__(self) -> str:
        """Return its name, for messages."""
        return f"job {self.job_id} in room {self.room_id}"


def normalise_id(value: str) -> str:
    """
    Return the one spelling under which an identifier is stored and compared: lower case, no dashes.

    :param value: a room or job id as MetaStudio or a user wrote it.
    """
    return value.replace("-", "").lower()


def same_id(a: str, b: str) -> bool:
    """
    Tell whether two identifiers mean the same thing.

    The StartSmartLive page shows dashed UUIDs in REST answers and the same kind of id as 32 hex digits in
    callbacks; that they are equal after the dashes are removed is inferred.
    """
    return normalise_id(a) == normalise_id(b)


def is_id(value: str) -> bool:
    """Tell whether a text is shaped like an identifier of a room or job: a UUID, with dashes or without."""
    return _ID.fullmatch(normalise_id(value)) is not None
