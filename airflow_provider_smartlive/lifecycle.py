"""
What a signal means: the policy of the whole provider, as one pure table.

A *signal* is what woke the owner of a job (the task that started it). A *sight* is what MetaStudio says about
the job at that moment. :func:`decide` maps both to what the owner does; nothing else in the package decides
that.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Signal(StrEnum):
    """What made the owner look."""

    #: A callback: the link of every output that is known is over.
    END = "end"
    #: Nothing was pushed; the slow poll behind the callbacks asked.
    RECONCILIATION = "reconciliation"
    #: ``stop_at`` or ``max_duration``: the planned end.
    DEADLINE = "deadline"
    #: ``execution_timeout`` of the task.
    TIMEOUT = "timeout"
    #: MetaStudio did not finish the job within ``end_grace`` after END.
    GRACE_OVER = "grace_over"
    #: The stream was interrupted for longer than ``fail_on_disconnect_longer_than``.
    DISCONNECTED = "disconnected"
    #: Somebody ended the task: marked it, cleared it, stopped or deleted its run.
    KILL = "kill"
    #: The trigger was cancelled although its task still waits: a hand-over, a restart, a stall.
    HAND_OVER = "hand_over"


class WakeSource(StrEnum):
    """What woke a waiting task, as it stands in the event that resumes it and in the task's result."""

    CALLBACK = "callback"
    #: A callback too, found in the table by the trigger's first read.
    FIRST_READ = "first-read"
    RECONCILIATION = "reconciliation"
    DEADLINE = "deadline"
    TIMEOUT = "timeout"
    GRACE_OVER = "grace-over"
    DISCONNECTED = "disconnected"
    #: MetaStudio was unreachable, or refused us, for longer than ``failure_budget``.
    BUDGET_OVER = "budget-over"

    @property
    def signal(self) -> Signal:
        """What it means to the owner."""
        return _SIGNALS.get(self, Signal.RECONCILIATION)


_SIGNALS = {
    WakeSource.CALLBACK: Signal.END,
    WakeSource.FIRST_READ: Signal.END,
    WakeSource.DEADLINE: Signal.DEADLINE,
    WakeSource.TIMEOUT: Signal.TIMEOUT,
    WakeSource.GRACE_OVER: Signal.GRACE_OVER,
    WakeSource.DISCONNECTED: Signal.DISCONNECTED,
}


class Sight(StrEnum):
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


class Action(StrEnum):
    """What the owner does."""

    FINISH = "finish"
    FAIL = "fail"
    #: Fail without a retry.
    FAIL_FOR_GOOD = "fail_for_good"
    WAIT = "wait"
    #: Ask every few seconds until the job is over or ``end_grace`` is.
    WAIT_FOR_FINISH = "wait_for_finish"
    STOP_AND_FINISH = "stop_and_finish"
    STOP_AND_FAIL = "stop_and_fail"
    #: Stop and confirm; the task's own result is decided elsewhere.
    STOP = "stop"
    NOTHING = "nothing"


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
    signal: Signal,
    sight: Sight,
    *,
    ended: bool = False,
    still_streams: bool = False,
    budget_over: bool = False,
    leave_running: bool = False,
    stopped: bool = False,
) -> Verdict:
    """
    Return what the owner of a job does.

    :param signal: what made it look.
    :param sight: what MetaStudio says about the job.
    :param ended: whether callbacks have shown END on every output that is known.
    :param still_streams: whether the stream went on after END by MetaStudio's own figures (:func:`went_on`).
    :param budget_over: whether MetaStudio has been unreachable, or has refused us, for longer than
        ``failure_budget``.
    :param leave_running: whether a job that does not finish after END is left to MetaStudio instead of being
        stopped (``stop_after_end=False``).
    :param stopped: whether the job was stopped for this signal already: its end is then no surprise, and is judged
        as if it still ran.
    """
    if signal is Signal.HAND_OVER:
        return Verdict(Action.NOTHING, "the task still waits; another triggerer goes on")
    is_our_doing = stopped and sight in _STOPPED.get(signal, ())
    if sight in _OVER and not is_our_doing:
        return _over(signal, sight, ended)
    if signal is Signal.KILL:
        return Verdict(Action.STOP, "the task was ended from outside")
    if signal is Signal.TIMEOUT:
        return Verdict(Action.STOP_AND_FAIL, "execution_timeout was reached")
    if signal is Signal.DEADLINE:
        return Verdict(Action.STOP_AND_FINISH, "stopped as planned")
    if signal is Signal.DISCONNECTED:
        return Verdict(Action.STOP_AND_FAIL, "the stream was interrupted for too long")
    if sight in (Sight.UNKNOWN, Sight.REFUSED):
        return _unclear(sight, ended, budget_over)
    if signal is Signal.GRACE_OVER and ended:
        if still_streams:
            return Verdict(
                Action.WAIT_FOR_FINISH, "END was called back, but MetaStudio's figures do not show it"
            )
        if leave_running:
            return Verdict(Action.FINISH, "the stream ended; the job is left to MetaStudio")
        return Verdict(Action.STOP_AND_FINISH, "the stream ended, the job did not finish by itself")
    if ended:
        return Verdict(Action.WAIT_FOR_FINISH, "the stream ended; MetaStudio is finishing the job")
    return Verdict(Action.WAIT, "the stream goes on")


