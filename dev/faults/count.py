"""What became of a run, judged from MetaStudio's records and Airflow's API alone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any

from dev.faults.records import Job
from dev.faults.schedule import PLANNED_SECONDS, JobOutcome, Listing, Point, Run, Target

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
    Target.MARK_FAILED: {"failed"},
    Target.ORPHAN: {"failed"},
    Target.FAIL_RUN: {"failed"},
    Target.MARK_SUCCESS: {"success"},
    Target.DELETE: {"gone"},
    # Airflow skips what a run that timed out has not finished.
    Target.TIMEOUT: {"skipped", "failed"},
    Target.MARKED_RESUMED: {"failed"},
    Target.START_TIMEOUT: {"failed"},
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
    MISSED = "case not hit"


@dataclass(frozen=True)
class Violation:
    """A broken promise, and how it shows."""

    run: Run
    kind: Broken
    text: str


@dataclass(frozen=True)
class RunResult:
    """
    What there is to judge when a run is over.

    :param is_hit: whether the case of the run was hit.
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


def judge(run_result: RunResult) -> list[Violation]:
    """Return every promise that a run has broken."""
    found = [
        *((Broken.DUPLICATE, text) for text in [*duplicates(run_result.jobs), *_started_again(run_result)]),
        *((Broken.ORPHAN, text) for text in _orphans(run_result)),
        *((Broken.LOST, text) for text in _lost(run_result)),
        *((Broken.LATE, text) for text in _late(run_result)),
        *((Broken.DEAF, text) for text in run_result.unanswered),
        *((Broken.WRONG, text) for text in _wrong(run_result)),
    ]
    if not run_result.is_hit:
        found.append((Broken.MISSED, str(run_result.run.case.point)))
    return [Violation(run_result.run, kind, text) for kind, text in found]


def starts(results: Iterable[RunResult]) -> dict[str, int]:
    """Count the starts, and the livestreams (identity and generation) that they were for."""
    lives = [job.life for run_result in results for job in run_result.jobs]
    return {"livestreams": len({life for life in lives if life}), "starts": len(lives)}


def duplicates(jobs: Sequence[Job]) -> list[str]:
    """One after the other is right where the first was stopped, or failed, or belongs to an older life."""
    found = []
    for number, (earlier, later) in enumerate(pairwise(jobs), start=2):
        if earlier.over_at is None or later.accepted_at < earlier.over_at:
            found.append(f"job {number} was started while job {number - 1} was running")
        elif earlier.life == later.life and earlier.state == "SUCCEED" and not earlier.stops:
            found.append(f"job {number} was started although job {number - 1} had succeeded")
    return found


def _started_again(run_result: RunResult) -> list[str]:
    if not run_result.run.case.target.is_planned_stop:
        return []
    return [f"job {job.job_id} was started after the planned stop" for job in run_result.jobs[1:]]


def _orphans(run_result: RunResult) -> list[str]:
    is_over = run_result.state(STARTER) not in _UNFINISHED
    return [f"job {job.job_id} runs on" for job in run_result.jobs if job.is_active and is_over]


def _lost(run_result: RunResult) -> list[str]:
    if run_result.run.case.target in _ENDINGS or not run_result.jobs or run_result.jobs[-1].is_active:
        return []
    lost = []
    if (state := run_result.state(STARTER)) in _UNFINISHED:
        lost.append(f"the job is over, {STARTER} is {state}")
    is_known = (
        run_result.state(STARTER) != "failed"
    )  # else the sensor waits on, for somebody to clear its starter
    if is_known and run_result.jobs[-1].ended_at and (state := run_result.state(SENSOR)) != "success":
        lost.append(f"the stream has ended, {SENSOR} is {state}")
    return lost


def _late(run_result: RunResult) -> list[str]:
    if not run_result.run.case.target.is_planned_stop:
        return []
    bound = timedelta(seconds=PLANNED_SECONDS + LATE_BOUND)
    late = [job for job in run_result.jobs if job.over_at is None or job.over_at - job.accepted_at > bound]
    return [f"job {job.job_id} was not stopped as planned, or late" for job in late]


def _wrong(run_result: RunResult) -> list[str]:
    run, state = run_result.run, run_result.state(STARTER)
    expected = _ENDINGS.get(run.case.target) or _natural_endings(run)
    found = []
    if state not in expected and not _lost(run_result):
        found.append(f"{STARTER} is {state}, not {' or '.join(sorted(expected))}")
    if run.case.target in _ENDINGS:
        return found
    result = run_result.result or {}
    if state == "success" and (not run_result.jobs or result.get("job_id") != run_result.jobs[-1].job_id):
        found.append("the result is not that of the last job")
    if run.case.target is Target.STANDBY:
        # A process that died before it had noted the refusal leaves no certainty: the next try waits for the primary.
        expected_room = run.room_id if run.case.point is Point.REFUSED else run.other_room_id
        found += [
            f"job {job.job_id} was started in room {job.room_id}"
            for job in run_result.jobs
            if job.room_id != expected_room
        ]
    is_stopped = run.case.target.begins_anew or run.case.target.is_planned_stop
    if not is_stopped and run.job_outcome is not JobOutcome.LINGERS:
        found += [
            f"job {job.job_id} was stopped although nobody asked" for job in run_result.jobs if job.stops
        ]
    return found


def _natural_endings(run: Run) -> set[str]:
    if run.job_outcome is JobOutcome.BLOCKED:
        return {"failed"}
    # A start of unknown outcome that cannot be looked up is refused, and says so.
    return {"success", "failed"} if run.listing is Listing.NO_ECHO else {"success"}
