from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk.bases.xcom import BaseXCom

from airflow_provider_smartlive.callbacks.apply import OutcomeKind
from airflow_provider_smartlive.callbacks.messages import (
    JOB_ID_KEY,
    XCOM_TABLE_KEY,
    ResumeEvent,
    WaiterRegistration,
    end_key,
    starter_waiter_key,
    waiter_key,
)
from airflow_provider_smartlive.callbacks.table import CallbackTable, reply_mark
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.url import CallbackTarget, OpenedUrl, new_generation
from airflow_provider_smartlive.livestream.own_xcoms import (
    announce_refresh,
    withdraw_refresh,
)
from airflow_provider_smartlive.metastudio.callback_auth import AuthType
from airflow_provider_smartlive.metastudio.events import CallbackEvent
from airflow_provider_smartlive.receiver import statements
from airflow_provider_smartlive.receiver.shapes import UnsupportedDatabase
from airflow_provider_smartlive.receiver.store import (
    CONCURRENCY,
    Gone,
    Store,
    Unavailable,
)
from tests.support.callback_events import JOB, OTHER_JOB, OUTPUT, body, reply, stream
from tests.support.database import Database

AT = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
#: As the starter spells it. Wake-ups keep that spelling: people compare the results of tasks.
DASHED_JOB = "26f06524-4f75-4b3a-a853-b649a21aaf66"


def _opened(task_ref: TaskRef, generation: int | tuple[str, int] = 0) -> OpenedUrl:
    name, max_tries = generation if isinstance(generation, tuple) else (str(generation), generation)
    return OpenedUrl(
        CallbackTarget(task_ref, name, max_tries), "https://fake", "fake-key", AuthType.NONE, b"fake"
    )


def _record(database, task_ref, event, *, generation=0, at=AT, signed_at=None, digest=None):
    store = Store(sessions=database.sessions, sleep=lambda seconds: None)
    return store.record(_opened(task_ref, generation), event, at=at, signed_at=signed_at, digest=digest)


def _table(database, task_ref):
    return CallbackTable.load(database.xcom(task_ref, XCOM_TABLE_KEY))


def _wait(database, task_ref, target="END", job=DASHED_JOB, **more):
    waiter = WaiterRegistration(job_id=job, target_state=target, **more)
    database.push(task_ref, waiter_key(job), waiter.dump())


@pytest.fixture
def owner(database):
    return database.task(xcoms={JOB_ID_KEY: DASHED_JOB})


def test_events_add_up_in_the_xcom(database, owner):
    _record(database, owner, stream("CONNECTING"))
    _record(database, owner, stream("CONNECTED"))

    table = _table(database, owner)
    assert table.events == 2
    assert table.job(JOB).streams[0].state == "CONNECTED"


def test_nothing_but_the_xcom_changes_while_the_stream_goes_on(database, owner):
    before = database.row(owner)
    receipt = _record(database, owner, stream("CONNECTED"))
    after = database.row(owner)

    assert not receipt.owner_resumed
    columns = [attribute.key for attribute in before.__mapper__.column_attrs]
    assert {name: getattr(after, name) for name in columns} == {
        name: getattr(before, name) for name in columns
    }


def test_end_resumes_the_owner_with_a_wake_up(database, owner):
    receipt = _record(database, owner, stream("END"))

    row = database.row(owner)
    assert receipt.owner_resumed
    assert (row.state, row.trigger_id) == ("scheduled", None)
    wake = ResumeEvent.load(row.next_kwargs["event"])
    assert (wake.source, wake.job_id, wake.state, wake.at) == ("callback", DASHED_JOB, "END", AT)


def test_what_the_task_deferred_with_is_still_there_when_it_resumes(database):
    owner = database.task(xcoms={JOB_ID_KEY: JOB}, next_kwargs={"started": 7})
    _record(database, owner, stream("END"))

    assert database.row(owner).next_kwargs["started"] == 7


def test_the_second_of_two_outputs_resumes(database, owner):
    one, two = "rtmp://a.example.com/live/fake-1", "rtmp://b.example.com/live/fake-2"
    for state, output in (("CONNECTED", one), ("CONNECTED", two), ("END", one)):
        assert not _record(database, owner, stream(state, output=output)).owner_resumed
    assert _record(database, owner, stream("END", output=two)).owner_resumed


