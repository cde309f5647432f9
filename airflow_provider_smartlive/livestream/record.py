"""What a task remembers of its job, across tries and clears."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any, NamedTuple, Self

from airflow_provider_smartlive.decisions import Action, JobStatus, WakeSource, decide
from airflow_provider_smartlive.metastudio.ids import JobRef, same_id

_VERSION = 5
_TIMES = ("sent_at", "started_at", "deadline", "timeout_at")
_TUPLES = ("attempt", "outputs", "discarded")


class Attempt(NamedTuple):
    """
    What Airflow says of one try, by which a retry is told from a clear.

    :param max_tries: the task instance's. A clear sets it to the tries that were made plus ``retries``.
    :param retries: the operator's.
    :param clear_number: how often tasks of the DAG run were cleared, this one or others.
    """

    max_tries: int
    retries: int
    clear_number: int

    def continues(self, earlier: Attempt, *, finished: bool) -> bool:
        """
        Tell whether this try belongs to the life of an earlier one: whether it is a retry, not the first after a clear.

        A clear raises ``max_tries``, unless ``retries`` was lowered meanwhile by just the number of tries that were
        made. Then only a changed ``clear_number`` is left, which any other task of the run may have changed, too: it
        counts if the earlier life has its result, or if ``retries`` has changed indeed.

        :param finished: whether the task was given its result in the earlier life.
        """
        if self.max_tries != earlier.max_tries:
            return False
        if self.clear_number == earlier.clear_number:
            return True
        return not finished and self.retries == earlier.retries


@dataclass(frozen=True)
class JobRecord:
    """
    One life of a task, in the task state store: where its start was sent, and what became of it.

    It is written before the request leaves and read by every try that comes after it: nobody derives the
    connection, the room, the generation or the deadline of a job a second time.

    :param generation: names the life (:func:`~airflow_provider_smartlive.callbacks.url.new_generation`).
    :param attempt: what Airflow said of the try that began the life.
    :param smartlive_conn_id: the connection over which the start was sent.
    :param room_id: the room to which it was sent.
    :param outputs: the RTMP outputs that were asked for, as they may be shown.
    :param address: where ``smartlive_conn_id`` led when the start was sent: MetaStudio's endpoint and the project.
    :param standby: whether it was sent to the task's standby, as the primary was refused.
    :param calls_back: whether a callback URL of ours was sent along, by which the job can be recognised.
    :param single_job_in_room: whether MetaStudio was asked to refuse a second job in the room.
    :param unclear_start: whether an earlier start of the task, in whatever life, had an unknown outcome: it may have
        made a job that nobody has seen.
    :param sent_at: when a start was about to be sent; stays without a job id if the outcome is unknown.
    :param job_id: the job, once MetaStudio has answered.
    :param started_at: when the job was started.
    :param deadline: when it is to be stopped as planned.
    :param timeout_at: when the task's ``execution_timeout`` stops it, in the try that had the job last.
    :param discarded: jobs of this life whose end is nobody's result: we stopped them, or an earlier try failed
        with them.
    :param planned_stop: whether the job was stopped, or about to be, as its planned end had come or it did not finish
        after END: its end is the result then, whatever MetaStudio calls it.
    :param ended: whether END was called back on every output of the job. The callback table says so, too, but
        a new try begins without it, and END does not come twice.
    :param failure: why an earlier try of this life failed, safe to show.
    :param finished: whether the task was given its result.
    :param is_over: whether MetaStudio has said that the job is over.
    :param version: of this format.
    """

    generation: str
    attempt: Attempt
    smartlive_conn_id: str
    room_id: str
    outputs: tuple[str, ...] = ()
    address: str | None = None
    standby: bool = False
    calls_back: bool = True
    single_job_in_room: bool = False
    unclear_start: bool = False
    sent_at: datetime | None = None
    job_id: str | None = None
    started_at: datetime | None = None
    deadline: datetime | None = None
    timeout_at: datetime | None = None
    discarded: tuple[str, ...] = ()
    planned_stop: bool = False
    ended: bool = False
    failure: str | None = None
    finished: bool = False
    is_over: bool = False
    version: int = _VERSION

    @classmethod
    def load(cls, value: object) -> Self | None:
        """
        Read what :meth:`dump` wrote.

        :raises ValueError: for a record of another release: to start beside its job would stream twice.
        """
        if value is None:
            return None
        if not isinstance(value, dict) or value.get("version") != _VERSION:
            raise ValueError(
                "The task state store holds a record of this task's livestream that another release of "
                "airflow-provider-smartlive wrote. Finish the livestream with that release, or stop it "
                "(`airflow smartlive jobs stop`) and delete the task's state `smartlive_job`."
            )
        known: dict[str, Any] = {part.name: value[part.name] for part in fields(cls) if part.name in value}
        for name in _TIMES:
            if known.get(name):
                known[name] = datetime.fromisoformat(known[name])
        known |= {name: tuple(known.get(name, ())) for name in _TUPLES}
        return cls(**known | {"attempt": Attempt(*known["attempt"])})

    def dump(self) -> dict[str, Any]:
        """Return the record as JSON-able primitives; points in time as ISO 8601 text."""
        values = asdict(self)
        values |= {name: list(values[name]) for name in _TUPLES}
        return values | {name: values[name] and values[name].isoformat() for name in _TIMES}

    def continues_in(self, attempt: Attempt) -> bool:
        """Tell whether a try belongs to this life."""
        return attempt.continues(self.attempt, finished=self.finished)

    def is_later_than(self, attempt: Attempt) -> bool:
        """Whether a try is the one that is out of date: its task was cleared while its process went on."""
        return self.attempt.clear_number > attempt.clear_number and not self.continues_in(attempt)

    @property
    def job_name(self) -> str:
        """Return its job for messages, also while the id is not known."""
        return str(JobRef(self.room_id, self.job_id or "(id not known)"))

    @property
    def is_unsettled(self) -> bool:
        """Whether a start was sent whose outcome is unknown."""
        return self.sent_at is not None and self.job_id is None

    @property
    def may_run(self) -> bool:
        """Whether a start was sent that may have made a job, and it is not known that the job is over."""
        return self.sent_at is not None and not self.is_over

    @property
    def address_to_ask(self) -> str | None:
        """Return where its job has to be asked for; None if it is over, wherever it was."""
        return self.address if self.may_run else None

    @property
    def has_failed(self) -> bool:
        """Whether an earlier try of this life had a livestream that failed, or failed to start one."""
        return self.failure is not None or bool(self.discarded)

    def is_discarded(self, job_id: str) -> bool:
        """Whether neither a job nor its end may be taken up again."""
        return any(same_id(job_id, discarded) for discarded in self.discarded)

    def has_ended(self, job_id: str) -> bool:
        """Whether END was called back for a job, in whatever try."""
        return self.ended and self.job_id is not None and same_id(self.job_id, job_id)

    def timed_out(self, ended_at: datetime | None) -> bool:
        """
        Tell whether the end of the job is that of ``execution_timeout``, which the trigger keeps without a worker.

        :param ended_at: when the job ended; None if MetaStudio does not say.
        """
        if self.timeout_at is None or ended_at is None:
            return False
        was_planned = self.deadline is not None and self.deadline < self.timeout_at
        return not was_planned and ended_at >= self.timeout_at

    def stopped_by(self, source: WakeSource) -> Self:
        """
        Return the record with what a stop makes of the end of the job: the result, or that of an earlier try.

        :param source: what was due.
        """
        verdict = decide(source, JobStatus.ACTIVE)
        if verdict.action is Action.STOP_AND_FAIL:
            return replace(
                self.without(self.job_id), failure=f"{verdict.reason}; job {self.job_id} was stopped."
            )
        return replace(self, planned_stop=verdict.action is Action.STOP_AND_FINISH)

    def stop_source(self, now: datetime) -> WakeSource | None:
        """Return why an earlier try stopped the job whose end is the result, or was about to; None if it did not."""
        if not self.planned_stop:
            return None
        is_due = self.deadline is not None and self.deadline <= now
        return WakeSource.DEADLINE if is_due else WakeSource.GRACE_OVER

    def without(self, job_id: str | None) -> Self:
        """Return the record with a job discarded."""
        if job_id is None or self.is_discarded(job_id):
            return self
        return replace(self, discarded=(*self.discarded, job_id))
