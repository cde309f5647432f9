"""The connection of the hooks' tests."""

from __future__ import annotations

from collections.abc import Callable

CONN_ID = "smartlive_test"
PROJECT_ID = "fake0project0id"

#: The variable of ``[smartlive] request_timeout``.
REQUEST_TIMEOUT = "AIRFLOW__SMARTLIVE__REQUEST_TIMEOUT"

Connect = Callable[..., None]
