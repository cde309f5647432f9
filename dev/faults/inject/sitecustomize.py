"""
Runs in every Python process of the stack (its folder is on PYTHONPATH): kills or holds it where the harness says.

The package under test has no code for this. What is wrapped here are its seams, by name, as their modules are
imported; a seam that was renamed is an error at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.abc
import importlib.machinery
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = Path(os.environ.get("SMARTLIVE_FAULTS", "/nonexistent"))

#: Seconds after which a held process goes on by itself: the harness may have given up.
LONGEST_HOLD = 90.0

#: The DAG run whose starting task this process runs.
_run_id: str | None = None

#: Whether MetaStudio has refused a start of this process.
_is_refused = False


def reach(point: str) -> None:
    """The task's process has come to a point; obey if there is an injection for it."""
    injection = FOLDER / f"{_run_id}.injection"
    try:
        content = json.loads(injection.read_text())
    except FileNotFoundError:
        return
    if content["point"] != point:
        return
    try:
        injection.rename(injection.with_suffix(".obeyed"))  # whoever renames it obeys, and nobody else
    except FileNotFoundError:
        return
    if content["do"] == "hold":
        _hold(injection.with_suffix(".go"))
        return
    if content["do"] == "freeze":
        injection.with_suffix(".frozen").write_text(f"{os.getppid()} {os.getpid()}")
        os.kill(os.getppid(), signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        return
    if content["do"] == "worker":
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def lacks(part: str, key: str | None = None) -> bool:
    """
    Tell whether a part of the provider is taken away from a run (a negative control).

    :param key: the id of the DAG run or of its room; None for the run whose task this process runs.
    """
    return part in _without().get(_plain(key or _run_id or ""), ())


def lacks_anywhere(part: str) -> bool:
    """Tell whether a part is taken away from any run: what works for all of them does not know for which."""
    return any(part in parts for parts in _without().values())


def _without() -> dict[str, list[str]]:
    try:
        content = (FOLDER / "without").read_text()
    except FileNotFoundError:
        return {}
    return {_plain(key): parts for key, parts in json.loads(content).items()}


def _plain(key: str) -> str:
    """MetaStudio may spell the id of a room in another way than the harness."""
    return key.replace("-", "").lower()


def _hold(until: Path) -> None:
    deadline = time.monotonic() + LONGEST_HOLD
    while not until.exists() and time.monotonic() < deadline:
        time.sleep(0.05)


def _wrap(owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    original = getattr(owner, name)
    setattr(owner, name, functools.wraps(original)(make(original)))


def _before(owner: Any, name: str, point: str) -> None:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            reach(point)
            return original(*args, **kwargs)

        return wrapper

    _wrap(owner, name, make)


def _unless(owner: Any, name: str, *parts: str) -> None:
    """Let a method do nothing while one of the parts is taken away."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: None if any(map(lacks, parts)) else original(*args, **kwargs)

    _wrap(owner, name, make)


def _after(owner: Any, name: str, point: str) -> None:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            if result is not None:
                reach(point)
            return result

        return wrapper

    _wrap(owner, name, make)


# --- the seams


def _current_task(module: ModuleType) -> None:
    def make_init(original: Callable[..., Any]) -> Callable[..., Any]:
        def init(self: Any, context: Any, **kwargs: Any) -> None:
            global _run_id
            _run_id = context["ti"].run_id
            self.room_id_of_try = getattr(context["task"], "room_id", None)
            original(self, context, **kwargs)

        return init

    def make_save(original: Callable[..., Any]) -> Callable[..., Any]:
        def save(self: Any, record: Any) -> None:
            if record.job_id:
                reach("before the id is stored")
            original(self, record)
            if record.job_id:
                reach("after the id is stored")

        return save

    def make_record(original: Callable[..., Any]) -> Callable[..., Any]:
        def record(self: Any) -> Any:
            if lacks("lookup"):
                return None
            found = original(self)
            if found is not None and lacks("the job's own room"):
                return dataclasses.replace(found, room_id=self.room_id_of_try)
            return found

        return record

    _wrap(module.CurrentTask, "__init__", make_init)
    _wrap(module.CurrentTask, "save", make_save)
    _wrap(module.CurrentTask, "record", make_record)


def _hook(module: ModuleType) -> None:
    def make_send(original: Callable[..., Any]) -> Callable[..., Any]:
        def send(profile: Any, outgoing: Any, seconds: float) -> Any:
            answer = original(profile, outgoing, seconds)
            is_start = outgoing.method == "POST" and outgoing.url.endswith("/smart-live-jobs")
            if is_start and getattr(answer, "status", None) == 202:
                reach("after it was accepted")
            if is_start and getattr(answer, "status", None) == 400:
                global _is_refused
                _is_refused = True
                reach("after it was refused")
            return answer

        return send

    def make_start_job(original: Callable[..., Any]) -> Callable[..., Any]:
        def start_job(*args: Any, **kwargs: Any) -> Any:
            reach("before the POST of the standby" if _is_refused else "before the POST")
            try:
                return original(*args, **kwargs)
            except StartOutcomeUnknown as error:
                if not lacks("the doubt before a standby"):
                    raise
                # What may have made a job is taken for a refusal.
                raise QuotaExceeded(str(error), http_status=400, error_code="MSS.20010056") from error

        return start_job

    from airflow_provider_smartlive.client.errors import StartOutcomeUnknown
    from airflow_provider_smartlive.metastudio.errors import QuotaExceeded

    _wrap(module.SmartLiveTaskHook, "start_job", make_start_job)
    _wrap(module, "send_with_requests", make_send)


def _start(module: ModuleType) -> None:
    _before(module.JobStart, "ensure_goes_on", "before the standby is noted")
    _unless(module.JobStart, "_search", "lookup")
    _unless(module.JobStart, "_stop_others", "lookup", "the look for other lives")


def _runner(module: ModuleType) -> None:
    runner = module.LivestreamRunner
    _before(module, "next_source", "streaming")
    _before(runner, "_check_or_wait", "resumed")
    _after(runner, "_check_or_wait", "before the result")
    _after(runner, "_wait", "before the result")
    _unless(runner, "_end_job", "the stop after a time-out")


def _start_operator(module: ModuleType) -> None:
    operator = module.StartSmartLiveJobOperator
    _before(operator, "_defer", "before defer")
    _unless(operator, "on_kill", "kill", "the look for other lives")


def _triggers(module: ModuleType) -> None:
    def make_on_kill(original: Callable[..., Any]) -> Callable[..., Any]:
        async def on_kill(self: Any) -> None:
            room_id = self.wait.room_id
            if not (lacks("kill", room_id) or lacks("the look for other lives", room_id)):
                await original(self)

        return on_kill

    def make_stop(original: Callable[..., Any]) -> Callable[..., Any]:
        async def stop(self: Any, source: Any) -> Any:
            is_lacking = lacks("the trigger's stop", self.wait.room_id)
            return False if is_lacking else await original(self, source)

        return stop

    _wrap(module.SmartLiveJobTrigger, "on_kill", make_on_kill)
    _wrap(module.JobStop, "stop", make_stop)


def _reconciler(module: ModuleType) -> None:
    def make_tell(original: Callable[..., Any]) -> Callable[..., Any]:
        def tell(self: Any, snapshot: Any) -> None:
            if not lacks("reconciliation", self.room_id):
                original(self, snapshot)

        return tell

    _wrap(module.Watch, "tell", make_tell)


def _async_transport(module: ModuleType) -> None:
    def make_timeout(original: Callable[..., Any]) -> Callable[..., Any]:
        def timeout(*args: Any, **kwargs: Any) -> Any:
            if lacks_anywhere("the total time-out") and kwargs.get("total") is not None:
                kwargs |= {"sock_read": kwargs["total"], "total": None}
            return original(*args, **kwargs)

        return timeout

    _wrap(module.aiohttp, "ClientTimeout", make_timeout)


def _rows(module: ModuleType) -> None:
    def make_locking(original: Callable[..., Any]) -> Callable[..., Any]:
        # For any other database than PostgreSQL the statement has no bound of its own.
        return lambda dialect: original(
            "another" if lacks_anywhere("the bounds of a locked row") else dialect
        )

    _wrap(module, "_locking", make_locking)


def _limits(module: ModuleType) -> None:
    def make_run(original: Callable[..., Any]) -> Callable[..., Any]:
        async def run(self: Any, key: Any, work: Any) -> Any:
            # A key of its own for each event: none waits for another one of its task, but all for the row.
            return await original(
                self, object() if lacks_anywhere("the bounds of a locked row") else key, work
            )

        return run

    _wrap(module.Turns, "run", make_run)


def _task_runner(module: ModuleType) -> None:
    def make_finalize(original: Callable[..., Any]) -> Callable[..., Any]:
        def finalize(ti: Any, state: Any, *args: Any, **kwargs: Any) -> Any:
            if state == "deferred":
                reach("after defer")
            return original(ti, state, *args, **kwargs)

        return finalize

    _wrap(module, "finalize", make_finalize)


_SEAMS: dict[str, Callable[[ModuleType], None]] = {
    "airflow_provider_smartlive.livestream.current_task": _current_task,
    "airflow_provider_smartlive.client.task_hook": _hook,
    "airflow_provider_smartlive.livestream.start": _start,
    "airflow_provider_smartlive.livestream.runner": _runner,
    "airflow_provider_smartlive.operators.start": _start_operator,
    "airflow_provider_smartlive.client.async_transport": _async_transport,
    "airflow_provider_smartlive.triggers.job": _triggers,
    "airflow_provider_smartlive.reconciler.watch": _reconciler,
    "airflow_provider_smartlive.receiver.limits": _limits,
    "airflow_provider_smartlive.receiver.statements": _rows,
    "airflow.sdk.execution_time.task_runner": _task_runner,
}


class _Finder(importlib.abc.MetaPathFinder):
    """Finds nothing by itself; lets a module be wrapped when its own loader has executed it."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        seam = _SEAMS.get(name)
        spec = importlib.machinery.PathFinder.find_spec(name, path) if seam else None
        if seam is None or spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            seam(module)

        with contextlib.suppress(AttributeError):
            spec.loader.exec_module = exec_module  # type: ignore[method-assign]  # of this one spec's loader
        return spec


if "SMARTLIVE_FAULTS" in os.environ:
    sys.meta_path.insert(0, _Finder())
