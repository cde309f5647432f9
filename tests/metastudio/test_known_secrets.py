"""A secret of the request is taken out of a text however the text repeats it."""

from __future__ import annotations

import base64
import html
import json
import time
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_smartlive.metastudio.known_secrets import without_secrets
from airflow_provider_smartlive.metastudio.text import safe_text

KEY = "qz7/Wx&9k+Lm3_Pv=Tj5"


def _every_character(pattern: str):
    return lambda text: "".join(pattern.format(ord(char)) for char in text)


def _full_width(text: str) -> str:
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


ENCODINGS = {
    "plain": lambda text: text,
    "percent": lambda text: quote(text, safe=""),
    "percent, small": lambda text: _every_character("%{:02x}")(text),
    "percent twice": lambda text: quote(quote(text, safe=""), safe=""),
    "every character by percent": _every_character("%{:02X}"),
    "entities": html.escape,
    "hexadecimal entities": _every_character("&#x{:x};"),
    "decimal entities": _every_character("&#{};"),
    "JSON": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "JSON escapes": _every_character("\\u{:04x}"),
    "large letters": str.upper,
    "small letters": str.lower,
    "cut": lambda text: text[3:],
}
LAST = {
    "plain": lambda text: text,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 within": lambda text: base64.b64encode(
        f"rtmp://push.example.com/live/{text}?a=1".encode()
    ).decode(),
    "base64 by percent": lambda text: quote(base64.b64encode(text.encode()).decode(), safe=""),
    "hex": lambda text: text.encode().hex(),
    "full width": _full_width,
    "zero width": "\u200b".join,
    "control": "\x01".join,
    "a line break": lambda text: f"{text[:7]}\r\n{text[7:]}",
}


@pytest.mark.parametrize("encoding", {**ENCODINGS, **LAST})
@pytest.mark.parametrize("around", ["{}", "no stream {} here", "rtmp: live/{}/x", "a{}b", "推流{}失败"])
def test_a_secret_is_taken_out_in_every_encoding(encoding: str, around: str) -> None:
    told = {**ENCODINGS, **LAST}[encoding](KEY)
    # What is encoded before and after the secret stays.
    assert encoding == "base64 within" or _hidden(without_secrets(around.format(told), [KEY]), around)
    assert not _left(safe_text(around.format(told), secrets=[KEY]), told)


def _hidden(shown: str, around: str) -> bool:
    """Tell whether nothing is left but what stood around, and a few last characters, as of base64."""
    before, _, after = around.partition("{}")
    return (
        shown.startswith(f"{before}***")
        and shown.endswith(after)
        and len(shown) <= len(before + after) + 3 + 8
    )


def _left(shown: str, told: str) -> set[str]:
    """Return what is left of a spelling."""
    return {told[at : at + 12] for at in range(len(told) - 11) if told[at : at + 12] in shown}


#: Of random characters; one in three is a digit, as letters alone may be words.
KEYS = st.lists(
    st.tuples(
        st.sampled_from("ABCDEFGHJKLMabcdefghjkm"),
        st.sampled_from("NPQRSTUVWXYZnpqrstuvwxyz/+&=_-.~!$"),
        st.sampled_from("0123456789"),
    ).map("".join),
    min_size=4,
    max_size=14,
).map("".join)


@settings(max_examples=300, deadline=None)
@given(
    KEYS,
    st.lists(st.sampled_from(sorted(ENCODINGS)), max_size=3),
    st.sampled_from(["plain", "full width", "zero width"]),
)
@example("A/1B+2C&3D=4", ["percent", "JSON escapes", "entities"], "full width")
def test_no_chain_of_encodings_hides_a_secret(key: str, chain: list[str], last: str) -> None:
    told = key
    for name in sorted(chain, key=lambda name: name != "cut"):
        told = ENCODINGS[name](told)
    told = LAST[last](told)
    assert _hidden(without_secrets(f"(({told}))", [key]), "(({}))")


@settings(max_examples=200, deadline=None)
@given(
    KEYS,
    st.integers(0, 3),
    st.sampled_from(["base64", "base64 for URLs", "base64 within", "base64 by percent", "hex"]),
)
def test_coded_parts_of_a_secret_are_taken_out(key: str, cut: int, last: str) -> None:
    told = LAST[last](key[cut:])
    shown = without_secrets(told, [key])
    assert "***" in shown
    for left in shown.split("***"):
        # At either end, up to two characters of the key share a digit of base64 with what stands beside it.
        assert len(left) < 10 or last == "base64 within"
    for start in range(len(key) - 5):
        piece = key[start : start + 6]
        assert piece not in shown
        assert piece.encode().hex() not in shown
        assert piece.encode() not in _decoded(shown)


def _decoded(text: str) -> bytes:
    """Return what is left of base64, decoded at every offset."""
    found = b""
    for run in text.replace("-", "+").replace("_", "/").split("***"):
        for at in range(4):
            part = "".join(char for char in run if char.isalnum() or char in "+/")[at:]
            found += b"|" + base64.b64decode(part[: len(part) // 4 * 4])
    return found


@pytest.mark.parametrize(
    "text",
    [
        "MSS.20010045: the room does not exist.",
        "Access key of the request is locked at 2026-11-28T12:00:00Z",
        "job 26f06524-4f75-4b3a-a853-b649a21aaf66 is over: 100%25 of the quota &amp; more",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert without_secrets(text, [KEY, "k1", "rtmp://push.example.com/live", None, ""]) == text


@pytest.mark.parametrize(
    "piece", ["%", "%25", "&#", "&amp;", "\\", "\\u005c", "&amp;#x25;", KEY[:5], KEY, "\u200b", "\ufdfa"]
)
def test_the_work_is_bounded(piece: str) -> None:
    started = time.process_time()
    safe_text((piece * 64_000)[:64_000], secrets=[KEY, f"rtmp://push.example.com/live/{KEY}", "x" * 1024])
    assert time.process_time() - started < 2


def test_zeros_of_a_secret_are_no_part_of_an_error_code() -> None:
    assert (
        without_secrets("MSS.00000004: Internal Error", ["fake0000000000000key"])
        == "MSS.00000004: Internal Error"
    )
