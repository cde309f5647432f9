"""Read an Airflow connection for an argument that an error can name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk import Connection
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_provider_smartlive.client.connection import MissingConnectionError


def find_connection(conn_id: object, *, argument: str) -> Connection:
    """
    Return a connection of Airflow.

    :param conn_id: its id, as a task was given it.
    :param argument: the argument that names it, such as ``output_conn_ids``.
    :raises MissingConnectionError: if there is none; as a ``ValueError``, it spares a task its retries.
    """
    with naming(conn_id, argument=argument):
        connection: Connection = Connection.get(str(conn_id))
    return connection


@contextmanager
def naming(conn_id: object, *, argument: str) -> Iterator[None]:
    """
    Add the argument to the error if the connection that it names is not found, or cannot be one.

    :raises MissingConnectionError: instead of Airflow's own error, which only names the connection.
    """
    if not isinstance(conn_id, str):
        kind = type(conn_id).__name__  # its value may be a whole connection
        raise MissingConnectionError(
            f"{argument} names no connection, but a {kind}. Give the connection's id, a text."
        )
    if conn_id in ("", "None"):
        raise MissingConnectionError(
            f"{argument} is {conn_id!r}: give the id of a connection. Does a template render to nothing?"
        )
    if conn_id != conn_id.strip():
        raise MissingConnectionError(
            f"{argument} is {conn_id!r}: remove the blanks around the connection's id."
        )
    try:
        yield
    except AirflowNotFoundException:
        raise MissingConnectionError(
            f"{argument}: there is no connection {conn_id!r} that Airflow can read. Create or mend it (Admin > "
            f"Connections, `airflow connections add {conn_id}`, AIRFLOW_CONN_{conn_id.upper()} or a secrets backend), "
            f"or correct the name.{of_teams()}"
        ) from None


def of_teams() -> str:
    """Return what else may keep a connection from being found in multi-team mode; nothing in other deployments."""
    if not conf.getboolean("core", "multi_team", fallback=False):
        return ""
    return " In multi-team mode triggers and commands find only connections that belong to no team."
