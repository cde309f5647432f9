"""Random requests, signed by us and by Huawei's own signer: byte for byte the same."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_smartlive.metastudio.signing import DATE_FORMAT, Credentials, sign, verify

EXAMPLES = 2000

#: Each class must be in the sample at least so often, or the comparison proves too little.
AT_LEAST = 50

# Few letters, but all that are treated in different ways: equal and neighbouring names become likely.
LETTERS = st.sampled_from(
    [*"aB3", *"-_.~", *" ,:;+&=/?#%@!$'()*[]\"\\|<>^`{}\t\n", "\x00", "é", "夜", "🎬", "\u00a0"]
)
TEXT = st.text(LETTERS, max_size=8)
ANY_TEXT = st.one_of(TEXT, st.text(st.characters(codec="utf-8"), max_size=12))
NAMES = st.text(st.sampled_from("abXY09-_"), min_size=1, max_size=6).map("X-".__add__)
# A header holds no line breaks and no other control characters.
HEADER_VALUES = st.one_of(
    st.text(st.sampled_from("ab  ,;=é夜"), max_size=8),
    st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=12),
)
HEADERS = st.lists(
    st.tuples(NAMES, HEADER_VALUES), max_size=4, unique_by=lambda header: header[0].lower()
).map(dict)
QUERY_VALUES = st.one_of(ANY_TEXT, st.lists(ANY_TEXT, max_size=4), st.booleans(), st.integers(0, 10**6))
SEGMENTS = st.builds(quote, ANY_TEXT, safe=st.sampled_from(["", "!$&'()*+,;=:@"]))
HOSTS = st.sampled_from(
    ["metastudio.example.com", "METASTUDIO.example.com", "127.0.0.1:8443", "h.example.com:80", "[::1]:9000"]
)
CONTENT_TYPES = st.sampled_from(
    [None, "application/json", "application/json;charset=utf8", "application/bson", "text/plain"]
)


@dataclass
class Drawn:
    """A request in the SDK's terms."""

    method: str
    host: str
    path: str
    query: list[tuple[str, Any]]
    headers: dict[str, str]
    body: bytes
    token: str | None
    now: datetime

    def classes(self) -> dict[str, bool]:
        """The classes of requests, and whether this is one of each."""
        flat = [text for name, value in self.query for text in (name, *_texts(value))]
        return {
            "escapes in the path": "%" in self.path,
            "escapes in the query": any(quote(text, safe="~") != text for text in flat),
            "unicode in the query": any(not text.isascii() for text in flat),
            "unicode in the path": "%C3" in self.path or "%E5" in self.path or "%F0" in self.path,
            "unicode in a header": any(not value.isascii() for value in self.headers.values()),
            "unicode in the body": any(byte > 127 for byte in self.body),
            "repeated keys": any(isinstance(value, list) and len(value) > 1 for _, value in self.query)
            or len({name for name, _ in self.query}) < len(self.query),
            "empty values": any(value == "" for _, value in self.query),
            "empty names": any(name == "" for name, _ in self.query),
            "booleans": any(isinstance(value, bool) for _, value in self.query),
            "no query": not self.query,
            "commas or colons": any("," in text or ":" in text for text in flat),
            "plus or space": any("+" in text or " " in text for text in flat),
            "slash inside a segment": "%2F" in self.path,
            "trailing slash": self.path.endswith("/"),
            "security token": self.token is not None,
            "port": self.host[-1].isdigit() and ":" in self.host,
            "empty body": not self.body,
            "unsigned payload": self.headers.get("Content-Type") == "text/plain",
            "header left out": any("_" in name for name in self.headers),
            "header with outer blanks": any(value != value.strip() for value in self.headers.values()),
        }


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value if isinstance(value, list) else []


@st.composite
def queries(draw: st.DrawFn) -> list[tuple[str, Any]]:
    pairs = draw(st.lists(st.tuples(ANY_TEXT, QUERY_VALUES), max_size=5, unique_by=lambda pair: pair[0]))
    # A name may also come in several pairs; the SDK can then only order texts.
    repeated = draw(st.lists(st.tuples(st.just("again"), ANY_TEXT), max_size=3))
    return [pair for pair in pairs if pair[0] != "again"] + repeated


@st.composite
def requests(draw: st.DrawFn) -> Drawn:
    headers = draw(HEADERS)
    content_type = draw(CONTENT_TYPES)
    if content_type is not None:
        headers["Content-Type"] = content_type
    return Drawn(
        method=draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "post"])),
        host=draw(HOSTS),
        path="/" + "/".join(draw(st.lists(SEGMENTS, max_size=4))),
        query=draw(queries()),
        headers=headers,
        body=draw(st.one_of(st.just(b""), st.binary(max_size=40), ANY_TEXT.map(str.encode))),
        token=draw(st.none() | st.text(st.sampled_from("fakeTOKEN09+/="), min_size=1)),
        now=draw(st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))),
    )


def sdk_signed(drawn: Drawn, pair: Credentials) -> SdkRequest:
    headers = {**drawn.headers, "X-Sdk-Date": drawn.now.strftime(DATE_FORMAT)}
    if drawn.token is not None:
        headers["X-Security-Token"] = drawn.token
    query = [(name, list(value) if isinstance(value, list) else value) for name, value in drawn.query]
    request = SdkRequest(
        drawn.method, "https", drawn.host, drawn.path, None, query, headers, drawn.body or None
    )
    return Signer(BasicCredentials(pair.access_key, pair.secret_key)).sign(request)


@pytest.mark.no_cover
def test_2000_random_requests_are_signed_as_by_the_sdk() -> None:
    compared = 0
    seen: Counter[str] = Counter()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(drawn=requests())
    def compare(drawn: Drawn) -> None:
        pair = Credentials("FAKEACCESSKEY", "fake-secret-key", drawn.token)
        theirs = sdk_signed(drawn, pair)
        url = f"https://{drawn.host}{theirs.uri}"  # the URL as the SDK puts it on the wire
        added = sign(drawn.method, url, drawn.headers, drawn.body, credentials=pair, now=drawn.now)
        ours = {**drawn.headers, **added}
        assert {name.lower() for name in ours} == {name.lower() for name in theirs.header_params}
        for name, value in ours.items():
            assert value.strip().encode() == theirs.header_params[name].encode("latin-1"), name
        known = {pair.access_key: pair.secret_key}
        assert verify(drawn.method, url, ours, drawn.body, secret_key_for=known.get, now=drawn.now)
        nonlocal compared
        compared += 1
        seen.update({name: int(is_one) for name, is_one in drawn.classes().items()})

    compare()

    assert compared == EXAMPLES
    assert len(seen) == 21
    assert {name: count for name, count in seen.items() if count < AT_LEAST} == {}
