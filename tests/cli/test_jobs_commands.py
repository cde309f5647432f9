"""``airflow smartlive jobs`` and ``sweep``: what they show, ask, stop and say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.cli import commands
from airflow_provider_smartlive.cli.jobs import NO_EVENT
from airflow_provider_smartlive.cli.watch import watch
from airflow_provider_smartlive.metastudio.ids import JobRef
from tests.cli.command_line import EVENING, Run, Studio

Answer = Callable[[str | type[BaseException]], list[str]]


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Answer the question of a command, and return what was asked."""

    def set_answer(given: str | type[BaseException]) -> list[str]:
        asked: list[str] = []

        def ask(question: str) -> str:
            asked.append(question)
            if isinstance(given, str):
                return given
            raise given

        monkeypatch.setattr("builtins.input", ask)
        return asked

    return set_answer


def cells(out: str) -> list[dict[str, str]]:
    """Read a table by the columns of its header."""
    header, *lines = out.splitlines()
    names = [name for name in header.split("  ") if name]
    starts = [header.index(name) for name in names]
    return [
        {
            name.strip(): line[start:end].strip()
            for name, start, end in zip(names, starts, [*starts[1:], None], strict=True)
        }
        for line in lines
    ]


def facts(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


# --- jobs list


def test_the_columns_of_a_job_of_ours(studio: Studio, run: Run) -> None:
    task = studio.database.task(map_index=3)
    job = studio.start("shoes", "Shoes", task=task)
    studio.called_back(task, job, "CONNECTING", "CONNECTED", "RECONNECTING", "CONNECTED")
    (row,) = cells(run("jobs", "list").out)
    assert row.pop("ON AIR").count(":") == 2
    assert row == {
        "ROOM": "shoes",
        "NAME": "Shoes",
        "STATE": "PROCESSING",
        "LINK": "CONNECTED",
        "SINCE": "2026-01-01 20:03:04Z",
        "RECONNECTS": "1",
        "TASK": f"{task.dag_id}/{task.run_id}/go_live[3]",
        "JOB": job,
    }


def test_a_job_of_ours_before_its_first_event(studio: Studio, run: Run) -> None:
    studio.start("shoes", task=studio.database.task())
    (row,) = cells(run("jobs", "list").out)
    assert (row["LINK"], row["RECONNECTS"]) == (NO_EVENT, "-")
    assert row["SINCE"].endswith("Z")


def test_somebody_elses_job(studio: Studio, run: Run) -> None:
    studio.start("shoes")
    (row,) = cells(run("jobs", "list").out)
    assert (row["LINK"], row["TASK"]) == ("-", "-")


def test_the_job_of_another_deployment_with_the_same_secret(studio: Studio, run: Run) -> None:
    """Its events go elsewhere, so that there are none says nothing."""
    studio.start("shoes", task=TaskRef("nightly", "run", "go_live"), deployment="staging")
    (row,) = cells(run("jobs", "list").out)
    assert row["LINK"] == "-"
    assert row["TASK"] == "nightly/run/go_live (of another deployment)"


def test_events_of_another_job_of_the_task_are_not_shown(studio: Studio, run: Run) -> None:
    task = studio.database.task()
    studio.start("shoes", task=task)
    studio.called_back(task, "f" * 32, "CONNECTED")
    (row,) = cells(run("jobs", "list").out)
    assert row["LINK"] == NO_EVENT


def test_jobs_as_json(studio: Studio, run: Run) -> None:
    task = studio.database.task()
    jobs = [studio.start("shoes", task=task), studio.start("hats")]
    studio.called_back(task, jobs[0], "CONNECTED", "DISCONNECTED")
    listed = {job["job_id"]: job for job in facts(run("jobs", "list", "--json").out)}
    assert set(listed) == set(jobs)
    ours = listed[jobs[0]]
    assert ours["task"] == vars(task)
    assert ours["ours"] is True
    assert ours["planned_end"] == "2126-01-01T23:00:00+00:00"
    assert (ours["link"], ours["since"], ours["reconnects"]) == (
        "DISCONNECTED",
        "2026-01-01T20:01:04+00:00",
        0,
    )
    assert [stream["state"] for stream in ours["streams"]] == ["DISCONNECTED"]
    assert (listed[jobs[1]]["task"], listed[jobs[1]]["ours"], listed[jobs[1]]["link"]) == (None, False, None)


def test_nothing_runs(studio: Studio, run: Run) -> None:
    where = f"project fake-project at {studio.sandbox.url} (connection 'smartlive_default').\n"
    assert run("jobs", "list").out == f"Nothing runs in {where}"
    assert run("jobs", "list", "--ended").out == f"There are no jobs in {where}"
    studio.sandbox.add_room("shoes")
    assert run("jobs", "list", "--room", "shoes").out == f"Nothing runs in room shoes of {where}"
    assert run("jobs", "list", "--json").out == ""


def test_jobs_that_are_over_when_asked_for(studio: Studio, run: Run) -> None:
    job = studio.start("shoes")
    studio.hook.stop_job(JobRef("shoes", job))
    assert job not in run("jobs", "list").out
    assert job in run("jobs", "list", "--room", "shoes", "--ended").out


@pytest.mark.parametrize("secrets", ["", "short"])
def test_the_brake_needs_no_secret(
    studio: Studio, run: Run, monkeypatch: pytest.MonkeyPatch, secrets: str
) -> None:
    job = studio.start("shoes", task=studio.database.task())
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_SECRETS", secrets)
    settings.forget_secrets()
    listed = run("jobs", "list")
    (row,) = cells(listed.out)
    assert row["TASK"] == "-"
    assert ("callback_secrets cannot be used" in listed.err) == bool(secrets)
    assert run("jobs", "stop", "--all", "--yes").code == 0
    assert studio.hook.show_job(JobRef("shoes", job)).is_final


# --- what comes from outside


def test_a_name_cannot_rewrite_the_screen(studio: Studio, run: Run) -> None:
    job = studio.start("shoes", "Shoes\x1b[2J\x1b]0;title\x07\r\nNothing runs\u202e\x9b31m")
    for argv in (["list"], ["show", "shoes", job], ["stop", "--room", "shoes", "--yes"]):
        out = run("jobs", *argv).out
        assert "Shoes" in out
        assert all(char.isprintable() or char == "\n" for char in out)
        assert not any(line.startswith("Nothing runs") for line in out.splitlines())


def test_nor_can_an_error(studio: Studio, run: Run) -> None:
    studio.sandbox.add_fault(
        target="request", action="status", status=403, code="MSS.1\x1b[1m", message="no\x1b[2J\nno"
    )
    err = run("jobs", "list").err
    assert "403" in err
    assert len(err.splitlines()) == 1
    assert "\x1b" not in err


def test_chinese_names_keep_the_columns(studio: Studio, run: Run) -> None:
    studio.start("shoes", "今晚的鞋")
    studio.start("hats", "Hats tonight")
    header, *lines = run("jobs", "list").out.splitlines()
    column = header.index("STATE")
    for line in lines:
        wide = 4 if "今" in line else 0
        assert line[column - wide :].startswith(("WAITING", "PROCESSING"))


# --- jobs list --watch


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Callable[[], None]]]:
    """Say what happens between two pictures; after the last one comes Ctrl-C."""
    steps: list[Callable[[], None]] = []

    def sleep(seconds: float) -> None:
        if not steps:
            raise KeyboardInterrupt
        steps.pop(0)()

    monkeypatch.setattr(commands, "watch", partial(watch, now=lambda: EVENING, sleep=sleep))
    yield steps
    assert steps == []


