"""
Every row of the transition table on real processes: all of them at once on one Airflow, each a DAG run in a room
of its own. ``docs/faults.md`` names the rows, and the ones that have no run here say why there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from airflow import __version__ as airflow_version
from packaging.version import Version

from dev.airflow_api import AirflowApi
from dev.faults.records import Job
from dev.faults.schedule import ENDLESS
from dev.faults.stack import LINGER, FaultStack
from dev.process import wait_until

pytestmark = pytest.mark.processes

TASK = "go_live"

#: Seconds for all runs; the longest waits for the failure budget.
RUN_TIMEOUT = 300.0

#: Seconds after which a deferral is not left to the trigger's first read any more, with something to spare.
SETTLED = 10.0

#: Seconds between two looks at all tasks.
LOOK = 1.5

OVER = ("success", "failed", "skipped")

#: Seconds for a job to be over that its task's ``on_kill`` stops; Airflow gives a trigger 30.
KILL_BOUND = 35.0

#: Longer than the reconciliation's interval here: no END is known by then but by callback.
A_WHILE = 20.0

Rule = dict[str, Any]

#: The tenant's listing leaves all jobs out, so that each is shown by itself, and rules on ``show`` meet it.
UNLISTED: Rule = {"target": "list_all", "action": "lag", "seconds": 3600}
NO_END: Rule = {"target": "callback", "event": "END", "action": "drop"}


def unreachable(times: int | None) -> Rule:
    return {"target": "show", "action": "status", "status": 503, "times": times}


class Stand:
    """One run on the stand: its room, its task, its job."""

    def __init__(self, fault_stack: FaultStack, row: Row, number: int) -> None:
        self.stack = fault_stack
        self.row = row
        self.dag_id = f"transitions_{row.way}"
        self.room_id = f"00000000-0000-4000-a000-{number:012d}"
        self.run_id = f"row__{number:02d}"
        self.api = AirflowApi(fault_stack.airflow.base_url)

    def begin(self) -> None:
        room = {"room_id": self.room_id, "name": self.row.name, "seconds": self.row.show}
        self.stack.sandbox.add_rooms(room)
        for rule in self.row.faults:
            self.rule(rule)
        if self.row.dies is not None:
            self.stack.injections.give(self.run_id, self.row.dies, "task")
        self.api.trigger_dag(self.dag_id, run_id=self.run_id, conf={"room_id": self.room_id})

    def rule(self, rule: Rule) -> None:
        self.stack.sandbox.add_fault(room=self.room_id, **rule)

    def send(self, state: str) -> None:
        """Let MetaStudio call back a state of the link, whatever the link does."""
        event = {"event_type": "RTMP_STREAM_STATE_CHANGE", "message": {"state": state}}
        self.stack.sandbox.control("POST", f"/jobs/{self.jobs()[-1].job_id}/event", event)

    def finish(self) -> None:
        self.stack.sandbox.finish(self.jobs()[-1].job_id)

    def mark_failed(self) -> None:
        self.api.mark(self.dag_id, self.run_id, TASK, "failed")

    def task(self) -> dict[str, Any]:
        return self.api.task_instance(self.dag_id, self.run_id, TASK)

    def log(self) -> str:
        """The logs of all tries: what they were woken by, and why they did what they did."""
        tries = range(1, self.row.tries + 1)
        return "\n".join(
            self.api.task_log(self.dag_id, self.run_id, TASK, try_number=number) for number in tries
        )

    def jobs(self) -> list[Job]:
        return self.stack.records.jobs(self.room_id)

    def act(self) -> None:
        """Let happen what the row is about, once the trigger waits, too: it takes a second or two to begin."""
        assert self.row.act is not None
        time.sleep(SETTLED)
        self.row.act(self)

    def is_on_air(self, state: str | None) -> bool:
        return state == "deferred" and any(job.connected_at for job in self.jobs())


@dataclass(frozen=True)
class Row:
    """
    A row of the table, and how it comes about.

    :param says: the reason in the task's log; empty where another process decides.
    :param way: the DAG, see ``dev/faults/dags/transitions.py``.
    :param show: seconds of the script.
    :param act: what happens once the stream is up.
    :param ends: states in which the task may end.
    :param stops: whether the job is stopped through the API.
    :param tries: how many tries the task takes.
    :param dies: the point at which the process of the first try is killed.
    :param stopped: which of its jobs are stopped through the API, if it is not all or none of one job per try.
    :param left: whether the job may outlive its task.
    :param forgotten: whether the retry has to be told what only an XCom of the earlier try says.
    """

    name: str
    says: str
    way: str = "plain"
    show: float = 30
    faults: tuple[Rule, ...] = ()
    act: Callable[[Stand], None] | None = None
    ends: frozenset[str] = field(default=frozenset({"success"}))
    stops: bool = False
    tries: int = 1
    dies: str | None = None
    stopped: tuple[bool, ...] = ()
    left: bool = False
    forgotten: bool = False


FAILED = frozenset({"failed"})


def _finish_unseen(stand: Stand) -> None:
    stand.rule(unreachable(times=6))
    stand.finish()


def _finish_forgotten(stand: Stand) -> None:
    stand.rule({"target": "show", "action": "status", "status": 404, "code": "MSS.20010074"})
    stand.finish()


def _kill_when_over(stand: Stand) -> None:
    stand.finish()
    stand.mark_failed()


def _end_falsely(stand: Stand) -> None:
    stand.send("END")
    time.sleep(A_WHILE)
    stand.finish()


def _ride_out(stand: Stand) -> None:
    time.sleep(A_WHILE)
    stand.finish()


def _interrupt_once(stand: Stand) -> None:
    """Interrupt the stream of the first try, and let that of the second one come to its end."""
    stand.send("DISCONNECTED")
    wait_until(
        lambda: any(job.connected_at for job in stand.jobs()[1:]),
        "second livestream",
        timeout=RUN_TIMEOUT / 2,
    )
    stand.finish()


ROWS = (
    Row("SUCCEED, END seen", "the job succeeded."),
    Row("SUCCEED, END not seen", "the job succeeded; END was not seen.", faults=(NO_END,)),
    Row(
        "BLOCKED",
        "MetaStudio blocked the job.",
        way="retried",
        faults=({"target": "job", "action": "block", "seconds": 3, "message": "by the harness"},),
        ends=FAILED,
    ),
    Row(
        "FAILED",
        "the job failed.",
        way="retried",
        faults=({"target": "job", "action": "fail", "seconds": 3, "times": 1},),
        tries=2,
    ),
    Row(
        "not found, END seen",
        "the stream ended; MetaStudio no longer knows the job.",
        show=ENDLESS,
        act=_finish_forgotten,
    ),
    Row(
        "not found, END not seen",
        "the job vanished: MetaStudio no longer knows it, and END was not seen.",
        show=ENDLESS,
        faults=({"target": "job", "action": "vanish", "seconds": 5},),
        ends=FAILED,
    ),
    Row("kill", "", show=ENDLESS, act=Stand.mark_failed, ends=FAILED, stops=True),
    Row("kill, the job is over", "", show=ENDLESS, faults=(NO_END,), act=_kill_when_over, ends=FAILED),
    Row(
        "another task fails fast", "", way="failing_fast", show=ENDLESS, ends=FAILED | {"skipped"}, stops=True
    ),
    Row("timeout", "execution_timeout was reached.", way="timed", show=ENDLESS, ends=FAILED, stops=True),
    Row("deadline: max_duration", "stopped as planned.", way="bounded", show=ENDLESS, stops=True),
    Row("deadline: stop_at", "stopped as planned.", way="scheduled", show=ENDLESS, stops=True),
    Row(
        "disconnected",
        "the stream was interrupted for too long.",
        way="steady",
        show=ENDLESS,
        act=lambda stand: stand.send("DISCONNECTED"),
        ends=FAILED,
        stops=True,
    ),
    Row(
        "deadline, the resumed process dies",
        "stopped as planned.",
        way="bounded_retried",
        show=ENDLESS,
        dies="resumed",
        tries=2,
        stopped=(True,),
        forgotten=True,
    ),
    Row(
        "disconnected, the resumed process dies",
        "its stream has not been connected for longer than fail_on_disconnect_longer_than.",
        way="steady_retried",
        show=ENDLESS,
        act=_interrupt_once,
        dies="resumed",
        tries=2,
        stopped=(True, False),
        forgotten=True,
    ),
    Row(
        "unknown, the budget is over",
        "MetaStudio was unreachable for longer than failure_budget.",
        show=ENDLESS,
        act=lambda stand: stand.rule(unreachable(times=None)),
        ends=FAILED,
        stops=True,
    ),
    Row(
        "unknown for a while",
        "the job succeeded; END was not seen.",
        show=ENDLESS,
        faults=(NO_END, unreachable(times=4)),
        act=_ride_out,
    ),
    Row(
        "refused for a moment",
        "the job succeeded; END was not seen.",
        way="refused",
        show=ENDLESS,
        faults=(
            NO_END,
            {"target": "show", "action": "status", "status": 401, "code": "APIGW.0301", "times": 1},
        ),
        act=_ride_out,
    ),
    Row(
        "unknown after END",
        "MetaStudio's answer is not known yet.",
        show=ENDLESS,
        act=_finish_unseen,
    ),
    Row(
        "grace over, the stream goes on",
        "END was called back, but MetaStudio's figures do not show it.",
        show=ENDLESS,
        act=_end_falsely,
    ),
    Row(
        "grace over, stop_after_end=False",
        "the stream ended; the job is left to MetaStudio.",
        way="leaving",
        faults=({"target": "job", "action": "linger", "seconds": LINGER},),
        left=True,
    ),
    Row(
        "grace over",
        "the stream ended, the job did not finish by itself.",
        faults=({"target": "job", "action": "linger", "seconds": LINGER},),
        stops=True,
    ),
    Row(
        "active after END",
        "the stream ended; MetaStudio is finishing the job.",
        way="patient",
        faults=({"target": "job", "action": "linger", "seconds": 10},),
    ),
)


#: In Airflow 3.4 XComs belong to a try, and the next one is not even told their keys (docs/faults.md).
PLAYED = tuple(row for row in ROWS if not (row.forgotten and Version(airflow_version).release >= (3, 4)))


@pytest.fixture(scope="module")
def stands(fault_stack: FaultStack) -> Iterator[dict[str, Stand]]:
    """Play all rows, and keep what became of them."""
    for way in sorted({row.way for row in PLAYED}):
        fault_stack.airflow.wait_for_dag(f"transitions_{way}")
    fault_stack.sandbox.add_fault(**UNLISTED)
    stands = {row.name: Stand(fault_stack, row, number) for number, row in enumerate(PLAYED, start=1)}
    for stand in stands.values():
        stand.begin()
    _play(fault_stack.airflow.api, list(stands.values()))
    yield stands
    for stand in stands.values():
        stand.api.close()
    fault_stack.tidy_up()


def _play(api: AirflowApi, stands: list[Stand]) -> None:
    """Let each stand act once it is on the air, until all tasks are over; ask about all of them at once."""
    to_act = [stand for stand in stands if stand.row.act is not None]
    states: dict[str, str | None] = {}
    deadline = time.monotonic() + RUN_TIMEOUT
    with ThreadPoolExecutor(len(stands)) as threads:
        acts: list[Future[None]] = []
        while to_act or not all(states[stand.run_id] in OVER for stand in stands):
            assert time.monotonic() < deadline, states
            time.sleep(LOOK)
            tasks = api.task_instances("~", "~")
            states = {task["dag_run_id"]: task["state"] for task in tasks if task["task_id"] == TASK}
            for stand in [stand for stand in to_act if stand.is_on_air(states[stand.run_id])]:
                acts.append(threads.submit(stand.act))
                to_act.remove(stand)
        for act in acts:
            act.result()


@pytest.mark.parametrize("row", PLAYED, ids=[row.name for row in PLAYED])
def test_row(stands: dict[str, Stand], row: Row) -> None:
    stand = stands[row.name]
    task = stand.task()
    assert task["state"] in row.ends, stand.log()
    assert task["try_number"] == row.tries
    assert row.says in stand.log()
    if not row.left:
        wait_until(
            lambda: not any(job.is_active for job in stand.jobs()), "end of the job", timeout=KILL_BOUND
        )
    assert tuple(bool(job.stops) for job in stand.jobs()) == (row.stopped or (row.stops,) * row.tries)
    assert row.dies is None or stand.stack.injections.is_obeyed(stand.run_id)


def test_a_failure_says_what_metastudio_said(stands: dict[str, Stand]) -> None:
    assert "MSS.00000004" in stands["FAILED"].log()
    assert "by the harness" in stands["BLOCKED"].log()
