"""What was to be reached, and what was."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from dev.bench.figures import median

#: Seconds of processor time in an hour below which none is told from another: a tick in a window of 120 seconds.
LEAST_CPU = 0.3

#: The table may have so many bytes.
MAX_TABLE = 16 * 1024


@dataclass(frozen=True)
class Target:
    """
    One target.

    :param what: what is compared.
    :param aim: the figure to reach.
    :param reached: the measured figure.
    :param at_most: whether less is better.
    :param unit: of both.
    """

    what: str
    aim: float
    reached: float
    at_most: bool = True
    unit: str = "x"

    @property
    def is_met(self) -> bool:
        """Whether it was reached."""
        compare: Callable[[float, float], bool] = operator.le if self.at_most else operator.ge
        return compare(self.reached, self.aim)

    def row(self) -> tuple[str, ...]:
        """Return it as cells of a table."""
        sign = "at most" if self.at_most else "at least"
        return (
            self.what,
            f"{sign} {self.aim:g} {self.unit}",
            f"{self.reached:,.2f} {self.unit}",
            "met" if self.is_met else "**missed**",
        )


def judge(results: dict[str, Any]) -> list[Target]:
    """Return all targets whose parts were measured."""
    judges: dict[str, Callable[[Any], list[Target]]] = {
        "latency": _latency,
        "waiting": _waiting,
        "ingestion": _ingestion,
        "rooms": _rooms,
        "apply": _apply,
        "signing": _signing,
        "imports": _imports,
    }
    return [
        target
        for part, judge_part in judges.items()
        if part in results
        for target in judge_part(results[part])
    ]


def beyond_idle(
    waiting: list[dict[str, Any]], kind: str, *, without: Collection[str] = ()
) -> list[tuple[float, float]]:
    """
    Return (streams, seconds of processor time in an hour beyond an idle stack), from no streams on.

    :param without: programs that do not count.
    """

    def used(price: dict[str, Any]) -> float:
        return math.fsum(seconds for program, seconds in price["cpu"].items() if program not in without)

    idle = used(waiting[0])
    return [
        (0.0, 0.0),
        *((price["streams"], used(price) - idle) for price in waiting if price["kind"] == kind),
    ]


def waking(waiting: list[dict[str, Any]], kind: str, streams: float) -> float:
    """
    Return the seconds of processor time in an hour that a kind of trigger takes by itself.

    Beyond what a trigger costs that does nothing, and without the scheduler: it looks at deferred tasks, and knows
    no triggers.
    """
    own, nothing = (
        dict(beyond_idle(waiting, name, without=["scheduler"]))[streams] for name in (kind, "nothing")
    )
    return own - nothing


def _latency(latency: dict[str, Any]) -> list[Target]:
    medians = {name: median(times["finished"]) for name, times in latency.items() if "finished" in times}
    ours, sensor, human = (medians[name] for name in ("operator", "sensor", "human in the loop"))
    found = [
        Target("operator against human in the loop: END to task finished", 1.2, ours / human),
        Target("sensor against human in the loop: END to task finished", 0.2, sensor / human),
    ]
    for name, aim in (("HttpSensor, 5 s", 3), ("HttpSensor, 60 s", 25)):
        if name in medians:
            found += [
                Target(
                    f"{name} against operator: END to task finished", aim, medians[name] / ours, at_most=False
                )
            ]
    return found


def _waiting(waiting: list[dict[str, Any]]) -> list[Target]:
    ours, http, nothing = (dict(beyond_idle(waiting, kind)) for kind in ("smartlive", "http", "nothing"))
    most = max(ours.keys() & http.keys())
    what = f"processor time of HttpSensor at 60 s against ours, {most:,.0f} waiting streams"
    found = [Target(what, 20, http[most] / ours[most], at_most=False)]
    if most in nothing:
        what = "the same beyond a trigger that does nothing, without the scheduler"
        other, own = (waking(waiting, kind, most) for kind in ("http", "smartlive"))
        found.append(Target(what, 20, other / max(own, LEAST_CPU), at_most=False))
    per_stream = [cpu / streams for streams, cpu in ours.items() if streams]
    what = "our processor time per stream: most against fewest streams"
    return [*found, Target(what, 1, per_stream[-1] / per_stream[0])]


def _ingestion(ingestion: dict[str, Any]) -> list[Target]:
    ours, bare, inbound = (ingestion[kind]["rate"] for kind in ("receiver", "bare", "inbound-webhooks"))
    return [
        Target("receiver against the bare route: events a second", 0.7, ours / bare, at_most=False),
        Target("receiver against inbound-webhooks: events a second", 1, ours / inbound, at_most=False),
    ]


def _rooms(rooms: dict[str, Any]) -> list[Target]:
    lost = rooms["rooms"] - rooms["woken by"].get("callback", 0)
    return [
        Target(
            f"{rooms['rooms']} ENDs in one burst: tasks not woken by their callback", 0, lost, unit="tasks"
        )
    ]


def _apply(apply: dict[str, Any]) -> list[Target]:
    early, late = apply["apply"]
    return [
        Target("apply: event 10,000 against event 10", 1.1, late / early),
        Target("callback table of a link that flapped 10,000 times", MAX_TABLE, apply["bytes"], unit="bytes"),
    ]


def _signing(signing: dict[str, Any]) -> list[Target]:
    return [Target("signing against huaweicloudsdkcore", 3, signing["ours"] / signing["sdk"], at_most=False)]


def _imports(imports: dict[str, Any]) -> list[Target]:
    return [
        Target(
            "import of our operators against that of the http operator",
            0.33,
            imports["operators"] / imports["http operator"],
        ),
        Target("import of the plugin in a worker", 15, imports["plugin"], unit="ms"),
    ]
