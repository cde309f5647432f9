"""Plays campaigns while hosts are hit, and judges each of their livestreams as ``make faults`` does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from dev.airflow_api import patiently
from dev.cluster.hits import Hands, Hit, Phase
from dev.cluster.stack import ClusterStack
from dev.faults.count import STARTER, RunResult, Violation, judge
from dev.faults.runner import KILL_BOUND
from dev.faults.schedule import PLAIN

#: Seconds after the last phase within which every run has to be over: a busy machine needs them.
END_PATIENCE = 300.0

#: Seconds before the first hit that a campaign is triggered: its starts are under way then.
LEAD = 15.0

LOOK = 2.0

FINISHED = ("success", "failed")


@dataclass
class Played:
    """
    What became of a phase.

    :param on_air: seconds from the trigger of the campaign to each room's first CONNECTED.
    :param ended: seconds from each END to the end of its task.
    """

    phase: Phase
    results: list[RunResult] = field(default_factory=list)
    on_air: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Airing:
    """
    One run of a campaign.

    :param number: that of its phase, from 1.
    :param rooms: how many it has.
    """

    number: int
    phase: Phase
    rooms: int
    triggered_at: datetime

    @property
    def dag_id(self) -> str:
        """The campaign's DAG."""
        return f"cluster_{self.phase.campaign}"

    @property
    def run_id(self) -> str:
        """The DAG run."""
        return f"cluster__{self.number}"

    @property
    def prefix(self) -> str:
        """How its rooms begin."""
        return f"phase-{self.number}"

    @property
    def room_ids(self) -> list[str]:
        """Its rooms, by map index."""
        return [f"{self.prefix}-{index:03d}" for index in range(self.rooms)]

    def scenario(self) -> list[dict[str, Any]]:
        """Return its rooms as MetaStudio is to know them, from the shortest show to the longest."""
        shortest, longest = self.phase.shows
        step = (longest - shortest) / max(1, self.rooms - 1)
        return [
            {"room_id": room, "name": room, "seconds": round(shortest + index * step, 1)}
            for index, room in enumerate(self.room_ids)
        ]


class Campaigns:
    """
    Plays phases, one campaign each.

    :param stack: the cluster.
    :param rooms: how many each campaign has, by its name.
    :param tell: is called with what happens, a line each time.
    """

    def __init__(self, stack: ClusterStack, rooms: Mapping[str, int], tell: Callable[[str], None]) -> None:
        self._stack = stack
        self._api = stack.airflow.api
        self._rooms = rooms
        self._tell = tell
        self._hands = Hands(stack, tell)

    def play(self, phases: Sequence[Phase]) -> list[Played]:
        """Play all phases, wait until all runs are over, and return what became of them."""
        for campaign in {phase.campaign for phase in phases}:
            self._stack.airflow.wait_for_dag(f"cluster_{campaign}")
        with self._hands.supervisor as supervisor:
            airings = [self._play(number, phase) for number, phase in enumerate(phases, start=1)]
            self._hands.wait_until_healthy()
            self._wait_for_ends(airings)
            self._wait_for_stops(airings)
        again = ", ".join(f"{name} {count}" for name, count in sorted(supervisor.restarts.items()))
        self._tell(f"ended by themselves, and were started again: {again or 'none'}")
        return [self._judge(airing) for airing in airings]

    def _play(self, number: int, phase: Phase) -> Airing:
        airing = Airing(number, phase, self._rooms[phase.campaign], datetime.now(UTC))
        self._tell(f"{phase.name}: {airing.rooms} rooms, {len(phase.hits)} hits")
        for client in self._stack.clients:
            client.add_rooms(*airing.scenario())
        conf = {"campaign": airing.prefix}
        patiently(lambda: self._api.trigger_dag(airing.dag_id, run_id=airing.run_id, conf=conf))
        began = time.monotonic() + LEAD
        with ThreadPoolExecutor(max(1, len(phase.hits))) as threads:
            given_up = threading.Event()
            strikes = [threads.submit(self._strike, hit, began, given_up) for hit in phase.hits]
            try:
                given_up.wait(max(0.0, began + phase.seconds - time.monotonic()))
                for strike in strikes:
                    strike.result()
            finally:
                given_up.set()
        return airing

    def _strike(self, hit: Hit, began: float, given_up: threading.Event) -> None:
        if not given_up.wait(max(0.0, began + hit.at - time.monotonic())):
            self._hands.strike(hit, given_up)

    def _wait_for_ends(self, airings: Sequence[Airing]) -> None:
        deadline = time.monotonic() + END_PATIENCE
        while time.monotonic() < deadline:
            states = patiently(lambda: [self._state(airing) for airing in airings])
            if all(state in FINISHED for state in states):
                return
            time.sleep(LOOK)
        self._tell(f"not all runs are over after {END_PATIENCE:.0f} s: {states}")

    def _state(self, airing: Airing) -> str:
        return str(self._api.dag_run(airing.dag_id, airing.run_id)["state"])

    def _wait_for_stops(self, airings: Sequence[Airing]) -> None:
        """Give every kill its time."""
        rooms = [room for airing in airings for room in airing.room_ids]
        deadline = time.monotonic() + KILL_BOUND
        while any(job.is_active for job in self._stack.jobs(*rooms)) and time.monotonic() < deadline:
            time.sleep(LOOK)

    def _judge(self, airing: Airing) -> Played:
        tasks = patiently(lambda: self._api.task_instances(airing.dag_id, airing.run_id))
        jobs = self._stack.jobs(*airing.room_ids)
        played = Played(airing.phase)
        for index, room in enumerate(airing.room_ids):
            of_room = {task["task_id"]: task for task in tasks if task["map_index"] == index}
            own = [job for job in jobs if job.room_id == room]
            run = replace(PLAIN, number=airing.number * 1000 + index, round=airing.number, room_id=room)
            result = self._result(airing, index, of_room)
            played.results.append(RunResult(run, True, of_room, result, own))
            played.on_air += [
                (job.connected_at - airing.triggered_at).total_seconds()
                for job in own[:1]
                if job.connected_at
            ]
            played.ended += [
                (datetime.fromisoformat(of_room[STARTER]["end_date"]) - job.ended_at).total_seconds()
                for job in own[-1:]
                if job.ended_at and of_room[STARTER]["state"] == "success"
            ]
        return played

    def _result(
        self, airing: Airing, index: int, tasks: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, Any] | None:
        if tasks.get(STARTER, {}).get("state") != "success":
            return None
        where = (airing.dag_id, airing.run_id, STARTER, "return_value", index)
        found = patiently(lambda: self._api.xcom(*where))
        return dict(found) if found else None


def violations(played: Sequence[Played]) -> list[Violation]:
    """Return every promise that was broken."""
    return [each for phase in played for result in phase.results for each in judge(result)]