def test_the_end_of_another_job_wakes_nobody(database, owner):
    waiter = database.task("watch")
    _wait(database, waiter, job=OTHER_JOB)
    receipt = _record(database, owner, stream("END", job_id=OTHER_JOB))

    assert (receipt.owner_resumed, receipt.waiters_woken) == (False, 0)
    assert database.row(owner).state == "deferred"
    assert database.row(waiter).state == "deferred"
    assert _table(database, owner).job(OTHER_JOB).ended()


def test_before_the_job_id_is_known_end_resumes_the_owner_but_no_waiter(database):
    owner, waiter = database.task(), database.task("watch")
    _wait(database, waiter)
    receipt = _record(database, owner, stream("END"))

    assert (receipt.owner_resumed, receipt.waiters_woken) == (True, 0)


@pytest.mark.parametrize(
    "state", ["running", "scheduled", "queued", "success", "failed", "up_for_retry", None]
)
def test_an_owner_that_is_not_deferred_is_not_touched_but_the_event_is_kept(database, state):
    owner = database.task(state=state, xcoms={JOB_ID_KEY: JOB})
    receipt = _record(database, owner, stream("END"))

    assert not receipt.owner_resumed
    assert database.row(owner).state == state
    assert _table(database, owner).job(JOB).ended()


def test_an_owner_that_deferred_just_now_is_left_to_its_triggers_first_read(database):
    owner = database.task(deferred_for=timedelta(seconds=0.5), xcoms={JOB_ID_KEY: JOB})
    receipt = _record(database, owner, stream("END"))

    assert not receipt.owner_resumed
    assert database.row(owner).state == "deferred"
    assert _table(database, owner).job(JOB).ended()


@pytest.mark.parametrize("state", ["deferred", "running", "up_for_retry", "scheduled"])
def test_an_end_is_noted_for_a_try_that_begins_later(database, state):
    """Such a try finds no table. It is told of the keys of the XComs that Airflow has deleted."""
    owner = database.task(state=state, xcoms={JOB_ID_KEY: DASHED_JOB})
    _record(database, owner, stream("CONNECTED"))
    _record(database, owner, stream("END", job_id=OTHER_JOB))
    assert [database.xcom(owner, end_key(job)) for job in (JOB, OTHER_JOB)] == [None, None]

    _record(database, owner, stream("END"))
    assert ResumeEvent.load(database.xcom(owner, end_key(JOB))).state == "END"


@pytest.mark.parametrize("generation", [0, 2])
def test_another_generation_changes_nothing(database, generation):
    owner = database.task(max_tries=1, xcoms={JOB_ID_KEY: JOB})

    with pytest.raises(Gone):
        _record(database, owner, stream("END"), generation=generation)
    assert database.row(owner).state == "deferred"
    assert database.xcom(owner, XCOM_TABLE_KEY) is None


def test_a_run_that_was_deleted_is_gone(database, owner):
    database.remove_run(owner)

    with pytest.raises(Gone):
        _record(database, owner, stream("END"))


def test_mapped_tasks_are_told_apart(database, owner):
    mapped = [
        database.task("mapped", like=owner, map_index=index, xcoms={JOB_ID_KEY: JOB}) for index in range(2)
    ]
    _record(database, mapped[1], stream("END"))

    assert [database.row(task_ref).state for task_ref in mapped] == ["deferred", "scheduled"]
    assert database.xcom(mapped[0], XCOM_TABLE_KEY) is None


def test_a_replayed_end_changes_nothing(database, owner):
    _record(database, owner, stream("END"), signed_at=AT, digest="d")
    before = database.xcom(owner, XCOM_TABLE_KEY)
    database.change(owner, state="deferred")
    receipt = _record(database, owner, stream("END"), at=AT + timedelta(1), signed_at=AT, digest="d")

    assert receipt.outcome.kind is OutcomeKind.DUPLICATE
    assert database.row(owner).state == "deferred"
    assert database.xcom(owner, XCOM_TABLE_KEY) == before


def test_a_waiter_ends_without_a_worker(database, owner):
    waiter = database.task("watch")
    _wait(database, waiter)
    receipt = _record(database, owner, stream("END"))

    row = database.row(waiter)
    assert receipt.waiters_woken == 1
    assert (row.state, row.trigger_id) == ("success", None)
    assert row.end_date is not None
    wake = ResumeEvent.load(database.xcom(waiter, "return_value"))
    assert (wake.source, wake.job_id, wake.state) == ("callback", DASHED_JOB, "END")


