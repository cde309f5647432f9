"""
What becomes of a job: two pure tables, the policy of the whole provider.

:func:`decide` says what the task that owns a job does when it is woken, by what woke it and by what MetaStudio says
about the job (its status). :func:`decide_kill` says whether a job ends with its task. Nothing else in the package
decides either.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class WakeSource(StrEnum):
    """What woke a waiting task, as it stands in the event that resumes it and in the task's result."""

    #: END of every output that is known was called back.
    CALLBACK = "callback"
    #: The same, found in the table by a trigger: by its first read, as a rule.
    FIRST_READ = "first-read"
    #: Nothing was called back; the slow poll behind the callbacks asked.
    RECONCILIATION = "reconciliation"
    #: ``stop_at`` or ``max_duration``: the planned end.
    DEADLINE = "deadline"
    #: ``execution_timeout`` of the task.
    TIMEOUT = "timeout"
    #: MetaStudio did not finish the job within ``end_grace`` after END.
    GRACE_OVER = "grace-over"
    #: The stream was interrupted for longer than ``fail_on_disconnect_longer_than``.
    DISCONNECTED = "disconnected"
    #: The stream was not CONNECTED within ``connected_within``.
    NOT_CONNECTED = "not-connected"
    #: The stream was interrupted more often than ``max_reconnects``.
    RECONNECTS = "reconnects"
    #: MetaStudio was unreachable, or refused us, for longer than ``failure_budget``.
    BUDGET_OVER = "budget-over"


#: The limits of the link, which a task may set, and what is said when one of them is reached.
LINK_LIMITS = {
    WakeSource.DISCONNECTED: "the stream was interrupted for too long",
    WakeSource.NOT_CONNECTED: "the stream was not CONNECTED in time",
    WakeSource.RECONNECTS: "the stream was interrupted too often",
}


class JobStatus(StrEnum):
    """What MetaStudio says about a job."""

    #: WAITING or PROCESSING, or a state that this version does not know: it may cost money.
    ACTIVE = "active"
    SUCCEED = "succeed"
    FAILED = "failed"
    BLOCKED = "blocked"
    #: MetaStudio does not know the job.
    NOT_FOUND = "not_found"
    #: Not known at the moment: a time-out, a 5xx, throttling.
    UNKNOWN = "unknown"
    #: MetaStudio refuses our credentials.
    REFUSED = "refused"
    #: Nobody can be asked: the connection was edited and leads to another project than the one of the job.
    OTHER_PROJECT = "other_project"

    @property
    def is_over(self) -> bool:
        """Whether the job no longer runs. One that MetaStudio does not know does not run."""
        return self in (JobStatus.SUCCEED, JobStatus.FAILED, JobStatus.BLOCKED, JobStatus.NOT_FOUND)


class Action(StrEnum):
    """What the task that owns a job does with it."""

    FINISH = "finish"
    FAIL = "fail"
    #: Fail without a retry.
    FAIL_FOR_GOOD = "fail_for_good"
    WAIT = "wait"
    #: Ask every few seconds until the job is over or ``end_grace`` is.
    WAIT_FOR_FINISH = "wait_for_finish"
    STOP_AND_FINISH = "stop_and_finish"
    STOP_AND_FAIL = "stop_and_fail"


@dataclass(frozen=True)
class Verdict:
    """
    What to do, and why.

    :param action: what the owner does.
    :param reason: a short sentence for the log and the summary.
    """

    action: Action
    reason: str


def decide(
    source: WakeSource,
    status: JobStatus,
    *,
    ended: bool = False,
    still_streams: bool = False,
    budget_over: bool = False,
    leave_running: bool = False,
    stopped: bool = False,
) -> Verdict:
    """
    Return what the task that owns a job does with it.

    :param source: what woke it.
    :param sight: what MetaStudio says about the job.
    :param ended: whether callbacks have shown END on every output that is known.
    :param still_streams: whether the stream went on after END by MetaStudio's own figures (:func:`went_on`).
    :param budget_over: whether MetaStudio has been unreachable, or has refused us, for longer than
        ``failure_budget``.
    :param leave_running: whether a job that does not finish after END is left to MetaStudio instead of being
        stopped (``stop_after_end=False``).
    :param stopped: whether the job was stopped for this reason already: its end is then no surprise, and is judged
        as if it still ran.
    """
    is_our_doing = stopped and status in _STOPPED.get(source, ())
    if status.is_over and not is_our_doing:
        return _over(status, ended)
    if source is WakeSource.TIMEOUT:
        return Verdict(Action.STOP_AND_FAIL, "execution_timeout was reached")
    if source is WakeSource.DEADLINE:
        return Verdict(Action.STOP_AND_FINISH, "stopped as planned")
    if source in LINK_LIMITS:
        return Verdict(Action.STOP_AND_FAIL, LINK_LIMITS[source])
    if status in (JobStatus.UNKNOWN, JobStatus.REFUSED):
        return _unclear(status, ended, budget_over)
    if status is JobStatus.OTHER_PROJECT:
        return _other_project(source, ended, leave_running)
    if source is WakeSource.GRACE_OVER and is_our_doing:
        return Verdict(Action.FINISH, _NOT_FINISHED)
    if source is WakeSource.GRACE_OVER and ended:
        if still_streams:
            return Verdict(
                Action.WAIT_FOR_FINISH, "END was called back, but MetaStudio's figures do not show it"
            )
        if leave_running:
            return Verdict(Action.FINISH, "the stream ended; the job is left to MetaStudio")
        return Verdict(Action.STOP_AND_FINISH, _NOT_FINISHED)
    if ended:
        return Verdict(Action.WAIT_FOR_FINISH, "the stream ended; MetaStudio is finishing the job")
    return Verdict(Action.WAIT, "the stream goes on")


