"""What the pages state about the code is so."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.utils.state import TaskInstanceState

from airflow_provider_smartlive.callbacks.table import JobCallbacks, StreamRow
from airflow_provider_smartlive.cli.definition import get_commands
from airflow_provider_smartlive.decisions import (
    LINK_LIMITS,
    JobStatus,
    KillSeenBy,
    WakeSource,
    decide,
    decide_kill,
)
from airflow_provider_smartlive.livestream.acquired_job import AcquiredJob
from airflow_provider_smartlive.livestream.record import Attempt, JobRecord
from airflow_provider_smartlive.livestream.summary import summarise
from airflow_provider_smartlive.metastudio import errors
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob
from airflow_provider_smartlive.sensors import STREAM_STATES

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 1, 1, 20, tzinfo=UTC)


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def table(text: str, first_column: str) -> list[list[str]]:
    """Return the cells of the table that begins with this column."""
    (body,) = re.findall(rf"^\| {re.escape(first_column)} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in body.splitlines()]


def in_code(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


# --- architecture.md: the transition table

ROWS = table(page("architecture.md"), "woken by")
AND = {
    "": {},
    "stream_duration grows": {"still_streams": True},
    "failure_budget over": {"budget_over": True},
    "stop_after_end=False": {"leave_running": True},
    "it was stopped for that": {"stopped": True},
}
#: The flags of ``decide``, but for END, which has a column of its own.
FLAGS = tuple(inspect.signature(decide).parameters)[3:]


def fits(row: list[str], source: str, status: str, ended: bool, given: dict[str, bool]) -> bool:
    woken_by, says, end_seen, more, *_ = row
    return (
        (not woken_by or source == woken_by)
        and (not says or status in says.split(", "))
        and (not end_seen or ended == (end_seen == "yes"))
        and AND[more].items() <= given.items()
    )


@pytest.mark.parametrize("source", WakeSource)
def test_the_transition_table_is_the_codes(source: WakeSource) -> None:
    for status, ended, *flags in itertools.product(JobStatus, *[(False, True)] * (1 + len(FLAGS))):
        given = dict(zip(FLAGS, flags, strict=True))
        row = next(row for row in ROWS if fits(row, source, status, ended, given))
        verdict = decide(source, status, ended=ended, **given)
        assert row[4:] == [verdict.action, verdict.reason], (source, status, ended, given)


def test_the_table_knows_every_flag() -> None:
    assert sorted(flag for condition in AND.values() for flag in condition) == sorted(FLAGS)


def test_no_row_of_it_is_idle() -> None:
    used = set()
    for source, status, ended, *flags in itertools.product(
        WakeSource, JobStatus, *[(False, True)] * (1 + len(FLAGS))
    ):
        given = dict(zip(FLAGS, flags, strict=True))
        used.add(next(n for n, row in enumerate(ROWS) if fits(row, source, status, ended, given)))
    assert used == set(range(len(ROWS)))


# --- architecture.md: whether a job ends with its task

KILL_ROWS = table(page("architecture.md"), "seen by")
KILL_AND: dict[str, dict[str, bool]] = {
    "": {},
    "cancel_on_kill=False, its time is not over": {"cancel_on_kill": False, "time_is_over": False},
    "the process has resumed": {"resumed": True},
    "the last try": {"is_last_try": True},
    "wait_for_termination=False": {"waits": False},
    "its run goes on": {"run_goes_on": True},
}
KILL_FLAGS = tuple(inspect.signature(decide_kill).parameters)[2:]
TASK_STATES = (None, *(state.value for state in TaskInstanceState))


def kills() -> Iterator[tuple[int, KillSeenBy, str | None, dict[str, bool]]]:
    """Yield every combination of what can be known, with the number of the row that fits it."""
    for seen_by, state, *flags in itertools.product(
        KillSeenBy, TASK_STATES, *[(False, True)] * len(KILL_FLAGS)
    ):
        given = dict(zip(KILL_FLAGS, flags, strict=True))
        for number, (by, states, more, *_) in enumerate(KILL_ROWS):
            if (
                (not by or seen_by in by.split(", "))
                and (not states or (state or "none") in states.split(", "))
                and KILL_AND[more].items() <= given.items()
            ):
                yield number, seen_by, state, given
                break


def test_the_table_of_kills_is_the_codes() -> None:
    used = set()
    for number, seen_by, state, given in kills():
        verdict = decide_kill(seen_by, state, **given)
        said = ["is stopped" if verdict.stops else "is left", verdict.reason]
        assert KILL_ROWS[number][3:] == said, (seen_by, state, given)
        used.add(number)
    assert used == set(range(len(KILL_ROWS))), "a row is idle"


def test_the_table_of_kills_knows_every_flag() -> None:
    assert sorted(flag for condition in KILL_AND.values() for flag in condition) == sorted(KILL_FLAGS)


# --- operators.md


def a_summary() -> dict[str, Any]:
    """Return a result with everything in it, as an owner makes it."""
    job = SmartLiveJob.model_validate({"job_id": "1" * 32, "state": "SUCCEED"})
    stream = StreamRow(
        label="rtmp://push.example.com/***", fingerprint="f" * 12, state="END", first_at=NOW, last_at=NOW
    )
    callbacks = JobCallbacks(job_id="1" * 32, first_at=NOW, last_at=NOW, streams=[stream])
    return summarise(JobRef("2", "1"), outcome="", job=job, callbacks=callbacks, settled_at="")


def test_the_page_names_every_key_of_a_result() -> None:
    rows = table(page("operators.md"), "key")
    keys = [key for row in rows for key in in_code(row[0])]
    # What the start adds travels with the wait (``WaitState.start_info``); the operator's own test has its keys.
    story = {"origin", "standby", "started_at", "request_id", "warnings"}
    assert set(keys) == set(a_summary()) | story
    assert len(keys) == len(set(keys))
    streams = next(row[2] for row in rows if row[0] == "`streams`")
    assert in_code(streams) == list(a_summary()["streams"][0])


def test_the_story_of_a_start_has_these_keys() -> None:
    record = JobRecord("0", Attempt(1, 1, 0), "smartlive_default", "2", job_id="1", started_at=NOW)
    assert list(AcquiredJob.remembered(record).first_wait().start_info) == [
        "origin",
        "standby",
        "started_at",
        "request_id",
        "warnings",
    ]


def test_the_page_names_what_can_wake_a_task_that_then_has_a_result() -> None:
    row = next(row for row in table(page("operators.md"), "key") if row[0] == "`woken_by`")
    without_result = {WakeSource.TIMEOUT, *LINK_LIMITS, WakeSource.BUDGET_OVER}
    assert set(in_code(row[2])) == {source.value for source in WakeSource} - {s.value for s in without_result}


def test_the_page_names_every_family_in_the_retry_policy() -> None:
    rows = table(page("operators.md"), "failure")
    named = {name for row in rows for name in in_code(row[0])}
    families = {
        kind.__name__
        for kind in errors.MetaStudioError.__subclasses__()
        if kind.__module__ == errors.__name__
    }
    not_named = {"UnexpectedResponse"}  # follows the task, like anything else
    assert families - not_named <= named


def test_the_page_names_every_state_of_a_stream() -> None:
    named = [state for row in table(page("operators.md"), "state") for state in in_code(row[0])]
    assert sorted(named) == sorted(STREAM_STATES)


# --- cli.md


def test_the_page_names_every_command() -> None:
    (group,) = get_commands()
    commands = []
    for command in group.subcommands:
        inner = getattr(command, "subcommands", None)
        commands += [f"{command.name} {sub.name}" for sub in inner] if inner else [command.name]
    rows = table(page("cli.md"), "command")
    named = [re.match(r"airflow smartlive ([a-z -]+?)(?= [^a-z]|$)", in_code(row[0])[0]) for row in rows]
    assert sorted(match[1] for match in named if match) == sorted(commands)


# --- troubleshooting.md


def test_every_symptom_can_happen() -> None:
    """What stands in code in the first column is a text of ours, a name, or a code that is known."""
    files = (ROOT / "airflow_provider_smartlive").rglob("*.py")
    # Neighbouring texts are one text to Python.
    source = re.sub(r'"\s*\n\s*f?"', "", "".join(file.read_text() for file in files))
    codes = {f"MSS.{code}" for code in errors.FAMILY_OF_CODE}
    codes |= {f"APIGW.{code}" for code in errors.FAMILY_OF_GATEWAY_CODE}
    rows = re.findall(r"^\| (.*?) \|", page("troubleshooting.md"), re.MULTILINE)
    symptoms = [symptom for row in rows for symptom in in_code(row)]
    texts = [re.sub(r"^\d{3}(: )?", "", symptom) for symptom in symptoms]
    assert len(texts) > 20
    assert [text for text in texts if text not in source and text not in codes] == []
