"""The Airflow plugin: puts receiver and board into the API server, and imports neither elsewhere."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow.sdk.plugins_manager import AirflowPlugin


class SmartLivePlugin(AirflowPlugin):
    """Mounts the callback receiver at ``/smartlive`` in Airflow's API server, and shows the board in its UI."""

    name = "smartlive"

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # declared as a plain attribute
        """
        Return the receiver.

        A property, because Airflow imports every plugin in every process: workers, the triggerer and the scheduler
        never read it, and so never pay for FastAPI and the database layer.
        """
        from airflow_provider_smartlive.receiver.mount import receiver_app

        return [receiver_app(), *self._board_apps()]

    @property
    def fastapi_root_middlewares(self) -> list[dict[str, Any]]:  # type: ignore[override]  # as above
        """Return what keeps misspelt callback URLs, which hold tokens, out of Airflow's access log."""
        from airflow_provider_smartlive.receiver.hidden_paths import NearMiss

        return [{"name": "smartlive callbacks", "middleware": NearMiss}]

    @cached_property
    def react_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # declared as a plain attribute
        """Return the page and the tab of the board; nothing if ``[smartlive] board`` is off."""
        from airflow_provider_smartlive.board.declaration import react_apps

        return react_apps()

    def _board_apps(self) -> list[dict[str, Any]]:
        if not self.react_apps:
            return []
        from airflow_provider_smartlive.board.app import board_app

        return [board_app()]
