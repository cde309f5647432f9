"""
What goes wrong, and when: a pure function of the seed.

A *run* is one livestream: a DAG run with a room of its own. Each has one *case* of the matrix, what is hit and at
which point of the livestream's way, and other faults beside it. Runs of one *round* share the stack, so the death
of a scheduler meets all of them.
"""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any


class Target(StrEnum):
    """What is hit: a process, or the task itself by a user's hand."""

    #: The process that runs the operator's code.
    TASK = "task"
    #: The same together with its supervisor, as if the worker's machine went down.
    WORKER = "worker"
    #: Both stopped (SIGSTOP) until a retry waits for its job, then thawed: whoever was frozen does not know.
    FROZEN_WORKER = "worker, frozen"
    SCHEDULER = "scheduler"
    TRIGGERER = "triggerer"
    API_SERVER = "api-server"
    #: MetaStudio itself, with its sender of callbacks.
    SANDBOX = "sandbox"
    #: Stopped for a minute while a second triggerer takes over, then thawed.
    FROZEN_TRIGGERER = "triggerer, frozen"
    MARK_FAILED = "user: mark failed"
    MARK_SUCCESS = "user: mark success"
    CLEAR = "user: clear"
    DELETE = "user: delete the run"
    FAIL_RUN = "user: mark the run failed"
    #: Nobody's ``on_kill`` hears of it.
    ORPHAN = "user: mark failed, no triggerer"
    TIMEOUT = "dagrun_timeout"
    #: The task's process, and the retry is to go live in another room: ``room_id`` is templated by the try.
    MOVED = "task, the room changes"
    CLEAR_MOVED = "user: clear, the room changes"
    #: Deleted, and at once triggered again under the same run id.
    TRIGGERED_AGAIN = "user: delete, trigger again"
    #: What keeps every worker from a task while its planned stop (``max_duration``) comes.
    PAUSED = "planned stop, DAG paused"
    REMOVED = "planned stop, DAG file removed"
    FULL_POOL = "planned stop, pool full"
    #: Besides, the task is marked as failed between its trigger's event and the worker's run.
    MARKED_RESUMED = "planned stop, pool full, marked"
    #: ``execution_timeout`` comes while the start waits for MetaStudio's answer.
    START_TIMEOUT = "execution_timeout in the start"
    #: Another database session holds the row of the task instance when END comes.
    LOCKED_ROW = "row locked at END"
    #: MetaStudio answers the questions of triggers a byte a second.
    DRIP = "MetaStudio drips"
    #: The worker, after MetaStudio has refused a first start for their number and accepted the second one.
    THROTTLED = "worker, after a 429"
    #: The task's process; before its retry the connection leads to another MetaStudio, and later back.
    EDITED = "task, the connection is edited"
    #: The process of a task with a standby, whose primary MetaStudio refuses.
    STANDBY = "task, refused"
    STANDBY_FROZEN = "worker, frozen, refused"
    STANDBY_CLEARED = "user: clear, in the standby"

    @property
    def is_user(self) -> bool:
        """Whether somebody wants the livestream to end, or to begin again."""
        return self in _USERS

    @property
    def begins_anew(self) -> bool:
        """Whether the task has a second life with a job of its own."""
        return self in _ANEW

    @property
    def is_planned_stop(self) -> bool:
        """Whether the job is to be stopped as planned, without a worker."""
        return self in _PLANNED

    @property
    def is_stop(self) -> bool:
        """Whether the job has to be stopped by the provider, and is not over by anything else."""
        return (self.is_user and not self.begins_anew) or self.is_planned_stop or self is Target.START_TIMEOUT

    @property
    def is_shared(self) -> bool:
        """Whether all runs of a round suffer from it."""
        return self in _SHARED

    @property
    def is_quiet(self) -> bool:
        """Whether nothing else may be hit meanwhile, because the run is about how soon something happens."""
        return self.is_planned_stop or self in _QUIET