def test_a_waiter_for_whatever_job_its_starter_has_is_found_without_the_job_id(database, owner):
    waiter, other = database.task("watch"), database.task("other")
    registration = WaiterRegistration(target_state="END").dump()
    database.push(waiter, starter_waiter_key(owner), registration)
    database.push(other, starter_waiter_key(TaskRef("dag", "another run", "go_live")), registration)

    receipt = _record(database, owner, stream("END"))

    assert receipt.waiters_woken == 1
    assert [database.row(task).state for task in (waiter, other)] == ["success", "deferred"]


@pytest.mark.parametrize(
    ("state", "next_method", "woken"),
    [
        ("deferred", "execute_complete", True),
        ("running", None, True),
        ("scheduled", "execute_complete", True),
        ("queued", "execute_complete", True),
        ("success", None, True),
        ("failed", None, True),
        ("up_for_retry", None, False),
        ("restarting", None, False),
        ("scheduled", None, False),
        ("queued", None, False),
        (None, None, False),
        ("skipped", None, False),
        ("upstream_failed", None, False),
    ],
)
def test_whoever_follows_a_starter_is_not_woken_by_its_last_job_while_it_waits_to_run(
    database, state, next_method, woken
):
    starter = database.task(state=state, next_method=next_method, xcoms={JOB_ID_KEY: JOB})
    follows = database.task("follows", like=starter)
    names = database.task("names", like=starter)
    registration = WaiterRegistration(target_state="END").dump()
    database.push(follows, starter_waiter_key(starter), registration)
    database.push(names, waiter_key(JOB), registration)

    receipt = _record(database, starter, stream("END"))

    assert receipt.waiters_woken == 1 + woken, "who names the job by its id is woken in any case"


def test_a_waiter_that_needs_a_worker_is_resumed_on_one(database, owner):
    waiter = database.task("watch")
    _wait(database, waiter, needs_worker=True)
    _record(database, owner, stream("END"))

    row = database.row(waiter)
    assert row.state == "scheduled"
    assert ResumeEvent.load(row.next_kwargs["event"]).state == "END"
    assert database.xcom(waiter, "return_value") is None


def test_a_waiter_is_woken_by_the_state_that_it_waits_for(database, owner):
    connected, ended = database.task("a"), database.task("b")
    _wait(database, connected, "CONNECTED")
    _wait(database, ended, "END")

    _record(database, owner, stream("CONNECTING"))
    assert [database.row(waiter).state for waiter in (connected, ended)] == ["deferred", "deferred"]
    _record(database, owner, stream("CONNECTED"))
    assert [database.row(waiter).state for waiter in (connected, ended)] == ["success", "deferred"]
    _record(database, owner, stream("END"))
    assert [database.row(waiter).state for waiter in (connected, ended)] == ["success", "success"]


def test_a_waiter_that_knows_only_the_starter_is_found(database, owner):
    ours, theirs = database.task("watch"), database.task("watch")
    for waiter, starter in ((ours, owner), (theirs, database.task())):
        database.push(
            waiter, starter_waiter_key(starter), WaiterRegistration(target_state="CONNECTED").dump()
        )
    _record(database, owner, stream("CONNECTED"))

    assert database.row(ours).state == "success"
    assert database.row(theirs).state == "deferred"


def test_a_waiter_for_a_reply_is_woken_by_that_reply(database, owner):
    waiter = database.task("say")
    _wait(database, waiter, reply_mark("r-2"), needs_worker=True)

    assert _record(database, owner, reply("r-1")).waiters_woken == 0
    assert _record(database, owner, reply("r-2")).waiters_woken == 1
    assert ResumeEvent.load(database.row(waiter).next_kwargs["event"]).state == reply_mark("r-2")


def test_a_waiter_of_another_dag_is_found_and_one_of_another_job_is_not(database, owner):
    ours, theirs = database.task("watch"), database.task("watch")
    _wait(database, ours)
    _wait(database, theirs, job=OTHER_JOB)
    _record(database, owner, stream("END"))

    assert database.row(ours).state == "success"
    assert database.row(theirs).state == "deferred"


