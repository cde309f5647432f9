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
        ("rtmps://push.example.com:443/a/b/c?secret=fake", "rtmps://push.example.com:443/a/b/***"),
        ("rtmp://user:fake@push.example.com/live/x#fake", "rtmp://push.example.com/live/***"),
        ("rtmp://[::1]:1935/live/x", "rtmp://[::1]:1935/live/***"),
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
