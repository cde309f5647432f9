"""
A captured request, sent again.

The signature covers URL and time, not the body. So whoever captured one whole request can, within the window, say
anything about that one task: END, above all. It ends nothing else, and no livestream that goes on.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_smartlive.callbacks.messages import (
    JOB_ID_KEY,
    XCOM_TABLE_KEY,
    WaiterRegistration,
    waiter_key,
)
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.operators import StartSmartLiveJobOperator
from tests.support.callback_events import JOB, OTHER_JOB, stream_body
from tests.support.database import Database
from tests.support.fake_airflow import TASK
from tests.support.fake_metastudio import ROOM
from tests.support.figures import count
from tests.support.simulation import LIVE, Simulation

END = stream_body("END")


# --- at the door: what else could it end?


@pytest.fixture
def owner(database: Database) -> TaskRef:
    return database.task(xcoms={JOB_ID_KEY: JOB})


def _untouched(database: Database, task: TaskRef, *, table: bool = False) -> None:
    assert database.row(task).state == "deferred"
    assert (database.xcom(task, XCOM_TABLE_KEY) is not None) is table
    count("captured requests sent elsewhere or again", database.name, tried=1, **{"without effect": 1})


@pytest.mark.parametrize(
    "which", ["another run", "another task of the run", "another instance of a mapped task"]
)
async def test_it_ends_no_other_task(door: Any, database: Database, owner: TaskRef, which: str) -> None:
    other = {
        "another run": lambda: database.task(xcoms={JOB_ID_KEY: JOB}),
        "another task of the run": lambda: database.task("other", like=owner, xcoms={JOB_ID_KEY: JOB}),
        "another instance of a mapped task": lambda: database.task(
            like=owner, map_index=1, xcoms={JOB_ID_KEY: JOB}
        ),
    }[which]()
    captured = door.signature(door.issued(owner))

    answer = await door.post(door.issued(other), END, captured)

    assert answer.status_code == 404
    _untouched(database, other)


async def test_it_ends_no_later_life(door: Any, database: Database, owner: TaskRef) -> None:
    issued = door.issued(owner)
    captured = door.signature(issued)
    database.change(owner, max_tries=1)  # cleared

    assert (await door.post(issued, END, captured)).status_code == 410
    assert (await door.post(door.issued(owner, generation=1), END, captured)).status_code == 404
    _untouched(database, owner)


async def test_it_does_not_end_the_job_of_the_next_try(door: Any, database: Database, owner: TaskRef) -> None:
    issued = door.issued(owner)
    captured = door.signature(issued)
    assert (await door.post(issued, END, captured)).status_code == 200
    database.fail_try(owner, begins=True)
    database.push(owner, JOB_ID_KEY, OTHER_JOB)  # the next try starts a job of its own
    database.change(owner, state="deferred", try_number=2)

    assert (await door.post(issued, END, captured)).status_code == 200
    _untouched(database, owner, table=True)
    assert door.table(owner).job(OTHER_JOB) is None


async def test_it_wakes_nobody_who_waits_for_another_job(
    door: Any, database: Database, owner: TaskRef
) -> None:
    waiter = database.task("watch")
    database.push(
        waiter, waiter_key(OTHER_JOB), WaiterRegistration(job_id=OTHER_JOB, target_state="END").dump()
    )
    issued = door.issued(owner)

    body = stream_body("END", job_id=OTHER_JOB)
    assert (await door.post(issued, body, door.signature(issued))).status_code == 200
    _untouched(database, owner, table=True)
    assert database.row(waiter).state == "deferred"


@pytest.mark.parametrize("seconds", [-330, 330, 86_400])
async def test_outside_of_its_window_it_is_nothing(
    door: Any, database: Database, owner: TaskRef, seconds: int
) -> None:
    issued = door.issued(owner)
    captured = door.signature(issued, datetime.now(UTC) - timedelta(seconds=seconds))

    assert (await door.post(issued, END, captured)).status_code == 404
    _untouched(database, owner)


async def test_the_same_again_is_counted_once(door: Any, database: Database, owner: TaskRef) -> None:
    issued = door.issued(owner)
    captured = door.signature(issued)
    body = stream_body("CONNECTED")

    answers = [(await door.post(issued, body, captured)).json()["result"] for _ in range(20)]

    assert answers == ["applied"] + ["duplicate"] * 19
    assert door.table(owner).events == 1
    _untouched(database, owner, table=True)


# --- at the owner: what does a false END do to its own livestream?


@pytest.fixture
def show(stage: Simulation) -> Simulation:
    """A livestream of up to two hours."""
    stage.at(5, stage.calls_back(*LIVE))
    for second in range(10, 7200, 10):
        stage.at(second, lambda: _streams(stage))
    return stage


def _streams(show: Simulation) -> None:
    job = show.metastudio.jobs[-1]
    if job.is_active:
        job.stream_duration = show.clock.seconds - 5


def _go_live(show: Simulation, **arguments: Any) -> Any:
    defaults = {"room_id": ROOM, "output_conn_ids": ["rtmp_main"]}
    return show.run(StartSmartLiveJobOperator(task_id=TASK, **defaults | arguments))


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("stop_after_end", [True, False])
def test_a_false_end_stops_no_livestream(show: Simulation, deferrable: bool, stop_after_end: bool) -> None:
    show.at(600, show.calls_back("END"))  # nobody but the attacker says so
    show.at(7200, show.ends())
    result = _go_live(show, deferrable=deferrable, stop_after_end=stop_after_end)

    assert (result["state"], show.metastudio.stopped) == ("SUCCEED", [])
    assert 7200 <= show.clock.seconds <= 7210
    assert show.metastudio.asked["start"] == 1


def test_a_false_end_of_each_minute_neither(show: Simulation) -> None:
    for minute in range(10, 100):
        show.at(60 * minute, show.calls_back("END"))
    show.at(7200, show.ends())

    assert _go_live(show)["state"] == "SUCCEED"
    assert show.metastudio.stopped == []


def test_a_true_end_after_a_false_one_is_found(show: Simulation) -> None:
    """It is late, as END was called back already; and the job does not finish by itself."""
    show.at(600, show.calls_back("END"))
    show.at(3600, lambda: setattr(show.clock, "_plans", []))  # the link is over, the figure stands still
    result = _go_live(show)

    assert result["outcome"] == "the stream ended, the job did not finish by itself"
    assert show.metastudio.stopped == [result["job_id"]]
    assert 3600 <= show.clock.seconds <= 3600 + 2 * 120 + 15


def test_without_the_figure_a_false_end_would_stop_it(
    show: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left: where MetaStudio does not count while it streams, END cannot be told from a false one."""
    show.at(600, show.calls_back("END"))
    monkeypatch.setattr(f"{__name__}._streams", lambda show: None)
    result = _go_live(show)

    assert show.metastudio.stopped == [result["job_id"]]
    assert show.clock.seconds <= 740