FRESH = {"deferred_for": timedelta(seconds=0.5)}


@pytest.mark.parametrize(("changes", "needs_worker"), [({"state": "running"}, False), (FRESH, True)])
def test_a_waiter_that_is_not_settled_is_left_to_itself(database, owner, changes, needs_worker):
    waiter = database.task("watch", **changes)
    _wait(database, waiter, needs_worker=needs_worker)

    assert _record(database, owner, stream("END")).waiters_woken == 0
    assert database.row(waiter).state == changes.get("state", "deferred")


def test_without_a_worker_a_waiter_need_not_be_settled(database, owner):
    """The exit of the worker that deferred it means nothing to a task that is over."""
    waiter = database.task("watch", **FRESH)
    _wait(database, waiter)

    assert _record(database, owner, stream("END")).waiters_woken == 1
    assert database.row(waiter).state == "success"


@pytest.mark.parametrize("registration", [None, "END", {"version": 2}, {"job_id": JOB}])
def test_a_broken_registration_costs_neither_the_others_nor_the_event(database, owner, registration):
    broken, sound = database.task("a"), database.task("b")
    database.push(broken, waiter_key(JOB), registration)
    _wait(database, sound)
    receipt = _record(database, owner, stream("END"))

    assert (receipt.owner_resumed, receipt.waiters_woken) == (True, 1)
    assert database.row(broken).state == "deferred"
    assert database.row(sound).state == "success"


def test_a_waiter_whose_resumption_fails_half_way_is_left_whole(database, owner, monkeypatch):
    broken, sound, ended = database.task("a"), database.task("b"), database.task("c")
    for waiter in (broken, sound):
        _wait(database, waiter, needs_worker=True)
    _wait(database, ended)
    submit = statements.handle_event_submit

    def failing(event, *, task_instance, session):
        submit(event, task_instance=task_instance, session=session)
        if task_instance.task_id == "a":
            raise RuntimeError("after the row was written")

    monkeypatch.setattr(statements, "handle_event_submit", failing)
    receipt = _record(database, owner, stream("END"))

    assert (receipt.owner_resumed, receipt.waiters_woken) == (True, 2)
    assert [database.row(waiter).state for waiter in (broken, sound, ended)] == [
        "deferred",
        "scheduled",
        "success",
    ]


@pytest.mark.parametrize("needs_worker", [False, True])
def test_a_task_of_another_operator_is_left_alone_whatever_it_registered(database, needs_worker):
    foreign = "airflow.providers.standard.triggers.temporal.DateTimeTrigger"
    owner = database.task(xcoms={JOB_ID_KEY: DASHED_JOB}, trigger_class=foreign)
    waiter = database.task("watch", trigger_class=foreign)
    _wait(database, waiter, needs_worker=needs_worker)
    receipt = _record(database, owner, stream("END"))

    assert (receipt.owner_resumed, receipt.waiters_woken) == (False, 0)
    assert [database.row(task).state for task in (owner, waiter)] == ["deferred", "deferred"]


def test_many_waiters_are_woken_in_few_statements(database, owner):
    """Their number must not decide whether END is answered in time."""
    from sqlalchemy import event

    def statements(number):
        task = database.task(xcoms={JOB_ID_KEY: JOB})
        watching = [database.task("watch", like=task, map_index=index) for index in range(number)]
        for waiter in watching:
            database.push(waiter, starter_waiter_key(task), WaiterRegistration(target_state="END").dump())
        seen = []
        with database.sessions() as session:
            engine = session.get_bind()
        listener = lambda *args: seen.append(args[2])  # noqa: E731 -- removed again under the same name
        event.listen(engine, "before_cursor_execute", listener)
        try:
            receipt = _record(database, task, stream("END"))
        finally:
            event.remove(engine, "before_cursor_execute", listener)
        assert receipt.waiters_woken == number
        assert {database.row(waiter).state for waiter in watching} == {"success"}
        assert {database.xcom(waiter, "return_value")["state"] for waiter in watching} == {"END"}
        return len(seen)

    assert statements(40) == statements(2)


def test_an_ended_waiter_says_how_long_it_took(database, owner):
    waiter = database.task("watch")
    _wait(database, waiter)
    at = datetime.now(UTC)
    _record(database, owner, stream("END"), at=at)

    row = database.row(waiter)
    assert row.end_date == at
    assert row.duration == (at - row.start_date).total_seconds()


