"""A task with a standby against tries of any course: never two jobs of it at once, and none left when it is ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_smartlive.exceptions import SmartLiveKilledError
from airflow_provider_smartlive.metastudio.errors import Conflict, Throttled, UnexpectedResponse
from tests.operators.test_standby import OTHER_OUTPUT, SINGLE, STANDBY, Task, refused
from tests.support.fake_airflow import TASK, FakeSupervisor
from tests.support.fake_callbacks import STREAM_KEY
from tests.support.fake_metastudio import ROOM, After, Crash, FakeMetaStudio, ambiguous
from tests.support.simulation import StartSimulation, set_up, stop_by
from tests.support.virtual_time import Clock

THIRD = f"{STANDBY[:-1]}c"

#: What a start meets.
OUTCOMES: dict[str, Callable[[], BaseException | After | None]] = {
    "accepted": lambda: None,
    "refused": refused,
    "conflict": lambda: Conflict("has a job", http_status=400, error_code="MSS.20010046"),
    "lost on the way": ambiguous,
    "its answer lost": lambda: After(ambiguous()),
    "throttled": lambda: Throttled("too many", http_status=429),
    "a proxy's answer": lambda: UnexpectedResponse("a proxy's word", http_status=400),
    "died before": Crash,
    "died after": lambda: After(Crash()),
}

#: How the arguments of a try differ from those of the first.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "the same": {},
    "no standby": {"standby_room_id": None},
    "the other way round": {"room_id": STANDBY, "standby_room_id": ROOM},
    "another standby": {"standby_room_id": THIRD},
    "the same room": {"standby_room_id": None, "standby_output_conn_ids": "rtmp_other"},
    "not single any more": {"job_run_config": None},
}


@dataclass(frozen=True)
class Try:
    """
    One try of the task.

    :param outcomes: what its starts meet.
    :param arguments: how its arguments differ.
    :param is_cleared: whether it is the first after a clear, not a retry.
    :param dies_at_save: which write of the record its process does not survive.
    :param killed_at: before which start the task is ended from outside.
    :param times_out_after: seconds after which ``execution_timeout`` is reached on the worker.
    """

    outcomes: tuple[str, ...]
    arguments: str = "the same"
    is_cleared: bool = False
    dies_at_save: int | None = None
    killed_at: int | None = None
    times_out_after: int | None = None


@dataclass(frozen=True)
class Course:
    """
    :param calls_back: whether a callback URL is sent along.
    :param is_echoed: whether MetaStudio's listing shows it.
    :param is_single: whether MetaStudio is asked to refuse a second job in a room.
    :param lag: seconds until the listing shows a new job.
    """

    tries: tuple[Try, ...]
    calls_back: bool = True
    is_echoed: bool = True
    is_single: bool = False
    lag: int = 0


_tries = st.builds(
    Try,
    outcomes=st.lists(st.sampled_from(list(OUTCOMES)), max_size=4).map(tuple),
    arguments=st.sampled_from(["the same", *ARGUMENTS]),
    is_cleared=st.booleans(),
    dies_at_save=st.none() | st.integers(1, 6),
    killed_at=st.none() | st.integers(1, 3),
    times_out_after=st.none() | st.sampled_from([3, 10, 40]),
)
_courses = st.builds(
    Course,
    tries=st.lists(_tries, min_size=1, max_size=5).map(tuple),
    calls_back=st.booleans(),
    is_echoed=st.booleans(),
    is_single=st.booleans(),
    lag=st.sampled_from([0, 5, 20]),
)

_OTHER_REASON = Course((Try(("its answer lost", "refused")),), calls_back=False, is_single=True)
_NOT_SINGLE_ANY_MORE = Course(
    (Try(("died after",)), Try(("refused",)), Try((), arguments="not single any more")),
    calls_back=False,
    is_single=True,
)


def a_show(monkeypatch: pytest.MonkeyPatch) -> StartSimulation:
    clock, supervisor = Clock(), FakeSupervisor()
    supervisor.install(monkeypatch)
    stop_by(clock, monkeypatch)
    monkeypatch.setenv("AIRFLOW_CONN_RTMP_OTHER", OTHER_OUTPUT)
    monkeypatch.setenv("AIRFLOW_CONN_RTMP_MAIN", OTHER_OUTPUT.replace("fake-stream-key-0002", STREAM_KEY))
    show = StartSimulation(clock, FakeMetaStudio(clock), supervisor)
    set_up(show, monkeypatch)
    return show


def lags(metastudio: FakeMetaStudio, lag: timedelta) -> None:
    """Let each listing show a job only some time after its start."""
    metastudio.listing_lag, list_jobs = lag, metastudio.list_jobs

    def late(**filters: Any) -> Any:
        since = metastudio.clock.now - lag
        return (job for job in list_jobs(**filters) if job.create_time and job.create_time <= since)

    metastudio.list_jobs = late  # type: ignore[method-assign]  # of this one


def run(task: Task, course: Course, one: Try, **attempt: int) -> None:
    """Run a try to whatever end."""
    show, starts, process = task.show, iter(range(1, 100)), [True]
    show.supervisor.states = {TASK: "running"}
    show.supervisor.on_message = lambda message: None

    def before_start() -> None:
        if next(starts) == one.killed_at:
            show.supervisor.states = {TASK: "failed"}
            show.process.on_kill()

    task.metastudio.before_start = before_start
    if one.dies_at_save is not None:
        task.dies_at_save(one.dies_at_save)
    if one.times_out_after is not None:
        show.at(show.clock.seconds + one.times_out_after, lambda: process and show.alarm())
    arguments = {"use_callbacks": course.calls_back, **(SINGLE if course.is_single else {})}
    outcomes = [OUTCOMES[name]() for name in one.outcomes]
    try:
        task.run(*outcomes, **arguments | ARGUMENTS[one.arguments], ti=attempt)
    except AssertionError:
        raise
    except SmartLiveKilledError:
        if (
            course.calls_back
            and course.is_echoed
            and one.dies_at_save is None
            and one.times_out_after is None
        ):
            assert not task.metastudio.running, "a job of a task that was ended"
    except (Exception, Crash):
        return
    finally:
        process.clear()  # an alarm is that of one process


@example(_OTHER_REASON)
@example(_NOT_SINGLE_ANY_MORE)
@given(_courses)
@settings(max_examples=60, deadline=None)
def test_it_has_one_job_at_most(course: Course) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        task = Task(a_show(monkeypatch))
        task.metastudio.echoes_callbacks = course.is_echoed
        lags(task.metastudio, timedelta(seconds=course.lag))
        clears, max_tries = 0, 3
        for number, one in enumerate(course.tries, start=1):
            if one.is_cleared:
                clears, max_tries = clears + 1, number + 2
            run(task, course, one, try_number=number, max_tries=max_tries, clear_number=clears)
