"""The settings of the tenant: what jobs fall back to when neither request nor room says anything."""

from __future__ import annotations

import json
from typing import Any

from airflow_provider_smartlive.sandbox.model.store import StateStore

_KEY = "user-config"


class Tenant:
    """
    ``smart-live-configs/user-config``.

    :param store: where the settings are kept.
    """

    def __init__(self, store: StateStore) -> None:
        self._store = store

    def config(self) -> dict[str, Any]:
        """Return the settings; empty if there are none."""
        config: dict[str, Any] = json.loads(self._store.get("tenant", _KEY) or "{}")
        return config

    def replace(self, config: dict[str, Any]) -> None:
        """Keep new settings."""
        self._store.put("tenant", _KEY, json.dumps(config))
