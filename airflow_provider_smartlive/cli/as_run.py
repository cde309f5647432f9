"""``airflow smartlive as-run``: what went out."""

from __future__ import annotations

from argparse import Namespace
from datetime import datetime
from typing import Any

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.cli.errors import command, fail
from airflow_provider_smartlive.cli.output import duration, note, say, say_json, table
from airflow_provider_smartlive.livestream import as_run_log, storage

_COLUMNS = (
    "planned",
    "on_air",
    "length",
    "delay",
    "campaign",
    "show",
    "interruptions",
    "outcome",
    "evidence",
    "zone",
)

#: Columns that say nothing if all rows have the same.
_IF_DIFFERENT = ("campaign", "zone")


@command
def as_run(args: Namespace) -> None:
    """Print the rows of the log, the earliest first; a file that cannot be read is named on stderr."""
    path = args.path or settings.text("as_run_path")
    if not path:
        fail("Name the folder of the log, or set [smartlive] as_run_path.")
    folder = storage.open_folder(path, called=as_run_log.CALLED)
    if not folder.exists():
        fail("There is no such folder: no show has written its row there yet, or the path is another one.")
    rows: list[dict[str, Any]] = []
    for found in as_run_log.read(folder, args.since):
        if isinstance(found, str):
            note(f"Note: {found} is no row of an as-run log.")
        else:
            rows.append(found)
    if args.json:
        for row in rows:
            say_json(row)
    elif args.csv:
        say(as_run_log.as_csv(rows).rstrip("\n"))
    elif rows:
        _print(rows)
    else:
        say("No show was planned then.")


def _print(rows: list[dict[str, Any]]) -> None:
    shown = [_shown(row) for row in rows]
    same = [name for name in _IF_DIFFERENT if len({row[name] for row in shown}) == 1]
    if same:
        say(", ".join(f"{name} {shown[0][name]}" for name in same))
    say(table([column for column in _COLUMNS if column not in same], shown))


def _shown(row: dict[str, Any]) -> dict[str, object]:
    """Return a row as the table shows it, with times as the clocks of its campaign show them."""
    planned, start = (_clock(row.get(f"{name}_local")) for name in ("planned_start", "on_air_start"))
    return {
        "planned": f"{planned:%a %Y-%m-%d %H:%M}" if planned else None,
        "on_air": f"{start:%H:%M:%S}" if start else None,
        "length": duration(row.get("on_air_seconds")),
        "delay": _delay(row.get("start_delay_seconds")),
        "campaign": row.get("campaign"),
        "show": row.get("show"),
        "interruptions": row.get("interruptions"),
        "outcome": row.get("outcome"),
        "evidence": row.get("evidence"),
        "zone": row.get("timezone"),
    }


def _delay(seconds: float | None) -> str | None:
    early = seconds is not None and round(seconds) < 0
    return f"-{duration(-seconds)}" if early and seconds is not None else duration(seconds)


def _clock(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
