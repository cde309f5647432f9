"""``airflow smartlive check``: what a person runs after installing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.bases.xcom import BaseXCom
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import sessionmaker

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.cli import airflow_core, callback_check, check
from airflow_provider_smartlive.cli.callback_check import Diagnosis
from airflow_provider_smartlive.receiver import support
from airflow_provider_smartlive.sandbox.testing import LocalSandbox
from airflow_provider_smartlive.testing import receiver
from tests.cli.command_line import Connections, Run
from tests.support.database import Database

CHECKS = [
    "provider",
    "python",
    "airflow",
    "database",
    "triggerer",
    "plugin",
    "xcom backend",
    "settings",
    "callback secrets",
    "connection",
    "callbacks",
]


@pytest.fixture
def triggerer(sqlite: Database) -> Iterator[None]:
    """A triggerer that has just given a sign of life."""
    from airflow.jobs.job import Job, JobState
    from airflow.sdk.timezone import utcnow

    with sqlite.sessions() as session:
        job = Job()
        job.job_type, job.state, job.hostname = "TriggererJob", JobState.RUNNING, "host-1"
        job.latest_heartbeat = utcnow()
        session.add(job)
    yield
    forget_triggerers(sqlite)


def forget_triggerers(database: Database, *, silent_for: timedelta | None = None) -> None:
    from airflow.jobs.job import Job
    from airflow.sdk.timezone import utcnow
    from sqlalchemy import delete, update

    with database.sessions() as session:
        if silent_for:
            session.execute(update(Job).values(latest_heartbeat=utcnow() - silent_for))
        else:
            session.execute(delete(Job))


@pytest.fixture
def installed(metastudio: LocalSandbox, connections: Connections, triggerer: None) -> Iterator[LocalSandbox]:
    """Everything that a livestream needs: a receiver, too, which really listens."""
    connections.into_database(metastudio.connection())
    with receiver.receiving():
        yield metastudio


def results(run: Run, *, code: int) -> dict[str, dict[str, str]]:
    done = run("check", "--json")
    assert done.code == code
    # The receiver logs in this process.
    report = json.loads(next(line for line in done.out.splitlines() if line.startswith("{")))
    assert report["ok"] is (code == 0)
    found = {result["check"]: result for result in report["checks"]}
    assert list(found) == CHECKS
    return found


def red(run: Run, name: str) -> str:
    """Return what a check says that fails, and what to do about it."""
    found = results(run, code=1)
    assert found[name]["status"] == "FAIL"
    return f"{found[name]['found']} {found[name]['fix']}"


def test_all_is_well(installed: LocalSandbox, run: Run) -> None:
    found = results(run, code=0)
    assert {result["status"] for result in found.values()} == {"ok"}
    assert found["database"]["found"] == "sqlite"
    assert found["triggerer"]["found"] == "1 alive: host-1"
    assert (
        found["connection"]["found"]
        == f"'smartlive_default': project fake-project at {installed.url} answers"
    )
    assert found["callbacks"]["found"].endswith(
        "/smartlive/callbacks/*** takes signed events, tried from here"
    )

    done = run("check")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert [line.split() for line in lines if line.startswith("STATUS")] == [["STATUS", "CHECK", "FOUND"]]
    assert sum(line.startswith("ok  ") for line in lines) == len(CHECKS)


def test_nothing_is_set_up(connections: Connections, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_SECRETS", "")
    settings.forget_secrets()
    done = run("check")
    assert done.code == 1
    assert done.err == "3 of 11 checks failed.\n"
    lines = done.out.splitlines()
    assert sum(line.startswith("FAIL") for line in lines) == 3
    assert lines[-2].split() == ["warn", "callbacks", "not", "tried"]
    assert lines[-1].strip() == "Fix: Mend callback secrets and connection first."
    fix = next(number for number, line in enumerate(lines) if line.startswith("FAIL    triggerer"))
    assert lines[fix + 1].strip() == "Fix: Start `airflow triggerer`."


def test_no_secret_is_shown(installed: LocalSandbox, run: Run) -> None:
    shown = "".join(done.out + done.err for done in (run("check"), run("check", "--json")))
    assert installed.account.secret_key not in shown
    assert settings.callback_secrets()[0] not in shown
    assert "gAAAA" not in shown  # a token begins like this


def test_mysql(installed: LocalSandbox, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow_core, "database_kind", lambda: "mysql")
    text = red(run, "database")
    assert "callbacks are refused" in text
    assert "PostgreSQL" in text


def test_a_database_that_is_away(installed: LocalSandbox, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> Any:
        raise OperationalError("SELECT 1", {}, Exception("no server"))

    monkeypatch.setattr(airflow_core, "database_kind", away)
    assert "sql_alchemy_conn" in red(run, "database")


def test_a_database_that_is_not_migrated(
    installed: LocalSandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers, and has none of Airflow's tables."""
    empty = sessionmaker(create_engine("sqlite://"))
    monkeypatch.setattr(airflow_core, "create_session", lambda scoped: empty())
    assert "`airflow db migrate`" in red(run, "database")


