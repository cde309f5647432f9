"""What goes wrong is one line with what, where and the fix; ``--verbose`` shows the traceback."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from airflow_provider_smartlive.cli import commands, jobs
from airflow_provider_smartlive.cli.airflow_core import ConnectionNotFoundError
from airflow_provider_smartlive.metastudio.errors import NotFound
from tests.cli.command_line import CONN_ID, Connections, Done, Run, Studio

WHERE = f"Connection '{CONN_ID}'"


def one_line(done: Done) -> str:
    assert done.code == 1
    assert len(done.err.splitlines()) == 1
    assert "Traceback" not in done.err
    return done.err


def test_a_job_that_there_is_not(studio: Studio, run: Run) -> None:
    studio.start("shoes")
    text = one_line(run("jobs", "show", "shoes", "wrong"))
    assert text.startswith(f"{WHERE}: there is no job wrong in room shoes, or no such room. ")
    assert "`airflow smartlive jobs list --room shoes --ended` lists the room's jobs" in text
    assert "MetaStudio says MSS." in text


def test_a_job_to_stop_that_there_is_not(studio: Studio, run: Run) -> None:
    text = one_line(run("jobs", "stop", "--room", "shoes", "--job", "wrong", "--yes"))
    assert "there is no job wrong in room shoes" in text


@pytest.mark.parametrize("command", [["list"], ["stop", "--yes"]])
def test_a_room_that_there_is_not(studio: Studio, run: Run, command: list[str]) -> None:
    studio.sandbox.add_fault(target="list", action="status", status=404, code="MSS.20010045", room="nowhere")
    text = one_line(run("jobs", *command, "--room", "nowhere"))
    assert text.startswith(
        f"{WHERE}: there is no room nowhere. `airflow smartlive jobs list` lists the rooms"
    )


def test_a_wrong_key(studio: Studio, connections: Connections, run: Run) -> None:
    wrong = studio.sandbox.connection() | {"password": "fake-wrong-key"}
    connections.into_environment(wrong)
    text = one_line(run("jobs", "list"))
    assert text.startswith(f"{WHERE}: The credentials were refused")
    assert "fake-wrong-key" not in text


def test_a_refusal_comes_with_what_to_do(studio: Studio, run: Run) -> None:
    studio.sandbox.add_fault(
        target="list_all", action="status", status=400, code="MSS.20010076", message="expired"
    )
    text = one_line(run("jobs", "list"))
    assert text.startswith(f"{WHERE}: MSS.20010076: Internal Error: expired (HTTP 400")
    assert text.endswith("Renew the account's quota in MetaStudio's console.\n")


def test_metastudio_is_not_reached(
    studio: Studio, connections: Connections, run: Run, monkeypatch: Any
) -> None:
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__REQUEST_ATTEMPTS", "1")
    connections.into_environment(studio.sandbox.connection() | {"host": "http://127.0.0.1:9"})
    assert WHERE in one_line(run("jobs", "list"))


def test_a_connection_without_a_field(connections: Connections, run: Run) -> None:
    connections.into_database({"conn_type": "smartlive", "login": "FAKEAK", "password": "fake-secret-key"})
    text = one_line(run("jobs", "list"))
    assert f"{WHERE}: project_id is missing" in text
    assert "docs/connection.md" in text


def test_a_setting_that_cannot_be_read(studio: Studio, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__REQUEST_TIMEOUT", "soon")
    assert "[smartlive] request_timeout must be a whole number" in one_line(run("jobs", "list"))


def test_airflows_database_is_away(studio: Studio, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The emergency brake needs it for what it shows only; a sweep needs it to judge."""

    def away(*args: Any) -> Any:
        raise OperationalError("SELECT 1", {"password": "fake-secret"}, Exception("no server"))

    task = studio.database.task()
    job = studio.start("shoes", task=task)
    monkeypatch.setattr(jobs, "callback_tables", away)
    listed = run("jobs", "list")
    assert listed.code == 0
    assert job in listed.out
    assert listed.err == "Airflow's database cannot be read (OperationalError): links are not shown.\n"

    monkeypatch.setattr("airflow_provider_smartlive.cli.commands.find_task", away)
    text = one_line(run("sweep"))
    assert "metadata database cannot be read (OperationalError)" in text
    assert "sql_alchemy_conn" in text
    assert "fake-secret" not in text


@pytest.mark.parametrize(
    ("argv", "error"),
    [
        (["jobs", "list", "--conn-id", "typo"], ConnectionNotFoundError),
        (["jobs", "show", "shoes", "wrong"], NotFound),
    ],
)
@pytest.mark.parametrize("flag", ["-v", "--verbose"])
def test_verbose_shows_the_traceback(
    studio: Studio, run: Run, argv: list[str], error: type[Exception], flag: str
) -> None:
    with pytest.raises(error):
        run(*argv, flag)


def test_a_fault_of_our_own_is_not_hidden(studio: Studio, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> Any:
        raise TypeError("a mistake in the program")

    monkeypatch.setattr(commands, "listed", broken)
    with pytest.raises(TypeError):
        run("jobs", "list")


def test_whoever_reads_has_enough(studio: Studio, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """``airflow smartlive jobs list | head -1``"""

    def closed(text: str) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(commands, "say", closed)
    monkeypatch.setattr("airflow_provider_smartlive.cli.errors._discard_output", lambda: None)
    assert run("jobs", "list") == Done(1, "", "")
