"""
The only module that opens a session of Airflow's metadata database. Load, fold, save, wake: one transaction.

The transaction begins with a write to the task instance's row. That is what makes two events of one task wait
for each other: SQLite has no ``SELECT ... FOR UPDATE``, and a transaction that reads before it writes loses
events on both. Locks are taken in one order, the starter's row first and then those of waiters sorted
by name, so that two events cannot wait for each other in a circle.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.models.xcom import XComModel
from airflow.sdk.timezone import utcnow
from airflow.utils.session import create_session
from airflow.utils.state import State, TaskInstanceState
from sqlalchemy import and_, select
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks import rows
from airflow_provider_smartlive.callbacks.facts import TaskFacts
from airflow_provider_smartlive.callbacks.fold import Outcome, OutcomeKind, fold, unrecognised
from airflow_provider_smartlive.callbacks.route import Identity, OpenedRoute
from airflow_provider_smartlive.callbacks.table import CallbackTable, JobCallbacks
from airflow_provider_smartlive.callbacks.waiter import (
    CALLBACK,
    JOB_ID_KEY,
    XCOM_TABLE_KEY,
    Waiter,
    Wake,
    is_fresh,
    starter_waiter_key,
    waiter_key,
)
from airflow_provider_smartlive.metastudio.events import CallbackEvent
from airflow_provider_smartlive.metastudio.ids import same_id

log = structlog.get_logger(__name__)

#: How often a transaction is tried that the database broke off in favour of another one.
ATTEMPTS = 4

#: Seconds after which it is not tried again: the sender waits, and it is better off with a 503 in time.
PATIENCE = 5.0

#: How many transactions one process runs at once on PostgreSQL. More only wait for Python and for each other, and
#: take connections from Airflow's own pool (5, and 10 in need).
CONCURRENCY = 4

#: PostgreSQL's codes for: serialization failure, deadlock, lock timeout.
_CONFLICTS = frozenset({"40001", "40P01", "55P03"})

_own_session = partial(create_session, scoped=False)

#: Takes the table and the id of the job that the task waits for, if that is known.
_Change = Callable[[CallbackTable, str | None], tuple[CallbackTable, Outcome]]


class Gone(Exception):  # noqa: N818 - the word that HTTP uses for it
    """There is nothing any more that the event could be about: the run was deleted or the task cleared."""


class Unavailable(Exception):  # noqa: N818 - the word that HTTP uses for it
    """The database is away, locked or busy. The event is not stored, and may be sent again."""


class UnsupportedDatabase(RuntimeError):  # noqa: N818 - names the thing, as Gone and Unavailable do
    """The metadata database is one for which nobody has shown that the locking works."""


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
    :param now: The clock that tells how long ago a task deferred.
    :param sleep: Waits between two attempts, in seconds.
    """

    def __init__(
        self,
        *,
        sessions: Callable[[], AbstractContextManager[Session]] = _own_session,
        now: Callable[[], datetime] = utcnow,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sessions = sessions
        self._now = now
        self._sleep = sleep

    @property
    def concurrency(self) -> int:
        """How many transactions one process should run at once: SQLite has one writer."""
        with self._sessions() as session:
            return 1 if session.get_bind().dialect.name == "sqlite" else CONCURRENCY

    def record(
        self,
        opened: OpenedRoute,
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
        :raises Gone: if the task instance does not exist any more, or is of another generation.
        :raises Unavailable: if the database could not do it; nothing is stored then.
        :raises UnsupportedDatabase: on MySQL.
        """

        def change(table: CallbackTable, current_job: str | None) -> tuple[CallbackTable, Outcome]:
            return fold(
                table,
                event,
                at=at,
                fingerprint_key=opened.fingerprint_key,
                signed_at=signed_at,
                digest=digest,
                current_job=current_job,
            )

        return self._commit(opened, change, at)

    def note(self, opened: OpenedRoute, problem: str, *, at: datetime, digest: str | None) -> Receipt:
        """
        Keep a note of a verified event that could not be parsed. Raises as :meth:`record`.

        :param problem: What is wrong with it, without its values.
        """
        return self._commit(
            opened, lambda table, _: unrecognised(table, "", problem, at=at, digest=digest), at
        )

    def _commit(self, opened: OpenedRoute, change: _Change, at: datetime) -> Receipt:
        started = time.monotonic()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._sessions() as session:
                    return self._transaction(session, opened, change, at)
            except (OperationalError, InterfaceError, PoolTimeoutError) as error:
                late = time.monotonic() - started > PATIENCE
                if late or attempt == ATTEMPTS or not _is_conflict(error):
                    raise Unavailable(f"the metadata database said {type(error).__name__}") from error
                self._sleep(random.uniform(0.01, 0.05) * attempt)  # noqa: S311 - spreads load, keeps no secret
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _transaction(self, session: Session, opened: OpenedRoute, change: _Change, at: datetime) -> Receipt:
        _check_database(session)
        identity = opened.route.identity
        owner = rows.lock(session, identity)
        if owner is None or owner.max_tries != opened.route.max_tries:
            raise Gone
        xcoms = rows.load(session, owner, identity)
        current_job = xcoms.get(JOB_ID_KEY)
        current_job = current_job if isinstance(current_job, str) else None
        table, outcome = change(CallbackTable.load(xcoms.get(XCOM_TABLE_KEY)), current_job)
        if outcome.kind is OutcomeKind.DUPLICATE:
            return Receipt(outcome)
        rows.save(session, owner, identity, XCOM_TABLE_KEY, table.dump(), at)

        # The signature does not cover the body: whoever captured one could name any job in it. Only the job
        # that this task instance really started wakes anybody.
        job = table.job(outcome.job_id) if outcome.job_id else None
        if job is None or not outcome.reached or (current_job and not same_id(current_job, job.job_id)):
            return Receipt(outcome)
        if current_job:
            # In the starter's spelling: people compare the results of the tasks that are woken.
            job = job.model_copy(update={"job_id": current_job})
        return Receipt(
            outcome,
            owner_resumed=outcome.all_ended and self._resume_owner(session, owner, job, at),
            waiters_woken=self._wake_waiters(session, identity, job, at) if current_job else 0,
        )

    def _resume_owner(
        self, session: Session, owner: rows.LockedTask, job: JobCallbacks, at: datetime
    ) -> bool:
        if not self._may_wake(session, owner, needs_worker=True):
            return False
        rows.resume(session, owner, Wake(source=CALLBACK, job_id=job.job_id, state="END", at=at))
        return True

    def _may_wake(self, session: Session, task: rows.LockedTask, *, needs_worker: bool) -> bool:
        """Whether a task waits, and if it goes back to a worker, whether it has waited for long enough."""
        if task.state != TaskInstanceState.DEFERRED:
            return False
        if not needs_worker:
            return True
        deferred_at = session.scalar(select(Trigger.created_date).where(Trigger.id == task.trigger_id))
        return deferred_at is None or not is_fresh(deferred_at, self._now(), settings.number("resume_delay"))

    def _wake_waiters(self, session: Session, starter: Identity, job: JobCallbacks, at: datetime) -> int:
        keys = [waiter_key(job.job_id), starter_waiter_key(starter)]
        columns = (
            XComModel.dag_id,
            XComModel.run_id,
            XComModel.task_id,
            XComModel.map_index,
            XComModel.value,
        )
        found = session.execute(select(*columns).where(XComModel.key.in_(keys)).order_by(*columns[:4])).all()
        woken = 0
        for *names, value in found:
            identity = Identity(*names)
            with _isolated(session, identity):
                woken += self._wake_waiter(session, identity, Waiter.load(value), job, at)
        return woken

    def _wake_waiter(
        self, session: Session, identity: Identity, waiter: Waiter, job: JobCallbacks, at: datetime
    ) -> bool:
        if not job.has_reached(waiter.target_state):
            return False
        task = rows.lock(session, identity)
        if task is None or not self._may_wake(session, task, needs_worker=waiter.needs_worker):
            return False
        wake = Wake(source=CALLBACK, job_id=job.job_id, state=waiter.target_state, at=at)
        if waiter.needs_worker:
            rows.resume(session, task, wake)
        else:
            rows.succeed(session, task, identity, wake)
        return True


def find_task(identity: Identity) -> TaskFacts | None:
    """Look up, for the sweep, the task instance in whose name a job runs; None if there is none."""
    statement = (
        select(TaskInstance.state, TaskInstance.max_tries, DagRun.state, XComModel.value)
        .join(DagRun, and_(DagRun.dag_id == TaskInstance.dag_id, DagRun.run_id == TaskInstance.run_id))
        .outerjoin(
            XComModel,
            and_(
                XComModel.dag_run_id == DagRun.id,
                XComModel.task_id == TaskInstance.task_id,
                XComModel.map_index == TaskInstance.map_index,
                XComModel.key == JOB_ID_KEY,
            ),
        )
        .where(
            TaskInstance.dag_id == identity.dag_id,
            TaskInstance.run_id == identity.run_id,
            TaskInstance.task_id == identity.task_id,
            TaskInstance.map_index == identity.map_index,
        )
    )
    with _own_session() as session:
        row = session.execute(statement).one_or_none()
    if row is None:
        return None
    state, max_tries, run_state, job_id = row
    return TaskFacts(
        state,
        run_goes_on=run_state in State.unfinished_dr_states,
        max_tries=max_tries,
        job_id=job_id if isinstance(job_id, str) else None,
    )


@contextmanager
def _isolated(session: Session, identity: Identity) -> Iterator[None]:
    """Let one waiter that cannot be woken cost neither the others nor the event."""
    try:
        with session.begin_nested():
            yield
    except (OperationalError, InterfaceError):
        raise  # the whole transaction is lost, not this waiter
    except Exception:
        log.exception("smartlive: a waiting task could not be woken", **vars(identity))


def _check_database(session: Session) -> None:
    dialect = session.get_bind().dialect.name
    if dialect not in ("postgresql", "sqlite"):
        raise UnsupportedDatabase(
            f"Smart live callbacks are not supported on {dialect}: nobody has tested their locking there. "
            "Use PostgreSQL, or start jobs with use_callbacks=False."
        )


def _is_conflict(error: Exception) -> bool:
    cause = getattr(error, "orig", None)
    code = getattr(cause, "pgcode", None) or getattr(cause, "sqlstate", None)
    return code in _CONFLICTS or "database is locked" in str(cause)
