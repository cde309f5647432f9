"""
The plans of the receiver's statements on a large PostgreSQL, in the shape of the tables of the installed Airflow.

``python -m dev.bench.statements`` fills a database of its own (100,000 task instances, 1,000,000 XComs of a month,
2,000 deferred tasks), runs each statement of an END once, and prints how PostgreSQL has run it (``FULL=1``: with the
whole plans on stderr). It takes about three minutes, and ends by itself.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

from sqlalchemy import Engine, create_engine, event, insert, text  # noqa: TID251 - a database of its own
from sqlalchemy.orm import Session  # noqa: TID251

from airflow_provider_smartlive.callbacks.messages import (
    JOB_ID_KEY,
    XCOM_TABLE_KEY,
    WaiterRegistration,
    refresh_key,
    starter_waiter_key,
    waiter_key,
)
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.receiver import statements
from dev.postgres import Postgres

DAGS, RUNS, TASKS, XCOMS = 100, 100, 10, 10

#: Deferred tasks of the newest runs: half of them start a job, the others wait for one.
DEFERRED = 2_000

#: Days over which the runs and their XComs are spread.
DAYS = 30

#: Seconds after which PostgreSQL breaks off a statement.
LIMIT = 300

JOB = "26f065244f754b3aa853b649a21aaf66"


def main() -> int:
    """Fill a database, and print the plans."""
    with Postgres() as server:
        env = os.environ | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": server.url}
        migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
        subprocess.run(migrate, env=env, check=True, capture_output=True, timeout=LIMIT)
        options = {"options": f"-c statement_timeout={LIMIT * 1000}"}
        engine = create_engine(server.url, connect_args=options)
        fill(engine)
        print(f"Airflow {version('apache-airflow-core')}, PostgreSQL {_server_version(engine)}\n")
        print("| statement | rows | ms | blocks | plan |\n| --- | --- | --- | --- | --- |")
        with Session(engine) as session:
            for line in plans(session):
                print(line, flush=True)
            session.rollback()
        engine.dispose()
    return 0


def _server_version(engine: Engine) -> str:
    with engine.connect() as connection:
        return str(connection.execute(text("SHOW server_version")).scalar_one())


# --- what is in the database


def fill(engine: Engine) -> None:
    """Write DAGs, runs, task instances, triggers and XComs."""
    columns = _columns(engine, "task_instance")
    index = "region_index" if "region_index" in columns else "map_index"
    with engine.begin() as connection:
        _fill_runs(connection)
        connection.execute(
            text(
                f"""
                INSERT INTO task_instance
                    (id, dag_id, run_id, task_id, {index}, state, try_number, max_tries, pool, pool_slots, queue,
                     operator, start_date, end_date, dag_version_id)
                SELECT gen_random_uuid(), r.dag_id, r.run_id, 'task_' || t, -1, 'success', 1, 0, 'default_pool', 1,
                       'default', 'Fake', r.run_after, r.run_after, r.created_dag_version_id
                FROM dag_run r, generate_series(0, :tasks - 1) t
                """
            ),
            {"tasks": TASKS},
        )
        connection.execute(text(_DEFER), {"deferred": DEFERRED})
        connection.execute(
            text(_XCOMS_OF_ATTEMPTS if index == "region_index" else _ONE_TABLE), {"xcoms": XCOMS}
        )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def _columns(engine: Engine, table: str) -> set[str]:
    with engine.connect() as connection:
        found = text("SELECT column_name FROM information_schema.columns WHERE table_name = :name")
        return set(connection.execute(found, {"name": table}).scalars())


def _fill_runs(connection: Any) -> None:
    from airflow.models.dag import DagModel  # noqa: TID251
    from airflow.models.dag_version import DagVersion  # noqa: TID251
    from airflow.models.dagbundle import DagBundleModel  # noqa: TID251
    from airflow.models.dagrun import DagRun  # noqa: TID251

    now = datetime.now(UTC)
    dags = [f"nightly_{number}" for number in range(DAGS)]
    connection.execute(insert(DagBundleModel).values(name="fake"))
    connection.execute(
        insert(DagModel),
        [
            {
                "dag_id": dag_id,
                "bundle_name": "fake",
                "fileloc": "/fake/dag.py",
                "relative_fileloc": "dag.py",
                "is_paused": False,
                "max_active_tasks": 16,
                "max_consecutive_failed_dag_runs": 0,
                "has_task_concurrency_limits": False,
            }
            for dag_id in dags
        ],
    )
    connection.execute(
        insert(DagVersion),
        [{"dag_id": dag_id, "version_number": 1, "bundle_name": "fake"} for dag_id in dags],
    )
    connection.execute(
        insert(DagRun),
        [
            {
                "dag_id": dag_id,
                "run_id": f"run_{number}",
                "run_type": "scheduled",
                "run_after": now - timedelta(days=DAYS * (1 - (number + 1) / RUNS)),
            }
            for dag_id in dags
            for number in range(RUNS)
        ],
    )
    connection.execute(
        text(
            "UPDATE dag_run r SET created_dag_version_id = v.id FROM dag_version v WHERE v.dag_id = r.dag_id"
        )
    )


_DEFER = """
    WITH newest AS (
        SELECT ti.id, row_number() OVER (ORDER BY r.run_after DESC, ti.dag_id, ti.task_id) AS number
        FROM task_instance ti JOIN dag_run r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id
        ORDER BY 2 LIMIT :deferred
    ), triggers AS (
        INSERT INTO trigger (id, classpath, kwargs, created_date)
        SELECT number, 'airflow_provider_smartlive.triggers.SmartLiveJobTrigger', '', now() FROM newest
    )
    UPDATE task_instance ti SET state = 'deferred', trigger_id = newest.number, end_date = NULL
    FROM newest WHERE newest.id = ti.id
