"""
The as-run log in a folder: one JSON Lines and one CSV file for each livestream.

Storages have no append, so a row is an object of its own. Its name follows from the job: whoever writes it again, after
a retry or a clear, writes over it. Programs that read a folder of files (DuckDB, Spark, pandas) read all at once.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from airflow.sdk import ObjectStoragePath

from airflow_provider_smartlive.livestream import storage
from airflow_provider_smartlive.livestream.as_run import COLUMNS, AsRunRow

#: What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

#: What errors call its folder.
CALLED = "The path of the as-run log"

#: A file that has more is none of ours, in bytes.
_MAX_SIZE = 65536


def write(folder: ObjectStoragePath, row: AsRunRow) -> str:
    """
    Write a row, over the same one if it is there.

    :return: the name of its file below the folder, without the suffix.
    """
    day = folder / f"date={row.planned_start.astimezone(UTC).date().isoformat()}"
    storage.make(day)
    values = row.dump()
    for suffix, text in ((".jsonl", f"{json.dumps(values)}\n"), (".csv", as_csv([values]))):
        storage.put(day / f"{_name(row, row.job_id)}{suffix}", text.encode())
        if row.job_id is not None:
            # The show has come after all: a clear has started it.
            (day / f"{_name(row, None)}{suffix}").unlink(missing_ok=True)
    return f"{day.name}/{_name(row, row.job_id)}"


def read(folder: ObjectStoragePath, since: date | None = None) -> Iterator[dict[str, Any] | str]:
    """
    Yield the rows of a log, in the order of their planned starts; for a file that is none, its name.

    :param since: only shows that were planned for this day or later, in the time zone of each.
    """
    rows: list[dict[str, Any]] = []
    for day in sorted(folder.glob("date=*"), key=lambda path: path.name):
        # The folders go by UTC, which is at most a day off.
        if since is not None and day.name.removeprefix("date=") < (since - timedelta(days=1)).isoformat():
            continue
        for file in sorted(day.glob("*.jsonl"), key=lambda path: path.name):
            row = _row(file)
            if row is None:
                yield f"{day.name}/{file.name}"
            elif since is None or row["planned_start_local"][:10] >= since.isoformat():
                rows.append(row)
    yield from sorted(rows, key=lambda row: datetime.fromisoformat(row["planned_start"]))


def as_csv(rows: list[dict[str, Any]]) -> str:
    """Return rows as CSV with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _row(file: ObjectStoragePath) -> dict[str, Any] | None:
    try:
        if file.size() > _MAX_SIZE:
            return None
        row = json.loads(file.read_bytes())
        datetime.fromisoformat(row["planned_start"])
        datetime.fromisoformat(row["planned_start_local"])
    except (ValueError, TypeError, KeyError):
        return None
    return row if isinstance(row, dict) else None


def _name(row: AsRunRow, job_id: str | None) -> str:
    """Return the name of a row's file: by its job, or by its task instance if it had none."""
    task = (
        f"{row.dag_id}.{row.task_id}" if row.map_index < 0 else f"{row.dag_id}.{row.task_id}.{row.map_index}"
    )
    run = hashlib.sha256(f"{row.dag_id}/{row.run_id}".encode()).hexdigest()[:12]
    return storage.safe_name(f"{task}.{run}.{job_id or 'none'}")
