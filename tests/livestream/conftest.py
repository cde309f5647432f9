"""Everything in this folder happens in virtual time, on an Airflow in memory."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _in_virtual_time(in_virtual_time: None) -> None:
    """Use the fixture in every test."""


@pytest.fixture
def between_file_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each folder be a file system of its own, as ``/tmp`` often is: files can be moved within it only."""
    rename = os.rename

    def within(source: Any, target: Any, **more: Any) -> None:
        if os.path.dirname(source) != os.path.dirname(target):  # noqa: PTH120 - these take texts and paths
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target, **more)

    monkeypatch.setattr(os, "rename", within)
