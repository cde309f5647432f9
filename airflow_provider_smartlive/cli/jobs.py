"""How commands show a job: what MetaStudio says of it, what was called back, and the task that owns it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.cli.airflow_core import DatabaseError, callback_tables
from airflow_provider_smartlive.cli.output import at, duration, iso, note, table
from airflow_provider_smartlive.livestream.ownership import target_of
from airflow_provider_smartlive.metastudio.text import safe_text

if TYPE_CHECKING:
    from airflow_provider_smartlive.callbacks.table import JobCallbacks, StreamRow
    from airflow_provider_smartlive.callbacks.task_ref import TaskRef
    from airflow_provider_smartlive.callbacks.url import CallbackTarget
    from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob

_COLUMNS = ("room", "name", "state", "link", "since", "on_air", "reconnects", "task", "job")

#: What stands in the column of the link while a job of ours has called nothing back.
NO_EVENT = "no event yet"


@dataclass(frozen=True)
class ListedJob:
    """
    A job as commands show it.

    :param job: MetaStudio's answer.
    :param target: the task instance that started it; None for a job of somebody else.
    :param callbacks: what was called back about it; None if nothing was, or the table could not be read.
    """

    job: SmartLiveJob
    target: CallbackTarget | None = None
    callbacks: JobCallbacks | None = None

    @property
    def task(self) -> str | None:
        """The task instance that owns the job: ``dag_id/run_id/task_id``, with the index of a mapped one."""
        if self.target is None:
            return None
        return f"{task_name(self.target.task_ref)}{'' if self.is_ours else ' (of another deployment)'}"

    @property
    def is_ours(self) -> bool:
        """Whether a task of this deployment started the job."""
        return self.target is not None and self.target.deployment == settings.deployment()

    @property
    def links(self) -> Sequence[StreamRow]:
        """The RTMP links that were reported."""
        return self.callbacks.streams if self.callbacks else ()

    @property
    def link_states(self) -> str | None:
        """The states of the links; None if none was reported."""
        return ", ".join(dict.fromkeys(link.state for link in self.links)) or None

    @property
    def link(self) -> str | None:
        """The states of the links in words; None for a job whose events this deployment does not get."""
        return self.link_states or (NO_EVENT if self.is_ours else None)

    @property
    def since(self) -> datetime | None:
        """When the state of a link changed last; before the first event, when the job started."""
        changes = [_since(link) for link in self.links]
        return max(changes, default=self.job.start_time or self.job.create_time)

    @property
    def reconnects(self) -> int | None:
        """How often the links were reconnecting."""
        return sum(map(_reconnects, self.links)) if self.links else None

    def row(self) -> dict[str, object]:
        """Return the columns of the table."""
        return {
            "room": self.job.room_id,
            "name": self.job.room_name,
            "state": self.job.state,
            "link": self.link,
            "since": at(self.since),
            "on_air": duration(self.job.stream_duration),
            "reconnects": self.reconnects,
            "task": self.task,
            "job": self.job.job_id,
        }

    def facts(self) -> dict[str, Any]:
        """Return the job as JSON has it."""
        return {
            "job_id": self.job.job_id,
            "room_id": self.job.room_id,
            "room_name": self.job.room_name,
            "state": str(self.job.state),
            "started": iso(self.job.start_time or self.job.create_time),
            "ended": iso(self.job.end_time),
            "stream_seconds": self.job.stream_duration,
            "error": _error(self.job),
            "planned_end": iso(self.target.terms.deadline) if self.target else None,
            "task": vars(self.target.task_ref) if self.target else None,
            "ours": self.is_ours,
            "link": self.link_states,
            "since": iso(self.since),
            "reconnects": self.reconnects,
            "streams": [
                {
                    "output": link.label,
                    "state": link.state,
                    "since": iso(_since(link)),
                    "reconnects": _reconnects(link),
                }
                for link in self.links
            ],
        }

    def details(self) -> dict[str, object]:
        """Return everything that is known, by its name."""
        job = self.job
        known: dict[str, object] = {
            "job": job.job_id,
            "room": f"{job.room_id} ({job.room_name})" if job.room_name else job.room_id,
            "state": job.state,
            "error": _error(job),
            "started": at(job.start_time or job.create_time),
            "ended": at(job.end_time),
            "on air": duration(job.stream_duration),
            "planned end": at(self.target.terms.deadline) if self.target else None,
            "task": self.task or "not started by this deployment",
        }
        if not self.links:
            return known | {"link": self.link}
        for number, link in enumerate(self.links, start=1):
            name = "link" if len(self.links) == 1 else f"link {number}"
            known[name] = (
                f"{link.state} since {at(_since(link))}, {_reconnects(link)} reconnects, {link.label}"
            )
            known[f"{name}, history"] = ", ".join(
                f"{moment.strftime('%H:%M:%S')} {state}" for state, moment in link.transitions
            )
        return known


def task_name(task_ref: TaskRef) -> str:
    """Return a task instance as people write it."""
    index = f"[{task_ref.map_index}]" if task_ref.map_index >= 0 else ""
    return f"{task_ref.dag_id}/{task_ref.run_id}/{task_ref.task_id}{index}"


def listed(
    jobs: Iterable[SmartLiveJob], secrets: Sequence[str], tell: Callable[[str], None] = note
) -> list[ListedJob]:
    """
    Find out who owns jobs and what was called back about them.

    What Airflow does not tell, because its database is away, is left out: to see and stop jobs works without it.

    :param jobs: the jobs; one that two pages of a listing have is shown once.
    :param secrets: ``[smartlive] callback_secrets``.
    :param tell: told that something is left out.
    """
    unique = list({job.job_id: job for job in jobs}.values())
    targets = {job.job_id: target_of(job, secrets) for job in unique}
    owners = [target.task_ref for target in targets.values() if target]
    try:
        tables = callback_tables(owners) if owners else {}
    except DatabaseError as error:
        tell(f"Airflow's database cannot be read ({type(error).__name__}): links are not shown.")
        tables = {}
    found = []
    for job in unique:
        target = targets[job.job_id]
        reported = tables.get(target.task_ref) if target else None
        found.append(ListedJob(job, target, reported.job(job.job_id) if reported else None))
    return found


def jobs_table(jobs: Iterable[ListedJob]) -> str:
    """Return jobs as a table."""
    return table(_COLUMNS, [job.row() for job in jobs])


def _since(link: StreamRow) -> datetime:
    return link.transitions[-1][1] if link.transitions else link.last_at


def _reconnects(link: StreamRow) -> int:
    return link.counts.get("RECONNECTING", 0)


def _error(job: SmartLiveJob) -> str | None:
    parts = [job.block_reason]
    if job.error_info:
        parts = [job.error_info.error_code, job.error_info.error_msg, *parts]
    return safe_text(": ".join(part for part in parts if part)) or None