"""

_ONE_TABLE = """
    INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_id, run_id, value, timestamp)
    SELECT r.id, ti.task_id, ti.map_index, 'key_' || x, ti.dag_id, ti.run_id, '"a value"', r.run_after
    FROM task_instance ti JOIN dag_run r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id,
         generate_series(1, :xcoms) x
"""

#: The ids are UUIDs of version 7, as Airflow makes them.
_XCOMS_OF_ATTEMPTS = """
    INSERT INTO xcom_v2 (id, task_instance_id, key, value, timestamp)
    SELECT (lpad(to_hex((extract(epoch FROM r.run_after) * 1000)::bigint), 12, '0') || '7'
            || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15))::uuid,
           ti.id, 'key_' || x, '"a value"', r.run_after
    FROM task_instance ti JOIN dag_run r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id,
         generate_series(1, :xcoms) x
    ORDER BY r.run_after
"""


# --- what END does


def plans(session: Session) -> Iterator[str]:
    """Run each statement, and return a row of the table for each."""
    starter = TaskRef("nightly_0", f"run_{RUNS - 1}", "task_0")
    locked = statements.lock(session, starter)
    assert locked is not None
    at = datetime.now(UTC)
    for key, value in ((JOB_ID_KEY, JOB), (XCOM_TABLE_KEY, {})):
        statements.save_all(session, [(locked.id, locked.dag_run_id, starter, key, value)], at)  # type: ignore[list-item]
    for number in range(1, 4):
        _register(session, TaskRef(starter.dag_id, starter.run_id, f"task_{number}"), at)
    keys = [waiter_key(JOB), starter_waiter_key(starter)]
    measured: dict[str, Callable[[], object]] = {
        "lock the starter": lambda: statements.lock(session, starter),
        "load its table and job": lambda: statements.load(session, locked, starter),
        "save the table": lambda: statements.save(
            session, locked, starter, XCOM_TABLE_KEY, {"events": 1}, at
        ),
        "commands that exchange outputs, of 3 hours": lambda: statements.refreshes(
            session, JOB, at - timedelta(hours=3)
        ),
        "commands that exchange outputs, of a week": lambda: statements.refreshes(
            session, JOB, at - timedelta(days=7)
        ),
        "find the waiters": lambda: list(statements.waiters(session, keys)),
        "look (sweep)": lambda: statements.look(session, starter),
    }
    for name, run in measured.items():
        run()  # plans and pages are in memory
        for statement, parameters in _statements_of(session, run):
            yield f"| {name} | {_explained(session, statement, parameters)} |"


def _register(session: Session, task: TaskRef, at: datetime) -> None:
    found = statements.lock(session, task)
    assert found is not None
    waiter = WaiterRegistration(job_id=JOB, target_state="END").dump()
    statements.save(session, found, task, waiter_key(JOB), waiter, at)
    statements.save(session, found, task, refresh_key("of-another-job"), waiter, at)


def _statements_of(session: Session, run: Callable[[], object]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    with _listening(session, lambda statement, parameters: found.append((statement, parameters))):
        run()
    return found


@contextmanager
def _listening(session: Session, hear: Callable[[str, Any], None]) -> Iterator[None]:
    connection = session.connection()

    def heard(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        hear(statement, parameters)

    event.listen(connection, "before_cursor_execute", heard)
    try:
        yield
    finally:
        event.remove(connection, "before_cursor_execute", heard)


def _explained(session: Session, statement: str, parameters: Any) -> str:
    """Return statements, milliseconds, blocks, and the ways into the tables."""
    explain = f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) {statement}"
    lines = [str(row[0]) for row in session.connection().exec_driver_sql(explain, parameters)]
    plan_text = "\n".join(lines)
    rows_found = re.search(r"actual rows=([\d.]+)", lines[0])
    took = re.search(r"Execution Time: ([\d.]+) ms", plan_text)
    assert rows_found is not None
    assert took is not None
    blocks = re.search(r"shared (?:hit=(\d+))?(?: ?read=(\d+))?", plan_text)
    read = sum(int(part or 0) for part in blocks.groups()) if blocks else 0
    ways = re.findall(
        r"((?:Parallel )?(?:Index Only |Index |Seq |Bitmap Heap )Scan)(?: using (\w+))? on (\w+)",
        plan_text,
    )
    seen = [f"{way} of {table}{f' ({index})' if index else ''}" for way, index, table in ways]
    plan = "; ".join(dict.fromkeys(seen)) or lines[0].split("(")[0].strip()
    if os.environ.get("FULL"):
        print(plan_text, file=sys.stderr)
    return f"{float(rows_found[1]):.0f} | {took[1]} | {read:,} | {plan}"


if __name__ == "__main__":
    sys.exit(main())
