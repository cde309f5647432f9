"""What is hit in a cluster, how, and when the others have taken over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from dev.cluster.database import HOST as DATABASE_HOST
from dev.cluster.stack import BROKER, METASTUDIO, PROXY, REVIVAL, ClusterStack
from dev.faults.supervisor import Supervisor
from dev.process import Program, wait_until
from dev.stack import HEALTHY_PARTS

#: Seconds between two looks whether the others have taken over.
LOOK = 0.5


class Kind(StrEnum):
    """A kind of host."""

    WORKER = "worker"
    API_SERVER = "api-server"
    TRIGGERER = "triggerer"
    SCHEDULER = "scheduler"
    DAG_PROCESSOR = "dag-processor"
    DATABASE = "database"
    BROKER = "broker"
    METASTUDIO = "MetaStudio"
    PROXY = "reverse proxy"


#: Kinds of which there is a second one, and the one without which everything goes on for a while.
REDUNDANT = (Kind.WORKER, Kind.API_SERVER, Kind.TRIGGERER, Kind.SCHEDULER, Kind.DAG_PROCESSOR)

#: Kinds of which there is one, and with which all of Airflow, or MetaStudio, is away.
SINGLE = (Kind.DATABASE, Kind.BROKER, Kind.METASTUDIO, Kind.PROXY)

_HOSTS = {
    Kind.DAG_PROCESSOR: "dag-processor",
    Kind.DATABASE: DATABASE_HOST,
    Kind.BROKER: BROKER,
    Kind.METASTUDIO: METASTUDIO,
    Kind.PROXY: PROXY,
}

#: Queries for what a lost host still has.
_LEFT = {
    Kind.WORKER: "SELECT count(*) FROM task_instance WHERE hostname = :host AND state IN ('running', 'restarting')",
    Kind.TRIGGERER: "SELECT count(*) FROM trigger JOIN job ON job.id = triggerer_id WHERE hostname = :host",
    Kind.SCHEDULER: (
        "SELECT count(*) FROM task_instance JOIN job ON job.id = queued_by_job_id "
        "WHERE job.hostname = :host AND task_instance.state IN ('queued', 'running')"
    ),
}


class Action(StrEnum):
    """How a host is hit."""

    KILL = "killed"
    FREEZE = "frozen"
    CUT = "cut off"


@dataclass
class Hit:
    """
    One hit.

    :param at: seconds after the beginning of its phase.
    :param seconds: how long it lasts.
    :param handed_over: seconds until nothing was left with the host; None if that was not seen, or is not a question.
    :param had: how much it had when it was hit: tasks, triggers.
    :param number: which one of its kind it is, if there are two.
    """

    kind: Kind
    action: Action
    seconds: float
    at: float = 0.0
    handed_over: float | None = None
    had: int | None = None
    number: int = 2

    @property
    def host(self) -> str:
        """The host."""
        return _HOSTS.get(self.kind, f"{self.kind}-{self.number}")

    def text(self) -> str:
        """Return one line."""
        return f"{self.host} {self.action} for {self.seconds:.0f} s"


@dataclass
class Phase:
    """
    A part of the play: a campaign, and what is hit meanwhile.

    :param campaign: the campaign that begins with it: the one of many rooms, or its encore.
    :param shows: seconds of the shortest and of the longest show; the others are between.
    :param seconds: how long the phase lasts.
    """

    name: str
    campaign: Literal["campaign", "encore"]
    shows: tuple[float, float]
    seconds: float
    hits: list[Hit] = field(default_factory=list)


def plan(*, can_cut: bool, brief: float = 30.0, long: float = 300.0, pause: float = 5.0) -> list[Phase]:
    """
    Return the whole play: every kind is killed, frozen and cut off, briefly and, where there is another one, for long.

    :param can_cut: whether hosts can be cut off.
    :param pause: seconds between two phases.
    """
    actions = [action for action in Action if can_cut or action is not Action.CUT]
    steps = brief + pause
    whole = len(actions) * (steps + long + pause)
    first = Phase("brief outages", "campaign", (15.0, 0.65 * whole), len(actions) * steps)
    for turn in range(len(actions)):
        first.hits += _turn(REDUNDANT, actions, turn, brief, turn * steps)
    phases = [first]
    for turn, action in enumerate(actions):
        phase = Phase(f"long outages, {turn + 1}", "encore", (20.0, 0.7 * long), long + pause)
        phase.hits = _turn(REDUNDANT, actions, turn, long, 0.0)
        space = (long - 60.0 - brief) / len(SINGLE)
        phase.hits += [Hit(kind, action, brief, 60.0 + number * space) for number, kind in enumerate(SINGLE)]
        phases.append(phase)
    return phases


def _turn(
    kinds: Sequence[Kind], actions: Sequence[Action], turn: int, seconds: float, at: float
) -> list[Hit]:
    """Hit one of each kind at the same time, each in another way than in the turn before."""
    return [
        Hit(kind, actions[(number + turn) % len(actions)], seconds, at) for number, kind in enumerate(kinds)
    ]


class Hands:
    """
    Hits hosts, and mends them.

    :param stack: the cluster.
    :param tell: is called with what happens, a line each time.
    """

    def __init__(self, stack: ClusterStack, tell: Callable[[str], None]) -> None:
        self._stack = stack
        self._lock = threading.Lock()
        self._watched = dict(stack.airflow.programs)
        #: Starts again what ends by itself; a host that is off, or frozen, is left alone.
        self.supervisor = Supervisor(self._watched, self._lock)
        self._tell = tell

    def strike(self, hit: Hit, given_up: threading.Event) -> None:
        """Hit a host, see the others take over, and mend it when its time is over, or when all is given up."""
        self._choose(hit)
        began = time.monotonic()
        self._tell(f"{hit.text()} begins")
        self._begin(hit)
        try:
            hit.handed_over = self._watch(hit, began, given_up)
            given_up.wait(max(0.0, began + hit.seconds - time.monotonic()))
        finally:
            self._end(hit)
        after = "" if hit.handed_over is None else f", handed over after {hit.handed_over:.1f} s"
        self._tell(f"{hit.text()} is over{after}")

    def programs(self, kind: Kind, host: str) -> Iterable[Program]:
        """Return the programs of a host."""
        stack = self._stack
        match kind:
            case Kind.DATABASE:
                return [stack.database.program]
            case Kind.BROKER:
                return [stack.broker]
            case Kind.METASTUDIO:
                return stack.metastudio
            case Kind.PROXY:
                return [stack.proxy]
        return [stack.airflow.programs[host]]

    def _choose(self, hit: Hit) -> None:
        """Hit the one of two that has more to hand over."""
        had = {}
        for hit.number in (1, 2):
            had[hit.number] = self._left(hit)
        hit.number = 1 if (had[1] or 0) > (had[2] or 0) else 2
        hit.had = had[hit.number]

    def _begin(self, hit: Hit) -> None:
        if hit.action is Action.CUT:
            self._stack.network.cut(hit.host)
            return
        with self._lock:
            self._watched.pop(hit.host, None)
        for program in self.programs(hit.kind, hit.host):
            if hit.action is Action.KILL:
                program.kill()
            else:
                program.freeze()

    def _end(self, hit: Hit) -> None:
        if hit.action is Action.CUT:
            self._stack.network.mend(hit.host)
        for program in self.programs(hit.kind, hit.host):
            if hit.action is Action.FREEZE:
                program.thaw()
            if hit.action is Action.KILL:
                program.start()
            if hit.host in self._stack.airflow.programs:
                with self._lock:
                    self._watched[hit.host] = program
        if hit.kind is Kind.METASTUDIO:
            self._stack.wait_until_sandbox_answers()
        elif hit.kind is Kind.DATABASE:
            self._stack.database.wait_until_ready()

    def _watch(self, hit: Hit, began: float, given_up: threading.Event) -> float | None:
        """Return after how many seconds nothing was left with the host; None if something was to the end."""
        if hit.kind is Kind.API_SERVER:
            return self._watch_answers(hit, began, given_up)
        if hit.kind not in _LEFT or not hit.had:
            return None
        while time.monotonic() < began + hit.seconds:
            if self._left(hit) == 0:
                return time.monotonic() - began
            if given_up.wait(LOOK):
                break
        return None

    def _watch_answers(self, hit: Hit, began: float, given_up: threading.Event) -> float:
        """Return after how many seconds every question through the proxy was answered."""
        failed = 0.0
        while time.monotonic() < began + min(hit.seconds, 20.0):
            if not self._stack.answers(timeout=2.0):
                failed = time.monotonic() - began
            if given_up.wait(LOOK):
                break
        return failed

    def _left(self, hit: Hit) -> int | None:
        if hit.kind not in _LEFT:
            return None
        found = self._stack.database.rows(_LEFT[hit.kind], host=hit.host)
        return int(found[0][0]) if found else None

    def wait_until_healthy(self) -> None:
        """
        Wait until all of Airflow is healthy.

        :raises ProgramError: if it does not become so.
        """
        health = self._stack.airflow.api.health
        wait_until(
            lambda: all(health().get(part) == "healthy" for part in HEALTHY_PARTS), "Airflow", timeout=REVIVAL
        )
