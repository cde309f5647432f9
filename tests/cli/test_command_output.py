"""Tables, durations and text from outside, as commands print them."""

from __future__ import annotations

import io
import sys

import pytest

from airflow_provider_smartlive.cli.output import duration, plural, say, table


def test_columns_are_as_wide_as_their_widest_value() -> None:
    shown = table(("room", "on_air"), [{"room": "shoes", "on_air": "0:10:00"}, {"room": "今晚"}])
    assert shown.splitlines() == ["ROOM   ON AIR", "shoes  0:10:00", "今晚   -"]


def test_a_table_without_rows_is_its_header() -> None:
    assert table(("room",), []) == "ROOM"


def test_no_value_breaks_a_line() -> None:
    assert table(("name",), [{"name": "a\nb\x1b[2J\u202ec\u2028d"}]).count("\n") == 1


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, None), (0, "0:00:00"), (59.6, "0:01:00"), (3600 * 30 + 61, "30:01:01")]
)
def test_durations(seconds: float | None, text: str | None) -> None:
    assert duration(seconds) == text


def test_counts() -> None:
    assert [plural(count, "job") for count in (0, 1, 2)] == ["0 jobs", "1 job", "2 jobs"]


def test_what_the_terminal_cannot_show_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    say("今晚")
    assert raw.getvalue() == b"\\u4eca\\u665a\n"