_SHARED = frozenset(
    {
        Target.SCHEDULER,
        Target.TRIGGERER,
        Target.API_SERVER,
        Target.SANDBOX,
        Target.FROZEN_TRIGGERER,
        Target.ORPHAN,
    }
)
_USERS = frozenset(
    {
        Target.MARK_FAILED,
        Target.MARK_SUCCESS,
        Target.CLEAR,
        Target.DELETE,
        Target.FAIL_RUN,
        Target.ORPHAN,
        Target.TIMEOUT,
        Target.CLEAR_MOVED,
        Target.TRIGGERED_AGAIN,
        Target.STANDBY_CLEARED,
    }
)
_QUIET = frozenset({Target.START_TIMEOUT, Target.LOCKED_ROW, Target.DRIP, Target.THROTTLED, Target.EDITED})
_ANEW = frozenset({Target.CLEAR, Target.CLEAR_MOVED, Target.TRIGGERED_AGAIN, Target.STANDBY_CLEARED})
_PLANNED = frozenset({Target.PAUSED, Target.REMOVED, Target.FULL_POOL, Target.MARKED_RESUMED})

#: The DAGs that ``dags/faults.py`` builds.
DAG_IDS = (
    "faults",
    "faults_on_worker",
    "faults_brief",
    "faults_moving",
    "faults_paused",
    "faults_removed",
    "faults_full_pool",
    "faults_marked",
    "faults_timed",
    "faults_timed_on_worker",
    "faults_neighbours",
    "faults_edited",
    "faults_standby",
)

#: Targets whose task has a standby.
_STANDBY = frozenset({Target.STANDBY, Target.STANDBY_FROZEN, Target.STANDBY_CLEARED})

#: Targets whose run is in two rooms, one after the other.
_MOVING = frozenset({Target.MOVED, Target.CLEAR_MOVED}) | _STANDBY


class Point(StrEnum):
    """A point of the way of one livestream, in its order."""

    BEFORE_POST = "before the POST"
    AFTER_ACCEPT = "after it was accepted"
    BEFORE_STORE = "before the id is stored"
    AFTER_STORE = "after the id is stored"
    BEFORE_DEFER = "before defer"
    AFTER_DEFER = "after defer"
    STREAMING = "streaming"
    RESUMED = "resumed"
    BEFORE_RESULT = "before the result"
    #: Of a task with a standby: the answer is not noted yet; it is, and the standby is not; the standby is, and not
    #: sent.
    REFUSED = "after it was refused"
    BEFORE_STANDBY = "before the standby is noted"
    STANDBY_POST = "before the POST of the standby"


#: The points of every livestream.
_USUAL = tuple(
    point for point in Point if point not in (Point.REFUSED, Point.BEFORE_STANDBY, Point.STANDBY_POST)
)


#: Where a user acts: as the job is started, as it streams, and as the task wakes up while the job still runs.
_WITH_A_JOB = (
    Point.BEFORE_POST,
    Point.AFTER_ACCEPT,
    Point.AFTER_STORE,
    Point.BEFORE_DEFER,
    Point.STREAMING,
    Point.RESUMED,
)

#: The cases of the matrix.
MATRIX: dict[Target, tuple[Point, ...]] = {
    Target.TASK: _USUAL,
    Target.WORKER: _USUAL,
    Target.FROZEN_WORKER: (
        Point.BEFORE_POST,
        Point.AFTER_ACCEPT,
        Point.BEFORE_STORE,
        Point.AFTER_STORE,
        Point.BEFORE_DEFER,
    ),
    Target.SCHEDULER: _USUAL,
    Target.TRIGGERER: _USUAL,
    Target.API_SERVER: _USUAL,
    Target.SANDBOX: _USUAL,
    Target.FROZEN_TRIGGERER: (Point.STREAMING,),
    Target.MARK_FAILED: _WITH_A_JOB,
    Target.MARK_SUCCESS: _WITH_A_JOB,
    Target.CLEAR: _WITH_A_JOB,
    Target.DELETE: (Point.AFTER_STORE, Point.STREAMING),
    Target.FAIL_RUN: (Point.AFTER_STORE, Point.STREAMING),
    Target.ORPHAN: (Point.STREAMING,),
    Target.TIMEOUT: (Point.STREAMING,),
    Target.MOVED: (Point.AFTER_ACCEPT, Point.AFTER_STORE),
    Target.CLEAR_MOVED: (Point.STREAMING,),
    Target.TRIGGERED_AGAIN: (Point.AFTER_STORE, Point.STREAMING),
    Target.PAUSED: (Point.STREAMING,),
    Target.REMOVED: (Point.STREAMING,),
    Target.FULL_POOL: (Point.STREAMING,),
    Target.MARKED_RESUMED: (Point.STREAMING,),
    Target.START_TIMEOUT: (Point.AFTER_ACCEPT, Point.BEFORE_STORE),
    Target.LOCKED_ROW: (Point.STREAMING,),
    Target.DRIP: (Point.STREAMING,),
    Target.THROTTLED: (Point.AFTER_ACCEPT,),
    Target.EDITED: (Point.AFTER_ACCEPT, Point.AFTER_STORE),
    Target.STANDBY: (
        Point.REFUSED,
        Point.BEFORE_STANDBY,
        Point.STANDBY_POST,
        Point.AFTER_ACCEPT,
        Point.BEFORE_STORE,
        Point.AFTER_STORE,
    ),
    Target.STANDBY_FROZEN: (Point.BEFORE_STANDBY, Point.STANDBY_POST),
    Target.STANDBY_CLEARED: (Point.STREAMING,),
}

