"""
Read an RTMP output from an Airflow connection.

A stream key lets anyone broadcast on the channel, so neither it nor the URL is an operator's argument:
Airflow stores rendered arguments and shows them. A task names connections, and they are read when it runs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_smartlive.client.address import url_of
from airflow_provider_smartlive.client.connection import InvalidConnectionError, read_extra
from airflow_provider_smartlive.metastudio.addresses import is_host
from airflow_provider_smartlive.metastudio.outputs import describe_output

if TYPE_CHECKING:
    from airflow_provider_smartlive.client.connection import ConnectionFields

SCHEMES = ("rtmp", "rtmps")

#: What MetaStudio's schema takes, for a URL and for a key.
MAX_OUTPUT_LENGTH = 1024

#: Names of parameters with which platforms sign a URL (``txSecret``, ``wsSecret``, ``auth_key``, ...).
_SECRET_NAME = re.compile(r"secret|sign|key|token|auth|pass", re.IGNORECASE)


@dataclass(frozen=True)
class RtmpOutput:
    """
    An RTMP target.

    :param conn_id: the connection that it comes from.
    :param url: the ingest URL.
    :param stream_key: the key, or None if the platform puts it into the URL.
    :param key_is_shown: whether the connection seems to hold a key where Airflow shows it, in its host.
    """

    conn_id: str
    url: str = field(repr=False)
    stream_key: str | None = field(repr=False)
    key_is_shown: bool = False

    @property
    def label(self) -> str:
        """Return it as it may be shown: scheme, host and a plain application."""
        return describe_output(self.url, self.stream_key, key=b"").label

    @classmethod
    def from_connection(cls, connection: ConnectionFields) -> RtmpOutput:
        """
        Read a target: the URL stands in the host (or in the extra field ``output_url``), the key in the
        password. A connection URI ``rtmp://:KEY@push.example.com/live`` does both.

        :param connection: an Airflow connection of any type.
        :raises InvalidConnectionError: if there is no RTMP URL, or something of it cannot be sent, naming the
            connection and the field, never its content.
        """
        conn_id = connection.conn_id
        url = url_of(connection, field="output_url", schemes=SCHEMES, default="rtmp")
        scheme, separator, rest = (url or "").partition("://")
        url = f"{scheme.lower()}{separator}{rest}"
        if not _is_rtmp(url):
            raise InvalidConnectionError(
                f"Connection {conn_id!r} holds no RTMP URL: put the platform's ingest URL "
                "(rtmp://... or rtmps://...) into its host or into `output_url` of its extra (a JSON object), "
                "and the stream key into its password."
            )
        key = str(connection.password or "").strip() or None
        for what, value in (("RTMP URL", url), ("password (the stream key)", key or "")):
            if problem := _problem(value):
                raise InvalidConnectionError(f"Connection {conn_id!r}: its {what} {problem}.")
        from_host = not (read_extra(connection) or {}).get("output_url")
        return cls(conn_id, url, key, key_is_shown=from_host and _holds_key(url, has_key=key is not None))

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must stand in no log and no error: for :func:`~airflow_provider_smartlive.metastudio.text.safe_text`."""
        return (self.url, self.stream_key) if self.stream_key else (self.url,)

    @property
    def warning(self) -> str | None:
        """Return a sentence if the connection works, but should be written otherwise."""
        if not self.key_is_shown:
            return None
        return (
            f"Connection {self.conn_id!r} seems to hold a stream key in its host, which Airflow shows and does not "
            "encrypt. Move the key (the last part of the URL's path, with its query) into the password."
        )


def _is_rtmp(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in SCHEMES and is_host(parts.hostname or "") and parts.port != 0
    except ValueError:  # an unclosed bracket, or a port that is no number; its text would repeat the URL
        return False


def _problem(value: str) -> str | None:
    if len(value) > MAX_OUTPUT_LENGTH:
        return f"is longer than {MAX_OUTPUT_LENGTH} characters"
    if any(char.isspace() or not char.isprintable() for char in value):
        return "holds a blank, a line break or a control character. Paste it again"
    return None


def _holds_key(url: str, *, has_key: bool) -> bool:
    """Guess whether a URL holds a stream key: a password, a signature, or a last segment that looks like a key."""
    parts = urlsplit(url)
    names = [pair.partition("=")[0] for pair in parts.query.split("&")]
    if parts.password or any(_SECRET_NAME.search(name) for name in names):
        return True
    folder, _, name = parts.path.rstrip("/").rpartition("/")
    looks_random = any(char.isdigit() for char in name) and len(name) >= (20 if has_key else 8)
    return bool(folder) and looks_random
