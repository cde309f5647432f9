"""
What ``make upgrade`` plays: livestreams wait under one Airflow, the deployment is migrated to another, and they end.

Everything of Airflow is stopped, ``airflow db migrate`` of the other version runs with the deferred tasks in the
database, and the other version starts. Meanwhile the streams go on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from dev.full_stack import PROJECT, FullStack
from dev.matrix.cells import HIGHEST, Cell, published, releases
from dev.matrix.environment import make
from dev.postgres import Postgres
from dev.process import wait_until

HERE = Path(__file__).parent

#: What becomes of each livestream: DAG, and how it is to end.
CASES = {
    "by callback": "upgrade",
    "by reconciliation": "upgrade",
    "ended while Airflow was down": "upgrade",
    "mapped": "upgrade_mapped",
    "cleared after the upgrade": "upgrade",
    "mapped, cleared after the upgrade": "upgrade_mapped",
}

#: Seconds between two questions to MetaStudio, and for one livestream to end.
INTERVAL, END_TIMEOUT = 20, 180.0

#: Seconds for all to wait, and to be on air.
WAIT_TIMEOUT = 180.0

OVER = {"success", "failed", "upstream_failed", "skipped", "removed"}


class Upgrade:
    """
    One play.

    :param stage: Airflow of the first version, and everything beside it.
    """

    def __init__(self, stage: FullStack) -> None:
        self.began = time.monotonic()
        self.stage = stage
        self.airflow = stage.airflow
        self.sandbox = stage.sandbox_client
        self.runs: dict[str, str] = {}
        self.broken: list[str] = []

    def tell(self, what: str) -> None:
        """Print one line."""
        print(f"{time.monotonic() - self.began:6.1f} s  {what}", flush=True)

    def play(self, python: Path) -> None:
        """Play all cases."""
        self.tell(f"Airflow {airflow_version(Path(sys.executable))}")
        for number, (case, dag_id) in enumerate(CASES.items()):
            self._start(case, dag_id, number)
        wait_until(self._all_wait, "deferred tasks", timeout=WAIT_TIMEOUT)
        time.sleep(10)  # a task that deferred just now is not resumed
        self.tell(f"{len(CASES)} livestreams are on air, their tasks and sensors are deferred")
        self.airflow.stop()
        self.tell("Airflow is stopped")
        self._finish("ended while Airflow was down")
        self.airflow.change_version(python)
        self.airflow.start()
        self.tell(f"migrated: Airflow {airflow_version(python)} is up")
        self._finish("by callback")
        self._finish("mapped")
        self.sandbox.add_fault(action="drop", target="callback", room=room_of("by reconciliation"))
        self._finish("by reconciliation")
        for case in CASES:
            if "cleared" in case:
                self._clear(case)
        for case in CASES:
            self._judge(case)

    # --- the steps

    def _start(self, case: str, dag_id: str, number: int) -> None:
        room = {"room_id": room_of(case), "name": case, "seconds": 3600}
        self.sandbox.add_rooms(room)
        self.runs[case] = self.airflow.run_dag(dag_id, conf={"room_id": room["room_id"]})

    def _all_wait(self) -> bool:
        on_air = [job for job in self.sandbox.jobs() if "CONNECTED" in str(job)]
        states = [
            task["state"]
            for case in CASES
            for task in self.airflow.api.task_instances(CASES[case], self.runs[case])
        ]
        return len(on_air) >= len(CASES) and states.count("deferred") == 2 * len(CASES)

    def _job(self, case: str) -> str:
        """Return the job that runs in the room of a case, or has run there last."""
        jobs = self._jobs(case)
        return str(next((job for job in jobs if job["state"] == "PROCESSING"), jobs[-1])["job_id"])

    def _jobs(self, case: str) -> list[dict[str, Any]]:
        return [job for job in self.sandbox.jobs() if job["room_id"] == room_of(case)]

    def _finish(self, case: str) -> None:
        self.sandbox.finish(self._job(case))
        self.tell(f"{case}: MetaStudio has ended the job")

    def _clear(self, case: str) -> None:
        """Clear the starter: its job is to be stopped, and another one to be started."""
        self.airflow.api.clear(CASES[case], self.runs[case], ["go_live"])
        first = self._job(case)

        def restarted() -> bool:
            jobs = self._jobs(case)
            return len(jobs) == 2 and self._job(case) != first and "CONNECTED" in str(jobs)

        wait_until(restarted, f"second job ({case})", timeout=END_TIMEOUT)
        self.tell(f"{case}: another job is on air")
        time.sleep(15)
        self._finish(case)

    def _judge(self, case: str) -> None:
        dag_id, run_id = CASES[case], self.runs[case]
        state = self.airflow.wait_for_run(dag_id, run_id, END_TIMEOUT)
        index = 0 if dag_id == "upgrade_mapped" else -1
        result = self.airflow.api.xcom(dag_id, run_id, "go_live", "return_value", index) or {}
        jobs = self._jobs(case)
        expected = 2 if "cleared" in case else 1
        self.tell(
            f"{case}: run {state}, {len(jobs)} job(s), {result.get('outcome')}, woken by {result.get('woken_by')}"
        )
        checks = {
            f"the run is {state}": state != "success",
            f"there were {len(jobs)} jobs, not {expected}": len(jobs) != expected,
            "a job is still active": any(job["state"] in ("WAITING", "PROCESSING") for job in jobs),
            f"the task was woken by {result.get('woken_by')}": case == "by callback"
            and result.get("woken_by") != "callback",
        }
        self.broken += [f"{case}: {sentence}" for sentence, broken in checks.items() if broken]


def room_of(case: str) -> str:
    """Return the room of a case."""
    return f"24bad716-87b1-45e5-8912-{list(CASES).index(case):012d}"


def airflow_version(python: Path) -> str:
    """Return the version of Airflow beside a Python."""
    code = "import importlib.metadata as m; print(m.version('apache-airflow-core'))"
    return subprocess.run(
        [str(python), "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


def python_of(airflow: str, folder: Path) -> Path | None:
    """
    Return the Python of an environment with another Airflow; None if there is no such release.

    :param airflow: a release, ``newer``, or the path of a Python.
    :param folder: where the environment is made, if it has to be.
    """
    if Path(airflow).exists():
        return Path(airflow).absolute()
    release = releases(published()).named(airflow)
    if release is None:
        return None
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return make(Cell(release, python, HIGHEST), folder).absolute()


def main() -> int:
    """Play; 0 if every livestream ended well."""
    parser = argparse.ArgumentParser(prog="python -m dev.upgrade", description=__doc__)
    parser.add_argument(
        "--to", default="newer", help="a release of Airflow, or the Python of an environment that has it"
    )
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--home", type=Path, default=PROJECT / ".upgrade", help="folder for all files")
    arguments = parser.parse_args()
    python = python_of(arguments.to, arguments.home / "environment")
    if python is None:
        print("There is no release of Airflow that is newer than the declared ones.")
        return 0
    with ExitStack() as exits:
        url = exits.enter_context(Postgres()).url if arguments.database == "postgresql" else None
        options = {
            "dags_folder": HERE / "dags",
            "database_url": url,
            "parallelism": 8,
            "env": {"AIRFLOW__SMARTLIVE__RECONCILE_INTERVAL": str(INTERVAL)},
        }
        stage = FullStack(
            arguments.home / "play",
            sandbox_arguments=("--link", "simulated", "--any-room"),
            airflow_options=options,
        )
        play = Upgrade(exits.enter_context(stage))
        play.play(python)
    for sentence in play.broken:
        print(f"BROKEN: {sentence}")
    print("every livestream ended well" if not play.broken else f"{len(play.broken)} broken promises")
    return 1 if play.broken else 0


if __name__ == "__main__":
    sys.exit(main())
