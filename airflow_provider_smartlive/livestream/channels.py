"""
Where a livestream is pushed to: the RTMP ingest of a platform, kept in an Airflow connection.

A stream key lets anyone broadcast on the channel, so neither it nor the URL is an operator's argument:
Airflow stores rendered arguments and shows them. A task names connections, and they are read when it runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_smartlive.metastudio.outputs import describe_output

if TYPE_CHECKING:
    from airflow.sdk import Connection

SCHEMES = ("rtmp", "rtmps")


@dataclass(frozen=True)
class Channel:
    """
    An RTMP target.

    :param conn_id: the connection that it comes from.
    :param url: the ingest URL.
    :param stream_key: the key, or None if the platform puts it into the URL.
    """

    conn_id: str
    url: str = field(repr=False)
    stream_key: str | None = field(repr=False)

    @property
    def label(self) -> str:
        """Return it as it may be shown: scheme, host and path without the last segment."""
        return describe_output(self.url, self.stream_key, key=b"").label

    @classmethod
    def from_connection(cls, connection: Connection) -> Channel:
        """
        Read a target: the URL stands in the host (or in the extra field ``output_url``), the key in the
        password.

        :param connection: an Airflow connection of any type.
        :raises ValueError: if there is no RTMP URL, naming the connection and the field, never its content.
        """
        conn_id = connection.conn_id
        url = connection.extra_dejson.get("output_url") or _url_of_host(connection)
        if not _is_rtmp(url):
            raise ValueError(
                f"Connection {conn_id!r} holds no RTMP URL: put the platform's ingest URL "
                "(rtmp://... or rtmps://...) into its host or into `output_url` of its extra, "
                "and the stream key into its password."
            )
        return cls(conn_id, url, connection.password or None)


def _is_rtmp(url: object) -> bool:
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an unclosed bracket, or a port that is no number; its text would repeat the URL
        return False


def _url_of_host(connection: Connection) -> str:
    host = connection.host or ""
    if "://" in host:
        return host
    port = f":{connection.port}" if connection.port else ""
    path = f"/{connection.schema}" if connection.schema else ""
    scheme = connection.conn_type if connection.conn_type in SCHEMES else "rtmp"
    return f"{scheme}://{host}{port}{path}" if host else ""