def test_an_event_of_a_later_life_begins_a_new_table(database, owner):
    _record(database, owner, stream("END"), generation=("1", 0))
    receipt = _record(database, owner, stream("CONNECTED"), generation=("2", 0))

    table = _table(database, owner)
    assert (table.generation, table.events) == ("2", 1)
    assert not table.job(JOB).ended()
    assert receipt.outcome.reached == {"CONNECTED"}


def test_an_event_of_an_earlier_life_is_gone_and_wakes_nobody(database, owner):
    """A clear need not raise max_tries; the generation differs all the same."""
    waiter = database.task("watch")
    database.push(waiter, starter_waiter_key(owner), WaiterRegistration(target_state="END").dump())
    _record(database, owner, stream("CONNECTED"), generation=("2", 0))
    before = database.xcom(owner, XCOM_TABLE_KEY)

    with pytest.raises(Gone):
        _record(database, owner, stream("END"), generation=("1", 0))
    assert database.xcom(owner, XCOM_TABLE_KEY) == before
    assert [database.row(task).state for task in (owner, waiter)] == ["deferred", "deferred"]


def test_a_test_event_belongs_to_whatever_life_there_is(database, owner):
    _record(database, owner, stream("CONNECTED"), generation=("2", 0))
    _record(database, owner, CallbackEvent.parse(body("SMARTLIVE_TEST")), generation=("", 0))

    table = _table(database, owner)
    assert (table.generation, table.events, table.unrecognised.count) == ("2", 2, 1)
    assert table.job(JOB).has_reached("CONNECTED")


def test_outputs_that_a_task_exchanges_count_no_more(database, owner):
    """Whichever way MetaStudio ends the old link, the sensor waits for the end of the new one."""
    command, waiter = database.task("refresh", state="running"), database.task("watch")
    _wait(database, waiter)
    new = "rtmp://new.example.com/live"
    _record(database, owner, stream("CONNECTED"))
    announce_refresh(command, DASHED_JOB, "sent once")

    for state, output in (("END", OUTPUT), ("CONNECTED", new)):
        assert _record(database, owner, stream(state, output=output)).waiters_woken == 0
        announce_refresh(command, DASHED_JOB, "sent once")  # by another try
    assert database.row(owner).state == "deferred"
    receipt = _record(database, owner, stream("END", output=new))
    assert (receipt.owner_resumed, receipt.waiters_woken) == (True, 1)


def test_an_exchange_that_was_refused_changes_nothing(database, owner):
    command = database.task("refresh", state="running")
    _record(database, owner, stream("CONNECTED"))
    announce_refresh(command, JOB, "refused")
    withdraw_refresh(command, JOB, "refused")

    assert _record(database, owner, stream("END")).owner_resumed


@pytest.mark.parametrize("tries", [1, 2])
def test_an_exchange_that_is_refused_after_an_event_changes_nothing_either(database, owner, tries):
    command, waiter = database.task("refresh", state="running"), database.task("watch")
    _wait(database, waiter)
    _record(database, owner, stream("CONNECTED"))
    for _ in range(tries):
        announce_refresh(command, JOB, "refused")
        assert not _record(database, owner, stream("END")).owner_resumed
        withdraw_refresh(command, JOB, "refused")

    receipt = _record(database, owner, stream("END"))
    assert (receipt.owner_resumed, receipt.waiters_woken) == (True, 1)
    assert not _table(database, owner).job(JOB).streams[0].replaced


def test_an_exchange_stays_when_another_one_is_refused(database, owner):
    command, other = (database.task(name, state="running") for name in ("refresh", "other"))
    _record(database, owner, stream("CONNECTED"))
    for task, sending in ((command, "sent"), (other, "refused")):
        announce_refresh(task, JOB, sending)
        _record(database, owner, stream("END"))
    withdraw_refresh(other, JOB, "refused")

    assert not _record(database, owner, stream("END")).owner_resumed
    new = "rtmp://new.example.com/live"
    _record(database, owner, stream("CONNECTED", output=new))
    assert _record(database, owner, stream("END", output=new)).owner_resumed


