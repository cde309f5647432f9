"""The connection of the hooks' tests."""

from __future__ import annotations

from collections.abc import Callable

CONN_ID = "smartlive_test"
PROJECT_ID = "fake0project0id"

Connect = Callable[..., None]
