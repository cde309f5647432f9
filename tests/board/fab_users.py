"""
Makes users with roles of Airflow's FAB auth manager.

Runs in the environment of an Airflow that has it: ``python -m tests.board.fab_users``.
"""

from __future__ import annotations

from airflow.providers.fab.auth_manager.cli_commands.utils import (  # type: ignore[import-not-found]  # not ours
    get_application_builder,
)

#: What the board reads, apart from DAGs.
READS = (
    ("can_read", "Plugins"),
    ("menu_access", "Plugins"),
    ("can_read", "DAG Runs"),
    ("can_read", "Task Instances"),
    ("can_read", "XComs"),
    ("can_read", "Website"),
)


def make_users() -> None:
    """Make ``op`` and ``viewer`` (roles of Airflow), ``afternoon`` (reads one DAG) and ``stranger`` (reads none)."""
    with get_application_builder() as builder:
        manager = builder.sm
        manager.sync_roles()
        roles = {"op": manager.find_role("Op"), "viewer": manager.find_role("Viewer")}
        for name, dag_ids in (("afternoon", ["afternoon_shows"]), ("stranger", [])):
            roles[name] = manager.add_role(name)
            for action, resource in (*READS, *(("can_read", f"DAG:{dag_id}") for dag_id in dag_ids)):
                manager.add_permission_to_role(roles[name], manager.create_permission(action, resource))
        for name, role in roles.items():
            assert manager.add_user(name, name, name, f"{name}@example.com", role, name)


if __name__ == "__main__":
    make_users()
