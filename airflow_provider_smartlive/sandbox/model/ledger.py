"""The ledger: what was asked, what happened to each job, and what became of each callback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import Any

from airflow_provider_smartlive.sandbox.model.store import StateStore

#: Longest text of a fact (characters): what strangers send to unknown paths is kept, too.
MAX_FACT = 256


class Kind(StrEnum):
    """What an entry is about."""

    SANDBOX = "sandbox"
    REQUEST = "request"
    JOB = "job"
    LINK = "link"
    CALLBACK = "callback"
    FAULT = "fault"


class Ledger:
    """
    An append-only list of entries; the newest ones are kept.

    :param store: where the entries are kept.
    :param now: tells the time of day.
    :param limit: how many entries are kept.
    """

    def __init__(self, store: StateStore, now: Callable[[], datetime], *, limit: int = 200_000) -> None:
        self._store = store
        self._now = now
        self._limit = limit

    def add(self, kind: Kind, *, job_id: str | None = None, room_id: str | None = None, **facts: Any) -> None:
        """
        Write one entry down.

        :param kind: what it is about.
        :param job_id: the job that it belongs to.
        :param room_id: the room that it belongs to.
        :param facts: what happened; never a secret. Empty facts are left out, long texts are cut.
        """
        entry = {name: _cut(value) for name, value in facts.items() if value is not None}
        at = self._now().isoformat(timespec="milliseconds")
        number = self._store.append(kind, at, _cut(job_id), _cut(room_id), entry)
        if number % 1000 == 0:
            self._store.forget_before(number - self._limit)

    def read(
        self,
        *,
        kind: str | None = None,
        job_id: str | None = None,
        room_id: str | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> Iterator[dict[str, Any]]:
        """
        Read entries, the oldest first.

        :param kind: only entries of this kind.
        :param job_id: only entries of this job.
        :param room_id: only entries of this room.
        :param after: only entries with a higher number.
        :param limit: at most so many.
        """
        return self._store.entries(kind=kind, job_id=job_id, room_id=room_id, after=after, limit=limit)


def _cut(value: Any) -> Any:
    """Return a value whose text is not longer than :data:`MAX_FACT`."""
    if isinstance(value, str) and len(value) > MAX_FACT:
        return f"{value[: MAX_FACT - 3]}..."
    return value
