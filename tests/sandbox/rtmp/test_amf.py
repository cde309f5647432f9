from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_smartlive.sandbox.rtmp import amf

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
SCALARS = st.one_of(st.none(), st.booleans(), st.floats(allow_nan=False), TEXT)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(TEXT.filter(bool), inner, max_size=4)
    ),
    max_leaves=8,
).filter(lambda value: _depth(value) < amf.MAX_AMF_DEPTH)


def _depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


@given(st.lists(VALUES, max_size=5))
def test_what_was_encoded_is_decoded(values: list[amf.Value]) -> None:
    assert amf.decode(amf.encode(*values)) == values


@given(st.lists(VALUES, min_size=1, max_size=3), st.data())
def test_bytes_that_end_early_are_an_error_or_a_shorter_list(
    values: list[amf.Value], data: st.DataObject
) -> None:
    whole = amf.encode(*values)
    part = whole[: data.draw(st.integers(0, len(whole) - 1))]
    try:
        decoded = amf.decode(part)
    except amf.AmfError:
        return
    assert decoded == values[: len(decoded)]
    assert len(decoded) < len(values)


@given(st.binary(max_size=400))
def test_garbage_raises_nothing_else(garbage: bytes) -> None:
    with contextlib.suppress(amf.AmfError):
        amf.decode(garbage)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        pytest.param(b"\x05", None, id="null"),
        pytest.param(b"\x06", None, id="undefined"),
        pytest.param(b"\x01\x01", True, id="true"),
        pytest.param(b"\x00\x40\x45\x00\x00\x00\x00\x00\x00", 42.0, id="number"),
        pytest.param(b"\x0b" + struct.pack(">dH", 1e12, 0), 1e12, id="date"),
        pytest.param(b"\x02\x00\x07connect", "connect", id="text"),
        pytest.param(b"\x0c\x00\x00\x00\x02ok", "ok", id="long text"),
        pytest.param(b"\x03\x00\x03app\x02\x00\x04live\x00\x00\x09", {"app": "live"}, id="object"),
        pytest.param(
            b"\x08\x00\x00\x00\x09\x00\x01a\x05\x00\x00\x09", {"a": None}, id="array with a wrong count"
        ),
        pytest.param(b"\x10\x00\x01C\x00\x01a\x05\x00\x00\x09", {"a": None}, id="typed object"),
    ],
)
def test_the_wire_format(data: bytes, value: amf.Value) -> None:
    assert amf.decode(data) == [value]


def test_a_text_beyond_64_kilobytes_survives() -> None:
    assert amf.decode(amf.encode("x" * 70_000)) == ["x" * 70_000]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        pytest.param(b"\x0a\xff\xff\xff\xff\x05", "more elements than there are bytes", id="huge array"),
        pytest.param(b"\x0a\x00\x00\x00\x01" * 50 + b"\x05", "deeper than", id="nested"),
        pytest.param(b"\x03\x00\x01a" * 50, "deeper than", id="nested objects"),
        pytest.param(b"\x02\x00\x02\xff\xfe", "not UTF-8", id="no text"),
        pytest.param(b"\x07\x00\x00", "0x07", id="reference"),
        pytest.param(b"\x02\x00\x09secret", "end in the middle", id="short"),
    ],
)
def test_errors_name_the_problem_and_never_the_content(data: bytes, problem: str) -> None:
    with pytest.raises(amf.AmfError, match=problem) as caught:
        amf.decode(data)
    assert "secret" not in str(caught.value)
