"""
The only module that writes to Airflow's metadata database. Load, apply, save, wake: one transaction.

The transaction begins with a write to the task instance's row. That is what makes two events of one task wait
for each other: SQLite has no ``SELECT ... FOR UPDATE``, and a transaction that reads before it writes loses
events on both. Locks are taken in one order, the starter's row first and then those of waiters sorted
by name, so that two events cannot wait for each other in a circle. No lock is waited for for long.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial

from airflow.sdk.timezone import utcnow
from airflow.utils.session import create_session
from airflow.utils.state import State, TaskInstanceState
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.apply import Outcome, OutcomeKind, apply_event, unrecognised
from airflow_provider_smartlive.callbacks.messages import (
    CALLBACK,
    JOB_ID_KEY,
    JOB_KEY,
    XCOM_TABLE_KEY,
    ResumeEvent,
    end_key,
    is_fresh,
    is_ours,
    starter_waiter_key,
    waiter_key,
)
from airflow_provider_smartlive.callbacks.table import CallbackTable, JobCallbacks
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.task_status import (
    TaskStatus,
    has_own_xcoms,
    timeout_while_waiting,
    was_cleared_while_waiting,
)
from airflow_provider_smartlive.callbacks.url import CallbackTarget, OpenedUrl, began
from airflow_provider_smartlive.metastudio.events import CallbackEvent
from airflow_provider_smartlive.metastudio.ids import is_id, same_id
from airflow_provider_smartlive.receiver import statements
from airflow_provider_smartlive.receiver.shapes import check_dialect
from airflow_provider_smartlive.receiver.waiters import wake_waiters

#: How often a transaction is tried that the database broke off in favour of another one.
ATTEMPTS = 4

#: Seconds after which it is not tried again: the sender waits, and it is better off with a 503 in time.
PATIENCE = 5.0

#: How many transactions one process runs at once on PostgreSQL. More only wait for Python and for each other, and
#: take connections from Airflow's own pool (5, and 10 in need).
CONCURRENCY = 4

#: PostgreSQL's codes for: serialization failure, deadlock. Not a lock timeout, which is :class:`Locked`.
_CONFLICTS = frozenset({"40001", "40P01"})

_own_session = partial(create_session, scoped=False)

#: Takes the table and the id of the job that the task waits for, if that is known; may read with the session.
_Change = Callable[[Session, CallbackTable, str | None], tuple[CallbackTable, Outcome]]


class Gone(Exception):  # noqa: N818 - the word that HTTP uses for it
    """There is nothing any more that the event could be about: the run was deleted or the task cleared."""


class Unavailable(Exception):  # noqa: N818 - the word that HTTP uses for it
    """The database is away, locked or busy. The event is not stored, and may be sent again."""


class Locked(Unavailable):
    """Somebody else has locked a row that the event needs. It may be tried again soon."""


@dataclass(frozen=True)
class Receipt:
    """
    What became of an event that was committed.

    :param owner_resumed: Whether the task that started the job was resumed.
    :param waiters_woken: How many waiting tasks were ended or resumed.
    """

    outcome: Outcome
    owner_resumed: bool = False
    waiters_woken: int = 0


class Store:
    """
    Records events in the callback tables of task instances.

    :param sessions: Opens a session whose transaction ends with the context.
    :param resume_delay: Seconds after its deferral for which a task is sent back to no worker; default: the setting.
    :param now: The clock that tells how long ago a task deferred, where the database has none of its own.
    :param sleep: Waits between two attempts, in seconds.
    """

    def __init__(
        self,
        *,
        sessions: Callable[[], AbstractContextManager[Session]] = _own_session,
        resume_delay: float | None = None,
        now: Callable[[], datetime] = utcnow,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sessions = sessions
        self._resume_delay = settings.usable_number("resume_delay") if resume_delay is None else resume_delay
        self._now = now
        self._sleep = sleep

    @property
    def concurrency(self) -> int:
        """How many transactions one process should run at once: SQLite has one writer."""
        with self._sessions() as session:
            return 1 if session.get_bind().dialect.name == "sqlite" else CONCURRENCY

    def record(
        self,
        opened: OpenedUrl,
        event: CallbackEvent,
        *,
        at: datetime,
        signed_at: datetime | None,
        digest: str | None,
    ) -> Receipt:
        """
        Fold an event into the table of its task instance, and wake whoever waited for what it reports.

        :param opened: The verified route of the event.
        :param at: When the event was accepted.
        :param signed_at: The time that MetaStudio signed.
        :param digest: The mark by which a repetition is recognised.
        :return: What was committed.
        :raises Gone: if the task instance does not exist any more, or lives a later life.
        :raises Locked: if somebody else has locked a row that is needed; nothing is stored then.
        :raises Unavailable: if the database could not do it; nothing is stored then.
        :raises UnsupportedDatabase: on MySQL, and with tables of an unknown shape.
        """

        def change(
            session: Session, table: CallbackTable, current_job: str | None
        ) -> tuple[CallbackTable, Outcome]:
            # Few events need it, and those that do may need both of its parts.
            refreshes = cache(
                lambda: statements.refreshes(session, event.job_id or "", began(opened.target.generation))
            )
            return apply_event(
                table,
                event,
                at=at,
                fingerprint_key=opened.fingerprint_key,
                signed_at=signed_at,
                digest=digest,
                current_job=current_job,
                outputs=opened.target.terms.outputs,
                refreshes=lambda: refreshes().sent,
                refused=lambda: refreshes().refused,
            )

        return self._commit(opened, change, at)

    def note(self, opened: OpenedUrl, problem: str, *, at: datetime, digest: str | None) -> Receipt:
        """
        Keep a note of a verified event that could not be parsed. Raises as :meth:`record`.

        :param problem: What is wrong with it, without its values.
        """
        return self._commit(
            opened, lambda _, table, __: unrecognised(table, "", problem, at=at, digest=digest), at
        )

    def _commit(self, opened: OpenedUrl, change: _Change, at: datetime) -> Receipt:
        started = time.monotonic()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._sessions() as session:
                    check_dialect(session.get_bind().dialect.name)
                    with statements.bounded_waits(session):
                        return self._transaction(session, opened.target, change, at)
            except (OperationalError, InterfaceError, PoolTimeoutError) as error:
                if statements.is_lock_timeout(error):
                    raise Locked("a row is locked in the metadata database") from error
                late = time.monotonic() - started > PATIENCE
                if late or attempt == ATTEMPTS or not _is_conflict(error):
                    raise Unavailable(f"the metadata database said {type(error).__name__}") from error
                self._sleep(random.uniform(0.01, 0.05) * attempt)  # noqa: S311 - spreads load, keeps no secret
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _transaction(
        self, session: Session, target: CallbackTarget, change: _Change, at: datetime
    ) -> Receipt:
        task_ref = target.task_ref
        owner = statements.lock(session, task_ref)
        if owner is None or owner.max_tries != target.max_tries:
            raise Gone
        xcoms = statements.load(session, owner, task_ref)
        current_job = xcoms.get(JOB_ID_KEY)
        current_job = current_job if isinstance(current_job, str) else None
        table = _table_of_life(xcoms.get(XCOM_TABLE_KEY), target.generation)
        table, outcome = change(session, table, current_job)
        if outcome.kind is OutcomeKind.DUPLICATE:
            return Receipt(outcome)
        statements.save(session, owner, task_ref, XCOM_TABLE_KEY, table.dump(), at)

        # The signature does not cover the body: whoever captured one could name any job in it. Only the job
        # that this task instance really started wakes anybody.
        job = table.job(outcome.job_id) if outcome.job_id else None
        is_news = outcome.all_ended or outcome.reached
        if job is None or not is_news or (current_job and not same_id(current_job, job.job_id)):
            return Receipt(outcome)
        if current_job:
            # In the starter's spelling: people compare the results of the tasks that are woken.
            job = job.model_copy(update={"job_id": current_job})
            if outcome.all_ended:
                statements.save(session, owner, task_ref, end_key(job.job_id), _wake_up(job, at).dump(), at)
        return self._wake(session, task_ref, owner, job, outcome, at, knows_job=current_job is not None)

    def _wake(
        self,
        session: Session,
        task_ref: TaskRef,
        owner: statements.LockedTask,
        job: JobCallbacks,
        outcome: Outcome,
        at: datetime,
        *,
        knows_job: bool,
    ) -> Receipt:
        now = statements.now(session) or self._now()

        def may_resume(deferred_at: datetime) -> bool:
            return not is_fresh(deferred_at, now, self._resume_delay)

        resumed = outcome.all_ended and self._resume_owner(session, owner, job, at, may_resume)
        woken = 0
        if knows_job and outcome.reached:
            keys = [waiter_key(job.job_id)]
            if _has_own_job(owner):
                keys.append(starter_waiter_key(task_ref))
            woken = wake_waiters(session, keys, job, at, may_resume=may_resume)
        return Receipt(outcome, owner_resumed=resumed, waiters_woken=woken)

    @staticmethod
    def _resume_owner(
        session: Session,
        owner: statements.LockedTask,
        job: JobCallbacks,
        at: datetime,
        may_resume: Callable[[datetime], bool],
    ) -> bool:
        if owner.state != TaskInstanceState.DEFERRED:
            return False
        trigger = statements.trigger_of(session, owner)
        if trigger is None or not is_ours(trigger[1]) or not may_resume(trigger[0]):
            return False
        owner_row = statements.task_instances(session, [owner.id])[owner.id]
        statements.resume(session, owner_row, _wake_up(job, at))
        return True


def _wake_up(job: JobCallbacks, at: datetime) -> ResumeEvent:
    return ResumeEvent(source=CALLBACK, job_id=job.job_id, state="END", at=at)


def _table_of_life(value: object, generation: str) -> CallbackTable:
    """
    Return the table that an event of this generation belongs to: the one that is there, or a new one.

    :param generation: Empty for a test event, which belongs to whatever life there is.
    :raises Gone: if the table is of a later life.
    """
    table = CallbackTable.load(value)
    if generation and generation < table.generation:
        raise Gone
    return CallbackTable(generation=generation) if generation > table.generation else table


def _has_own_job(owner: statements.LockedTask) -> bool:
    """
    Tell whether the job of a task is of its present try, so that it counts for tasks that wait for whatever job it has.

    While it waits to run again, its last job may end at any time, and the next one is what they wait for.
    """
    is_running = owner.state == TaskInstanceState.RUNNING
    return is_running or has_own_xcoms(owner.state, resumes=owner.next_method is not None)


def find_task(task_ref: TaskRef) -> TaskStatus | None:
    """
    Look up, for the sweep, the task instance in whose name a job runs; None if there is none.

    With ``[core] xcom_backend`` XComs may be kept elsewhere, and the row then says where: that is not known here.
    """
    with _own_session() as session:
        task = statements.look(session, task_ref)
        if task is None:
            return None
        xcoms = statements.load(session, task, task_ref)
    job_id = xcoms.get(JOB_ID_KEY)
    return TaskStatus(
        task.state,
        run_goes_on=task.run_state in State.unfinished_dr_states,
        max_tries=task.max_tries,
        job_id=job_id if isinstance(job_id, str) and is_id(job_id) else None,
        generation=CallbackTable.load(xcoms.get(XCOM_TABLE_KEY)).generation or None,
        was_cleared=was_cleared_while_waiting(
            task.state,
            xcoms.get(JOB_KEY),
            try_number=task.try_number,
            clear_number=task.clear_number,
            last_try_ended=task.last_try_ended,
        ),
        timeout_at=timeout_while_waiting(task.state, xcoms.get(JOB_KEY), try_number=task.try_number),
    )


def _is_conflict(error: Exception) -> bool:
    return statements.sqlstate(error) in _CONFLICTS or "database is locked" in str(
        getattr(error, "orig", None)
    )
