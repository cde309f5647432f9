"""A short form of ``make cluster``: on loopback ports, without root; a partition is not run."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.cluster.campaign import Campaigns, violations
from dev.cluster.hits import Action, Hit, Kind, Phase
from dev.cluster.network import Loopback
from dev.cluster.stack import ClusterStack
from dev.cluster.table import table

pytestmark = pytest.mark.processes

ROOMS = 6

PHASE = Phase(
    "brief outages",
    "campaign",
    shows=(8.0, 22.0),
    seconds=20.0,
    hits=[
        Hit(Kind.WORKER, Action.KILL, 15.0),
        Hit(Kind.API_SERVER, Action.KILL, 12.0),
        Hit(Kind.TRIGGERER, Action.FREEZE, 15.0),
        Hit(Kind.SCHEDULER, Action.FREEZE, 12.0),
        Hit(Kind.BROKER, Action.KILL, 3.0, at=5.0),
    ],
)


def test_no_promise_is_broken_on_many_hosts(tmp_path: Path) -> None:
    said: list[str] = []
    with ClusterStack(tmp_path / "cluster", network=Loopback(), rooms=ROOMS) as stack:
        played = Campaigns(stack, {"campaign": ROOMS}, said.append).play([PHASE])
    shown = table(played, can_cut=False)
    assert violations(played) == [], "\n".join([*said, shown])
    assert [len(played[0].on_air), len(played[0].ended)] == [ROOMS, ROOMS], shown