_NOT_FINISHED = "the stream ended, the job did not finish by itself"

#: For what a job is stopped without anybody's decision, and what MetaStudio may say of it then: the state after a stop
#: is not documented. A planned end that it calls a failure is no reason to begin the show again.
_STOPPED = {
    WakeSource.DEADLINE: {JobStatus.SUCCEED, JobStatus.FAILED, JobStatus.NOT_FOUND},
    WakeSource.GRACE_OVER: {JobStatus.FAILED, JobStatus.NOT_FOUND},
    WakeSource.TIMEOUT: {JobStatus.SUCCEED, JobStatus.NOT_FOUND},
} | {source: {JobStatus.SUCCEED, JobStatus.NOT_FOUND} for source in LINK_LIMITS}


def _over(status: JobStatus, ended: bool) -> Verdict:
    """MetaStudio has no running job: nothing is left to stop, whatever woke the task."""
    if status is JobStatus.SUCCEED:
        return Verdict(Action.FINISH, "the job succeeded" if ended else "the job succeeded; END was not seen")
    if status is JobStatus.BLOCKED:
        return Verdict(Action.FAIL_FOR_GOOD, "MetaStudio blocked the job")
    if status is JobStatus.FAILED:
        return Verdict(Action.FAIL, "the job failed")
    if ended:
        return Verdict(Action.FINISH, "the stream ended; MetaStudio no longer knows the job")
    return Verdict(Action.FAIL, "the job vanished: MetaStudio no longer knows it, and END was not seen")


def _unclear(status: JobStatus, ended: bool, budget_over: bool) -> Verdict:
    """A wait never ends because of a passing fault; the job is left to the backstops when it ends at all."""
    if not budget_over:
        reason = "MetaStudio's answer is not known yet"
        return Verdict(Action.WAIT_FOR_FINISH if ended else Action.WAIT, reason)
    if status is JobStatus.REFUSED:
        return Verdict(Action.FAIL_FOR_GOOD, "MetaStudio refuses the credentials")
    return Verdict(Action.FAIL, "MetaStudio was unreachable for longer than failure_budget")


def _other_project(source: WakeSource, ended: bool, leave_running: bool) -> Verdict:
    """Nobody can be asked about the job, but callbacks still come from where it is. No budget ends that wait."""
    if source is WakeSource.GRACE_OVER and ended:
        if leave_running:
            return Verdict(Action.FINISH, "the stream ended; the job is left to MetaStudio")
        return Verdict(Action.FAIL, "the stream ended, and whether its job did cannot be asked")
    reason = "the connection leads to another project; only callbacks tell of the job"
    return Verdict(Action.WAIT_FOR_FINISH if ended else Action.WAIT, reason)


def went_on(before: float, after: float, elapsed: float) -> bool:
    """
    Tell whether a stream went on between two looks.

    An END can be false: MetaStudio's signature does not cover the body of a callback. A stream that has ended may
    still gain the seconds by which MetaStudio's figure lagged behind, but it does not keep up with the clock.
    That the figure grows while the link is up, and only then, is inferred from its name.

    :param before: ``stream_duration`` at the first look, in seconds.
    :param after: the same at the second look.
    :param elapsed: seconds between the two.
    """
    return after - before > elapsed / 2


#: States of a task instance in which its job is still wanted: it waits, it is about to look, or a retry will
#: adopt the job. Any other state, or no task instance at all, means that the task was ended from outside.
WANTED_TASK_STATES = frozenset(
    {"deferred", "scheduled", "queued", "running", "restarting", "up_for_retry", "up_for_reschedule"}
)


class KillSeenBy(StrEnum):
    """Who asks whether a job ends with its task."""

    #: The trigger that waits for the task. Airflow cancels it for a resume and for a stalled triggerer as well.
    TRIGGER = "trigger"
    #: A process of the task that is told to end: its task may have been ended, or its worker shuts down.
    WORKER = "worker"
    #: A process that is about to leave a running job, to defer or to return, and was told nothing.
    LEAVING = "leaving"
    SWEEP = "sweep"


