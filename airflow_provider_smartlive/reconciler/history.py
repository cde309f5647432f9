"""What was told of livestreams that nobody's task started, and what is new in a look at them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_smartlive.callbacks.url import is_callback_url
from airflow_provider_smartlive.decisions import JobStatus
from airflow_provider_smartlive.livestream.ownership import callback_url_of
from airflow_provider_smartlive.metastudio.ids import JobRef, normalise_id, same_id
from airflow_provider_smartlive.metastudio.jobs import JobState
from airflow_provider_smartlive.reconciler.feed import OVERLAP, JobListing

if TYPE_CHECKING:
    from airflow_provider_smartlive.livestream.snapshot import JobSnapshot
    from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob

#: What happens to a livestream: MetaStudio runs its job; the job is over.
LIVE, ENDED = "live", "ended"


@dataclass
class JobHistory:
    """
    The livestreams that were told, so that each is told once, also after a restart.

    :param address: MetaStudio's endpoint and project, where they are.
    :param looked_at: when they were looked at last.
    :param live: the room of each job that goes on, by its id.
    :param ended: when each job ended that did so lately.
    """

    address: str
    looked_at: datetime
    live: dict[str, str] = field(default_factory=dict)
    ended: dict[str, datetime] = field(default_factory=dict)

    @classmethod
    def begin(cls, listing: JobListing, room_id: str | None) -> Self:
        """Begin with what is there: of a livestream that goes on the end is told, of one that is over nothing."""
        history = cls(listing.address, listing.at)
        for _ in history.update(listing, {}, room_id):
            pass
        return history

    def missing(self, listing: JobListing) -> list[JobRef]:
        """Return the jobs that went on and are in neither list: they have to be looked at singly."""
        listed = {normalise_id(job.job_id) for job in (*listing.active, *listing.finished)}
        return [JobRef(room_id, job_id) for job_id, room_id in self.live.items() if job_id not in listed]

    def update(
        self, listing: JobListing, shown: dict[str, JobSnapshot], room_id: str | None
    ) -> Iterator[dict[str, Any]]:
        """
        Take in a look, and yield what is new in it, as it goes into an asset event; no secret is among it.

        :param listing: the look.
        :param shown: what became of the jobs that were :meth:`missing`; one that is not known goes on.
        :param room_id: the room; None for all.
        """
        finished = [*listing.finished, *(one.job for one in shown.values() if one.job and one.job.is_final)]
        for job in _outside(finished, room_id):
            job_id, ended_at = normalise_id(job.job_id), _ended_at(job)
            is_new = ended_at is not None and ended_at >= self.looked_at - OVERLAP
            if job_id not in self.ended and (self.live.pop(job_id, None) is not None or is_new):
                self.ended[job_id] = ended_at or listing.at
                yield _event(ENDED, _ref(job), listing, job)
        for job_id, snapshot in shown.items():
            if snapshot.status is JobStatus.NOT_FOUND and job_id in self.live:
                self.ended[job_id] = listing.at
                yield _event(ENDED, JobRef(self.live.pop(job_id), job_id), listing)
        over = self.ended.keys() | {normalise_id(job.job_id) for job in finished}
        for job in _outside(listing.active, room_id):
            job_id = normalise_id(job.job_id)
            if job.state is JobState.PROCESSING and job_id not in self.live and job_id not in over:
                self.live[job_id] = job.room_id or ""
                yield _event(LIVE, _ref(job), listing, job)
        self.looked_at = listing.at
        self.ended = {job_id: at for job_id, at in self.ended.items() if at >= listing.at - OVERLAP}

    def dump(self) -> dict[str, Any]:
        """Return what goes into Airflow's asset state store."""
        return {
            "version": 1,
            "address": self.address,
            "looked_at": self.looked_at.isoformat(),
            "live": dict(self.live),
            "ended": {job_id: at.isoformat() for job_id, at in self.ended.items()},
        }

    @classmethod
    def load(cls, stored: Any) -> Self | None:
        """Read what :meth:`dump` made; None for nothing, or for what this version does not know."""
        if not isinstance(stored, dict) or stored.get("version") != 1:
            return None
        try:
            ended = {job_id: datetime.fromisoformat(at) for job_id, at in stored["ended"].items()}
            looked_at = datetime.fromisoformat(stored["looked_at"])
            return cls(stored["address"], looked_at, dict(stored["live"]), ended)
        except (AttributeError, KeyError, TypeError, ValueError):  # somebody has written it by the REST API
            return None


def _outside(jobs: Iterable[SmartLiveJob], room_id: str | None) -> Iterator[SmartLiveJob]:
    """Yield the jobs of a room that no task of this provider started, in this deployment or in another one."""
    for job in jobs:
        url = callback_url_of(job)
        if url is not None and is_callback_url(url):
            continue
        if room_id is None or (job.room_id is not None and same_id(job.room_id, room_id)):
            yield job


def _ended_at(job: SmartLiveJob) -> datetime | None:
    """Return when a job ended. MetaStudio may change one that is over, so its last change comes second."""
    return job.end_time or job.lastupdate_time or job.create_time


def _ref(job: SmartLiveJob) -> JobRef:
    return JobRef(job.room_id or "", job.job_id)


def _event(event: str, name: JobRef, listing: JobListing, job: SmartLiveJob | None = None) -> dict[str, Any]:
    said: dict[str, Any] = {
        "version": 1,
        "event": event,
        "job_id": name.job_id,
        "room_id": name.room_id or None,
        "seen_at": listing.at.isoformat(),
        # MetaStudio no longer knows a job whose state is null.
        "state": None,
    }
    if job is not None:
        said |= {
            "state": str(job.state),
            "room_name": job.room_name,
            "start_time": job.start_time.isoformat() if job.start_time else None,
            "end_time": job.end_time.isoformat() if job.end_time else None,
            "duration": job.duration,
            "stream_duration": job.stream_duration,
        }
    return said
