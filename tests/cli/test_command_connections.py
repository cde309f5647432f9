"""Every command that talks to MetaStudio finds its connection wherever Airflow keeps connections."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_smartlive.cli import callback_check
from airflow_provider_smartlive.cli.callback_check import Diagnosis
from airflow_provider_smartlive.cli.definition import get_commands
from airflow_provider_smartlive.sandbox.testing import LocalSandbox
from tests.cli.command_line import CONN_ID, Connections, Run
from tests.support.database import Database

COMMANDS = {
    "check": ["check"],
    "jobs list": ["jobs", "list"],
    "jobs show": ["jobs", "show", "shoes", "JOB"],
    "jobs stop": ["jobs", "stop", "--room", "shoes", "--yes"],
    "sweep": ["sweep"],
    "send-test-event": ["send-test-event"],
}

#: They ask MetaStudio nothing, or, as ``campaign check``, by the connections that a file names.
WITHOUT_CONN_ID = {
    "generate-secret",
    "as-run",
    "campaign lint",
    "campaign plan",
    "campaign schema",
    "campaign check",
}

Place = Callable[[Connections, dict[str, object], Path], None]


def database(connections: Connections, fields: dict[str, object], folder: Path) -> None:
    connections.into_database(fields)


def environment(connections: Connections, fields: dict[str, object], folder: Path) -> None:
    connections.into_environment(fields)


def secrets_backend(connections: Connections, fields: dict[str, object], folder: Path) -> None:
    file = folder / "connections.json"
    file.write_text(json.dumps({CONN_ID: fields}))
    patch = connections.monkeypatch
    patch.setenv("AIRFLOW__SECRETS__BACKEND", "airflow.secrets.local_filesystem.LocalFilesystemBackend")
    patch.setenv("AIRFLOW__SECRETS__BACKEND_KWARGS", json.dumps({"connections_file_path": str(file)}))


PLACES: list[Place] = [database, environment, secrets_backend]


def test_no_command_is_forgotten() -> None:
    (group,) = get_commands()
    names = []
    for command in group.subcommands:
        inner = getattr(command, "subcommands", None)
        names += [f"{command.name} {sub.name}" for sub in inner] if inner else [command.name]
    assert {*names} - WITHOUT_CONN_ID == {*COMMANDS}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_connection_is_found(
    metastudio: LocalSandbox,
    connections: Connections,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    place: Place,
) -> None:
    monkeypatch.setattr(callback_check, "send", lambda issued, has_task: Diagnosis(True, "it works"))
    place(connections, metastudio.connection(), tmp_path)
    argv = COMMANDS[name]
    if "JOB" in argv:
        metastudio.add_room("shoes", seconds=10_000)
        from airflow_provider_smartlive.cli.airflow_core import CommandHook

        job = CommandHook(CONN_ID).start_job("shoes", {"play_policy": {"play_mode": "NO_PRESET"}})
        argv = [job.job_id if word == "JOB" else word for word in argv]
    else:
        metastudio.add_room("shoes")

    done = run(*argv)

    assert "is not defined" not in done.out + done.err
    if name == "check":
        assert "answers" in next(line for line in done.out.splitlines() if "connection" in line)
    else:
        assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_connection_that_is_nowhere(connections: Connections, run: Run, name: str) -> None:
    done = run(*COMMANDS[name], "--conn-id", "smartlive_typo")
    text = done.out + done.err
    assert done.code == 1
    assert "Connection 'smartlive_typo' is not defined" in text
    assert "EnvironmentVariablesBackend, MetastoreBackend" in text
    assert "`airflow connections add smartlive_typo" in text
    assert "Traceback" not in text


def test_a_connection_that_may_be_a_teams(
    connections: Connections, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    assert "belong to no team" in run("jobs", "list", "--conn-id", "smartlive_typo").err


def test_a_connection_that_another_fernet_key_encrypted(
    metastudio: LocalSandbox, connections: Connections, sqlite: Database, run: Run
) -> None:
    """Airflow passes over what it cannot decrypt, and would call the connection undefined."""
    from airflow.models.connection import Connection
    from sqlalchemy import update

    connections.into_database(metastudio.connection())
    with sqlite.sessions() as session:
        session.execute(update(Connection).values({"password": "gAAAAA-fake"}))

    done = run("jobs", "list")

    assert done.code == 1
    assert "could not be read: MetastoreBackend failed with InvalidToken" in done.err
    assert "fernet_key" in done.err
    assert "not defined" not in done.err


def test_an_environment_variable_that_is_no_connection(
    connections: Connections, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", '{"conn_type": "smartlive", "password": "fake-sk"')
    done = run("jobs", "list")
    assert done.code == 1
    assert "EnvironmentVariablesBackend failed with" in done.err
    assert "fake-sk" not in done.err
