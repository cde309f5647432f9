"""What a newcomer does at night when something streams that nobody wants."""

from __future__ import annotations

from functools import partial

import pytest

from airflow_provider_smartlive.cli import commands
from airflow_provider_smartlive.cli.watch import watch
from tests.cli.command_line import EVENING, Run, Studio


@pytest.fixture
def one_picture(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Press Ctrl-C when the first picture is there; return how long would have been waited."""
    waited: list[float] = []

    def interrupt(seconds: float) -> None:
        waited.append(seconds)
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "watch", partial(watch, now=lambda: EVENING, sleep=interrupt))
    return waited


def test_three_rooms_one_in_trouble(
    studio: Studio, run: Run, one_picture: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = {room: studio.database.task(f"go_live_{room}") for room in ("shoes", "hats")}
    jobs = {room: studio.start(room, f"{room.title()} of the day", task=task) for room, task in tasks.items()}
    jobs["toys"] = studio.start("toys")
    studio.called_back(tasks["shoes"], jobs["shoes"], "CONNECTING", "CONNECTED")
    studio.called_back(tasks["hats"], jobs["hats"], "CONNECTED", "RECONNECTING", "CONNECTED", "RECONNECTING")

    listed = run("jobs", "list")
    assert (listed.code, listed.err) == (0, "")
    header, *lines = listed.out.splitlines()
    assert header.split("  ")[0] == "ROOM"
    assert [line.split()[0] for line in sorted(lines)] == ["hats", "shoes", "toys"]
    (trouble,) = [line for line in lines if line.startswith("hats")]
    assert "RECONNECTING" in trouble
    assert "2026-01-01 20:03:04Z" in trouble
    assert f"{tasks['hats'].dag_id}/{tasks['hats'].run_id}/go_live_hats" in trouble

    watched = run("jobs", "list", "--watch", "7")
    assert (watched.code, watched.err) == (0, "")
    assert watched.out.startswith("2026-01-01 20:00:04Z, every 7 s; Ctrl-C ends\n\nROOM")
    assert "RECONNECTING" in watched.out
    assert one_picture == [7.0]

    shown = run("jobs", "show", "hats", jobs["hats"])
    assert shown.code == 0
    details = " ".join(shown.out.split())
    assert "room: hats (Hats of the day) state: PROCESSING" in details
    assert "planned end: 2126-01-01 23:00:00Z" in details
    assert (
        "link: RECONNECTING since 2026-01-01 20:03:04Z, 2 reconnects, rtmp://push.example.com/live/***"
        in details
    )

    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "y")
    asked: list[str] = []
    stopped = run("jobs", "stop", "--room", "hats")
    assert (stopped.code, stopped.err) == (0, "")
    assert asked == ["Stop 1 job? [y/N] "]
    assert f"Job {jobs['hats']} in room hats is stopped, MetaStudio says SUCCEED" in stopped.out

    left = run("jobs", "list")
    assert [line.split()[0] for line in sorted(left.out.splitlines()[1:])] == ["shoes", "toys"]

    run("jobs", "stop", "--all", "--yes")
    assert run("jobs", "list").out.startswith("Nothing runs in project fake-project at http://127.0.0.1:")


@pytest.mark.parametrize(("option", "is_logged"), [((), False), (("--verbose",), True)])
def test_a_stop_is_told_once(
    studio: Studio, run: Run, caplog: pytest.LogCaptureFixture, option: tuple[str, ...], is_logged: bool
) -> None:
    """The log says the same in other words, line by line between those of the command."""
    studio.start("toys")
    with caplog.at_level("INFO"):
        stopped = run("jobs", "stop", "--all", "--yes", *option)
    assert stopped.code == 0
    assert "in room toys is stopped" in stopped.out
    assert ("MetaStudio says SUCCEED" in caplog.text) is is_logged