@dataclass(frozen=True)
class KillVerdict:
    """
    Whether a job ends with its task, and why.

    :param stops: whether the job is stopped.
    :param reason: a short sentence.
    """

    stops: bool
    reason: str


def may_end_with_task(*, cancel_on_kill: bool, time_is_over: bool = False) -> bool:
    """
    Tell whether the end of its task may stop a job at all, whatever the task's state is.

    :param cancel_on_kill: the task's argument. False keeps the job until its time is over, and not longer.
    :param time_is_over: whether the job is due to be stopped anyway.
    """
    return cancel_on_kill or time_is_over


def decide_kill(
    seen_by: KillSeenBy,
    task_state: str | None,
    *,
    cancel_on_kill: bool = True,
    time_is_over: bool = False,
    resumed: bool = False,
    is_last_try: bool = False,
    waits: bool = True,
    run_goes_on: bool = False,
) -> KillVerdict:
    """
    Return whether a job that runs is stopped because of what became of its task.

    :param seen_by: who asks.
    :param task_state: the state of the task instance that owns the job; None if there is none any more, or it has no
        state: it was cleared, or a new scheduler has reset it. A scheduler resets no deferred task: what a trigger sees
        without a state was cleared, and in a paused DAG nobody else would stop its job.
    :param cancel_on_kill: the task's argument.
    :param time_is_over: whether the job is due to be stopped anyway.
    :param resumed: whether the process that is told to end goes on after a deferral.
    :param is_last_try: whether no retry is left after this try.
    :param waits: whether the task sees to the end of its job.
    :param run_goes_on: whether the task instance is there and its run is not over, so that it will run if it has no
        state.
    """
    if not may_end_with_task(cancel_on_kill=cancel_on_kill, time_is_over=time_is_over):
        return KillVerdict(False, "the job was to outlive its task")
    if seen_by is KillSeenBy.WORKER and task_state == "running":
        return _worker_ends(resumed, is_last_try)
    if seen_by in (KillSeenBy.WORKER, KillSeenBy.LEAVING) and task_state == "restarting":
        return KillVerdict(True, "the task was cleared while it ran, and begins anew")
    if seen_by is KillSeenBy.SWEEP and task_state == "success" and not waits:
        return KillVerdict(False, "the end of the job is a tear-down's, or another DAG's")
    if task_state is None and run_goes_on and seen_by is not KillSeenBy.TRIGGER:
        return KillVerdict(False, "the task looks for its job when it starts")
    if task_state in WANTED_TASK_STATES:
        return KillVerdict(False, "the task goes on")
    return KillVerdict(True, "the task was ended from outside")


def _worker_ends(resumed: bool, is_last_try: bool) -> KillVerdict:
    """The process is told to end, and its task is not: only a retry, or another process, will own the job."""
    if resumed:
        return KillVerdict(False, "another process may have the task")
    if is_last_try:
        return KillVerdict(True, "the worker ends, and no retry is left")
    return KillVerdict(False, "the worker ends, and a retry takes up the job")


class Progress(StrEnum):
    """Where a task stands that waits for a state of the stream."""

    REACHED = "reached"
    WAITING = "waiting"
    #: The job is over and the state was not seen: it will never come.
    MISSED = "missed"


def progress(target_state: str, status: JobStatus, *, streamed: bool) -> Progress:
    """
    Judge the wait for a state of the stream by what MetaStudio says, if nothing was called back.

    MetaStudio's own answers know jobs, not links: of the states of a link they tell that it was up
    (CONNECTING and CONNECTED lie behind it) and that it must be over. Any other state is only ever seen by
    callback.

    :param target_state: CONNECTING, CONNECTED, DISCONNECTED, RECONNECTING or END.
    :param sight: what MetaStudio says about the job.
    :param streamed: whether MetaStudio says that video was pushed (``stream_duration`` above 0).
    """
    over = status.is_over
    if target_state == "END":
        if over and status is not JobStatus.NOT_FOUND and (streamed or status is JobStatus.SUCCEED):
            return Progress.REACHED
    elif target_state in ("CONNECTING", "CONNECTED") and streamed:
        return Progress.REACHED
    return Progress.MISSED if over else Progress.WAITING


def judge_end(status: JobStatus, *, grace_over: bool, still_streams: bool) -> bool | None:
    """
    Tell whether an END is true that was called back to a task which owns no job; None if it is not known yet.

    As :func:`decide` does for the owner: MetaStudio gets its time to finish the job, and a job that goes on longer
    counts as ended if its stream does not go on. Where nobody can be asked because the connection was edited, what was
    called back counts after the same time.

    :param sight: what MetaStudio says about the job.
    :param grace_over: whether ``end_grace`` has passed since MetaStudio first said that the job goes on.
    :param still_streams: whether the stream has gone on since then by MetaStudio's own figures (:func:`went_on`).
    """
    if status.is_over:
        return True
    if status not in (JobStatus.ACTIVE, JobStatus.OTHER_PROJECT) or not grace_over:
        return None
    return status is JobStatus.OTHER_PROJECT or not still_streams
