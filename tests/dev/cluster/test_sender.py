"""What the soak calls back."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice

from dev.cluster.sender import MIX, requests

STREAMS = [
    {
        "url": f"https://10.77.0.5:8443/smartlive/{number}",
        "key": "fake-callback-key",
        "room": "r",
        "job": f"j{number}",
    }
    for number in range(3)
]


def test_the_mix() -> None:
    found = Counter(kind for kind, _ in islice(requests(STREAMS), 10 * MIX))
    assert found["badly signed"] == found["repeated"] == 10
    assert found["link"] == 20
    assert found["script"] == 10 * MIX - 40


def test_no_two_are_the_same_but_a_repetition() -> None:
    sent = [request for kind, request in islice(requests(STREAMS), MIX) if kind in ("script", "repeated")]
    bodies = Counter(body for _, _, body in sent)
    assert sorted(bodies.values())[-2:] == [1, 2]
    assert all("event_type" in json.loads(body) for body in bodies)
