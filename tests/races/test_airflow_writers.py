"""
END against Airflow's own writers, on the same task instance at the same moment.

Each round ends in a state that one of the two orders explains, or, where Airflow reads without a lock before it
writes, in the writer's own; nothing is half of both. What was acknowledged is in the table, nobody waits for anybody
in a circle, and no answer is an error.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from airflow_provider_smartlive.callbacks.messages import (
    JOB_ID_KEY,
    XCOM_TABLE_KEY,
    ResumeEvent,
    WaiterRegistration,
    waiter_key,
)
from airflow_provider_smartlive.callbacks.table import CallbackTable
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.receiver import statements
from tests.support.callback_events import JOB, stream_body
from tests.support.database import Database
from tests.support.figures import count

#: Seconds that the slower one begins later at most, in rounds that are left to chance: about what a transaction takes.
SPREAD = 0.008

#: Seconds that one waits in the midst of its work for the other to be done. If the other one waits for a lock of the
#: first, that is in vain, and both go on.
PATIENCE = 0.25

#: Seconds for a round. A deadlock that nobody resolves takes for ever.
TIME_LIMIT = 20.0

AT = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
#: What the owner deferred with, as the Execution API stores it.
WAIT = {"wait": {"job_id": JOB, "version": 1}}


@dataclass
class Round:
    """One race."""

    database: Database
    owner: TaskRef
    waiter: TaskRef
    status: int = 0
    refused: list[str] = field(default_factory=list)
    writer_has_read: threading.Event = field(default_factory=threading.Event)
    end_done: threading.Event = field(default_factory=threading.Event)
    writer_done: threading.Event = field(default_factory=threading.Event)

    def task(self, session: Session, task_ref: TaskRef | None = None) -> Any:
        from airflow.models.taskinstance import TaskInstance

        return session.scalars(
            select(TaskInstance).where(*self.database._is(task_ref or self.owner))
        ).one_or_none()


Writer = Callable[[Round, Session], None]


def trigger_fires(race: Round, session: Session, task_ref: TaskRef | None = None) -> None:
    from airflow.models.trigger import Trigger
    from airflow.triggers.base import TriggerEvent

    wake = ResumeEvent(source="reconciliation", job_id=JOB, state="SUCCEED", at=AT)
    if trigger_id := race.task(session, task_ref).trigger_id:
        Trigger.submit_event(trigger_id, TriggerEvent(wake.dump()), session=session)


def trigger_ends_the_waiter(race: Round, session: Session) -> None:
    from airflow.models.trigger import Trigger
    from airflow.triggers.base import TaskSuccessEvent

    if trigger_id := race.task(session, race.waiter).trigger_id:
        Trigger.submit_event(trigger_id, TaskSuccessEvent(), session=session)


def trigger_of_the_waiter_fires(race: Round, session: Session) -> None:
    trigger_fires(race, session, race.waiter)


def trigger_fails(race: Round, session: Session) -> None:
    from airflow.models.trigger import Trigger

    if trigger_id := race.task(session).trigger_id:
        Trigger.submit_failure(trigger_id, ["Traceback: fake"], session=session)


def user_clears(race: Round, session: Session) -> None:
    from airflow.models.taskinstance import clear_task_instances

    clear_task_instances([race.task(session)], session)


def user_marks(state: str) -> Writer:
    def mark(race: Round, session: Session) -> None:
        from airflow.api.common.mark_tasks import set_state
        from airflow.utils.state import TaskInstanceState

        task = SimpleNamespace(task_id=race.owner.task_id, dag=SimpleNamespace(dag_id=race.owner.dag_id))
        set_state(
            tasks=[(task, -1)],
            run_id=race.owner.run_id,
            state=TaskInstanceState(state),
            commit=True,
            session=session,
        )

    return mark


def pushes(key: str) -> Writer:
    def push(race: Round, session: Session) -> None:
        from airflow.models.xcom import XComModel

        XComModel.set(key, "pushed", serialize=False, session=session, **vars(race.owner))

    return push


def user_deletes_the_run(race: Round, session: Session) -> None:
    from airflow.models.dagrun import DagRun

    run = session.scalar(
        select(DagRun).where(DagRun.dag_id == race.owner.dag_id, DagRun.run_id == race.owner.run_id)
    )
    session.delete(run)


def task_defers(race: Round, session: Session) -> None:
    """Do what the Execution API does when a task defers."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import Trigger
    from airflow.sdk.timezone import utcnow

    task = session.scalars(select(TaskInstance).where(*race.database._is(race.owner)).with_for_update()).one()
    trigger = Trigger(
        classpath="airflow_provider_smartlive.triggers.SmartLiveJobTrigger", kwargs={}, created_date=utcnow()
    )
    session.add(trigger)
    session.flush()
    task.state, task.trigger_id = "deferred", trigger.id