@pytest.mark.parametrize("release", ["3.2.1", "3.5.0b1", "3.5.0"])
def test_an_airflow_that_nobody_tried(
    release: str, installed: LocalSandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support, "version", lambda package: release)
    assert red(run, "airflow") == f"{release} Install apache-airflow <3.5,>=3.3.0."


def test_a_python_that_is_too_old(installed: LocalSandbox, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check.platform, "python_version", lambda: "3.10.9")
    assert red(run, "python") == "3.10.9 Run Airflow with a Python >=3.11."


def test_a_triggerer_that_has_fallen_silent(installed: LocalSandbox, run: Run, sqlite: Database) -> None:
    forget_triggerers(sqlite, silent_for=timedelta(minutes=10))
    assert "Start `airflow triggerer`" in red(run, "triggerer")


def test_a_plugin_that_airflow_has_not_loaded(
    installed: LocalSandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(airflow_core, "mounted_paths", dict)
    monkeypatch.setattr(airflow_core, "plugin_errors", lambda: {"smartlive": "No module named 'fastapi'"})
    text = red(run, "plugin")
    assert "smartlive: No module named 'fastapi'" in text
    assert "restart the API server" in text


class Offloading(BaseXCom):
    """A backend as they should be: it finds what it has kept elsewhere by the form of the reference."""

    @staticmethod
    def deserialize_value(result: Any) -> Any:
        value = BaseXCom.deserialize_value(result)
        if isinstance(value, str) and value.startswith("bucket://"):
            return "what is kept there"
        return value


class Strict(BaseXCom):
    """A backend that takes every value for a reference."""

    @staticmethod
    def deserialize_value(result: Any) -> Any:
        return {"bucket://1": "what is kept there"}[result.value]


def test_an_xcom_backend_that_leaves_plain_values_alone(
    installed: LocalSandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow.sdk.execution_time.xcom.XCom", Offloading)
    found = results(run, code=0)["xcom backend"]["found"]
    assert found.endswith("test_check.Offloading reads what the receiver writes")


def test_an_xcom_backend_that_cannot_read_plain_values(
    installed: LocalSandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow.sdk.execution_time.xcom.XCom", Strict)
    text = red(run, "xcom backend")
    assert "test_check.Strict does not read what the receiver writes" in text
    assert "deserialize_value" in text


def test_a_setting_that_cannot_be_read(
    installed: LocalSandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__END_GRACE", "2 minutes")
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__STOP_GRACE", "-5")
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_AUTH_FORMS", "path")
    text = red(run, "settings")
    assert "[smartlive] end_grace" in text
    assert "[smartlive] stop_grace" in text
    assert "[smartlive] callback_auth_forms" in text


@pytest.mark.parametrize(
    ("secrets", "words"),
    [
        ("", "callback_secrets is empty on this machine"),
        ("short", "1 of 1 in [smartlive] callback_secrets shorter than 32 characters"),
    ],
)
def test_secrets_that_cannot_be_used(
    installed: LocalSandbox, run: Run, monkeypatch: pytest.MonkeyPatch, secrets: str, words: str
) -> None:
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_SECRETS", secrets)
    settings.forget_secrets()
    text = red(run, "callback secrets")
    assert words in text
    assert "generate-secret" in text


def test_a_wrong_key(installed: LocalSandbox, connections: Connections, run: Run) -> None:
    connections.into_environment(installed.connection() | {"password": "fake-wrong-key"})
    text = red(run, "connection")
    assert "The credentials were refused" in text
    assert "fake-wrong-key" not in text


def test_a_connection_that_is_not_defined(installed: LocalSandbox, run: Run) -> None:
    done = run("check", "--conn-id", "typo")
    assert done.code == 1
    assert "Connection 'typo' is not defined" in done.out
    assert "--conn-id" in done.out


def test_callbacks_that_do_not_get_through(
    installed: LocalSandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        callback_check, "send", lambda issued, has_task: Diagnosis(False, "404: no receiver there.")
    )
    text = red(run, "callbacks")
    assert "404: no receiver there." in text
    assert "docs/exposing.md" in text


def test_a_callback_address_that_is_not_https(
    installed: LocalSandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_BASE_URL", "http://airflow.example.com")
    assert "must be https" in red(run, "callbacks")


def test_events_that_are_not_signed(
    installed: LocalSandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_AUTH_TYPE", "NONE")
    found = results(run, code=0)["callbacks"]
    assert found["status"] == "warn"
    assert "MSS_A_HEAD" in found["fix"]


def test_a_callback_address_that_only_this_machine_reaches(
    installed: LocalSandbox, connections: Connections, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow's own default, ``http://localhost:8080``, is taken while no base URL is set."""
    fields = installed.connection()
    connections.into_environment({**fields, "host": "https://metastudio.example.com"})
    monkeypatch.setattr(airflow_core.CommandHook, "test_connection", lambda self: (True, ""))
    text = red(run, "callbacks")
    assert "which MetaStudio cannot reach" in text
    assert "callback_base_url" in text


def test_one_check_that_fails_keeps_no_other_from_its_turn(
    connections: Connections, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: Any) -> Any:
        raise OperationalError("SELECT 1", {}, Exception("no server"))

    for name in ("database_kind", "live_triggerers"):
        monkeypatch.setattr(airflow_core, name, away)
    assert list(results(run, code=1)) == CHECKS
