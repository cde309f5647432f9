"""A secrets backend of a deployment: a file of JSON instead of a vault. Airflow's own processes import it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from airflow.secrets.base_secrets import BaseSecretsBackend


class FileSecrets(BaseSecretsBackend):
    """
    Keeps connections and options of the configuration.

    :param path: the file: ``{"connections": {...}, "config": {...}}``.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = Path(path)

    def get_conn_value(self, conn_id: str, team_name: str | None = None) -> str | None:
        return self._get("connections", conn_id)

    def get_config(self, key: str) -> str | None:
        return self._get("config", key)

    def _get(self, kind: str, name: str) -> str | None:
        kept: dict[str, Any] = json.loads(self._path.read_text())[kind]
        return kept.get(name)
