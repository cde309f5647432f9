"""Fault rules: what they match, how often they fire, and that the same seed gives the same faults."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from airflow_provider_smartlive.sandbox.model.faults import Fault, FaultRules, Subject
from airflow_provider_smartlive.sandbox.model.ledger import Kind, Ledger
from airflow_provider_smartlive.sandbox.model.store import StateStore

ROOM = "24bad716-87b1-45e5-8912-6102f7693265"


def make_book(store: StateStore | None = None, *, seed: int = 0) -> FaultRules:
    store = store or StateStore()
    ledger = Ledger(store, lambda: datetime(2026, 11, 23, tzinfo=UTC))
    return FaultRules(store, ledger, ["start", "show"], seed=seed)


@pytest.fixture
def book() -> FaultRules:
    return make_book()


def fires(book: FaultRules, times: int, **subject: Any) -> list[bool]:
    return [bool(book.pick(Subject(**{"target": "start", **subject}))) for _ in range(times)]


MATCHES: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({"target": "start"}, {"target": "start"}, True),
    ({"target": "start"}, {"target": "show"}, False),
    ({"target": "request"}, {"target": "show"}, True),
    ({"target": "request"}, {"target": "job"}, False),
    ({"target": "start", "room": ROOM}, {"target": "start", "room_id": ROOM.replace("-", "").upper()}, True),
    ({"target": "start", "room": ROOM}, {"target": "start", "room_id": "another"}, False),
    ({"target": "start", "room": ROOM}, {"target": "start"}, False),
    ({"target": "show", "job": "abc"}, {"target": "show", "job_id": "abd"}, False),
]


@pytest.mark.parametrize(("rule", "subject", "expected"), MATCHES)
def test_rules_match_target_room_and_job(
    book: FaultRules, rule: dict[str, Any], subject: dict[str, Any], expected: bool
) -> None:
    book.add(Fault(action="reset", **rule))
    assert bool(book.pick(Subject(**subject))) is expected


@pytest.mark.parametrize(
    ("event", "expected"), [("END", True), ("RTMP_STREAM_STATE_CHANGE", True), ("CONNECTED", False)]
)
def test_callback_rules_match_event_or_state(book: FaultRules, event: str, expected: bool) -> None:
    book.add(Fault(target="callback", action="drop", event=event))
    subject = Subject("callback", ROOM, "job", "RTMP_STREAM_STATE_CHANGE", "END")
    assert bool(book.pick(subject)) is expected


def test_nth_and_times_count_what_matches(book: FaultRules) -> None:
    book.add(Fault(id="nth", target="start", action="reset", nth=(2, 4)))
    assert fires(book, 5) == [False, True, False, True, False]
    book.clear()
    book.add(Fault(target="start", action="reset", times=2))
    assert fires(book, 4) == [True, True, False, False]


def test_rules_can_count_by_room(book: FaultRules) -> None:
    book.add(Fault(target="start", action="reset", nth=1, per="room"))
    assert fires(book, 2, room_id="a") == [True, False]
    assert fires(book, 2, room_id="b") == [True, False]


def test_the_same_seed_throws_the_same_dice() -> None:
    rule = Fault(id="dice", target="start", action="reset", probability=0.5)
    thrown = []
    for seed in (1, 1, 2):
        book = make_book(seed=seed)
        book.add(rule)
        thrown.append(fires(book, 40))
    assert thrown[0] == thrown[1] != thrown[2]
    assert 10 < sum(thrown[0]) < 30


BAD_RULES: list[dict[str, Any]] = [
    {"target": "callback", "action": "reset"},
    {"target": "job", "action": "drop"},
    {"target": "start", "action": "explode"},
    {"target": "start", "action": "latency"},
    {"target": "start", "action": "status", "status": 99},
    {"target": "start", "action": "reset", "probability": 2},
    {"target": "start", "action": "reset", "surprise": 1},
]


@pytest.mark.parametrize("rule", BAD_RULES)
def test_rules_that_make_no_sense_are_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Fault(**rule)


def test_a_rule_for_an_unknown_operation_is_refused(book: FaultRules) -> None:
    with pytest.raises(ValueError, match="'strat' is none of"):
        book.add(Fault(target="strat", action="reset"))


def test_rules_get_ids_and_can_be_removed(book: FaultRules) -> None:
    ids = [book.add(Fault(target="start", action="reset")).id for _ in range(2)]
    assert ids == ["fault-1", "fault-2"]
    assert book.remove("fault-1")
    assert not book.remove("fault-1")
    assert [rule["id"] for rule in book.describe()] == ["fault-2"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    made = StateStore(tmp_path / "state")
    yield made
    made.close()


def test_counts_survive_a_restart(store: StateStore) -> None:
    book = make_book(store)
    book.add(Fault(id="once", target="start", action="reset", times=1))
    assert fires(book, 1) == [True]
    again = make_book(store)
    assert fires(again, 1) == [False]
    assert again.describe() == [
        {"id": "once", "target": "start", "action": "reset", "times": 1, "matched": 2, "fired": 1}
    ]


def test_the_ledger_tells_what_fired(store: StateStore) -> None:
    book = make_book(store)
    book.add(Fault(id="boom", target="start", action="reset"))
    fires(book, 1, room_id=ROOM)
    (entry,) = store.entries(kind=Kind.FAULT, job_id=None, room_id=None, after=0, limit=10)
    assert (entry["rule"], entry["action"], entry["room_id"]) == ("boom", "reset", ROOM)
