"""Which tests one worker of pytest-xdist has to run, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    import pytest

SYSTEM = "tests/system/"

#: Modules of ``tests/system`` that share an Airflow, by the fixture of the session that starts it.
SHARED = {
    "stage": (
        "test_board_live.py",
        "test_double_resume_system.py",
        "test_example_dags.py",
        "test_talk_rtc_sweep.py",
        "test_teardown.py",
    ),
    "open_stage": ("test_assets.py", "test_planned_stop_system.py", "test_scheduled_campaign.py"),
}

#: What takes longest, most of which is waiting. In one process the first two share an Airflow as well.
FIRST = (f"{SYSTEM}test_faults.py", f"{SYSTEM}test_fault_transitions.py", "stage")

_GROUPS = {SYSTEM + module: name for name, modules in SHARED.items() for module in modules}


class GroupScheduling(LoadScopeScheduling):
    """
    Gives each worker whole modules, for their fixtures, and all modules that share an Airflow to one worker.

    xdist's own ``loadgroup`` does not: it writes the group behind a test's name in a way that pytest 9.2 does not read.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def group(nodeid: str) -> str:
    """Return the name of what one worker runs as a whole."""
    module = nodeid.partition("::")[0]
    return _GROUPS.get(module, module)


def rank(item: pytest.Item) -> int:
    """Return how early a test begins: what waits longest first, what starts no process last."""
    name = group(item.nodeid)
    if name in FIRST:
        return FIRST.index(name)
    return len(FIRST) + (item.get_closest_marker("processes") is None)
