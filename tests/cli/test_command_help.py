"""What ``--help`` says, and what has a default."""

from __future__ import annotations

import pytest

from airflow_provider_smartlive.cli import callback_check
from airflow_provider_smartlive.cli.callback_check import Diagnosis
from tests.cli.command_line import Run, Studio


@pytest.mark.parametrize("argv", [[], ["generate-secret"]])
def test_a_word_in_brackets_is_not_lost(run: Run, argv: list[str]) -> None:
    """Airflow prints help as rich's markup, for which ``[smartlive]`` is a style."""
    done = run(*argv, "--help")
    assert done.code == 0
    assert "Print a new secret for [smartlive] callback_secrets" in " ".join(done.out.split())


@pytest.mark.parametrize(
    "argv",
    [
        ["check"],
        ["generate-secret"],
        ["jobs", "list"],
        ["jobs", "show"],
        ["jobs", "stop"],
        ["send-test-event"],
        ["sweep"],
    ],
)
def test_every_command_can_show_a_traceback(run: Run, argv: list[str]) -> None:
    out = run(*argv, "--help").out
    assert "--verbose" in out
    assert "\\" not in out


def test_a_test_event_needs_no_task(studio: Studio, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []

    def send(issued: callback_check.IssuedUrl, *, has_task: bool) -> Diagnosis:
        sent.append((issued.target.task_ref.dag_id, has_task))
        return Diagnosis(True, "410: it works.")

    monkeypatch.setattr(callback_check, "send", send)
    assert run("send-test-event").code == 0
    assert run("send-test-event", "nightly").code == 0
    assert sent == [("smartlive_test", False), ("nightly", False)]


def test_a_secret_is_printed_alone(run: Run) -> None:
    first, second = (run("generate-secret").out for _ in range(2))
    assert first != second
    assert len(first.strip()) == len(first) - 1 >= 32
