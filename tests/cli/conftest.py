"""Commands as people call them: through Airflow's own command line, to a sandbox, with a real metadata database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_smartlive.sandbox.testing import LocalSandbox
from tests.cli.command_line import CONN_ID, Connections, Done, Run, Studio
from tests.support.database import Database


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Call ``airflow smartlive ...`` in this process."""
    from airflow.cli.cli_parser import get_parser

    def run(*argv: str) -> Done:
        capsys.readouterr()
        code = 0
        try:
            args = get_parser().parse_args(["smartlive", *argv])
            args.func(args)
        except SystemExit as end:
            # Python prints a code that is a text to stderr, and exits with 1.
            code = end.code if isinstance(end.code, int) else 1
            text = "" if isinstance(end.code, int | None) else f"{end.code}\n"
        else:
            text = ""
        printed = capsys.readouterr()
        return Done(code, printed.out, printed.err + text)

    return run


@pytest.fixture
def metastudio() -> Iterator[LocalSandbox]:
    """A local MetaStudio without rooms."""
    with LocalSandbox() as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def connections(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connections]:
    """No connection is defined, in the end either."""
    from airflow.models.connection import Connection
    from sqlalchemy import delete

    monkeypatch.delenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", raising=False)
    yield Connections(sqlite, monkeypatch)
    with sqlite.sessions() as session:
        session.execute(delete(Connection))


@pytest.fixture
def studio(metastudio: LocalSandbox, connections: Connections, sqlite: Database) -> Iterator[Studio]:
    """A MetaStudio whose connection stands in Airflow's database."""
    connections.into_database(metastudio.connection())
    yield Studio(metastudio, sqlite)
    sqlite.forget()
