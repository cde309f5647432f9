"""What waiting costs: processor time, memory, and requests to MetaStudio, by the number of waiting streams."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import psutil

from airflow_provider_smartlive.livestream.wait_state import WaitLimits, WaitState
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.triggers import SmartLiveJobTrigger
from dev.bench import idle_trigger, jobs
from dev.bench.stack import BenchStack
from dev.process import Program

#: Seconds between two questions, for both.
INTERVAL = 60.0

#: Seconds that each new trigger may take before the price of waiting is measured: ours reads an XCom once, which
#: takes Airflow 20 milliseconds, one after the other.
SETTLE_EACH = 0.03

#: What is counted: with PostgreSQL and the sandbox the difference would only be larger.
PROGRAMS = ("triggerer", "api-server", "scheduler")


@dataclass(frozen=True)
class Price:
    """
    What one hour would cost.

    :param kind: who waits.
    :param streams: how many wait.
    :param seconds: how long was measured.
    :param cpu: seconds of processor time in an hour, by program.
    :param memory: megabytes (proportional set size), by program.
    :param requests: to MetaStudio in an hour.
    """

    kind: str
    streams: int
    seconds: float
    cpu: dict[str, float]
    memory: dict[str, float]
    requests: float


def measure(stack: BenchStack) -> list[dict[str, Any]]:
    """Measure an idle stack, then each kind with more and more waiting streams."""
    prices = [_price(stack, "idle", 0)]
    prices += _climb(stack, "http", _http)
    prices += _climb(stack, "nothing", _nothing)
    prices += _climb(stack, "smartlive", _smartlive)
    return [asdict(price) for price in prices]


#: Makes the trigger of one more stream, and tells its job.
Make = Callable[[BenchStack, str], tuple[str, dict[str, Any]]]


def _climb(stack: BenchStack, kind: str, make: Make) -> list[Price]:
    prices, runs, before = [], [], 0
    # A process gives back neither the memory nor the modules of the kind before.
    stack.airflow.triggerer.restart()
    stack.airflow.wait_until_healthy()
    rule_id = jobs.hide(stack.sandbox_client, None) if kind == "http" else None
    # Each number of streams of a trigger that does nothing costs Airflow the same per stream: the last tells.
    for level in stack.plan.levels:
        triggers = [make(stack, f"{kind}-{number}") for number in range(before, level)]
        dag_id = f"bench_waiting_{kind}_{level}"
        run_id = stack.seed(
            dag_id, triggers[0][0], [kwargs for _, kwargs in triggers], [None] * len(triggers)
        )
        runs.append((dag_id, run_id))
        before = level
        if kind == "nothing" and level != stack.plan.levels[-1]:
            continue
        time.sleep(stack.plan.settle + len(triggers) * SETTLE_EACH)
        prices.append(_price(stack, kind, level))
    for dag_id, run_id in runs:
        stack.airflow.api.mark_dag_run(dag_id, run_id, "failed")  # a running one is not deleted
        stack.airflow.api.delete_dag_run(dag_id, run_id)
    if rule_id is not None:
        stack.sandbox_client.remove_fault(rule_id)
    stack.sandbox_client.finish_all()  # else the next kind pages through them as well
    return prices


def _http(stack: BenchStack, room_id: str) -> tuple[str, dict[str, Any]]:
    from airflow.providers.http.triggers.http import HttpSensorTrigger

    job_id = jobs.start(stack.sandbox_client, room_id)
    trigger = HttpSensorTrigger(
        endpoint=stack.sandbox_client.job_path(JobRef(room_id, job_id)),
        http_conn_id="bench_http",
        headers={"X-Auth-Token": stack.token},
        poke_interval=INTERVAL,
    )
    return trigger.serialize()


def _nothing(stack: BenchStack, room_id: str) -> tuple[str, dict[str, Any]]:
    return idle_trigger.CLASSPATH, {}


def _smartlive(stack: BenchStack, room_id: str) -> tuple[str, dict[str, Any]]:
    job_id = jobs.start(stack.sandbox_client, room_id)
    wait = WaitState("smartlive_default", room_id, job_id, expected_outputs=1, started_at=datetime.now(UTC))
    # The price of waiting, not of a thousand stops when it is measured.
    limits = WaitLimits(interval=INTERVAL, cancel_on_kill=False)
    return SmartLiveJobTrigger(wait=wait.dump(), limits=limits.dump()).serialize()


def _price(stack: BenchStack, kind: str, streams: int) -> Price:
    client = stack.sandbox_client
    programs = {name: stack.airflow.programs[name] for name in PROGRAMS}
    position = jobs.latest_request(client)
    before, began = {name: _cpu(program) for name, program in programs.items()}, time.monotonic()
    time.sleep(stack.plan.window)
    after, seconds = {name: _cpu(program) for name, program in programs.items()}, time.monotonic() - began
    requests = len(client.ledger(kind="request", after=position))
    return Price(
        kind=kind,
        streams=streams,
        seconds=seconds,
        cpu={name: _used(before[name], after[name]) * 3600 / seconds for name in programs},
        memory={name: _memory(program) for name, program in programs.items()},
        requests=requests * 3600 / seconds,
    )


def _cpu(program: Program) -> dict[int, float]:
    """Return the processor time of each process of a program, with that of its ended children."""
    used: dict[int, float] = {}
    for process in program.members():
        with contextlib.suppress(psutil.NoSuchProcess):
            used[process.pid] = sum(process.cpu_times())
    return used


def _used(before: dict[int, float], after: dict[int, float]) -> float:
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())


def _memory(program: Program) -> float:
    megabytes = 0.0
    for process in program.members():
        with contextlib.suppress(psutil.NoSuchProcess):
            megabytes += process.memory_full_info().pss / 1e6
    return megabytes
