"""An output of the rooms of tests."""

from __future__ import annotations

import pytest

CHANNELS = ("channel", "channel_2")


@pytest.fixture
def channels(smartlive_connection: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections to a MetaStudio and to outputs."""
    for name in CHANNELS:
        monkeypatch.setenv(
            f"AIRFLOW_CONN_{name.upper()}",
            f'{{"host": "rtmp://push.example.com/live/{name}", "password": "fake-stream-key"}}',
        )
