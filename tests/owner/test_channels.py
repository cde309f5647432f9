"""An RTMP target in a connection: found wherever people put it, and never shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk import Connection

from airflow_provider_smartlive.livestream.channels import Channel

KEY = "fake-stream-key-0001"


def channel(**fields: Any) -> Channel:
    if "extra" in fields:
        fields["extra"] = json.dumps(fields["extra"])
    return Channel.from_connection(Connection(**{"conn_id": "main", "conn_type": "generic"} | fields))


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": "rtmp://push.example.com/live"}, "rtmp://push.example.com/live"),
        ({"host": "rtmps://push.example.com:443/live"}, "rtmps://push.example.com:443/live"),
        ({"host": "push.example.com", "schema": "live"}, "rtmp://push.example.com/live"),
        (
            {"host": "push.example.com", "port": 1936, "schema": "live/x"},
            "rtmp://push.example.com:1936/live/x",
        ),
        ({"conn_type": "rtmps", "host": "push.example.com"}, "rtmps://push.example.com"),
        (
            {"extra": {"output_url": "rtmp://push.example.com/app?sign=x"}},
            "rtmp://push.example.com/app?sign=x",
        ),
        (
            {"host": "rtmp://other.example.com", "extra": {"output_url": "rtmp://push.example.com/app"}},
            "rtmp://push.example.com/app",
        ),
    ],
)
def test_the_url(fields: dict[str, Any], url: str) -> None:
    assert channel(**fields).url == url


def test_the_key_is_the_password() -> None:
    assert channel(host="rtmp://push.example.com/live", password=KEY).stream_key == KEY


@pytest.mark.parametrize("password", [None, ""])
def test_a_key_inside_the_url_needs_no_password(password: str | None) -> None:
    assert channel(host="rtmp://push.example.com/live/x", password=password).stream_key is None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"host": ""},
        {"host": f"https://push.example.com/{KEY}"},
        {"host": f"rtmp:///{KEY}"},
        {"host": f"rtmp://[fake/{KEY}"},
        {"host": f"rtmp://push.example.com:port/{KEY}"},
        {"extra": {"output_url": f"ftp://push.example.com/{KEY}"}},
        {"extra": {"output_url": {"url": KEY}}},
    ],
)
def test_what_is_no_rtmp_url_is_refused_by_name_never_by_content(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Connection 'main' holds no RTMP URL") as error:
        channel(password=KEY, **fields)
    assert KEY not in str(error.value)
    assert error.value.__cause__ is None or KEY not in str(error.value.__cause__)


def test_repr_shows_neither_url_nor_key() -> None:
    shown = repr(channel(host=f"rtmp://push.example.com/live/{KEY}", password=KEY))
    assert KEY not in shown
    assert "main" in shown
