"""The owner of a running job: looks at it when it is woken, and does what the transition table says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk.observability import stats

from airflow_provider_smartlive.exceptions import (
    SmartLiveJobBlockedError,
    SmartLiveJobFailedError,
    SmartLiveKilledError,
    SmartLiveTimeoutError,
)
from airflow_provider_smartlive.lifecycle import Action, Sight, Signal, Verdict, WakeSource, decide, went_on
from airflow_provider_smartlive.livestream.sighting import REFUSED_PAUSE, Sighting
from airflow_provider_smartlive.livestream.stop import is_over, look, stop_and_confirm
from airflow_provider_smartlive.livestream.summary import summarise

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger as Logger

    from airflow_provider_smartlive.callbacks.table import JobCallbacks
    from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook
    from airflow_provider_smartlive.livestream.own_task import OwnTask


@dataclass(frozen=True)
class Wait:
    """
    What a waiting owner has to remember; it travels through Airflow's database while the task is deferred.

    :param job_id: the job.
    :param room_id: its room.
    :param expected_outputs: how many RTMP outputs it was started with.
    :param deadline: when it is to be stopped as planned.
    :param timeout_at: when the task's ``execution_timeout`` is over.
    :param grace_until: END was seen; how long MetaStudio may take to finish the job.
    :param grace_since: when that time began.
    :param streamed: seconds that the stream had lasted then, as MetaStudio counts them; None if it did not answer.
    :param told_by: what told of END, while MetaStudio finishes the job (a :class:`~.lifecycle.WakeSource`).
    :param lost_since: since when MetaStudio has given no clear answer; the failure budget counts from here.
    :param story: what the start has to add to the result: its origin, time, request id and warnings.
    :param ended: whether an earlier try was told that the stream has ended.
    :param told_until: the latest state change of a stream that stands in the task's log already.
    :param version: of this format.
    """

    job_id: str
    room_id: str
    expected_outputs: int
    deadline: datetime | None = None
    timeout_at: datetime | None = None
    grace_until: datetime | None = None
    grace_since: datetime | None = None
    streamed: float | None = None
    told_by: str | None = None
    lost_since: datetime | None = None
    story: dict[str, Any] = field(default_factory=dict)
    ended: bool = False
    told_until: datetime | None = None
    version: int = 1

    def dump(self) -> dict[str, Any]:
        """Return the value as JSON-able primitives."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def load(cls, value: dict[str, Any]) -> Self:
        """Read what :meth:`dump` wrote; fields of a later release are left out."""
        fields = {name: value[name] for name in cls.__dataclass_fields__ if name in value}
        for name in ("deadline", "timeout_at", "grace_until", "grace_since", "lost_since", "told_until"):
            if fields.get(name):
                fields[name] = datetime.fromisoformat(fields[name])
        return cls(**fields)

    def next_moment(self) -> tuple[datetime, WakeSource] | None:
        """Return the next time at which something is due without anybody's signal, and what it is then."""
        return next_moment(self.timeout_at, self.deadline, self.grace_until)


def next_moment(
    timeout_at: datetime | None, deadline: datetime | None, grace_until: datetime | None
) -> tuple[datetime, WakeSource] | None:
    """Return the earliest of the points in time at which a wait ends by itself, and what it is then."""
    moments = (
        (timeout_at, WakeSource.TIMEOUT),
        (deadline, WakeSource.DEADLINE),
        (grace_until, WakeSource.GRACE_OVER),
    )
    return min(((at, source) for at, source in moments if at is not None), default=None)


