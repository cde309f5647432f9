"""A metadata database of the tests' own, in the place of the one that Airflow is configured for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from airflow import settings as airflow_settings
from airflow.utils.db import initdb

#: Its variables are set while it runs, so types do not tell what they hold.
settings: Any = airflow_settings

#: What Airflow keeps of the database that it is connected to.
_GLOBALS = (
    "SQL_ALCHEMY_CONN",
    "SQL_ALCHEMY_CONN_ASYNC",
    "DAGS_FOLDER",
    "PLUGINS_FOLDER",
    "engine",
    "Session",
    "NonScopedSession",
    "async_engine",
    "AsyncSession",
)


def create(folder: Path) -> None:
    """Make the database in a folder; takes seconds."""
    with connected(folder):
        initdb()


@contextmanager
def connected(folder: Path) -> Iterator[None]:
    """
    Let this process use the database in a folder, and nothing of the configured one.

    Afterwards everything is as it was: engines and sessions that somebody else has open are left alone.
    """
    file = folder / "airflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{file}")
        patch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC", f"sqlite+aiosqlite:///{file}")
        for name in _GLOBALS:
            patch.setattr(settings, name, getattr(settings, name, None), raising=False)
        settings.configure_vars()
        settings.configure_orm()
        try:
            yield
        finally:
            settings.Session.remove()
            settings.engine.dispose()
            settings.async_engine.sync_engine.dispose()
