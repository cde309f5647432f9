"""What became of a run, judged from MetaStudio's records and Airflow's API alone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any

from dev.faults.records import Job
from dev.faults.schedule import PLANNED_SECONDS, Fate, Listing, Run, Victim

STARTER = "go_live"
SENSOR = "off_air"

#: States in which a task still wants its job.
_UNFINISHED = (
    None,
    "scheduled",
    "queued",
    "running",
    "deferred",
    "restarting",
    "up_for_retry",
    "up_for_reschedule",
)

_ENDINGS = {
    Victim.MARK_FAILED: {"failed"},
    Victim.ORPHAN: {"failed"},
    Victim.FAIL_RUN: {"failed"},
    Victim.MARK_SUCCESS: {"success"},
    Victim.DELETE: {"gone"},
    # Airflow skips what a run that timed out has not finished.
    Victim.TIMEOUT: {"skipped", "failed"},
    Victim.MARKED_RESUMED: {"failed"},
    Victim.START_TIMEOUT: {"failed"},
}

#: Seconds after its planned end within which a job is over, whatever keeps workers from its task: the trigger
#: looks, stops and confirms (``stop_grace`` is 30 here).
LATE_BOUND = 40.0


class Broken(StrEnum):
    """A promise that was broken."""

    DUPLICATE = "duplicate"
    ORPHAN = "orphan"
    LOST = "lost END"
    LATE = "late stop"
    DEAF = "callback not answered"
    WRONG = "wrong state"
    MISSED = "cell not hit"


@dataclass(frozen=True)
class Violation:
    """A broken promise, and how it shows."""

    run: Run
    kind: Broken
    text: str


@dataclass(frozen=True)
class Outcome:
    """
    What there is to judge when a run is over.

    :param is_hit: whether the cell of the run was hit.
    :param tasks: the task instances by task id; empty if the run is gone.
    :param result: the starter's XCom result.
    :param jobs: the jobs of its room, the oldest first.
    :param swept: ids of jobs that only the sweep stopped.
    :param unanswered: callbacks of another task that were not answered while the row of this one was locked.
    """

    run: Run
    is_hit: bool
    tasks: dict[str, dict[str, Any]]
    result: dict[str, Any] | None
    jobs: Sequence[Job]
    swept: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()

    def state(self, task_id: str) -> str | None:
        """Return the state of a task; ``gone`` if there is none any more."""
        return self.tasks[task_id]["state"] if task_id in self.tasks else "gone"


def judge(outcome: Outcome) -> list[Violation]:
    """Return every promise that a run has broken."""
    found = [
        *((Broken.DUPLICATE, text) for text in [*_duplicates(outcome.jobs), *_started_again(outcome)]),
        *((Broken.ORPHAN, text) for text in _orphans(outcome)),
        *((Broken.LOST, text) for text in _lost(outcome)),
        *((Broken.LATE, text) for text in _late(outcome)),
        *((Broken.DEAF, text) for text in outcome.unanswered),
        *((Broken.WRONG, text) for text in _wrong(outcome)),
    ]
    if not outcome.is_hit:
        found.append((Broken.MISSED, str(outcome.run.cell.point)))
    return [Violation(outcome.run, kind, text) for kind, text in found]


def starts(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """Count the starts, and the livestreams (identity and generation) that they were for."""
    lives = [job.life for outcome in outcomes for job in outcome.jobs]
    return {"livestreams": len({life for life in lives if life}), "starts": len(lives)}


def _duplicates(jobs: Sequence[Job]) -> list[str]:
    """One after the other is right where the first was stopped, or failed, or belongs to an older life."""
    found = []
    for number, (earlier, later) in enumerate(pairwise(jobs), start=2):
        if earlier.over_at is None or later.accepted_at < earlier.over_at:
            found.append(f"job {number} was started while job {number - 1} was running")
        elif earlier.life == later.life and earlier.state == "SUCCEED" and not earlier.stops:
            found.append(f"job {number} was started although job {number - 1} had succeeded")
    return found


def _started_again(outcome: Outcome) -> list[str]:
    if not outcome.run.cell.victim.is_planned_stop:
        return []
    return [f"job {job.job_id} was started after the planned stop" for job in outcome.jobs[1:]]


def _orphans(outcome: Outcome) -> list[str]:
    is_over = outcome.state(STARTER) not in _UNFINISHED
    return [f"job {job.job_id} runs on" for job in outcome.jobs if job.is_active and is_over]


def _lost(outcome: Outcome) -> list[str]:
    if outcome.run.cell.victim in _ENDINGS or not outcome.jobs or outcome.jobs[-1].is_active:
        return []
    lost = []
    if (state := outcome.state(STARTER)) in _UNFINISHED:
        lost.append(f"the job is over, {STARTER} is {state}")
    is_known = (
        outcome.state(STARTER) != "failed"
    )  # else the sensor waits on, for somebody to clear its starter
    if is_known and outcome.jobs[-1].ended_at and (state := outcome.state(SENSOR)) != "success":
        lost.append(f"the stream has ended, {SENSOR} is {state}")
    return lost


def _late(outcome: Outcome) -> list[str]:
    if not outcome.run.cell.victim.is_planned_stop:
        return []
    bound = timedelta(seconds=PLANNED_SECONDS + LATE_BOUND)
    late = [job for job in outcome.jobs if job.over_at is None or job.over_at - job.accepted_at > bound]
    return [f"job {job.job_id} was not stopped as planned, or late" for job in late]


def _wrong(outcome: Outcome) -> list[str]:
    run, state = outcome.run, outcome.state(STARTER)
    expected = _ENDINGS.get(run.cell.victim) or _natural_endings(run)
    found = []
    if state not in expected and not _lost(outcome):
        found.append(f"{STARTER} is {state}, not {' or '.join(sorted(expected))}")
    if run.cell.victim in _ENDINGS:
        return found
    result = outcome.result or {}
    if state == "success" and (not outcome.jobs or result.get("job_id") != outcome.jobs[-1].job_id):
        found.append("the result is not that of the last job")
    is_stopped = run.cell.victim.begins_anew or run.cell.victim.is_planned_stop
    if not is_stopped and run.fate is not Fate.LINGERS:
        found += [f"job {job.job_id} was stopped although nobody asked" for job in outcome.jobs if job.stops]
    return found


def _natural_endings(run: Run) -> set[str]:
    if run.fate is Fate.BLOCKED:
        return {"failed"}
    # A start of unknown outcome that cannot be looked up is refused, and says so.
    return {"success", "failed"} if run.listing is Listing.NO_ECHO else {"success"}
