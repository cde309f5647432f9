"""Run the receiver of callbacks in a thread, as Airflow's API server has it."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.receiver.app import create_app


@contextmanager
def receiving() -> Iterator[None]:
    """Take callbacks at 127.0.0.1, with a secret of our own, into the metadata database of this process."""
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_BASE_URL", f"http://127.0.0.1:{listener.getsockname()[1]}")
        patch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_SECRETS", secrets.token_urlsafe(32))
        # No worker process has to end first.
        patch.setenv("AIRFLOW__SMARTLIVE__RESUME_DELAY", "1")
        settings.forget_secrets()
        app = Starlette(routes=[Mount("/smartlive", create_app())])
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="smartlive-callbacks", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            server.should_exit = True
            thread.join()
            settings.forget_secrets()