#: The DAGs of targets that need one of their own, see ``dags/faults.py``.
_DAGS = {
    Target.TIMEOUT: "faults_brief",
    Target.MOVED: "faults_moving",
    Target.CLEAR_MOVED: "faults_moving",
    Target.PAUSED: "faults_paused",
    Target.REMOVED: "faults_removed",
    Target.FULL_POOL: "faults_full_pool",
    Target.MARKED_RESUMED: "faults_marked",
    Target.LOCKED_ROW: "faults_neighbours",
    Target.EDITED: "faults_edited",
    Target.STANDBY: "faults_standby",
    Target.STANDBY_FROZEN: "faults_standby",
    Target.STANDBY_CLEARED: "faults_standby",
}


class StartFault(StrEnum):
    """How MetaStudio answers the first start."""

    NONE = "none"
    ERROR_BEFORE = "5xx, no job"
    ERROR_AFTER = "5xx, job made"
    TIMEOUT_AFTER = "timeout, job made"
    RESET_BEFORE = "reset, no job"
    RESET_AFTER = "reset, job made"
    GARBLED = "unreadable 202"
    THROTTLED = "429"
    REFUSED = "refused"
    #: So is the one after it, of a retry.
    REFUSED_TWICE = "refused twice"


class Listing(StrEnum):
    """What MetaStudio's listing leaves out."""

    NONE = "none"
    LAG = "lags"
    NO_ECHO = "no callback URLs"


class Callbacks(StrEnum):
    """What becomes of the callbacks."""

    NONE = "none"
    DROPPED = "all lost"
    END_DROPPED = "END lost"
    DELAYED = "delayed"
    DUPLICATED = "sent three times"
    REORDERED = "out of order"
    FORGED = "END badly signed"


class JobOutcome(StrEnum):
    """What becomes of the job."""

    PLAIN = "ends by itself"
    LINGERS = "PROCESSING after END"
    FAILS = "FAILED"
    BLOCKED = "BLOCKED"


@dataclass(frozen=True, order=True)
class Case:
    """What is hit, and where."""

    target: Target
    point: Point


ALL_CASES = tuple(Case(target, point) for target, points in MATRIX.items() for point in points)


@dataclass(frozen=True)
class Run:
    """
    The plan of one run.

    :param number: its number in the schedule, from 1.
    :param round: the number of its round, from 1.
    :param room_id: its room.
    :param show_seconds: how long the script is.
    :param hold_seconds: how long a held task process waits after a user's action.
    :param down_seconds: how long a killed process stays away.
    """

    number: int
    round: int
    room_id: str
    case: Case
    start: StartFault
    listing: Listing
    callbacks: Callbacks
    job_outcome: JobOutcome
    show_seconds: float
    hold_seconds: float
    down_seconds: float

    def again(self) -> Run:
        """
        Return the same plan for another try, in a round and a room of its own.

        What hits all runs of a round can keep one of them from its point: its task is over by then.
        """
        room_id = str(uuid.uuid5(uuid.UUID(self.room_id), "again"))
        return replace(self, number=self.number + AGAIN, round=self.number + AGAIN, room_id=room_id)

    @property
    def run_id(self) -> str:
        """The DAG run's id."""
        return f"faults__{self.number:03d}"

    @property
    def dag_id(self) -> str:
        """The DAG that fits: only on a worker is there a task process to kill while the stream runs."""
        target, point = self.case.target, self.case.point
        if target is Target.START_TIMEOUT:
            return "faults_timed" if point is Point.AFTER_ACCEPT else "faults_timed_on_worker"
        on_worker = target in (Target.TASK, Target.WORKER) and point is Point.STREAMING
        return _DAGS.get(target, "faults_on_worker" if on_worker else "faults")

    @property
    def other_room_id(self) -> str:
        """The room of a second try, or of another task of the same DAG."""
        return str(uuid.uuid5(uuid.UUID(self.room_id), "other"))

    @property
    def rooms(self) -> tuple[str, ...]:
        """The rooms in which the starting task goes live."""
        return (self.room_id, self.other_room_id) if self.case.target in _MOVING else (self.room_id,)

    @property
    def live_room_id(self) -> str:
        """The room whose jobs, callbacks and listings have faults: that of the standby, if the primary is refused."""
        is_refused = self.start in (StartFault.REFUSED, StartFault.REFUSED_TWICE)
        return self.other_room_id if is_refused else self.room_id

    @property
    def ends_by_itself(self) -> bool:
        """
        Whether the show is short; else only a stop, or the harness, ends it.

        So that an orphan is seen, and the stream surely runs when something happens to its task.
        """
        if self.case.point is Point.RESUMED:
            return True
        target, point = self.case.target, self.case.point
        if target in (Target.FROZEN_WORKER, Target.STANDBY_FROZEN):
            return False
        return not (target.is_user or target.is_quiet or point is Point.STREAMING)

    def text(self) -> str:
        """Return one line about the plan."""
        others = [
            f"{name}: {value}"
            for name, value in (
                ("start", self.start),
                ("listing", self.listing),
                ("callbacks", self.callbacks),
                ("job", self.job_outcome),
            )
            if value not in (StartFault.NONE, JobOutcome.PLAIN)
        ]
        return (
            f"#{self.number:<3} {self.case.target} at '{self.case.point}'; {', '.join(others) or 'no more'}"
        )