class Owner:
    """
    Decides for one job, with one hook.

    :ivar pause: seconds for which MetaStudio is better not asked again.
    :param hook: the hook.
    :param wait: what is known of the job.
    :param task: the task instance that owns it.
    :param end_grace: seconds that MetaStudio gets to finish the job after END.
    :param stop_grace: seconds that the job gets to end after a stop.
    :param stop_after_end: whether the job is stopped if it does not finish by itself after END.
    :param failure_budget: seconds for which MetaStudio may give no clear answer.
    """

    def __init__(
        self,
        hook: SmartLiveTaskHook,
        wait: Wait,
        *,
        task: OwnTask,
        end_grace: float,
        stop_grace: float,
        stop_after_end: bool,
        failure_budget: float,
        disconnect_limit: float | None = None,
        log: Logger,
        now: Callable[[], datetime],
    ) -> None:
        self.hook = hook
        self.wait = wait
        self.task = task
        self.end_grace = end_grace
        self.stop_grace = stop_grace
        self.stop_after_end = stop_after_end
        self.failure_budget = failure_budget
        self.disconnect_limit = disconnect_limit
        self.pause = 0.0
        self.log = log
        self.now = now

    def has_ended(self) -> bool:
        """Whether every known output reported END."""
        return self._ended(self.task.callbacks(self.wait.job_id))

    def is_interrupted_too_long(self) -> bool:
        """Whether the stream has been interrupted for longer than it may be."""
        return is_interrupted_too_long(
            self.task.callbacks(self.wait.job_id), self.disconnect_limit, self.now()
        )

    def settle(self, source: WakeSource) -> dict[str, Any] | None:
        """
        Look at the job and do what has to be done.

        :param source: what woke the owner.
        :return: the task's result, or None if the wait goes on; :attr:`wait` then holds how.
        :raises SmartLiveJobFailedError: if the job failed or vanished, or MetaStudio stayed unreachable.
        :raises SmartLiveJobBlockedError: if MetaStudio blocked the job or refuses the credentials.
        :raises SmartLiveTimeoutError: if the task's time was over.
        """
        callbacks = self.task.callbacks(self.wait.job_id)
        self._tell(callbacks)
        sighting = self._look()
        verdict = decide(
            self._signal(source, callbacks),
            sighting.sight,
            ended=self._ended(callbacks),
            still_streams=self._still_streams(sighting),
            budget_over=source is WakeSource.BUDGET_OVER or self._budget_is_over(),
            leave_running=not self.stop_after_end,
        )
        self.log.info("Woken by %s; MetaStudio says %s: %s.", source, sighting, verdict.reason)
        # How often callbacks win over reconciliation tells whether they arrive.
        stats.incr("smartlive.resumed", tags={"source": str(source)})
        return self._act(verdict, sighting, callbacks, source)

    def _signal(self, source: WakeSource, callbacks: JobCallbacks | None) -> Signal:
        """Return what a wake-up means by now: an interrupted stream may have come back."""
        back = not is_interrupted_too_long(callbacks, self.disconnect_limit, self.now())
        return Signal.RECONCILIATION if source is WakeSource.DISCONNECTED and back else source.signal

    def _act(
        self, verdict: Verdict, sighting: Sighting, callbacks: JobCallbacks | None, source: WakeSource
    ) -> dict[str, Any] | None:
        match verdict.action:
            case Action.WAIT:
                self.wait = replace(self.wait, grace_until=None, grace_since=None, told_by=None)
                return None
            case Action.WAIT_FOR_FINISH:
                self.task.note_end(self.wait.job_id)
                self.wait = replace(self.wait, told_by=self.wait.told_by or str(source))
                self._give_grace(sighting, anew=source is WakeSource.GRACE_OVER)
                return None
            case Action.STOP_AND_FINISH:
                sighting = self._stop(verdict.reason)
            case Action.STOP_AND_FAIL:
                self.task.forswear(self.wait.job_id)
                self._stop(verdict.reason)
                error = SmartLiveTimeoutError if source is WakeSource.TIMEOUT else SmartLiveJobFailedError
                raise error(f"{verdict.reason}; job {self.wait.job_id} was stopped.")
            case Action.FAIL:
                raise SmartLiveJobFailedError(self._failure(verdict, sighting))
            case Action.FAIL_FOR_GOOD:
                raise SmartLiveJobBlockedError(self._failure(verdict, sighting))
        return self._summary(verdict.reason, source, sighting, callbacks)

    def _look(self) -> Sighting:
        """Ask MetaStudio; if it refuses, read the credentials again: somebody may have changed the key."""
        sighting = look(self.hook, self.wait.room_id, self.wait.job_id)
        if sighting.sight is Sight.REFUSED and self.hook.reload():
            sighting = look(self.hook, self.wait.room_id, self.wait.job_id)
        self.pause = REFUSED_PAUSE if sighting.sight is Sight.REFUSED else 0.0
        lost_since = None if sighting.is_clear else self.wait.lost_since or self.now()
        self.wait = replace(self.wait, lost_since=lost_since)
        return sighting

    def _ended(self, callbacks: JobCallbacks | None) -> bool:
        """What was called back in this try counts; before that, what an earlier try was told."""
        if callbacks is None or not callbacks.streams:
            return self.wait.ended
        return callbacks.ended(self.wait.expected_outputs)

    def _budget_is_over(self) -> bool:
        lost_since = self.wait.lost_since
        return lost_since is not None and self.now() - lost_since >= timedelta(seconds=self.failure_budget)

    def _still_streams(self, sighting: Sighting) -> bool:
        """Whether the stream has gone on since END was called back. It takes two clear looks to deny it."""
        since = self.wait.grace_since
        if since is None:
            return False
        if self.wait.streamed is None:
            return sighting.streamed
        return went_on(self.wait.streamed, sighting.stream_seconds, (self.now() - since).total_seconds())

    def _give_grace(self, sighting: Sighting, *, anew: bool) -> None:
        """
        Give MetaStudio its time to finish the job.

        :param anew: it is over, but MetaStudio could not be asked what became of the job, or shows that the stream
            goes on.
        """
        if self.wait.grace_until is not None and not anew:
            return
        silent = not sighting.is_clear
        if anew and not silent:
            self.log.warning(
                "END was called back for job %s, but it is not stopped: its stream had lasted %s s then, and %s s now. "
                "If MetaStudio did not send that END, somebody else did; see the docs page Security.",
                self.wait.job_id,
                "?" if self.wait.streamed is None else round(self.wait.streamed),
                round(sighting.stream_seconds),
            )
        seconds = max(self.end_grace, REFUSED_PAUSE) if silent else self.end_grace
        self.wait = replace(
            self.wait,
            grace_since=self.now(),
            grace_until=self.now() + timedelta(seconds=seconds),
            streamed=sighting.stream_seconds if sighting.is_clear else None,
        )

    def started(self) -> dict[str, Any]:
        """Return the result of a task that does not wait."""
        return self._summary("started; not waited for")

    def discard(self, reason: str) -> None:
        """
        Stop the job for good: neither it nor its end is a result.

        :param reason: for the log and for the error.
        :raises SmartLiveJobFailedError: if the job does not stop.
        """
        self.task.forswear(self.wait.job_id)
        self._stop(reason)

    def leave(self) -> None:
        """
        Make sure, before the process leaves a running job behind, that its task was not ended meanwhile.

        Airflow tells a process so by its heartbeat, some seconds later. If the process wants to defer by then, it
        is refused without a word to the operator, and there is no trigger that would stop the job.

        :raises SmartLiveKilledError: if the task was ended; the job is stopped then.
        """
        if self.task.is_ended_meanwhile():
            self.discard("The task was ended from outside")
            raise SmartLiveKilledError("The task was ended from outside.")

    def honour_kill(self, understood: Callable[[], None]) -> None:
        """
        Stop the job if the task was ended from outside.

        :param understood: called as soon as that is known.
        """
        killed = self.task.is_ended_from_outside()
        understood()
        if killed:
            self.discard("The task was ended from outside")
        else:
            self.log.info(
                "This process is told to end, its task is not: job %s is left alone.", self.wait.job_id
            )

    def _summary(
        self,
        outcome: str,
        source: WakeSource | None = None,
        sighting: Sighting | None = None,
        callbacks: JobCallbacks | None = None,
    ) -> dict[str, Any]:
        return summarise(
            job_id=self.wait.job_id,
            room_id=self.wait.room_id,
            outcome=outcome,
            # Whoever asks wants to know whether callbacks arrive, not who looked last.
            woken_by=self.wait.told_by
            if source is WakeSource.RECONCILIATION and self.wait.told_by
            else source,
            job=sighting.job if sighting else None,
            callbacks=callbacks,
            settled_at=self.now().isoformat(),
            **self.wait.story,
        )

    def _stop(self, reason: str) -> Sighting:
        sighting = stop_and_confirm(self.hook, self.wait.room_id, self.wait.job_id, grace=self.stop_grace)
        if not is_over(sighting):
            raise SmartLiveJobFailedError(
                f"{reason}, but job {self.wait.job_id} is still running {self.stop_grace:.0f} s after it was told to "
                f"stop (MetaStudio says {sighting}). A retry will stop it again; "
                "`airflow smartlive jobs stop` does so by hand."
            )
        return sighting

    def _failure(self, verdict: Verdict, sighting: Sighting) -> str:
        text = f"Job {self.wait.job_id} in room {self.wait.room_id}: {verdict.reason}."
        if sighting.error is not None:
            return f"{text} {sighting.error}"
        if sighting.job is None:
            return text
        if sighting.sight is Sight.BLOCKED:
            return f"{text} Reason: {sighting.job.block_reason or 'none given'}"
        error = sighting.job.error_info
        return f"{text} {error.error_code}: {error.error_msg}" if error else text

    def _tell(self, callbacks: JobCallbacks | None) -> None:
        """Write the story of the stream into the log: one line per state change, each of them once."""
        if callbacks is None:
            return
        told_until = self.wait.told_until
        changes = sorted(
            (at, stream.label, state)
            for stream in callbacks.streams
            for state, at in stream.transitions
            if told_until is None or at > told_until
        )
        for at, label, state in changes:
            self.log.info("RTMP %s: %s at %s.", label, state, at.isoformat())
        if changes:
            self.wait = replace(self.wait, told_until=changes[-1][0])


def is_interrupted_too_long(callbacks: JobCallbacks | None, limit: float | None, now: datetime) -> bool:
    """
    Tell whether a stream has been interrupted for too long.

    :param limit: seconds that an interruption may last; None: for ever.
    """
    since = callbacks.interrupted_since() if callbacks is not None and limit is not None else None
    return since is not None and limit is not None and now - since > timedelta(seconds=limit)
