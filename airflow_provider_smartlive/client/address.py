"""The URL in a connection of any type, as a whole or in parts."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import IPv6Address
from urllib.parse import urlsplit

from airflow_provider_smartlive.client.connection import (
    ConnectionFields,
    InvalidConnectionError,
    read_extra,
)

_PATH = re.compile(r"([^/?]*)(.*)", re.DOTALL)
#: What a query holds in the same spelling before and after Airflow has taken it apart.
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]*")


def url_of(connection: ConnectionFields, *, field: str, schemes: tuple[str, ...], default: str) -> str | None:
    """
    Return the URL of a connection.

    It may stand in a field of ``extra``, in the host, or in host, port and schema; if Airflow has read it from a
    connection URI such as ``rtmp://push.example.com/live?sign=x``, the query stands in ``extra``. Blanks around it,
    which come along when text is pasted, are cut off.

    :param field: the field of ``extra`` that may hold it.
    :param schemes: the schemes that a connection's type may name.
    :param default: the scheme of other types.
    :returns: None if there is none.
    :raises InvalidConnectionError: if the parts contradict each other, or the query cannot be put together again.
    """
    extra = read_extra(connection) or {}  # of other types, it may be anything
    given = extra.get(field)
    if given:
        return given.strip() if isinstance(given, str) else None
    host = str(connection.host or "").strip()
    if not host:
        return None
    scheme, _, rest = host.rpartition("://")
    authority, path = _PATH.fullmatch(rest).groups()  # type: ignore[union-attr]  # it fits every text
    schema = str(connection.schema or "").strip()
    if schema in schemes:
        scheme, schema = scheme or schema, ""  # connections of type http keep the scheme there
    if path.strip("/") and schema:
        raise InvalidConnectionError(
            f"Connection {connection.conn_id!r}: host holds a path, and schema as well. Give the path once, in host."
        )
    if not scheme:
        scheme = connection.conn_type if connection.conn_type in schemes else default
    url = f"{scheme}://{_authority(connection, authority)}{f'/{schema}' if schema else path}"
    from_uri = connection.conn_type in schemes or ("://" in host and schema)
    query = {name: value for name, value in extra.items() if name != field} if from_uri else {}
    return f"{url}?{_query(connection, query, field)}" if query else url


def _authority(connection: ConnectionFields, host: str) -> str:
    """Return host and port; Airflow takes an IPv6 address out of its brackets."""
    with suppress(ValueError):
        host = f"[{IPv6Address(host)}]"
    try:
        port = urlsplit(f"//{host}").port
    except ValueError:
        return host  # whoever reads the URL refuses it
    if not connection.port or port == connection.port:
        return host
    if port is not None:
        raise InvalidConnectionError(
            f"Connection {connection.conn_id!r}: port is {connection.port}, but host says {port}. Give it once."
        )
    return f"{host}:{connection.port}"


def _query(connection: ConnectionFields, query: dict[str, object], field: str) -> str:
    for name, value in query.items():
        if not (isinstance(value, str) and _UNRESERVED.fullmatch(name) and _UNRESERVED.fullmatch(value)):
            raise InvalidConnectionError(
                f"Connection {connection.conn_id!r}: the query of its URI cannot be put together again as it was, "
                f"because Airflow has decoded it. Put the whole URL into `{field}` of its extra."
            )
    return "&".join(f"{name}={value}" for name, value in query.items())