#: A run of the commonest kind: only its task is hit, and nothing else goes wrong.
PLAIN = Run(
    number=0,
    round=0,
    room_id="",
    case=Case(Target.TASK, Point.AFTER_ACCEPT),
    start=StartFault.NONE,
    listing=Listing.NONE,
    callbacks=Callbacks.NONE,
    job_outcome=JobOutcome.PLAIN,
    show_seconds=8,
    hold_seconds=0,
    down_seconds=0,
)


#: Seconds from its start after which a livestream is stopped as planned (``max_duration`` in ``dags/faults.py``).
PLANNED_SECONDS = 30.0

#: Seconds of a show that does not end by itself.
ENDLESS = 3600.0

#: What is added to the number of a run that is run again, because it did not come to its point.
AGAIN = 1000

#: How many runs of each kind a round has: those that all runs of the round suffer from, and the others.
SHARED_PER_ROUND = 2
OWN_PER_ROUND = 3

#: How many runs a round has in which nothing else is hit.
QUIET_PER_ROUND = 8

#: Start faults that leave room for the point: where the answer is lost, nothing is ever "accepted".
_AT_RANDOM = tuple(
    fault
    for fault in StartFault
    if fault not in (StartFault.THROTTLED, StartFault.REFUSED, StartFault.REFUSED_TWICE)
)
_ANSWERED = (StartFault.NONE, StartFault.ERROR_BEFORE, StartFault.RESET_BEFORE)

#: Points that come even if the start is refused because the listing cannot tell whose a job is.
_NO_ECHO_POINTS = (Point.BEFORE_POST, Point.AFTER_ACCEPT)

#: Points that come even if MetaStudio blocks the job a few seconds after its start.
_BLOCKED_POINTS = (
    Point.BEFORE_POST,
    Point.AFTER_ACCEPT,
    Point.BEFORE_STORE,
    Point.AFTER_STORE,
    Point.RESUMED,
    Point.BEFORE_STANDBY,
    Point.STANDBY_POST,
)

#: Points that come only if the show is not over before the task knows its job, which can take some looks.
_LONG_POINTS = (Point.BEFORE_DEFER, Point.AFTER_DEFER)


def plan(runs: int, seed: int) -> list[Run]:
    """
    Return the schedule: the same one for the same arguments.

    All cases come once, in an order of their own, before any comes again.

    :param runs: how many livestreams.
    :param seed: decides everything.
    """
    dice = random.Random(seed)
    cases = _cases(runs, dice)
    planned: list[Run] = []
    for index, group in enumerate(_rounds(cases), start=1):
        for case in group:
            planned.append(_run(len(planned) + 1, index, case, seed))
    return planned


def digest(runs: Iterable[Run]) -> str:
    """Return a short mark of a schedule: equal for equal schedules."""
    return hashlib.sha256(repr([asdict(run) for run in runs]).encode()).hexdigest()[:12]