_OVER = {Sight.SUCCEED, Sight.FAILED, Sight.BLOCKED, Sight.NOT_FOUND}

#: For what a job is stopped without anybody's decision, and what MetaStudio may say of it then: the state after a stop
#: is not documented. A planned end that it calls a failure is no reason to begin the show again.
_STOPPED = {
    Signal.DEADLINE: {Sight.SUCCEED, Sight.FAILED, Sight.NOT_FOUND},
    Signal.TIMEOUT: {Sight.SUCCEED, Sight.NOT_FOUND},
    Signal.DISCONNECTED: {Sight.SUCCEED, Sight.NOT_FOUND},
}


def _over(signal: Signal, sight: Sight, ended: bool) -> Verdict:
    """MetaStudio has no running job: nothing is left to stop, whatever the signal was."""
    if signal is Signal.KILL:
        return Verdict(Action.NOTHING, "the job is over already")
    if sight is Sight.SUCCEED:
        return Verdict(Action.FINISH, "the job succeeded" if ended else "the job succeeded; END was not seen")
    if sight is Sight.BLOCKED:
        return Verdict(Action.FAIL_FOR_GOOD, "MetaStudio blocked the job")
    if sight is Sight.FAILED:
        return Verdict(Action.FAIL, "the job failed")
    if ended:
        return Verdict(Action.FINISH, "the stream ended; MetaStudio no longer knows the job")
    return Verdict(Action.FAIL, "the job vanished: MetaStudio no longer knows it, and END was not seen")


def _unclear(sight: Sight, ended: bool, budget_over: bool) -> Verdict:
    """A wait never ends because of a passing fault; the job is left to the backstops when it ends at all."""
    if not budget_over:
        reason = "MetaStudio's answer is not known yet"
        return Verdict(Action.WAIT_FOR_FINISH if ended else Action.WAIT, reason)
    if sight is Sight.REFUSED:
        return Verdict(Action.FAIL_FOR_GOOD, "MetaStudio refuses the credentials")
    return Verdict(Action.FAIL, "MetaStudio was unreachable for longer than failure_budget")


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


def signal_of_cancel(task_state: str | None) -> Signal:
    """
    Tell a kill from a hand-over when a waiting trigger or process is cancelled.

    :param task_state: the state of the own task instance, or None if there is none any more or it was
        cleared.
    """
    return Signal.HAND_OVER if task_state in WANTED_TASK_STATES else Signal.KILL


class Progress(StrEnum):
    """Where a task stands that waits for a state of the stream."""

    REACHED = "reached"
    WAITING = "waiting"
    #: The job is over and the state was not seen: it will never come.
    MISSED = "missed"


def progress(target_state: str, sight: Sight, *, seen: bool, streamed: bool) -> Progress:
    """
    Judge the wait for a state of the stream.

    MetaStudio's own answers know jobs, not links: of the states of a link they tell that it was up
    (CONNECTING and CONNECTED lie behind it) and that it must be over. Any other state is only ever seen by
    callback.

    :param target_state: CONNECTING, CONNECTED, DISCONNECTED, RECONNECTING or END.
    :param sight: what MetaStudio says about the job.
    :param seen: whether callbacks have shown the state.
    :param streamed: whether MetaStudio says that video was pushed (``stream_duration`` above 0).
    """
    if seen:
        return Progress.REACHED
    over = sight in _OVER
    if target_state == "END":
        if over and sight is not Sight.NOT_FOUND and (streamed or sight is Sight.SUCCEED):
            return Progress.REACHED
    elif target_state in ("CONNECTING", "CONNECTED") and streamed:
        return Progress.REACHED
    return Progress.MISSED if over else Progress.WAITING
