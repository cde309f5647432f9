"""The stack that the runs share: Airflow, a local MetaStudio, and the hands that kill them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psutil

from airflow_provider_smartlive.metastudio.signing import Credentials
from dev.airflow_api import patiently
from dev.faults.injections import Injections
from dev.faults.records import Job, Records
from dev.faults.schedule import DAG_IDS, Callbacks, JobOutcome, Listing, Run, StartFault, Target
from dev.faults.supervisor import Supervisor
from dev.full_stack import FullStack, wait_for_address
from dev.postgres import DATABASE, Postgres
from dev.process import Program, free_port, wait_until
from dev.sandbox_client import SandboxClient
from dev.stack import AirflowStack

HERE = Path(__file__).parent

#: What the provider is set to, in seconds: its promises are bounds in terms of these, and shorter ones show a
#: broken promise sooner.
SETTINGS = {
    "reconcile_interval": 8,
    "end_grace": 12,
    "stop_grace": 30,
    "look_again_window": 9,
    "request_timeout": 3,
    "request_attempts": 3,
    "failure_budget": 60,
}

#: Seconds by which the listing lags where it does; less than ``look_again_window``, or nothing could be found.
LAG = 4.0

#: Seconds until a trigger asks, at the latest: its first read, its interval, and a busy machine.
FIRST_DRIP = 60.0

#: Seconds by which it lags where it is to show nothing.
UNLISTED = 3600.0

#: Seconds for which a job stays PROCESSING after END: much longer than ``end_grace``, but not for ever, because
#: where the END was lost as well nobody could tell such a job from one that streams.
LINGER = 60.0

#: Airflow's own patience, in seconds: five minutes and more by default, of which nobody would see the end here.
AIRFLOW = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "12",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
    # A restart of the API server takes half a minute on a busy machine; each try that it fails is one retry less.
    "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "10",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "5",
    # A killed worker never gives its slot back to the scheduler that lost it.
    "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "64",
}

#: The connection that is edited, in Airflow's database.
EDITED_CONN_ID = "smartlive_edited"

#: The pools that are made full, and their slots when they are not.
_POOLS = {Target.FULL_POOL: "faults_full", Target.MARKED_RESUMED: "faults_marked"}
SLOTS = 8

#: Slots of the LocalExecutor; see above.
PARALLELISM = 16

#: Seconds within which a database session of our own has begun.
LOCK_TAKEN = 1.0

#: Seconds that a revived process gets to answer or to beat.
REVIVAL = 180.0

#: Seconds that a sweep may take; it takes about 8.
SWEEP_TIMEOUT = 120.0

_PROGRAMS = {
    Target.SCHEDULER: "scheduler",
    Target.TRIGGERER: "triggerer",
    Target.API_SERVER: "api-server",
    Target.ORPHAN: "triggerer",
}

#: Running jobs at the limit.
_REFUSED: dict[str, Any] = {"action": "status", "status": 400, "code": "MSS.20010056", "when": "before"}

_START_RULES: dict[StartFault, dict[str, Any]] = {
    StartFault.ERROR_BEFORE: {"nth": 1, "action": "status", "status": 503, "when": "before"},
    StartFault.ERROR_AFTER: {"nth": 1, "action": "status", "status": 500, "when": "after"},
    StartFault.TIMEOUT_AFTER: {"nth": 1, "action": "hang", "seconds": 20, "when": "after"},
    StartFault.RESET_BEFORE: {"nth": 1, "action": "reset", "when": "before"},
    StartFault.RESET_AFTER: {"nth": 1, "action": "reset", "when": "after"},
    StartFault.GARBLED: {"nth": 1, "action": "garble"},
    StartFault.THROTTLED: {"nth": 1, "action": "status", "status": 429, "when": "before"},
    StartFault.REFUSED: {"times": 1, **_REFUSED},
    StartFault.REFUSED_TWICE: {"times": 2, **_REFUSED},
}

_CALLBACK_RULES: dict[Callbacks, dict[str, Any]] = {
    Callbacks.DROPPED: {"action": "drop"},
    Callbacks.END_DROPPED: {"action": "drop", "event": "END"},
    Callbacks.DELAYED: {"action": "delay", "seconds": 2.5},
    Callbacks.DUPLICATED: {"action": "duplicate", "count": 3},
    Callbacks.REORDERED: {"action": "reorder", "probability": 0.5},
    Callbacks.FORGED: {"action": "missign", "event": "END"},
}

_JOB_RULES: dict[JobOutcome, dict[str, Any]] = {
    JobOutcome.LINGERS: {"action": "linger", "seconds": LINGER},
    JobOutcome.FAILS: {"action": "fail", "seconds": 3, "times": 1, "message": "failed by the harness"},
    JobOutcome.BLOCKED: {"action": "block", "seconds": 3, "times": 1},
}

_LISTING_RULES: dict[Listing, dict[str, Any]] = {
    Listing.LAG: {"action": "lag", "seconds": LAG},
    Listing.NO_ECHO: {"action": "no_echo"},
}


class PreparedAirflow(AirflowStack):
    """
    An Airflow whose database is changed between its migration and the start of its programs.

    :param prepare: changes it.
    """

    def __init__(self, home: Path, *, prepare: Callable[[], None], **options: Any) -> None:
        super().__init__(home, **options)
        self._prepare = prepare

    def start_programs(self) -> None:
        """Change the database, and start Airflow's processes."""
        self._prepare()
        super().start_programs()


