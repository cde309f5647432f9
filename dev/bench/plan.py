"""How much is measured: the full benchmark, and a quick one to try it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """
    Counts and times of one run.

    :param repetitions: of each latency.
    :param pause: seconds between two ends, so that one does not wait for the other.
    :param polls: poll intervals of HttpSensor, in seconds.
    :param rooms: rooms that are mapped in one DAG run.
    :param levels: how many streams wait, one after the other.
    :param window: seconds for which the price of waiting is measured: twice the 60 within which everybody asks.
    :param settle: seconds between the last new waiting stream and such a window: what begins to wait loads modules
        with its first question, and reads an XCom before that. That is the price of starting, not of waiting.
    :param tasks: tasks that callbacks are for.
    :param round_seconds: seconds of one round of callbacks.
    :param rounds: of each receiver, in turns.
    :param samples: of everything that is measured inside one process.
    :param starts: of Python, for each import that is measured.
    """

    repetitions: int
    pause: float
    polls: tuple[int, ...]
    rooms: int
    levels: tuple[int, ...]
    window: float
    settle: float
    tasks: int
    round_seconds: float
    rounds: int
    samples: int
    starts: int


FULL = Plan(
    repetitions=40,
    pause=2.5,
    polls=(5, 60),
    rooms=200,
    levels=(100, 300, 1000),
    window=120.0,
    settle=80.0,
    tasks=100,
    round_seconds=8.0,
    rounds=6,
    samples=2000,
    starts=5,
)

QUICK = Plan(
    repetitions=3,
    pause=2.5,
    polls=(5,),
    rooms=10,
    levels=(20, 60),
    window=12.0,
    settle=6.0,
    tasks=20,
    round_seconds=2.0,
    rounds=2,
    samples=300,
    starts=2,
)