def test_an_exchange_by_a_try_that_failed_since_counts(database, owner):
    """Its command may have been sent; the next try will find out."""
    command = database.task("refresh", state="running")
    _record(database, owner, stream("CONNECTED"))
    announce_refresh(command, JOB, "sent once")
    database.fail_try(command)

    assert not _record(database, owner, stream("END")).owner_resumed


def test_an_exchange_that_the_next_try_finds_refused_changes_nothing(database, owner):
    command = database.task("refresh", state="running")
    _record(database, owner, stream("CONNECTED"))
    announce_refresh(command, JOB, "sent once")
    database.fail_try(command, begins=True)
    withdraw_refresh(command, JOB, "sent once")

    assert _record(database, owner, stream("END")).owner_resumed


def test_an_exchange_during_a_life_is_found_although_older_ones_are_left_out(database, owner):
    """Airflow 3.4 has no index for the keys of its XComs: those that are older than the life are not looked at."""
    began = datetime.now(UTC)
    life = (new_generation(began), 0)
    command = database.task("refresh", state="running")
    _record(database, owner, stream("CONNECTED"), generation=life)
    announce_refresh(command, JOB, "sent once")

    assert not _record(database, owner, stream("END"), generation=life).owner_resumed


@pytest.fixture(autouse=True)
def _pushing(monkeypatch, request):
    """Let a task push its own XComs as a running one does."""

    def set_(key, value, **names):
        request.getfixturevalue("database").push(TaskRef(**names), key, value)

    monkeypatch.setattr(BaseXCom, "set", set_)


@pytest.fixture
def holding():
    """Lock the row of a task for a while, as somebody else's transaction does."""

    @contextmanager
    def hold(database, task_ref):
        from airflow.models.taskinstance import TaskInstance
        from sqlalchemy import select

        with database.sessions() as session:
            held = select(TaskInstance.id).where(*Database._is(task_ref)).with_for_update()
            session.execute(held).one()
            yield

    return hold


@pytest.fixture
def short_lock_timeout():
    """Wait 50 ms for a lock; the statement that says so is kept, and must not outlast the test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statements, "LOCK_TIMEOUT", 50)
        statements._locking.cache_clear()
        yield
    statements._locking.cache_clear()


@pytest.mark.processes
@pytest.mark.usefixtures("short_lock_timeout")
def test_a_locked_row_is_not_waited_for_for_long(postgresql, holding):
    owner, other = (postgresql.task(xcoms={JOB_ID_KEY: JOB}) for _ in range(2))
    with holding(postgresql, owner):
        with pytest.raises(Unavailable):
            _record(postgresql, owner, stream("END"))
        assert _record(postgresql, other, stream("END")).owner_resumed

    assert _record(postgresql, owner, stream("END")).owner_resumed


@pytest.mark.processes
@pytest.mark.usefixtures("short_lock_timeout")
def test_a_locked_waiter_costs_neither_the_others_nor_the_event(postgresql, holding):
    owner = postgresql.task(xcoms={JOB_ID_KEY: JOB})
    locked, free = (postgresql.task("watch") for _ in range(2))
    for waiter in (locked, free):
        _wait(postgresql, waiter)
    with holding(postgresql, locked):
        receipt = _record(postgresql, owner, stream("END"))

    assert (receipt.owner_resumed, receipt.waiters_woken) == (True, 1)
    assert [postgresql.row(waiter).state for waiter in (locked, free)] == ["deferred", "success"]
    postgresql.forget()


def test_the_one_writer_of_sqlite_is_not_waited_for_for_long_either(sqlite, monkeypatch):
    from sqlalchemy import text

    monkeypatch.setattr(statements, "BUSY_TIMEOUT", 20)
    owner = sqlite.task(xcoms={JOB_ID_KEY: JOB})

    def busy_timeout():
        with sqlite.sessions() as session:
            return session.execute(text("PRAGMA busy_timeout")).scalar_one()

    before = busy_timeout()
    with sqlite.sessions() as session:
        session.execute(text("UPDATE dag SET is_paused = is_paused"))
        began = time.monotonic()
        with pytest.raises(Unavailable):
            _record(sqlite, owner, stream("END"))
        assert time.monotonic() - began < 2
    assert busy_timeout() == before
    assert _record(sqlite, owner, stream("END")).owner_resumed
    sqlite.forget()


@pytest.mark.processes
def test_how_long_a_task_waits_is_told_by_the_databases_clock(postgresql):
    """One API server's clock may be off."""
    owner = postgresql.task(xcoms={JOB_ID_KEY: JOB}, deferred_for=timedelta(seconds=12))
    early = postgresql.task(xcoms={JOB_ID_KEY: JOB}, deferred_for=timedelta(seconds=4))
    for task, off, resumed in ((owner, -5, True), (early, 5, False)):
        now = datetime.now(UTC) + timedelta(seconds=off)
        store = Store(sessions=postgresql.sessions, resume_delay=8, now=lambda now=now: now)
        receipt = store.record(_opened(task), stream("END"), at=AT, signed_at=None, digest=None)

        assert receipt.owner_resumed == resumed
    postgresql.forget()


