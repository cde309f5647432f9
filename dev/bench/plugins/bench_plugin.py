"""
A receiver that does nothing but what the database needs: one row lock, one upsert, one commit.

The limit for what a receiver can take on this machine: no token, no signature, no parsing, no table, no wake-up.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk.plugins_manager import AirflowPlugin


class BenchPlugin(AirflowPlugin):
    """Mounts it at ``/bench`` in the API server."""

    name = "smartlive_bench"

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # declared as a plain attribute
        """Return the app; only the API server asks for it."""
        from dev.bench.bare import create_app

        return [{"name": "bench", "app": create_app(), "url_prefix": "/bench"}]
