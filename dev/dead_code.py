"""
``python -m dev.dead_code``, which ``make lint`` runs: names that nothing uses, but for those that are listed here.

What only tests use is unused in the provider, but not in ``dev``. Fields and members of enums are left out: whoever
reads MetaStudio's answers, or Airflow, uses them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from vulture import Vulture
from vulture.core import Item

PROJECT = Path(__file__).parents[1]

#: What others use, and who that is.
ALLOWED = {
    # Airflow
    "SmartLivePlugin": "the entry point airflow.plugins",
    "get_provider_info": "the entry point apache_airflow_provider",
    "fastapi_apps": "AirflowPlugin",
    "fastapi_root_middlewares": "AirflowPlugin",
    "get_link": "BaseOperatorLink",
    "execute_complete": "the method in which a deferred task goes on",
    "execute_check": "the same, before the check of a campaign",
    "tell_overdue": "the triggerer, by its path, for a deadline alert",
    "get_openlineage_facets_on_start": "OpenLineage's listener",
    "get_openlineage_facets_on_complete": "OpenLineage's listener",
    "get_openlineage_facets_on_failure": "OpenLineage's listener",
    "_get_schema": "OpenLineage's facets",
    "shared_stream_key": "BaseEventTrigger",
    "create_shared_stream_producer": "BaseEventTrigger",
    "filter_shared_stream": "BaseEventTrigger",
    "open_stream": "SharedStreamProducer",
    "get_commands": "read by Airflow's command line",
    "stop_jobs": "a subcommand, imported by its path",
    "lint": "a subcommand, imported by its path",
    "print_schema": "a subcommand, imported by its path",
    "get_conn": "HttpHook, of which SmartLiveHook is one",
    "run_and_check": "HttpHook, of which SmartLiveHook is one",
    "asend": "CommsDecoder, which the triggerer of the tests replaces",
    "BenchPlugin": "a plugin of the benchmark's Airflow",
    "IdleTrigger": "a trigger of the benchmark's DAGs, loaded by its path",
    # libraries
    "cert_verify": "requests.HTTPAdapter",
    "capture_signals": "uvicorn.Server",
    "run_in_executor": "asyncio's event loop",
    # whoever tests DAGs, as docs/sandbox.md and docs/rtc.md say
    "smartlive_connection": "a fixture",
    "smartlive_run_dag": "a fixture",
    "ManualClock": "docs/sandbox.md",
    "advance": "of ManualClock, and of SharedStreamProducer",
    "add_room": "of the fixture smartlive_sandbox",
    "clear_faults": "of the fixture smartlive_sandbox",
    "RtcMessage": "docs/rtc.md",
}


def unused(*folders: str) -> dict[str, str]:
    """
    Return what is used nowhere in some folders, with where it stands.

    :param folders: below the project.
    """
    vulture = Vulture(ignore_decorators=["@field_validator", "@model_validator", "@model_serializer"])
    vulture.scavenge([str(PROJECT / folder) for folder in folders])
    return {
        item.name: f"{item.filename.relative_to(PROJECT)}:{item.first_lineno}: {item.message}"
        for item in vulture.get_unused_code()
        if item.typ not in ("attribute", "variable") or (item.typ == "variable" and _is_global(item))
    }


def _is_global(item: Item) -> bool:
    line: str = item.filename.read_text(encoding="utf-8").splitlines()[item.first_lineno - 1]
    return line.startswith((f"{item.name} ", f"{item.name}:"))


def main() -> int:
    """Print what is unused and what is listed for nothing, and return how many that are."""
    found = unused("airflow_provider_smartlive", "dev", "dags")
    tested = unused("airflow_provider_smartlive", "dev", "dags", "tests")
    dead = [
        where
        for name, where in found.items()
        if name not in ALLOWED and (name in tested or not where.startswith("dev/"))
    ]
    stale = [f"dev/dead_code.py: {name!r} is used, or gone" for name in ALLOWED if name not in found]
    print("\n".join([*dead, *stale]) or "No dead code.")
    return len(dead) + len(stale)


if __name__ == "__main__":
    sys.exit(main())
