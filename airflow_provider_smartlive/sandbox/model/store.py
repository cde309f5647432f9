"""Where the sandbox keeps its state: one SQLite file, so that a crash forgets nothing, or memory."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Raised when the tables change; a file of another version is refused.
VERSION = 1

_TABLES = """
CREATE TABLE IF NOT EXISTS documents (
    kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, id)
);
CREATE TABLE IF NOT EXISTS ledger (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, at TEXT NOT NULL,
    job_id TEXT, room_id TEXT, facts TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS ledger_of_job ON ledger (job_id, seq);
"""

#: An update keeps the row's place, so that documents are listed in the order in which they were made.
_KEEP = "INSERT INTO documents VALUES (?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body"


class StateError(Exception):
    """The state file cannot be used; the text says why and what to do."""


class StateStore:
    """
    Documents by kind and id, and the entries of the ledger.

    Every call is one small transaction: what was answered is on disk.

    :param path: the SQLite file; None keeps everything in memory. The file holds stream keys and callback
        keys in clear, so it is made readable by its owner only.
    :raises StateError: if the file is not a state file of this version.
    """

    def __init__(self, path: Path | None = None) -> None:
        if path is not None:
            path.touch(mode=0o600)
        self._database = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
        except sqlite3.DatabaseError as error:
            raise StateError(f"{path} is not a state file of smartlive-sandbox ({error})") from error

    def _prepare(self) -> None:
        # With a write-ahead log a commit survives the death of the process without waiting for the disk.
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version not in (0, VERSION):
            raise StateError(
                f"the state file has version {version}, not {VERSION}: name a new file with --state"
            )
        self._database.executescript(_TABLES)
        self._database.execute(f"PRAGMA user_version = {VERSION}")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def put(self, kind: str, key: str, document: str) -> None:
        """Keep a document (JSON text) under its kind and id."""
        self._database.execute(_KEEP, (kind, key, document))

    def get(self, kind: str, key: str) -> str | None:
        """Return a document, or None."""
        row = self._database.execute(
            "SELECT body FROM documents WHERE kind = ? AND id = ?", (kind, key)
        ).fetchone()
        return row[0] if row else None

    def remove(self, kind: str, key: str) -> None:
        """Forget a document; it need not exist."""
        self._database.execute("DELETE FROM documents WHERE kind = ? AND id = ?", (kind, key))

    def all(self, kind: str) -> list[str]:
        """Return all documents of a kind in the order in which they were first kept."""
        rows = self._database.execute("SELECT body FROM documents WHERE kind = ? ORDER BY rowid", (kind,))
        return [body for (body,) in rows]

    def append(
        self, kind: str, at: str, job_id: str | None, room_id: str | None, facts: dict[str, Any]
    ) -> int:
        """Append an entry to the ledger and return its number."""
        row = (kind, at, job_id, room_id, json.dumps(facts))
        sql = "INSERT INTO ledger (kind, at, job_id, room_id, facts) VALUES (?, ?, ?, ?, ?)"
        return self._database.execute(sql, row).lastrowid or 0

    def forget_before(self, number: int) -> None:
        """Forget the entries of the ledger up to a number."""
        self._database.execute("DELETE FROM ledger WHERE seq <= ?", (number,))

    def entries(
        self, *, kind: str | None, job_id: str | None, room_id: str | None, after: int, limit: int
    ) -> Iterator[dict[str, Any]]:
        """Read entries of the ledger, the oldest first."""
        wanted = {"kind": kind, "job_id": job_id, "room_id": room_id}
        given = {column: value for column, value in wanted.items() if value is not None}
        where = " AND ".join(["seq > ?", *(f"{column} = ?" for column in given)])
        sql = f"SELECT seq, kind, at, job_id, room_id, facts FROM ledger WHERE {where} ORDER BY seq LIMIT ?"  # noqa: S608 (the columns are the three names above)
        for row in self._database.execute(sql, (after, *given.values(), limit)).fetchall():
            seq, its_kind, at, its_job, its_room, facts = row
            head = {"seq": seq, "kind": its_kind, "at": at, "job_id": its_job, "room_id": its_room}
            yield {**head, **json.loads(facts)}
