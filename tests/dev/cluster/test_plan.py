"""What ``make cluster`` is to hit, and how its table says so."""

from __future__ import annotations

from itertools import pairwise, product
from pathlib import Path

import pytest

from dev.cluster import proxy
from dev.cluster.campaign import Played
from dev.cluster.hits import REDUNDANT, SINGLE, Action, Hit, Kind, plan
from dev.cluster.table import table

BRIEF, LONG = 30.0, 300.0


def all_hits(*, can_cut: bool) -> list[Hit]:
    return [hit for phase in plan(can_cut=can_cut, brief=BRIEF, long=LONG) for hit in phase.hits]


def test_every_kind_is_hit_in_every_way() -> None:
    found = {(hit.kind, hit.action, hit.seconds) for hit in all_hits(can_cut=True)}
    assert found == {*product(REDUNDANT, Action, (BRIEF, LONG)), *product(SINGLE, Action, (BRIEF,))}
    assert {*REDUNDANT, *SINGLE} == set(Kind)


def test_nothing_is_cut_off_on_loopback() -> None:
    assert Action.CUT not in {hit.action for hit in all_hits(can_cut=False)}
    assert "not run" in table([Played(plan(can_cut=False)[0])], can_cut=False)


def test_a_host_is_hit_once_at_a_time() -> None:
    for phase in plan(can_cut=True):
        for kind in Kind:
            times = sorted((hit.at, hit.at + hit.seconds) for hit in phase.hits if hit.kind is kind)
            assert all(end <= begin for (_, end), (begin, _) in pairwise(times))


def test_it_takes_less_than_20_minutes() -> None:
    assert sum(phase.seconds for phase in plan(can_cut=True)) < 18 * 60


@pytest.mark.parametrize(
    ("handed_over", "had", "cell"), [(3.25, 7, "3.2 (7)"), (None, 7, "kept (7)"), (None, 0, "done")]
)
def test_a_hit_in_the_table(handed_over: float | None, had: int, cell: str) -> None:
    phase = plan(can_cut=True)[0]
    phase.hits = [Hit(Kind.TRIGGERER, Action.KILL, BRIEF, handed_over=handed_over, had=had)]
    row = next(line for line in table([Played(phase)], can_cut=True).splitlines() if "triggerer" in line)
    assert cell in row


def test_a_site_asks_for_the_health_of_its_servers() -> None:
    text = proxy.site(
        "https://10.77.0.5:8443", ["a:1", "b:2"], health="/up", certificate=(Path("c"), Path("k"))
    )
    for line in ("bind 10.77.0.5", "tls c k", "reverse_proxy a:1 b:2 {", "health_uri /up"):
        assert line in text
