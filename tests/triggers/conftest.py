"""Everything in this folder happens in virtual time, on an Airflow in memory."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _in_virtual_time(in_virtual_time: None) -> None:
    """Use the fixture in every test."""