def test_a_watch_shows_what_changes(studio: Studio, run: Run, ticks: list[Callable[[], None]]) -> None:
    job = studio.start("shoes")
    ticks.append(lambda: studio.hook.stop_job(JobRef("shoes", job)))
    watched = run("jobs", "list", "--watch")
    assert watched.code == 0
    first, second = watched.out.split("every 5 s; Ctrl-C ends")[1:]
    assert job in first
    assert "Nothing runs" in second
    assert "\x1b" not in watched.out  # no terminal


def test_on_a_terminal_a_picture_replaces_the_one_before(
    studio: Studio, run: Run, ticks: list[Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setattr(type(sys.stdout), "isatty", lambda self: True)
    ticks.append(lambda: None)
    out = run("jobs", "list", "--watch").out
    pictures = out.split("\x1b[H\x1b[J")
    assert [picture.strip()[:10] for picture in pictures] == ["", "2026-01-01", "2026-01-01"]


def test_a_watch_outlives_a_fault_that_passes(
    studio: Studio, run: Run, ticks: list[Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__REQUEST_ATTEMPTS", "1")
    job = studio.start("shoes")
    ticks.append(lambda: studio.sandbox.add_fault(target="list_all", action="status", status=500) and None)
    ticks.append(studio.sandbox.clear_faults)
    watched = run("jobs", "list", "--watch")
    assert watched.code == 0
    first, second, third = watched.out.split("Ctrl-C ends")[1:]
    assert job in first
    assert "HTTP 500" in second
    assert job in third


def test_a_watch_ends_at_refused_credentials(
    studio: Studio, run: Run, ticks: list[Callable[[], None]]
) -> None:
    """To try them again every few seconds would lock the key."""
    studio.sandbox.add_fault(
        target="request", action="status", status=401, code="APIGW.0301", message="wrong"
    )
    watched = run("jobs", "list", "--watch")
    assert watched.code == 1
    assert "The credentials were refused" in watched.err


def test_what_is_left_out_stands_in_the_picture(
    studio: Studio, run: Run, ticks: list[Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On stderr it would be gone with the next picture."""
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_SECRETS", "short")
    settings.forget_secrets()
    watched = run("jobs", "list", "--watch")
    assert watched.err == ""
    assert "callback_secrets cannot be used" in watched.out


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "nan", "1e9"])
def test_intervals_that_make_no_sense(run: Run, seconds: str) -> None:
    done = run("jobs", "list", f"--watch={seconds}")
    assert done.code == 2
    assert "must be 1 to 3600 seconds" in done.err


def test_a_watch_is_not_json(studio: Studio, run: Run) -> None:
    assert run("jobs", "list", "--watch", "--json").code == 1


# --- jobs show


def test_everything_about_a_job(studio: Studio, run: Run) -> None:
    task = studio.database.task()
    job = studio.start("shoes", "Shoes", task=task)
    studio.called_back(task, job, "CONNECTED", "RECONNECTING")
    lines = dict(line.split(":", 1) for line in run("jobs", "show", "shoes", job).out.splitlines())
    shown = {name: value.strip() for name, value in lines.items()}
    assert shown["job"] == job
    assert shown["task"] == f"{task.dag_id}/{task.run_id}/go_live"
    assert shown["error"] == "-"
    assert shown["link, history"] == "20:00:04 CONNECTED, 20:01:04 RECONNECTING"


def test_why_a_job_failed(studio: Studio, run: Run) -> None:
    url = "rtmp://push.example.com/live/fake-stream-key"
    studio.sandbox.add_fault(target="job", action="fail", code="MSS.45000009", message=f"illegal {url}")
    job = studio.start("shoes")
    studio.sandbox.step(1000)
    shown = run("jobs", "show", "shoes", job)
    assert "MSS.45000009: illegal rtmp://push.example.com/***" in shown.out
    (as_json,) = facts(run("jobs", "show", "shoes", job, "--json").out)
    assert as_json["error"].startswith("MSS.45000009")
    assert "fake-stream-key" not in shown.out + json.dumps(as_json)


# --- jobs stop


@pytest.mark.parametrize("given", ["", "n", "what?"])
def test_without_a_yes_nothing_is_stopped(studio: Studio, run: Run, answer: Answer, given: str) -> None:
    job = studio.start("shoes")
    asked = answer(given)
    done = run("jobs", "stop", "--all")
    assert (done.code, done.err) == (1, "Nothing was stopped.\n")
    assert asked == ["Stop 1 job (1 of them not started by this deployment)? [y/N] "]
    assert studio.hook.show_job(JobRef("shoes", job)).is_active


def test_nobody_answers(studio: Studio, run: Run, answer: Answer) -> None:
    studio.start("shoes")
    answer(EOFError)
    assert "In a script, say --yes" in run("jobs", "stop", "--all").err


def test_ctrl_c_at_the_question(studio: Studio, run: Run, answer: Answer) -> None:
    job = studio.start("shoes")
    answer(KeyboardInterrupt)
    assert run("jobs", "stop", "--all").code == 1
    assert studio.hook.show_job(JobRef("shoes", job)).is_active


def test_one_job_of_a_room(studio: Studio, run: Run) -> None:
    jobs = [studio.start("shoes"), studio.start("hats")]
    done = run("jobs", "stop", "--room", "shoes", "--job", jobs[0], "--yes")
    assert done.code == 0
    assert done.out.splitlines()[-1] == f"Job {jobs[0]} in room shoes is stopped, MetaStudio says SUCCEED"
    assert studio.hook.show_job(JobRef("hats", jobs[1])).is_active


def test_a_job_that_is_over(studio: Studio, run: Run) -> None:
    job = studio.start("shoes")
    studio.hook.stop_job(JobRef("shoes", job))
    done = run("jobs", "stop", "--room", "shoes", "--job", job, "--yes")
    assert done.out == f"Job {job} is over already (SUCCEED): there is nothing to stop.\n"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "Say what to stop"),
        (["--room", "shoes", "--all"], "Say what to stop"),
        (["--job", "1"], "--job needs --room"),
        (["--job", "1", "--all"], "--job needs --room"),
    ],
)
def test_it_must_be_clear_what_to_stop(run: Run, argv: list[str], words: str) -> None:
    done = run("jobs", "stop", *argv, "--yes")
    assert done.code == 1
    assert words in done.err


def test_a_job_that_does_not_end_lets_no_other_stream_on(
    studio: Studio, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__STOP_GRACE", "0")
    studio.sandbox.add_fault(target="job", action="ignore_stop", room="shoes")
    stuck, other = studio.start("shoes"), studio.start("hats")
    done = run("jobs", "stop", "--all", "--yes")
    assert done.code == 1
    assert f"Job {stuck} in room shoes STILL RUNS after 0 s: PROCESSING" in done.out
    assert done.err.startswith(f"Still running: {stuck}. Run the command again")
    assert studio.hook.show_job(JobRef("hats", other)).is_final


def test_a_broken_option_does_not_hold_the_brake(
    studio: Studio, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = studio.start("shoes")
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__STOP_GRACE", "soon")
    assert run("jobs", "stop", "--all", "--yes").code == 0
    assert studio.hook.show_job(JobRef("shoes", job)).is_final


def test_all_stops_are_sent_before_the_first_is_confirmed(studio: Studio, run: Run) -> None:
    jobs = [studio.start(room) for room in ("shoes", "hats", "toys")]
    before = len(studio.sandbox.ledger(kind="request"))
    run("jobs", "stop", "--all", "--yes")
    requests = studio.sandbox.ledger(kind="request")[before:]
    calls = [entry["operation"] for entry in requests if entry["operation"] in ("stop", "show")]
    assert calls[: len(jobs)] == ["stop"] * len(jobs)


# --- sweep


def orphan(studio: Studio, room: str = "shoes") -> str:
    return studio.start(room, task=TaskRef("nightly", "a run that was deleted", "go_live"))


def test_a_dry_sweep_says_what_and_why(studio: Studio, run: Run) -> None:
    job = orphan(studio)
    studio.start("hats")
    done = run("sweep", "--dry-run")
    assert done.code == 0
    (row,) = cells(done.out)
    assert (row["JOB"], row["WHY"]) == (job, "its task instance is gone")
    assert studio.hook.show_job(JobRef("shoes", job)).is_active


def test_a_sweep_stops_it(studio: Studio, run: Run) -> None:
    job, stranger = orphan(studio), studio.start("hats")
    done = run("sweep")
    assert done.code == 0
    assert f"Job {job} in room shoes is stopped" in done.out
    assert studio.hook.show_job(JobRef("shoes", job)).is_final
    assert studio.hook.show_job(JobRef("hats", stranger)).is_active


@pytest.mark.parametrize(("argv", "stopped"), [([], True), (["--dry-run"], None)])
def test_a_sweep_as_json(studio: Studio, run: Run, argv: list[str], stopped: bool | None) -> None:
    job = orphan(studio)
    (swept,) = facts(run("sweep", "--json", *argv).out)
    assert swept["job_id"] == job
    assert swept["reason"] == "its task instance is gone"
    assert swept["stopped"] is stopped


def test_nothing_to_sweep(studio: Studio, run: Run) -> None:
    studio.start("hats")
    done = run("sweep")
    assert (done.code, done.out) == (0, "1 job running; nothing that this deployment started is unwanted.\n")
    assert run("sweep", "--json").out == ""


@pytest.mark.parametrize("secrets", ["", "short"])
def test_a_sweep_that_can_recognise_nothing_says_so(
    studio: Studio, run: Run, monkeypatch: pytest.MonkeyPatch, secrets: str
) -> None:
    orphan(studio)
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_SECRETS", secrets)
    settings.forget_secrets()
    done = run("sweep")
    assert (done.code, done.out) == (1, "")
    assert "no job can be recognised" in done.err
