"""
One Airflow home for the whole test run, set before anything imports Airflow.

Tests that need a database ask for one; tests that start real processes give them their own home.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.support.left_behind import RUN, end_processes_of_run

# On a busy machine one example may take any time; what is slow by itself runs into the test's own limit.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

#: Fixtures of more than one folder.
pytest_plugins = (
    "tests.support.database",
    "tests.support.figures",
    "tests.support.fixtures",
)

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
        # Of what tests install, Python compiles what is imported; the Makefile has uv compile all of it.
        "UV_COMPILE_BYTECODE": "0",
    }
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give every worker of xdist whole modules, and all those together that share a started Airflow."""
    from tests.support.scheduler import GroupScheduling

    return GroupScheduling(config, log)


def pytest_configure(config: pytest.Config) -> None:
    """Mark all processes that come of this one, so that they are known if a worker leaves them behind."""
    if not hasattr(config, "workerinput"):
        os.environ[RUN] = uuid.uuid4().hex


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what workers left behind: xdist gives one that is interrupted 15 s, one that crashes none."""
    if config.pluginmanager.hasplugin("dsession"):
        end_processes_of_run()


#: The place of a test in the order of the files.
_PLACE = pytest.StashKey[int]()
_places = itertools.count()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Note the order of the files, before pytest-randomly shuffles it."""
    item.stash[_PLACE] = next(_places)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Begin with what waits longest, so that what only computes is run meanwhile, by another worker.

    Tests that start processes run in the order of the files: what they share (an Airflow, its database, a browser) is
    started once and used by one after the other, and a failure that takes half an hour has to come about again.
    """
    from tests.support.scheduler import rank

    def place(item: pytest.Item) -> int:
        return item.stash[_PLACE] if item.get_closest_marker("processes") else 0

    items.sort(key=lambda item: (rank(item), place(item)))


@pytest.fixture(autouse=True)
def _fresh_process() -> Iterator[None]:
    """
    Leave the process to the next test as if it were the first, whatever the order.

    What is kept for a whole process is forgotten: callback secrets, IAM tokens, and what Airflow masks: that grows, and
    would turn words of another test into asterisks. A test that leaves a supervisor behind fails: the next one would be
    taken for its task, whose connections it would get. Pure tests do not pay for importing Airflow here.
    """
    yield
    if settings := sys.modules.get("airflow_provider_smartlive.settings"):
        settings.forget_secrets()
    if tokens := sys.modules.get("airflow_provider_smartlive.client.tokens"):
        tokens.TOKENS._tokens.clear()
    for package in ("airflow", "airflow.sdk"):
        if masker := sys.modules.get(f"{package}._shared.secrets_masker"):
            masker.reset_secrets_masker()
    if runner := sys.modules.get("airflow.sdk.execution_time.task_runner"):
        left = vars(runner).pop("SUPERVISOR_COMMS", None)
        assert left is None, "the test has left its supervisor behind"


@pytest.fixture
def plain_settings(monkeypatch: pytest.MonkeyPatch, _fresh_process: None) -> None:
    """Restore the settings above: a receiver that runs for the whole session has its own secret, address and delay."""
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_SECRETS", FAKE_CALLBACK_SECRET)
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_BASE_URL", "https://airflow.example.com")
    monkeypatch.delenv("AIRFLOW__SMARTLIVE__RESUME_DELAY", raising=False)
