from __future__ import annotations

import pytest

from airflow_provider_smartlive.metastudio.outputs import describe_output

KEY = b"fake-fingerprint-key"


@pytest.mark.parametrize(
    ("url", "label"),
    [
        ("rtmp://push.example.com/live/fake-stream-key", "rtmp://push.example.com/live/***"),
        ("rtmp://push.example.com/live", "rtmp://push.example.com/***"),
        ("rtmp://push.example.com/live/", "rtmp://push.example.com/***"),
        ("rtmp://push.example.com", "rtmp://push.example.com/***"),
        ("rtmps://push.example.com:443/a/b/c?secret=fake", "rtmps://push.example.com:443/a/***"),
        ("rtmp://user:fake@push.example.com/live/x#fake", "rtmp://push.example.com/live/***"),
        ("rtmp://[::1]:1935/live/x", "rtmp://[::1]:1935/live/***"),
        ("rtmp://push.example.com/live/fake9key/x", "rtmp://push.example.com/live/***"),
        ("rtmp://push.example.com/fake9key/live/x", "rtmp://push.example.com/***"),
        ("rtmp://push.example.com/fake/x", "rtmp://push.example.com/***"),
        ("rtmp://push.example.com/%66ake/x", "rtmp://push.example.com/***"),
        ("rtmp://[::1/live/fake", "***"),
        ("fake-not-a-url", "***"),
        ("", "***"),
    ],
)
def test_label_shows_no_secret(url: str, label: str) -> None:
    assert describe_output(url, "fake", key=KEY).label == label
    assert "fake" not in label


def test_fingerprint_tells_outputs_apart_and_needs_the_key() -> None:
    url = "rtmp://push.example.com/live"
    outputs = {
        describe_output(url, "one", key=KEY),
        describe_output(url, "two", key=KEY),
        describe_output(url, "one", key=b"another"),
        describe_output(f"{url}one", None, key=KEY),
    }
    assert len({output.fingerprint for output in outputs}) == 4
    assert all(len(output.fingerprint) == 12 for output in outputs)
    assert describe_output(url, "one", key=KEY) in outputs
    assert describe_output(url, "", key=KEY) == describe_output(url, None, key=KEY)


def _fingerprint(url: str, stream_key: str | None = None) -> str:
    return describe_output(url, stream_key, key=KEY).fingerprint


@pytest.mark.parametrize(
    ("url", "stream_key"),
    [
        ("rtmp://push.example.com/live/", "fake-key"),
        ("rtmp://push.example.com/live/fake-key", None),
        ("rtmp://push.example.com/live/fake-key/", ""),
        ("rtmp://push.example.com/live/fake-key", "fake-key"),
        ("rtmp://push.example.com:1935/live", "fake-key"),
        ("rtmp://push.example.com:/live", "fake-key"),
        ("RTMP://PUSH.Example.com/live", "/fake-key"),
        ("rtmp://push.example.com./live", "fake-key"),
        ("rtmp://user:fake-password@push.example.com/live", "fake-key"),
        (" rtmp://push.example.com//live ", " fake-key "),
        ("rtmp://push.example.com/live", "fake%2Dkey"),
    ],
)
def test_every_spelling_of_an_output_has_one_fingerprint(url: str, stream_key: str | None) -> None:
    assert _fingerprint(url, stream_key) == _fingerprint("rtmp://push.example.com/live", "fake-key")


@pytest.mark.parametrize(
    ("url", "stream_key"),
    [
        ("rtmp://push.example.com/Live", "fake-key"),
        ("rtmp://push.example.com/live", "Fake-key"),
        ("rtmps://push.example.com/live", "fake-key"),
        ("rtmp://push.example.com:1936/live", "fake-key"),
        ("rtmp://other.example.com/live", "fake-key"),
        ("rtmp://push.example.com/live?vhost=x", "fake-key"),
        ("rtmp://push.example.com/live", None),
    ],
)
def test_other_outputs_have_other_fingerprints(url: str, stream_key: str | None) -> None:
    assert _fingerprint(url, stream_key) != _fingerprint("rtmp://push.example.com/live", "fake-key")


def test_a_query_belongs_to_the_output_on_either_side() -> None:
    assert _fingerprint("rtmp://h.example.com/live", "k?sign=fake") == _fingerprint(
        "rtmp://h.example.com/live/k?sign=fake"
    )
    assert _fingerprint("rtmps://h.example.com:443/a/k") == _fingerprint("rtmps://h.example.com/a", "k")


@pytest.mark.parametrize("url", ["rtmp://[::1/live", "rtmp://h:fake/live", "", "\0", "fake"])
def test_what_is_no_url_still_has_a_fingerprint(url: str) -> None:
    assert _fingerprint(url, "a") != _fingerprint(url, "b")
