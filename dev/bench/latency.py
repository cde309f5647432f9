"""How long after the end of a livestream a waiting task is finished, and the next one started."""

from __future__ import annotations

import random
import time
import uuid
from abc import ABC, abstractmethod
from datetime import datetime
from itertools import chain
from typing import Any

from airflow_provider_smartlive.metastudio.ids import JobRef
from dev.airflow_api import patiently
from dev.bench import jobs
from dev.bench.stack import BenchStack

#: Seconds that every task must have waited before its stream ends: the receiver leaves a task that was
#: deferred a moment ago to its trigger.
SETTLE = 11.0


class Wait(ABC):
    """
    One way to wait for the end of a livestream.

    :param stack: where it runs.
    :param name: how the results call it.
    :param dag_id: the DAG; its task ``wait`` waits, and ``after`` comes next.
    """

    waiting_state = "deferred"

    def __init__(self, stack: BenchStack, name: str, dag_id: str) -> None:
        self.stack = stack
        self.name = name
        self.dag_id = dag_id
        self.run_ids: list[str] = []
        self.ended_at: dict[str, float] = {}

    @abstractmethod
    def begin(self) -> None:
        """Start one more run."""

    @abstractmethod
    def end(self, run_id: str) -> None:
        """End the livestream of a run, and remember when."""

    def collect(self) -> dict[str, list[float]]:
        """Return the seconds from each end to the task's end, and to the start of the next."""
        finished, started = (
            {task["dag_run_id"]: task[field] for task in self.stack.tasks(self.dag_id, task_id=task_id)}
            for task_id, field in (("wait", "end_date"), ("after", "start_date"))
        )
        return {
            "finished": [_seconds(finished[run]) - at for run, at in self.ended_at.items()],
            "downstream": [_seconds(started[run]) - at for run, at in self.ended_at.items()],
        }


class Ours(Wait):
    """Our operator or sensor: MetaStudio calls back."""

    starter = "wait"

    def begin(self) -> None:
        """Start one more run, with a room of its own."""
        self.run_ids.append(self.stack.begin(self.dag_id, room_id=str(uuid.uuid4())))

    def end(self, run_id: str) -> None:
        """End the job of the run; what counts is when the link ended."""
        job_id = patiently(lambda: self.stack.airflow.api.xcom(self.dag_id, run_id, self.starter, "job_id"))
        self.stack.sandbox_client.finish(job_id)
        self.ended_at[run_id] = jobs.first_time(self.stack.sandbox_client, "link", job_id, "END")


class Sensor(Ours):
    """Our sensor; another task has started the job."""

    starter = "start"


class Approval(Wait):
    """Airflow's own push: a human's response."""

    waiting_state = "awaiting_input"

    def begin(self) -> None:
        """Start one more run."""
        self.run_ids.append(self.stack.begin(self.dag_id))

    def end(self, run_id: str) -> None:
        """Respond; what counts is when the response was sent."""
        path = f"/dags/{self.dag_id}/dagRuns/{run_id}/taskInstances/wait/-1/hitlDetails"

        def respond() -> None:
            self.ended_at[run_id] = time.time()
            self.stack.airflow.api.call("PATCH", path, json={"chosen_options": ["Yes"], "params_input": {}})

        patiently(respond)


class Poll(Wait):
    """
    HttpSensor asks for the job again and again.

    Deferred, it can tell a success from 404 only, so the sandbox hides the job until it is over.
    """

    def __init__(self, stack: BenchStack, name: str, dag_id: str) -> None:
        super().__init__(stack, name, dag_id)
        self._jobs: dict[str, tuple[str, str]] = {}

    def begin(self) -> None:
        """Start a job and a run that waits for it."""
        room_id, client = str(uuid.uuid4()), self.stack.sandbox_client
        job_id, rule_id = jobs.start(client, room_id), jobs.hide(client, room_id)
        run_id = self.stack.begin(self.dag_id, path=client.job_path(JobRef(room_id, job_id)))
        self.run_ids.append(run_id)
        self._jobs[run_id] = (job_id, rule_id)

    def end(self, run_id: str) -> None:
        """End the job and let it be seen; what counts is when it was SUCCEED."""
        job_id, rule_id = self._jobs[run_id]
        client = self.stack.sandbox_client
        client.finish(job_id)
        client.remove_fault(rule_id)
        self.ended_at[run_id] = jobs.first_time(client, "job", job_id, "SUCCEED")


def measure(stack: BenchStack) -> dict[str, Any]:
    """Measure all ways to wait, those that are pushed first, each kind in turn."""
    polled: list[Wait] = [
        Poll(stack, f"HttpSensor, {seconds} s", f"bench_poll_{seconds}") for seconds in stack.plan.polls
    ]
    return _play(stack, _pushed(stack)) | _play(stack, polled)


def measure_pushed(stack: BenchStack) -> dict[str, Any]:
    """Measure only what is pushed: to be polled takes as long on any database."""
    return _play(stack, _pushed(stack))


def _pushed(stack: BenchStack) -> list[Wait]:
    return [
        Ours(stack, "operator", "bench_operator"),
        Sensor(stack, "sensor", "bench_sensor"),
        Approval(stack, "human in the loop", "bench_approval"),
    ]


def _play(stack: BenchStack, waits: list[Wait]) -> dict[str, dict[str, list[float]]]:
    count = stack.plan.repetitions
    for number in range(count):
        for wait in waits:
            wait.begin()
        # A few at a time: nobody's start is measured while dozens begin, and SQLite has one writer.
        for wait in waits:
            stack.wait_for_tasks(wait.dag_id, wait.waiting_state, number + 1)
    time.sleep(SETTLE)
    turns = zip(*([(wait, run_id) for run_id in wait.run_ids] for wait in waits), strict=True)
    for wait, run_id in chain.from_iterable(turns):
        wait.end(run_id)
        # Not in step with anybody's poll.
        time.sleep(stack.plan.pause * random.uniform(0.8, 1.2))
    for wait in waits:
        stack.wait_for_tasks(wait.dag_id, "success", count, task_id="after")
    return {wait.name: wait.collect() for wait in waits}


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
