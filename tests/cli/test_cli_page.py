"""What docs/cli.md shows is what the commands print."""

from __future__ import annotations

import re
import sys
from functools import partial
from pathlib import Path

import pytest

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.table import CallbackTable
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.cli import airflow_core, callback_check, commands, jobs
from airflow_provider_smartlive.cli.watch import watch
from tests.cli.command_line import EVENING, Connections, Run, Studio

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
RUN_ID = "manual__1"

#: The job of each room, as the page calls it.
JOBS = {
    "shoes": "5e0d7c11",
    "hats": "5e0d7c12",
    "toys": "5e0d7c13",
}


def shown_on_the_page(text: str) -> bool:
    """Whether a block of the page is this text; there, a long line may go on in the next one."""
    blocks = re.findall(r"```text\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return text.split() in [block.split() for block in blocks]


class Evening:
    """Three jobs on one evening, one of them in trouble; writes down what commands print."""

    def __init__(self, studio: Studio, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run = run
        self.names: dict[str, str] = {}
        tables: dict[TaskRef, CallbackTable] = {}
        monkeypatch.setattr(jobs, "callback_tables", lambda task_refs: tables)
        monkeypatch.setattr("airflow_provider_smartlive.cli.commands.find_task", lambda task_ref: None)
        states = {
            "shoes": ("CONNECTING", "CONNECTED"),
            "hats": ("CONNECTED", "RECONNECTING", "CONNECTED", "RECONNECTING"),
        }
        for index, room in enumerate(JOBS):
            task = TaskRef("campaign", RUN_ID, "go_live", index) if room in states else None
            job_id = studio.start(room, room.title(), task=task)
            self.names[job_id] = JOBS[room]
            if task:
                tables[task] = studio.table(job_id, *states[room])
                self.own = (room, job_id)
        self.names[studio.sandbox.url] = "https://metastudio.cn-north-4.myhuaweicloud.com"

    def typed(self, *argv: str) -> str:
        """Run a command and return what the page shows of it: always the same ids, times and address."""
        done = self.run(*argv)
        text = f"$ airflow smartlive {' '.join(argv)}\n{done.out}{done.err}"
        for found, shown in self.names.items():
            text = text.replace(found, shown)
        text = re.sub(r"\b\d:\d\d:\d\d\b", "0:12:34", text)
        text = re.sub(r"20(?!26-01-01)\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ", "2026-01-01 20:00:00Z", text)
        return text.replace("2126-", "2026-")


@pytest.fixture
def evening(studio: Studio, run: Run, monkeypatch: pytest.MonkeyPatch) -> Evening:
    return Evening(studio, run, monkeypatch)


def test_jobs_list(evening: Evening) -> None:
    assert shown_on_the_page(evening.typed("jobs", "list"))


def test_jobs_list_watch(evening: Evening, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "watch", partial(watch, now=lambda: EVENING, sleep=interrupt))
    assert shown_on_the_page(evening.typed("jobs", "list", "--watch", "10").rstrip() + "\n")


def test_jobs_show(evening: Evening) -> None:
    assert shown_on_the_page(evening.typed("jobs", "show", *evening.own))


def test_jobs_show_of_a_wrong_job(evening: Evening) -> None:
    assert shown_on_the_page(evening.typed("jobs", "show", "hats", "wrong"))


def test_jobs_stop(evening: Evening, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(question: str) -> str:
        sys.stdout.write(f"{question}y\n")
        return "y"

    monkeypatch.setattr("builtins.input", answer)
    assert shown_on_the_page(evening.typed("jobs", "stop", "--room", "hats"))


def test_sweep(evening: Evening) -> None:
    assert shown_on_the_page(evening.typed("sweep", "--dry-run"))


def test_a_connection_that_is_not_defined(evening: Evening) -> None:
    assert shown_on_the_page(evening.typed("jobs", "list", "--conn-id", "smartlive_typo"))


def test_check(studio: Studio, connections: Connections, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_SECRETS", "")
    settings.forget_secrets()
    monkeypatch.setattr(airflow_core, "live_triggerers", lambda: ["scheduler-1"])
    monkeypatch.setattr(airflow_core, "database_kind", lambda: "postgresql")
    monkeypatch.setattr("airflow_provider_smartlive.cli.check.platform.python_version", lambda: "3.12.8")
    done = run("check")
    text = f"$ airflow smartlive check\n{done.out}{done.err}"
    text = text.replace(studio.sandbox.url, "https://metastudio.cn-north-4.myhuaweicloud.com")
    text = re.sub(r"(ok +provider +)\S+", r"\g<1>0.1.0", text)
    text = re.sub(r"(ok +airflow +)\S+", r"\g<1>3.3.2", text)
    text = re.sub(r"\d+ options", "21 options", text)
    assert shown_on_the_page(text)


def test_send_test_event(studio: Studio, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        callback_check,
        "send",
        lambda issued, has_task: callback_check.explain(410, b'{"error": "gone"}', has_task=has_task),
    )
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_BASE_URL", "https://airflow.example.com")
    done = run("send-test-event")
    text = f"$ airflow smartlive send-test-event\n{done.out}"
    assert shown_on_the_page(text)