def test_a_table_that_somebody_overwrote_is_begun_anew(database):
    owner = database.task(xcoms={XCOM_TABLE_KEY: "scribble", JOB_ID_KEY: JOB})

    assert _record(database, owner, stream("END")).owner_resumed
    assert _table(database, owner).events == 1


def test_a_note_of_an_unreadable_event_is_kept(database, owner):
    receipt = Store(sessions=database.sessions).note(_opened(owner), "not JSON", at=AT, digest=None)

    assert receipt.outcome.kind is OutcomeKind.UNRECOGNISED
    assert _table(database, owner).unrecognised.recent[0].problem == "not JSON"


def test_the_task_reads_the_table_as_the_execution_api_gives_it(database, owner):
    from airflow.models.xcom import XComModel
    from airflow.sdk.serde import deserialize
    from sqlalchemy import select

    _record(database, owner, stream("CONNECTED"))
    with database.sessions() as session:
        value = session.scalars(
            select(XComModel).where(XComModel.run_id == owner.run_id, XComModel.key == XCOM_TABLE_KEY)
        ).one()

    assert CallbackTable.load(deserialize(XComModel.deserialize_value(value))) == _table(database, owner)


class _Refusing:
    """Sessions that fail as a database does, a number of times."""

    def __init__(self, database, error, times):
        self.database, self.error, self.left = database, error, times

    def __call__(self):
        if self.left:
            self.left -= 1
            raise self.error
        return self.database.sessions()


def _conflict():
    from sqlalchemy.exc import OperationalError

    return OperationalError("UPDATE", {}, Exception("database is locked"))


def test_a_conflict_is_tried_again(database, owner):
    naps = []
    store = Store(sessions=_Refusing(database, _conflict(), 2), sleep=naps.append)
    store.record(_opened(owner), stream("END"), at=AT, signed_at=None, digest=None)

    assert len(naps) == 2
    assert _table(database, owner).job(JOB).ended()


def test_a_conflict_that_does_not_end_is_unavailable(database, owner):
    store = Store(sessions=_Refusing(database, _conflict(), 1000), sleep=lambda seconds: None)

    with pytest.raises(Unavailable, match="OperationalError"):
        store.record(_opened(owner), stream("END"), at=AT, signed_at=None, digest=None)
    assert database.xcom(owner, XCOM_TABLE_KEY) is None


def test_a_database_that_is_away_is_not_asked_again(database, owner):
    from sqlalchemy.exc import OperationalError

    sessions = _Refusing(database, OperationalError("SELECT", {}, Exception("connection refused")), 1000)
    with pytest.raises(Unavailable):
        Store(sessions=sessions).record(_opened(owner), stream("END"), at=AT, signed_at=None, digest=None)
    assert sessions.left == 999


@pytest.mark.parametrize("dialect", ["mysql", "mariadb"])
def test_a_database_that_nobody_tested_is_refused_with_the_fix(dialect):
    class Session:
        def get_bind(self):
            return SimpleNamespace(dialect=SimpleNamespace(name=dialect))

    store = Store(sessions=lambda: nullcontext(Session()))
    with pytest.raises(UnsupportedDatabase, match=f"not supported on {dialect}.*Use PostgreSQL"):
        store.record(_opened(TaskRef("d", "r", "t")), stream("END"), at=AT, signed_at=None, digest=None)


def test_sqlite_has_one_writer(database):
    expected = 1 if "sqlite" in database.url else CONCURRENCY

    assert Store(sessions=database.sessions).concurrency == expected
