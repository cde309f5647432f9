"""A sensor of END against shows of any course: it ends neither before the show nor long after it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_provider_smartlive.callbacks.messages import ResumeEvent
from tests.support.fake_airflow import FakeSupervisor
from tests.support.fake_metastudio import FakeMetaStudio, unreachable
from tests.support.sensor_simulation import ALL_MODES, SensorSimulation, a_watch
from tests.support.simulation import LIVE
from tests.support.virtual_time import Clock

#: Seconds: between two questions to MetaStudio, and what it gets to finish a job after END.
INTERVAL, GRACE = 300, 120


@dataclass(frozen=True)
class OutputExchange:
    """
    Somebody exchanges the output in MetaStudio's console.

    :param after: seconds since the last exchange, or since the start.
    :param gap: seconds from the old link's end until the new one is up; negative if the new one is up first.
    :param reports_end: whether END of the old link is called back.
    """

    after: int
    gap: int
    reports_end: bool


@dataclass(frozen=True)
class Course:
    """
    The course of a show.

    :param last: seconds from the last exchange to the end.
    :param finishes_after: seconds until MetaStudio finishes the job; None if it leaves that to others.
    :param end: what becomes of the last END: "woken", "locked" (the receiver passes over the sensor), or "lost".
    :param counts: whether MetaStudio counts how long video is pushed while it is; else only when the job is over.
    :param repeats: seconds after which each event comes once more; None if it does not.
    :param down: from when for how long MetaStudio cannot be asked.
    """

    exchanges: tuple[OutputExchange, ...]
    last: int
    finishes_after: int | None
    end: str
    counts: bool
    repeats: int | None
    down: tuple[int, int]

    @property
    def over_at(self) -> int:
        return 1 + sum(exchange.after for exchange in self.exchanges) + self.last

    @property
    def told_at(self) -> float:
        """When the sensor has what it needs, at the latest: the callback, or MetaStudio's word."""
        told = []
        every_end = all(exchange.reports_end for exchange in self.exchanges)
        if self.finishes_after is not None:
            told.append(self.over_at + self.finishes_after + INTERVAL)
        if self.end != "lost" and every_end:
            told.append(self.over_at + (INTERVAL if self.end == "locked" else 0) + GRACE)
        return min(told)

    def is_decidable(self) -> bool:
        """Whether anybody ever says that the show is over."""
        return self.finishes_after is not None or (
            self.end != "lost" and all(exchange.reports_end for exchange in self.exchanges)
        )


_exchanges = st.builds(
    OutputExchange, after=st.integers(150, 900), gap=st.integers(-100, 100), reports_end=st.booleans()
)
_courses = st.builds(
    Course,
    exchanges=st.lists(_exchanges, max_size=3).map(tuple),
    last=st.integers(150, 900),
    finishes_after=st.sampled_from([None, 0, 3, 60, 500]),
    end=st.sampled_from(["woken", "locked", "lost"]),
    counts=st.booleans(),
    repeats=st.sampled_from([None, 2, 200]),
    down=st.tuples(st.integers(0, 2000), st.sampled_from([0, 100, 900])),
).filter(Course.is_decidable)


def plays(watch: SensorSimulation, course: Course) -> None:
    """Let the show happen, by the clock."""

    def reports(at: int, *states: str, output: str, is_locked: bool = False) -> None:
        action = watch.calls_back(*states, output=output, outputs=("0",))
        watch.at(at, passed_over(watch, action) if is_locked else action)
        if course.repeats is not None:
            watch.at(at + course.repeats, passed_over(watch, action))

    reports(1, *LIVE, output="0")
    at, silent = 1, list[range]()
    for number, exchange in enumerate(course.exchanges, 1):
        at += exchange.after
        if exchange.reports_end:
            reports(at, "END", output=str(number - 1))
        reports(at + exchange.gap, *LIVE, output=str(number))
        silent.append(range(at, at + exchange.gap))
    if course.end != "lost":
        reports(course.over_at, "END", output=str(len(course.exchanges)), is_locked=course.end == "locked")
    if course.counts:
        pushed = 0
        for second in range(2, course.over_at, 5):
            pushed += 0 if any(second in gap for gap in silent) else 5
            watch.at(second, grown(watch, pushed))
    if course.finishes_after is not None:
        watch.at(course.over_at + course.finishes_after, watch.ends(stream_duration=float(course.over_at)))
    began, seconds = course.down
    if seconds:
        watch.at(began, watch.is_down(unreachable()))
        watch.at(began + seconds, watch.is_down(None))


def passed_over(watch: SensorSimulation, action: Any) -> Any:
    """Return an action whose event is taken, and wakes nobody."""

    def taken() -> None:
        resume, watch.resume = watch.resume, None
        action()
        watch.resume = resume

    return taken


def grown(watch: SensorSimulation, seconds: int) -> Any:
    return lambda: setattr(watch.metastudio.jobs[-1], "stream_duration", float(seconds))


#: END comes while the sensor's row is locked, and MetaStudio leaves the end of the job to others.
_PASSED_OVER = Course((), 200, None, "locked", counts=False, repeats=None, down=(0, 0))


#: While the END of one exchange is confirmed, the link comes up, and ends for another exchange.
_EXCHANGED_AGAIN = Course(
    (OutputExchange(150, 0, True), OutputExchange(170, 100, True), OutputExchange(150, 10, True)),
    150,
    None,
    "woken",
    counts=False,
    repeats=None,
    down=(0, 0),
)
_AND_SOON = replace(
    _EXCHANGED_AGAIN,
    exchanges=(OutputExchange(150, 0, True), OutputExchange(170, 100, True), OutputExchange(104, 60, True)),
)


@example(_PASSED_OVER, "deferred")
@example(_EXCHANGED_AGAIN, "reschedule")
@example(_AND_SOON, "deferred")
@example(_AND_SOON, "poke")
@given(_courses, st.sampled_from(list(ALL_MODES)))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_it_ends_with_the_show(course: Course, mode: str) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        clock, supervisor = Clock(), FakeSupervisor()
        supervisor.install(monkeypatch)
        watch = a_watch(clock, FakeMetaStudio(clock), supervisor, monkeypatch)
        watch.mode = ALL_MODES[mode]
        watch.has_job()
        plays(watch, course)

        result = ResumeEvent.load(watch.sense())

        assert result.state == "END"
        assert result.confirmed
        assert clock.seconds >= course.over_at, "mid-show"
        # A check that an outage interrupts begins anew; a sensor on workers looks once a minute.
        late = course.down[1] + INTERVAL + GRACE + 2 * 60 + 10
        assert clock.seconds <= course.told_at + late, "lost"
