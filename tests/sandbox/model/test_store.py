"""The state file and the ledger."""

from __future__ import annotations

import sqlite3
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airflow_provider_smartlive.sandbox.hashes import fingerprint, key_hash
from airflow_provider_smartlive.sandbox.model.ledger import Kind, Ledger
from airflow_provider_smartlive.sandbox.model.store import StateError, StateStore

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_documents_keep_their_order_when_they_are_updated() -> None:
    store = StateStore()
    for key, body in (("a", "1"), ("b", "2"), ("a", "3")):
        store.put("job", key, body)
    assert store.all("job") == ["3", "2"]
    assert store.get("job", "a") == "3"
    store.remove("job", "a")
    assert store.get("job", "a") is None


def test_the_state_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "state"
    StateStore(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_text("this is no database, whatever its name says. " * 50)
    with pytest.raises(StateError, match="not a state file"):
        StateStore(path)


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(StateError, match="version 99"):
        StateStore(path)


def test_what_was_written_survives_without_closing(tmp_path: Path) -> None:
    written = StateStore(tmp_path / "state")
    written.put("job", "a", "1")
    assert StateStore(tmp_path / "state").get("job", "a") == "1"


def test_the_ledger_is_read_by_kind_job_and_number() -> None:
    ledger = Ledger(StateStore(), lambda: NOW)
    ledger.add(Kind.JOB, job_id="a", state="WAITING", code=None)
    ledger.add(Kind.JOB, job_id="b", state="WAITING")
    ledger.add(Kind.LINK, job_id="a", state="CONNECTED")
    assert [entry["kind"] for entry in ledger.read(job_id="a")] == ["job", "link"]
    assert [entry["job_id"] for entry in ledger.read(kind="job")] == ["a", "b"]
    assert [entry["seq"] for entry in ledger.read(after=1, limit=1)] == [2]
    (first, *_) = ledger.read()
    assert first == {
        "seq": 1,
        "kind": "job",
        "at": "2026-11-23T12:00:00.000+00:00",
        "job_id": "a",
        "room_id": None,
        "state": "WAITING",
    }


def test_the_ledger_forgets_its_oldest_entries() -> None:
    ledger = Ledger(StateStore(), lambda: NOW, limit=10)
    for _ in range(1005):
        ledger.add(Kind.SANDBOX)
    assert [entry["seq"] for entry in ledger.read()] == list(range(991, 1006))


def test_hashes_tell_the_same_from_the_different() -> None:
    assert fingerprint("https://a.example.com/x") == fingerprint("https://a.example.com/x")
    assert fingerprint("https://a.example.com/x") != fingerprint("https://a.example.com/y")
    assert fingerprint(None) is None
    assert key_hash("fake-key") == key_hash("fake-key") != key_hash("fake-kez")
    assert key_hash("") is None
