"""What livestreams leave in Airflow's database, and what `airflow db clean` makes of it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime

from dev.cluster.stack import ClusterStack

#: Seconds that it may take.
TIMEOUT = 120.0

#: Tables in which a livestream has rows.
TABLES = (
    "dag_run",
    "task_instance",
    "task_instance_history",
    "rendered_task_instance_fields",
    "xcom",
    "task_state_store",
    "trigger",
    "log",
    "celery_taskmeta",
)


@dataclass(frozen=True)
class Cleaning:
    """
    What was cleaned.

    :param bytes: of these tables with their indexes, before.
    :param before: rows of each table before.
    :param after: and after.
    :param error: what the command said if it failed.
    """

    bytes: int
    before: dict[str, int]
    after: dict[str, int]
    error: str = ""

    def text(self, livestreams: int) -> str:
        """
        Return it as text.

        :param livestreams: how many there were, each with a sensor on its end.
        """
        rows = ", ".join(f"{name} {self.before[name]:,} -> {self.after[name]:,}" for name in TABLES)
        size = f"{self.bytes / livestreams / 1000:.1f} kB in the database for a livestream and its sensor"
        return f"{size}\nafter airflow db clean: {self.error or rows}"


def clean(stack: ClusterStack) -> Cleaning:
    """Run ``airflow db clean`` for all that is over."""
    sizes, before = stack.database.sizes(), stack.database.row_counts()
    argv = [sys.executable, "-m", "airflow", "db", "clean", "--yes", "--skip-archive"]
    argv += ["--clean-before-timestamp", datetime.now(UTC).isoformat()]
    env = stack.airflow.environment()
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    after = stack.database.row_counts()
    return Cleaning(
        sum(sizes[name] for name in TABLES),
        {name: before[name] for name in TABLES},
        {name: after[name] for name in TABLES},
        (done.stderr or done.stdout)[-500:] if done.returncode else "",
    )
