"""
The golden folders: what Huawei's SDK makes of a request, recorded by ``dev/signing_golden.py``.

Each folder holds ``request`` (as on the wire), ``canonical-request``, ``string-to-sign``, ``authorization``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from airflow_provider_smartlive.metastudio.signing import (
    DATE_FORMAT,
    Credentials,
    canonical_request,
    sign,
    string_to_sign,
    verify,
)

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(folder.name for folder in GOLDEN.iterdir())
PAIR = Credentials("QTWAOYTTINDUT2QVKYUC", "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc")


class Golden(NamedTuple):
    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    date: str


def read(case: str) -> Golden:
    head, _, body = (GOLDEN / case / "request").read_bytes().partition(b"\n\n")
    first, *lines = head.decode().split("\n")
    method, target, _ = first.split(" ")
    headers = {}
    for line in lines:
        name, _, value = line.partition(": ")
        headers[name] = value
    return Golden(method, f"https://{headers.pop('Host')}{target}", headers, body, headers.pop("X-Sdk-Date"))


def expected(case: str, name: str) -> str:
    return (GOLDEN / case / name).read_bytes().decode()


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 25


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    golden = read(case)
    now = datetime.strptime(golden.date, DATE_FORMAT).replace(tzinfo=UTC)
    added = sign(golden.method, golden.url, golden.headers, golden.body, credentials=PAIR, now=now)
    headers = {**golden.headers, **added}
    names = expected(case, "authorization").partition("SignedHeaders=")[2].partition(",")[0].split(";")

    canonical = canonical_request(golden.method, golden.url, headers, golden.body, names)
    assert canonical == expected(case, "canonical-request")
    assert string_to_sign(canonical, golden.date) == expected(case, "string-to-sign")
    assert added["Authorization"] == expected(case, "authorization")

    known = {PAIR.access_key: PAIR.secret_key}
    access_key = verify(golden.method, golden.url, headers, golden.body, secret_key_for=known.get, now=now)
    assert access_key == PAIR.access_key