def _cases(runs: int, dice: random.Random) -> list[Case]:
    cases: list[Case] = []
    while len(cases) < runs:
        once = list(ALL_CASES)
        dice.shuffle(once)
        cases += once
    return cases[:runs]


def _rounds(cases: Sequence[Case]) -> list[list[Case]]:
    shared = [case for case in cases if case.target.is_shared]
    quiet = [case for case in cases if case.target.is_quiet]
    own = [case for case in cases if not (case.target.is_shared or case.target.is_quiet)]
    rounds = []
    while shared or own:
        group = shared[:SHARED_PER_ROUND] + own[:OWN_PER_ROUND]
        shared, own = shared[SHARED_PER_ROUND:], own[OWN_PER_ROUND:]
        rounds.append(group)
    while quiet:
        rounds.append(quiet[:QUIET_PER_ROUND])
        quiet = quiet[QUIET_PER_ROUND:]
    return rounds


def _run(number: int, round_number: int, case: Case, seed: int) -> Run:
    dice = random.Random(f"{seed}/{number}/{case.target}/{case.point}")
    if case.target.is_quiet:
        return _quiet_run(number, round_number, case, dice)
    listing = _pick(dice, (Listing.NONE, Listing.LAG), plain=0.6)
    # A frozen worker is thawed when a retry's job is on the air: one that is refused has none.
    may_be_refused = not case.target.is_user and case.target not in (Target.MOVED, Target.FROZEN_WORKER)
    if may_be_refused and case.point in _NO_ECHO_POINTS and dice.random() < 0.4:
        listing = Listing.NO_ECHO
    run = Run(
        number=number,
        round=round_number,
        room_id=str(uuid.UUID(int=dice.getrandbits(128), version=4)),
        case=case,
        start=_pick(dice, _start_faults(case), plain=0.5),
        listing=listing,
        callbacks=_pick(dice, tuple(Callbacks), plain=0.4),
        job_outcome=_pick(dice, _job_outcomes(case, listing), plain=0.7),
        show_seconds=round(dice.uniform(4, 14) + (8 if case.point in _LONG_POINTS else 0), 1),
        hold_seconds=round(dice.uniform(0, 7), 1),
        down_seconds=round(dice.uniform(0, 6), 1),
    )
    return run if run.ends_by_itself else replace(run, show_seconds=ENDLESS)


def _quiet_run(number: int, round_number: int, case: Case, dice: random.Random) -> Run:
    """Plan a run without other faults, except for those that its case is about."""
    return Run(
        number=number,
        round=round_number,
        room_id=str(uuid.UUID(int=dice.getrandbits(128), version=4)),
        case=case,
        start=StartFault.THROTTLED if case.target is Target.THROTTLED else StartFault.NONE,
        listing=Listing.NONE,
        # A dripping answer is only seen where END was lost.
        callbacks=Callbacks.END_DROPPED if case.target is Target.DRIP else Callbacks.NONE,
        job_outcome=JobOutcome.PLAIN,
        show_seconds=ENDLESS,
        hold_seconds=0.0,
        down_seconds=0.0,
    )


def _start_faults(case: Case) -> Sequence[StartFault]:
    if case.target in _STANDBY:
        is_asked_again = case.point in (Point.REFUSED, Point.BEFORE_STANDBY)
        return (StartFault.REFUSED_TWICE,) if is_asked_again else (StartFault.REFUSED,)
    return _ANSWERED if case.point is Point.AFTER_ACCEPT else _AT_RANDOM


def _job_outcomes(case: Case, listing: Listing) -> tuple[JobOutcome, ...]:
    if case.target.is_user and case.point is Point.RESUMED:
        return (JobOutcome.LINGERS,)  # else there is no job any more that somebody could want to end
    if case.target.is_user or case.target in (Target.FROZEN_TRIGGERER, Target.MOVED):
        return (JobOutcome.PLAIN,)
    if listing is Listing.NO_ECHO:
        # A start that cannot be looked up is refused and left to a person; its job has to end by itself here.
        return (JobOutcome.PLAIN, JobOutcome.FAILS)
    return tuple(
        outcome
        for outcome in JobOutcome
        if outcome is not JobOutcome.BLOCKED or case.point in _BLOCKED_POINTS
    )


def _pick(dice: random.Random, choices: Sequence[Any], *, plain: float) -> Any:
    """Choose the first one with a probability of its own, else any of the others."""
    others = choices[1:]
    return choices[0] if not others or dice.random() < plain else dice.choice(others)
