"""The receiver as Airflow's API server mounts it."""

from __future__ import annotations

from typing import Any

import structlog

from airflow_provider_smartlive.callbacks.url import MOUNT_PATH
from airflow_provider_smartlive.receiver.app import create_app
from airflow_provider_smartlive.receiver.support import problems

log = structlog.get_logger(__name__)


def receiver_app() -> dict[str, Any]:
    """Return the app and its path, and log what keeps callbacks from being supported here."""
    for problem in problems():
        # Said at start, not by the answer to the first callback.
        log.error("smartlive: callbacks are not supported here", problem=problem)
    return {"name": "smartlive callbacks", "app": create_app(), "url_prefix": MOUNT_PATH}
