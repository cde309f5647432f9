"""
What a start takes until MetaStudio's 202, seen from inside the task's process.

The DAG file imports this module in that process: nothing may stand here that a start itself has to import.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from airflow.sdk.execution_time import task_runner

from airflow_provider_smartlive.operators import StartSmartLiveJobOperator
from dev.bench import jobs

if TYPE_CHECKING:
    from dev.bench.stack import BenchStack

#: What the log line with the figures begins with.
HEADING = "The start took: "

#: What a start imports in its process, with all that they need.
MODULES = tuple(
    f"airflow_provider_smartlive.{name}"
    for name in ("livestream.runner", "livestream.acquisition", "client.transport")
)

#: The steps, as the page calls them; the rest is our own code.
IMPORTS, AIRFLOW, METASTUDIO = "imports", "calls of Airflow's API", "requests to MetaStudio"


class TimedStartOperator(StartSmartLiveJobOperator):
    """Starts a job as its base does, and logs how many seconds each step took, and how many calls."""

    def execute(self, context: Any) -> dict[str, Any]:
        """Start the job."""
        began = time.perf_counter()
        seconds, calls = {IMPORTS: 0.0, AIRFLOW: 0.0, METASTUDIO: 0.0}, {AIRFLOW: 0, METASTUDIO: 0}

        @contextmanager
        def timed(step: str) -> Iterator[None]:
            since = time.perf_counter()
            yield
            seconds[step] += time.perf_counter() - since

        def counted(step: str, send: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                with timed(step):
                    answer = send(*arguments, **options)
                calls[step] += 1
                if step == METASTUDIO and answer.status_code == HTTPStatus.ACCEPTED:
                    figures = {"all": time.perf_counter() - began, **seconds, "calls": calls}
                    self.log.info("%s%s", HEADING, json.dumps(figures))
                return answer

            return call

        with timed(IMPORTS):
            for module in MODULES:
                importlib.import_module(module)
        comms, adapter = type(task_runner.SUPERVISOR_COMMS), sys.modules["requests"].adapters.HTTPAdapter
        with (
            patch.object(comms, "send", counted(AIRFLOW, comms.send)),
            patch.object(adapter, "send", counted(METASTUDIO, adapter.send)),
        ):
            return super().execute(context)


def read(log: str) -> dict[str, Any]:
    """Return the figures from the log of such a task."""
    events = (str(json.loads(line).get("event")) for line in log.splitlines())
    return dict(
        json.loads(next(event for event in events if event.startswith(HEADING)).removeprefix(HEADING))
    )


def measure(stack: BenchStack) -> dict[str, Any]:
    """Start jobs one after the other, and make as many bare signed calls over a new connection."""
    dag_id, client = "bench_starts", stack.sandbox_client
    stack.wait_for_dags([dag_id])
    run_ids = []
    for number in range(stack.plan.repetitions):
        run_ids.append(stack.begin(dag_id, room_id=str(uuid.uuid4())))
        stack.wait_for_tasks(dag_id, "success", number + 1, task_id="start")
    return {
        "operator": [read(stack.airflow.api.task_log(dag_id, run_id, "start")) for run_id in run_ids],
        "bare call": [jobs.time_start(client, str(uuid.uuid4())) for _ in run_ids],
    }