class FaultStack:
    """
    A stack for many runs; a context manager.

    :param home: for all files.
    :param database: ``postgresql`` or ``sqlite``.
    """

    def __init__(self, home: Path, *, database: str) -> None:
        self.home = home
        self._database = database
        self._postgres: Postgres | None = None
        self._exits = ExitStack()
        self.hands = threading.Lock()

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            url = self._start_database(exits)
            self.stage = FullStack(
                self.home,
                # A port and a file of its own, so that it comes back where it was, with what it knew.
                sandbox_arguments=(
                    *("--port", str(free_port()), "--state", str(self.home / "sandbox.db")),
                    *("--link", "simulated", "--any-room"),
                ),
                airflow_class=PreparedAirflow,
                airflow_options={
                    "prepare": self._bound_transactions,
                    "dags_folder": self._copy_dags(exits),
                    "database_url": url,
                    "parallelism": PARALLELISM,
                    "env": self._environment(),
                },
            )
            self.airflow = self.stage.airflow
            exits.enter_context(self.stage)
            self.injections = Injections(self._injections_folder)
            self.sandbox = self.stage.sandbox_client
            self.records = Records(self.sandbox, [self.airflow.callback_secret])
            self._start_other_metastudio(exits)
            for name in _POOLS.values():
                self.airflow.api.call("POST", "/pools", json={"name": name, "slots": SLOTS})
            for dag_id in DAG_IDS:
                self.airflow.wait_for_dag(dag_id)
            self.supervisor = exits.enter_context(Supervisor(self.airflow.programs, self.hands))
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    def _start_other_metastudio(self, exits: ExitStack) -> None:
        """Start a second MetaStudio, and make the connection that can be edited to lead there."""
        stage = self.stage
        other = stage.program("sandbox-2", "serve", *stage.account, "--link", "simulated", "--any-room")
        exits.callback(other.stop)
        other.start()
        self._other_url = wait_for_address(other)
        credentials = Credentials(stage.access_key, stage.secret_key)
        client = SandboxClient(self._other_url, project_id=stage.project_id, credentials=credentials)
        self.other_sandbox = exits.enter_context(client)
        self._other_records = Records(self.other_sandbox, [self.airflow.callback_secret])
        self.airflow.api.call("POST", "/connections", json=self._connection(stage.sandbox_url))

    def _connection(self, url: str) -> dict[str, Any]:
        stage = self.stage
        return {
            "connection_id": EDITED_CONN_ID,
            "conn_type": "smartlive",
            "host": url,
            "login": stage.access_key,
            "password": stage.secret_key,
            "extra": json.dumps({"project_id": stage.project_id}),
        }

    @contextlib.contextmanager
    def edited_connection(self) -> Iterator[None]:
        """Let the connection lead to the other MetaStudio until the context ends."""
        path = f"/connections/{EDITED_CONN_ID}"
        try:
            patiently(lambda: self.airflow.api.call("PATCH", path, json=self._connection(self._other_url)))
            yield
        finally:
            url = self.stage.sandbox_url
            patiently(lambda: self.airflow.api.call("PATCH", path, json=self._connection(url)))

    def jobs(self, run: Run) -> list[Job]:
        """Return the jobs of the rooms of a run, the oldest first, wherever they are."""
        jobs = self.records.jobs(*run.rooms)
        if run.case.target is Target.EDITED:
            jobs += self._other_records.jobs(*run.rooms)
        return sorted(jobs, key=lambda job: job.accepted_at)

    def set_up(self, run: Run) -> None:
        """Make the room of a run, and tell MetaStudio what goes wrong there."""
        rooms = [
            {"room_id": room_id, "name": f"Run {run.number}", "seconds": run.show_seconds}
            for room_id in (run.room_id, run.other_room_id)
        ]
        self.sandbox.add_rooms(*rooms)
        rules: dict[str, dict[str, Any] | None] = {
            "start": _START_RULES.get(run.start),
            "callback": _CALLBACK_RULES.get(run.callbacks),
            "job": _JOB_RULES.get(run.job_outcome),
            "list": _LISTING_RULES.get(run.listing),
        }
        for target, rule in rules.items():
            if rule is not None:
                room_id = run.room_id if target == "start" else run.live_room_id
                self.sandbox.add_fault(target=target, room=room_id, **rule)

    def kill(self, target: Target) -> None:
        """Kill a process (SIGKILL). The scheduler's task processes go on, as they would."""
        program = self._program(target)
        if target is Target.SCHEDULER:
            os.kill(program.pid, signal.SIGKILL)
            program.wait(REVIVAL)
        else:
            program.kill()

    def revive(self, target: Target) -> None:
        """Start it again, and wait until it answers."""
        program = self._program(target)
        program.start()
        if target is Target.SANDBOX:
            wait_until(self._sandbox_answers, "sandbox", timeout=REVIVAL, needs=[program])
        elif target is Target.API_SERVER:
            wait_until(
                lambda: bool(self.airflow.api.health()), "API server", timeout=REVIVAL, needs=[program]
            )

    def change_triggerer(self, frozen_seconds: float) -> None:
        """Freeze the triggerer until a second one has taken over, thaw it, and stop the second one."""
        first = self.airflow.triggerer
        second = self.airflow.add_triggerer("triggerer-2")
        try:
            time.sleep(12)  # it starts while the first one still works
            first.freeze()
            time.sleep(frozen_seconds)
            first.thaw()
            time.sleep(10)  # the first one finds out what it has lost, and says so to its triggers
        finally:
            first.thaw()
            second.stop()
            del self.airflow.programs["triggerer-2"]

    @contextlib.contextmanager
    def without_workers(self, run: Run) -> Iterator[None]:
        """Keep every worker from the tasks of a run, as its case says, until the context ends."""
        take, give_back = self._hindrance(run)
        take()
        try:
            yield
        finally:
            give_back()

    def is_without_workers(self, run: Run) -> bool:
        """Tell whether Airflow knows that no worker may run the tasks of a run."""
        if run.case.target is not Target.REMOVED:
            return True
        return bool(self.airflow.api.call("GET", f"/dags/{run.dag_id}")["is_stale"])

    def _hindrance(self, run: Run) -> tuple[Callable[[], None], Callable[[], None]]:
        """Return what keeps workers away, and what lets them come again."""
        target, api = run.case.target, self.airflow.api
        if target is Target.PAUSED:

            def pause() -> None:
                api.call("PATCH", f"/dags/{run.dag_id}", json={"is_paused": True})

            return lambda: patiently(pause), lambda: patiently(lambda: api.unpause(run.dag_id))
        if target is Target.REMOVED:
            file = self._dags / f"{run.dag_id}.py"
            content = file.read_text()

            def put_back() -> None:
                file.write_text(content)
                self.airflow.wait_for_dag(run.dag_id)

            return file.unlink, put_back

        def resize(slots: int) -> None:
            path = f"/pools/{_POOLS[target]}"
            pool = {"pool": _POOLS[target], "slots": slots, "include_deferred": False}
            patiently(lambda: api.call("PATCH", path, json=pool))

        return lambda: resize(0), lambda: resize(SLOTS)

    @contextlib.contextmanager
    def locked_row(self, dag_id: str, run_id: str, task_id: str, seconds: float) -> Iterator[None]:
        """Hold the row of a task instance in a database session of our own; the context ends with that session."""
        assert self._postgres is not None, "SQLite locks no rows"
        statements = (
            f"\\connect {DATABASE}",
            "BEGIN;",
            f"SELECT 1 FROM task_instance WHERE (dag_id, run_id, task_id) = ('{dag_id}', '{run_id}', '{task_id}')",
            f"FOR UPDATE; SELECT pg_sleep({seconds}); ROLLBACK;",
        )
        session = threading.Thread(target=self._postgres.run, args=("\n".join(statements),))
        session.start()
        time.sleep(LOCK_TAKEN)
        yield
        session.join()

    def drip(self, seconds: float) -> bool:
        """
        Let MetaStudio drip the answers that triggers wait for; those that began to drip go on.

        :param seconds: how long after the first such answer.
        :return: whether there was one.
        """
        rules: list[dict[str, Any]] = [
            # What the tenant's listing leaves out is shown job by job; the records are read from that listing, too.
            {"id": "drip-unlisted", "target": "list_all", "action": "lag", "seconds": UNLISTED},
            {"id": "drip", "target": "show", "action": "drip"},
        ]
        for rule in rules:
            self.sandbox.add_fault(**rule)
        deadline = time.monotonic() + FIRST_DRIP
        while not (has_dripped := self._has_fired("drip")) and time.monotonic() < deadline:
            time.sleep(1)
        time.sleep(seconds)
        for rule in rules:
            self.sandbox.remove_fault(rule["id"])
        return has_dripped

    def _has_fired(self, rule_id: str) -> bool:
        rules = self.sandbox.control("GET", "/faults")["faults"]
        return any(rule["fired"] for rule in rules if rule["id"] == rule_id)

    def sweep(self) -> str:
        """Run ``airflow smartlive sweep``, the backstop, and return what it says."""
        done = subprocess.run(
            [sys.executable, "-m", "airflow", "smartlive", "sweep"],
            env=self.airflow.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SWEEP_TIMEOUT,
            check=False,
        )
        return done.stdout

    def tidy_up(self) -> None:
        """Between two rounds: no fault is left, nothing runs, and nothing of a dead scheduler either."""
        self.sandbox.control("DELETE", "/faults")
        for job in self.sandbox.jobs():
            if job["state"] in ("WAITING", "PROCESSING"):
                self.sandbox.finish(job["job_id"])
        self.other_sandbox.finish_all()
        program = self.airflow.scheduler
        for process in program.members():
            with contextlib.suppress(psutil.NoSuchProcess):
                line = [process.pid, *(parent.pid for parent in process.parents())]
                if program.pid not in line:
                    process.kill()

    def _copy_dags(self, exits: ExitStack) -> Path:
        """Copy the DAG files to a folder from which one of them can be removed."""
        self._dags = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="smartlive-dags-")))
        shutil.copytree(HERE / "dags", self._dags, dirs_exist_ok=True)
        shutil.copy(HERE / "dags" / "faults.py", self._dags / "faults_removed.py")
        return self._dags

    def _start_database(self, exits: ExitStack) -> str | None:
        if self._database == "sqlite":
            return None
        self._postgres = exits.enter_context(Postgres())
        return self._postgres.url

    def _bound_transactions(self) -> None:
        """
        Let PostgreSQL end sessions that are idle within a transaction; not those of a migration on a busy machine.

        Task processes inherit the scheduler's connections: one that dies within a transaction would otherwise leave its
        locks behind for as long as any of them lives.
        """
        if self._postgres is not None:
            self._postgres.run(f"ALTER DATABASE {DATABASE} SET idle_in_transaction_session_timeout = '10s'")

    def _program(self, target: Target) -> Program:
        if target is Target.SANDBOX:
            return self.stage.sandbox
        return self.airflow.programs[_PROGRAMS[target]]

    def _sandbox_answers(self) -> bool:
        try:
            self.sandbox.control("GET", "/health")
        except httpx.TransportError:
            return False
        return True

    @property
    def _injections_folder(self) -> Path:
        return self.home.resolve() / "injections"

    def _environment(self) -> dict[str, str]:
        settings = {f"AIRFLOW__SMARTLIVE__{name.upper()}": str(value) for name, value in SETTINGS.items()}
        python_path = [str(HERE / "inject"), *filter(None, [os.environ.get("PYTHONPATH")])]
        inject = {
            "PYTHONPATH": os.pathsep.join(python_path),
            Injections.VARIABLE: str(self._injections_folder),
        }
        return {**AIRFLOW, **settings, **inject}
