"""
One Airflow home for the whole test run, set before anything imports Airflow.

Tests that need a database ask for one; tests that start real processes give them their own home.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

#: Fixtures of more than one folder.
pytest_plugins = ("tests.metadata_database", "tests.figures")

#: Obviously fake, and long enough for the receiver to accept it.
FAKE_CALLBACK_SECRET = "fake-callback-secret-for-tests-only-0001"

_HOME = tempfile.TemporaryDirectory(prefix="smartlive-tests-")
HOME = Path(_HOME.name)

os.environ.update(
    {
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(HOME / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # A fixed key, because tasks and triggers of one test run must be able to read each other.
        "AIRFLOW__CORE__FERNET_KEY": "ZmFrZS1mZXJuZXQta2V5LWZvci10ZXN0cy1vbmx5MDA=",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME / 'airflow.db'}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(HOME / "logs"),
        "AIRFLOW__SMARTLIVE__CALLBACK_SECRETS": FAKE_CALLBACK_SECRET,
        "AIRFLOW__SMARTLIVE__CALLBACK_BASE_URL": "https://airflow.example.com",
    }
)


@pytest.fixture(autouse=True)
def _fresh_settings() -> None:
    """Let no test see the callback secrets of another. Pure tests do not pay for importing Airflow here."""
    if settings := sys.modules.get("airflow_provider_smartlive.settings"):
        settings.forget_secrets()


@pytest.fixture
def plain_settings(monkeypatch: pytest.MonkeyPatch, _fresh_settings: None) -> None:
    """Restore the settings above: a receiver that runs for the whole session has its own secret, address and delay."""
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_SECRETS", FAKE_CALLBACK_SECRET)
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_BASE_URL", "https://airflow.example.com")
    monkeypatch.delenv("AIRFLOW__SMARTLIVE__RESUME_DELAY", raising=False)