# --- what must hold after each round


def resumed_once(race: Round) -> None:
    row = race.database.row(race.owner)
    assert (row.state, row.trigger_id, row.next_method) == ("scheduled", None, "execute_complete")
    assert set(row.next_kwargs) == {"wait", "event"}
    assert ResumeEvent.load(row.next_kwargs["event"]).source in {"callback", "reconciliation"}
    assert race.status == 200


def resumed_or_failed(race: Round) -> None:
    row = race.database.row(race.owner)
    assert (row.state, row.trigger_id) == ("scheduled", None)
    keys = {"execute_complete": {"wait", "event"}, "__fail__": {"error", "traceback"}}
    assert set(row.next_kwargs) == keys[row.next_method]
    assert race.status == 200


def cleared(race: Round) -> None:
    row = race.database.row(race.owner)
    assert (row.state, row.next_method, row.max_tries) == (None, None, 1)
    assert race.status in (200, 410)


def marked(state: str) -> Callable[[Round], None]:
    def check(race: Round) -> None:
        assert race.database.row(race.owner).state == state
        assert race.status == 200

    return check


def both_are_there(race: Round) -> None:
    assert race.database.xcom(race.owner, "somebodys") == "pushed"
    resumed_once(race)


def the_later_one_is_there(race: Round) -> None:
    resumed_once(race)
    value = race.database.xcom(race.owner, XCOM_TABLE_KEY)
    assert value == "pushed" or CallbackTable.load(value).job(JOB).ended()


def gone(race: Round) -> None:
    with race.database.sessions() as session:
        assert race.task(session) is None
    assert race.database.xcom(race.owner, XCOM_TABLE_KEY) is None
    assert race.status in (200, 410)


def left_to_the_first_read(race: Round) -> None:
    row = race.database.row(race.owner)
    assert row.state == "deferred"
    assert row.trigger_id is not None
    assert race.status == 200


def waiter_succeeded(race: Round) -> None:
    row = race.database.row(race.waiter)
    assert (row.state, row.trigger_id) == ("success", None)
    assert row.end_date is not None
    resumed_once(race)


def waiter_resumed_once(race: Round) -> None:
    row = race.database.row(race.waiter)
    assert (row.state, row.trigger_id, row.next_method) == ("scheduled", None, "execute_complete")
    assert ResumeEvent.load(row.next_kwargs["event"]).source in {"callback", "reconciliation"}
    resumed_once(race)


@dataclass(frozen=True)
class Race:
    """
    What END races against.

    :param keeps_table: whether what was acknowledged has to be in the table afterwards.
    """

    writer: Writer
    check: Callable[[Round], None]
    owner_state: str = "deferred"
    needs_worker: bool = False
    keeps_table: bool = True


RACES = {
    "the event of its trigger": Race(trigger_fires, resumed_once),
    "the failure of its trigger": Race(trigger_fails, resumed_or_failed),
    "a clear": Race(user_clears, cleared),
    "mark as failed": Race(user_marks("failed"), marked("failed")),
    "mark as success": Race(user_marks("success"), marked("success")),
    "another XCom of the task": Race(pushes("somebodys"), both_are_there),
    "an XCom under our own key": Race(pushes(XCOM_TABLE_KEY), the_later_one_is_there, keeps_table=False),
    "the deletion of the run": Race(user_deletes_the_run, gone, keeps_table=False),
    "the deferral": Race(task_defers, left_to_the_first_read, owner_state="running"),
    "the trigger that ends a waiter": Race(trigger_ends_the_waiter, waiter_succeeded),
    "the trigger that resumes a waiter": Race(
        trigger_of_the_waiter_fires, waiter_resumed_once, needs_worker=True
    ),
}


def _write(race: Round, writer: Writer, *, pausing: bool = False) -> None:
    """
    Let Airflow write, again if the database broke it off: that is how Airflow and its users go on.

    :param pausing: whether the writer waits for END between its reading and its writing.
    """

    def pause(*_: Any) -> None:
        race.writer_has_read.set()
        race.end_done.wait(PATIENCE)

    for _ in range(20):
        try:
            with race.database.sessions() as session:
                if pausing:
                    event.listen(session, "before_flush", pause)
                writer(race, session)
        except (OperationalError, IntegrityError, StaleDataError) as error:
            race.refused.append(type(error).__name__)
            time.sleep(0.02)
        else:
            race.writer_done.set()
            return
    raise AssertionError(f"Airflow's own writer never got through: {race.refused}")


