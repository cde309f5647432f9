"""Ask MetaStudio whether an END that was called back is true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_smartlive.decisions import judge_end, went_on

if TYPE_CHECKING:
    from airflow_provider_smartlive.livestream.snapshot import JobSnapshot


@dataclass(frozen=True)
class EndCheck:
    """
    An END that was called back to a task which owns no job, and that MetaStudio has to confirm.

    It may be the end of a link that somebody exchanged in MetaStudio's console, or not be MetaStudio's at all. What
    counts is the job: it is over, or it has gone on for ``end_grace`` without a stream (:func:`~.decisions.judge_end`).

    :param job_id: the job.
    :param source: what told of END (a :class:`~.decisions.WakeSource`).
    :param since: when MetaStudio first said that the job goes on, or that it is not the one to ask; None before that.
    :param streamed: how long the stream had lasted then, in seconds, as MetaStudio counts it.
    :param ended_links: how many links of the job had ended, as was called back; None if that is not known.
    :param version: of this format.
    """

    job_id: str
    source: str
    since: datetime | None = None
    streamed: float = 0.0
    ended_links: int | None = None
    version: int = 1

    def dump(self) -> dict[str, Any]:
        """Return the check as JSON-able primitives."""
        return asdict(self) | {"since": self.since.isoformat() if self.since else None}

    @classmethod
    def load(cls, value: Mapping[str, Any]) -> Self:
        """Read what :meth:`dump` wrote; fields of a later release are left out."""
        names = {part.name for part in fields(cls)}
        known = {name: part for name, part in value.items() if name in names}
        since = known.get("since")
        return cls(**known | {"since": datetime.fromisoformat(since) if since else None})

    def at(self, ended_links: int | None) -> Self:
        """
        Return the check after a look into the callback table.

        If another link has ended meanwhile, a link was up in between: this is another END, whose time has not begun.
        """
        if ended_links == self.ended_links:
            return self
        return replace(self, since=None, streamed=0.0, ended_links=ended_links)

    def begun(self, snapshot: JobSnapshot, now: datetime) -> Self:
        """Return the check after a look: the first one that finds the job running begins its time."""
        if self.since is not None or snapshot.is_lost:
            return self
        return replace(self, since=now, streamed=snapshot.stream_seconds)

    def judge(self, snapshot: JobSnapshot, now: datetime, *, grace: float) -> bool | None:
        """
        Tell whether END is true: yes, no, or None if that is not known yet.

        :param snapshot: what MetaStudio says about the job at the moment.
        :param grace: seconds that MetaStudio gets to finish the job after END.
        """
        elapsed = (now - self.since).total_seconds() if self.since else 0.0
        return judge_end(
            snapshot.status,
            grace_over=self.since is not None and elapsed >= grace,
            still_streams=went_on(self.streamed, snapshot.stream_seconds, elapsed),
        )
