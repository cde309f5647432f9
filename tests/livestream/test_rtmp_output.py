"""An RTMP target in a connection: found wherever people put it, and never shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk import Connection

from airflow_provider_smartlive.client.connection import InvalidConnectionError, MissingConnectionError
from airflow_provider_smartlive.livestream.request import build, interaction_url, rtmp_outputs
from airflow_provider_smartlive.livestream.rtmp_output import RtmpOutput

KEY = "fake-stream-key-0001"


def _connection(**fields: Any) -> Connection:
    if "extra" in fields:
        fields["extra"] = json.dumps(fields["extra"])
    return Connection(**{"conn_id": "main", "conn_type": "generic"} | fields)


def output(**fields: Any) -> RtmpOutput:
    return RtmpOutput.from_connection(_connection(**fields))


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
        ({"host": "push.example.com/live", "port": 1936}, "rtmp://push.example.com:1936/live"),
        ({"host": "RTMP://push.example.com/live"}, "rtmp://push.example.com/live"),
        ({"host": "rtmp://push.example.com:1936/live", "port": 1936}, "rtmp://push.example.com:1936/live"),
        ({"host": "rtmp://push.example.com/live", "port": 0, "schema": ""}, "rtmp://push.example.com/live"),
        ({"host": " rtmp://push.example.com/live\r\n"}, "rtmp://push.example.com/live"),
        ({"extra": {"output_url": "\trtmp://push.example.com/live "}}, "rtmp://push.example.com/live"),
        ({"host": "rtmp://push.example.com/live", "extra": {"note": "main"}}, "rtmp://push.example.com/live"),
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
    assert output(**fields).url == url


def test_the_key_is_the_password() -> None:
    assert output(host="rtmp://push.example.com/live", password=KEY).stream_key == KEY


@pytest.mark.parametrize("password", [None, ""])
def test_a_key_inside_the_url_needs_no_password(password: str | None) -> None:
    assert output(host="rtmp://push.example.com/live/x", password=password).stream_key is None


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
        output(password=KEY, **fields)
    assert KEY not in str(error.value)
    assert error.value.__cause__ is None or KEY not in str(error.value.__cause__)


def test_repr_shows_neither_url_nor_key() -> None:
    shown = repr(output(host=f"rtmp://push.example.com/live/{KEY}", password=KEY))
    assert KEY not in shown
    assert "main" in shown


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("rtmp://push.example.com/live?auth_key=1700000000-0-0-abc", None),
        ("rtmp://push.example.com:1936/live/room?txSecret=ab&txTime=6A", None),
        ("rtmps://push.example.com:443/app/x", None),
        ("rtmp://:fake-key@push.example.com/live", "rtmp://push.example.com/live"),
        ("rtmp://[2001:db8::1]:1935/live", None),
        ("rtmp://[2001:db8::1]/live", None),
        ("rtmp://push.example.com/live/", None),
        ("rtmp://push.example.com", None),
        (
            "generic://rtmp://push.example.com:1936/live/room?txSecret=ab",
            "rtmp://push.example.com:1936/live/room?txSecret=ab",
        ),
        ("generic://rtmps://:fake-key@push.example.com/live", "rtmps://push.example.com/live"),
    ],
)
def test_a_connection_uri_keeps_host_port_path_and_query(uri: str, url: str | None) -> None:
    assert RtmpOutput.from_connection(Connection.from_uri(uri, conn_id="main")).url == (url or uri)


@pytest.mark.parametrize(
    "uri",
    [
        "rtmp://push.example.com/live?sign=a%2Fb",
        "rtmp://push.example.com/live?sign=ab+cd",
        "rtmp://h/li%20ve",
    ],
)
def test_a_connection_uri_that_airflow_has_changed_is_refused(uri: str) -> None:
    with pytest.raises(InvalidConnectionError, match="'main'") as error:
        RtmpOutput.from_connection(Connection.from_uri(uri, conn_id="main"))
    assert "ab" not in str(error.value)


@pytest.mark.parametrize("key", [f"{KEY}\n", f" {KEY} ", f"{KEY}\r\n", f"\t{KEY}"])
def test_blanks_around_a_pasted_key_are_cut_off(key: str) -> None:
    read = output(host="rtmp://push.example.com/live", password=key)
    assert read.stream_key == KEY
    assert build({}, rtmp_outputs=[read], max_live_duration=1).stream_keys == [KEY]


def test_a_blank_key_is_none() -> None:
    assert output(host="rtmp://push.example.com/live/k", password=" \n").stream_key is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"host": "rtmp://push.exa\tmple.com/live"}, "RTMP URL holds a blank"),
        ({"host": "rtmp://push.example.com/li ve"}, "RTMP URL holds a blank"),
        ({"host": "rtmp://push.example.com/li\u202eve"}, "RTMP URL holds a blank"),
        ({"host": f"rtmp://push.example.com/{'x' * 1024}"}, "RTMP URL is longer than 1024"),
        ({"host": "rtmp://push..example.com/live"}, "holds no RTMP URL"),
        ({"host": "rtmp://push.example.com/live", "password": "fake key"}, "password .* holds a blank"),
        ({"host": "rtmp://push.example.com/live", "password": "fake\x00key"}, "password .* holds a blank"),
        ({"host": "rtmp://push.example.com/live", "password": "x" * 1025}, "password .* is longer than 1024"),
        ({"host": "rtmp://push.example.com:1935/live", "port": 1936}, "port is 1936, but host says 1935"),
        ({"host": "rtmp://push.example.com/live", "schema": "x"}, "Give the path once"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_name(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidConnectionError, match=f"Connection 'main'.*{words}") as error:
        output(**fields)
    assert "fake" not in str(error.value)


@pytest.mark.parametrize(
    "extra", ['["a"]', '"text"', "null", "5", "no JSON", '"{\\"a\\": 1}"', "{}", "", " ", "[" * 9999]
)
def test_an_extra_of_another_shape_is_left_alone(extra: str) -> None:
    connection = Connection(conn_id="main", conn_type="generic", extra=extra)
    with pytest.raises(InvalidConnectionError, match="Connection 'main' holds no RTMP URL"):
        RtmpOutput.from_connection(connection)
    connection.host = "rtmp://push.example.com/live"
    assert RtmpOutput.from_connection(connection).url == "rtmp://push.example.com/live"


@pytest.mark.parametrize(
    "fields",
    [
        {"host": "rtmp://push.example.com/live/fake-key-0001"},
        {"host": "rtmp://push.example.com/live?txSecret=fake&txTime=6A"},
        {"host": "rtmp://push.example.com/live/room?auth_key=fake", "password": "other"},
        {"host": "rtmp://user:fake@push.example.com/live", "password": "other"},
        {"host": "push.example.com", "schema": "live/fake-key-0001"},
        {"host": "rtmp://push.example.com/live/fake-key-0001-0001-0001", "password": "other"},
    ],
)
def test_a_key_in_the_host_is_warned_of_by_the_connection_s_name(fields: dict[str, Any]) -> None:
    warning = output(**fields).warning
    assert warning is not None
    assert "'main'" in warning
    assert "password" in warning
    assert "fake" not in warning


@pytest.mark.parametrize(
    "fields",
    [
        {"host": "rtmp://push.example.com/live", "password": KEY},
        {"host": "rtmp://push1.example.com:1936/live/room-1", "password": KEY},
        {"host": "rtmp://push.example.com/live/room1"},
        {"extra": {"output_url": "rtmp://push.example.com/live/fake-key-0001"}},
    ],
)
def test_a_key_elsewhere_is_not_warned_of(fields: dict[str, Any]) -> None:
    assert output(**fields).warning is None


def test_secrets_are_what_no_text_may_repeat() -> None:
    url = "rtmp://push.example.com/live"
    assert output(host=url, password=KEY).secrets == (url, KEY)
    assert output(host=url).secrets == (url,)


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": "https://shop.example.com/ask?token=x"}, "https://shop.example.com/ask?token=x"),
        ({"host": " https://shop.example.com/ask\n"}, "https://shop.example.com/ask"),
        ({"host": "shop.example.com", "schema": "ask", "port": 8443}, "https://shop.example.com:8443/ask"),
        ({"conn_type": "http", "host": "shop.example.com", "schema": "https"}, "https://shop.example.com"),
        ({"extra": {"interaction_callback_url": "https://shop.example.com/a"}}, "https://shop.example.com/a"),
    ],
)
def test_the_url_that_is_asked_for_interactions(
    fields: dict[str, Any], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ASK", json.dumps({"conn_type": "generic"} | fields))
    assert interaction_url("ask") == url


def test_without_interactions_nothing_is_read() -> None:
    assert interaction_url(None) is None


def test_an_interaction_url_as_connection_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "https://shop.example.com:8443/ask?token=abc"
    monkeypatch.setenv("AIRFLOW_CONN_ASK", uri)
    assert interaction_url("ask") == uri


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"host": f"rtmp://push.example.com/{KEY}"},
            "holds an RTMP URL, which is an output: name it in output_conn_ids",
        ),
        ({"conn_type": "rtmp", "host": "rtmps://push.example.com"}, "holds an RTMP URL"),
        ({}, "holds no address"),
        ({"host": f"ftp://shop.example.com/{KEY}"}, "holds no address"),
        ({"host": f"https://[fake/{KEY}"}, "holds no address"),
        ({"host": f"https://shop.example.com/ {KEY}"}, "holds an address with a blank"),
    ],
)
def test_an_interaction_connection_that_holds_something_else(
    fields: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ASK", json.dumps({"conn_type": "generic"} | fields))
    with pytest.raises(
        InvalidConnectionError, match=f"interaction_conn_id: connection 'ask' {words}"
    ) as error:
        interaction_url("ask")
    assert KEY not in str(error.value)


def test_a_connection_that_is_not_there_is_named_with_its_argument() -> None:
    with pytest.raises(MissingConnectionError, match=r"^output_conn_ids: there is no connection 'absent'"):
        rtmp_outputs(["absent"])
    with pytest.raises(
        MissingConnectionError, match=r"^interaction_conn_id: there is no connection 'absent'"
    ):
        interaction_url("absent")