async def _end(door: Any, race: Round) -> None:
    race.status = (await door.post(door.issued(race.owner), stream_body("END"))).status_code
    race.end_done.set()


Schedule = Callable[[Any, Round, Writer, pytest.MonkeyPatch], Awaitable[None]]


async def end_first(door: Any, race: Round, writer: Writer, patch: pytest.MonkeyPatch) -> None:
    await _end(door, race)
    await asyncio.to_thread(_write, race, writer)


async def writer_first(door: Any, race: Round, writer: Writer, patch: pytest.MonkeyPatch) -> None:
    await asyncio.to_thread(_write, race, writer)
    await _end(door, race)


async def end_within_the_writer(door: Any, race: Round, writer: Writer, patch: pytest.MonkeyPatch) -> None:
    """The writer has read, END comes, the writer writes."""

    async def end() -> None:
        await asyncio.to_thread(race.writer_has_read.wait, PATIENCE)
        await _end(door, race)

    await asyncio.gather(asyncio.to_thread(partial(_write, race, writer, pausing=True)), end())


async def writer_within_end(door: Any, race: Round, writer: Writer, patch: pytest.MonkeyPatch) -> None:
    """END has its lock, the writer comes, END writes."""
    load, locked = statements.load, threading.Event()

    def pausing(*arguments: Any) -> Any:
        locked.set()
        race.writer_done.wait(PATIENCE)
        return load(*arguments)

    def write() -> None:
        locked.wait(PATIENCE)
        _write(race, writer)

    patch.setattr(statements, "load", pausing)
    await asyncio.gather(_end(door, race), asyncio.to_thread(write))
    patch.setattr(statements, "load", load)


def by_chance(seed: str) -> Schedule:
    lead = random.Random(seed).uniform(-SPREAD, SPREAD)

    async def schedule(door: Any, race: Round, writer: Writer, patch: pytest.MonkeyPatch) -> None:
        async def end() -> None:
            await asyncio.sleep(max(0.0, -lead))
            await _end(door, race)

        async def write() -> None:
            await asyncio.sleep(max(0.0, lead))
            await asyncio.to_thread(_write, race, writer)

        await asyncio.gather(end(), write())

    return schedule


@pytest.mark.parametrize("name", RACES)
async def test_end_against(name: str, door: Any, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    what = RACES[name]
    schedules = [end_first, writer_first, end_within_the_writer, writer_within_end]
    schedules += [by_chance(f"{name} {number}") for number in range(6)]
    statuses: Counter[int] = Counter()
    for number, schedule in enumerate(schedules):
        xcoms = {JOB_ID_KEY: JOB, "user": number}
        owner = database.task(state=what.owner_state, xcoms=xcoms, next_kwargs=WAIT)
        waiter = database.task("watch", next_kwargs=WAIT)
        registration = WaiterRegistration(job_id=JOB, target_state="END", needs_worker=what.needs_worker)
        database.push(waiter, waiter_key(JOB), registration.dump())
        race = Round(database, owner, waiter)

        async with asyncio.timeout(TIME_LIMIT):
            await schedule(door, race, what.writer, monkeypatch)

        what.check(race)
        if what.check is not gone:
            assert (database.xcom(owner, JOB_ID_KEY), database.xcom(owner, "user")) == (JOB, number)
        if what.keeps_table:
            job = door.table(owner).job(JOB)
            assert (job is not None and job.ended()) is (race.status == 200)
        statuses[race.status] += 1
        database.change(waiter, state="success")  # the next round has the same job, and a waiter of its own
    answers = {f"answered {status}": times for status, times in sorted(statuses.items())}
    count(f"END against {name}", database.name, rounds=len(schedules), **answers)


async def test_a_task_can_be_resumed_twice(
    door: Any, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rounds above do meet: Airflow's trigger resumes a task that END has resumed since it looked."""
    monkeypatch.setattr(f"{__name__}.PATIENCE", 10.0)
    resumed, resume = [], statements.resume
    monkeypatch.setattr(statements, "resume", lambda *arguments: resumed.append(resume(*arguments)))
    race = Round(database, database.task(xcoms={JOB_ID_KEY: JOB}, next_kwargs=WAIT), database.task("watch"))

    await end_within_the_writer(door, race, trigger_fires, monkeypatch)

    assert len(resumed) == 1
    assert ResumeEvent.load(database.row(race.owner).next_kwargs["event"]).source == "reconciliation"
    resumed_once(race)
