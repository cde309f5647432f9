"""
Runs in every Python process of the stack (its folder is on PYTHONPATH): kills or holds it where the harness says.

The package under test has no code for this. What is wrapped here are its seams, by name, as their modules are
imported; a seam that was renamed is an error at once.
"""

from __future__ import annotations

import contextlib
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


def reach(point: str) -> None:
    """The task's process has come to a point; obey if there is an order for it."""
    order = FOLDER / f"{_run_id}.order"
    try:
        content = json.loads(order.read_text())
    except FileNotFoundError:
        return
    if content["point"] != point:
        return
    try:
        order.rename(order.with_suffix(".obeyed"))  # whoever renames it obeys, and nobody else
    except FileNotFoundError:
        return
    if content["do"] == "hold":
        _hold(order.with_suffix(".go"))
        return
    if content["do"] == "worker":
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def lacks(part: str) -> bool:
    """Tell whether a part of the provider is taken away (a negative control)."""
    try:
        return (FOLDER / "without").read_text() == part
    except FileNotFoundError:
        return False


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


def _own_task(module: ModuleType) -> None:
    def make_init(original: Callable[..., Any]) -> Callable[..., Any]:
        def init(self: Any, context: Any, **kwargs: Any) -> None:
            global _run_id
            _run_id = context["ti"].run_id
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
        return lambda self: None if lacks("lookup") else original(self)

    _wrap(module.OwnTask, "__init__", make_init)
    _wrap(module.OwnTask, "save", make_save)
    _wrap(module.OwnTask, "record", make_record)


def _hook(module: ModuleType) -> None:
    def make_send(original: Callable[..., Any]) -> Callable[..., Any]:
        def send(session: Any, outgoing: Any, patience: float) -> Any:
            answer = original(session, outgoing, patience)
            is_start = outgoing.method == "POST" and outgoing.url.endswith("/smart-live-jobs")
            if is_start and getattr(answer, "status", None) == 202:
                reach("after it was accepted")
            return answer

        return send

    _before(module.SmartLiveTaskHook, "start_job", "before the POST")
    _wrap(module, "send_with_requests", make_send)


def _start(module: ModuleType) -> None:
    def make_listed(original: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: None if lacks("lookup") else original(*args, **kwargs)

    _wrap(module.JobStart, "_listed", make_listed)


def _start_operator(module: ModuleType) -> None:
    def make_on_kill(original: Callable[..., Any]) -> Callable[..., Any]:
        return lambda self: None if lacks("kill") else original(self)

    operator = module.StartSmartLiveJobOperator
    _before(operator, "_defer", "before defer")
    _before(operator, "_next_source", "streaming")
    _before(operator, "_settle_or_wait", "resumed")
    _after(operator, "_settle_or_wait", "before the result")
    _after(operator, "_wait", "before the result")
    _wrap(operator, "on_kill", make_on_kill)


def _triggers(module: ModuleType) -> None:
    def make_on_kill(original: Callable[..., Any]) -> Callable[..., Any]:
        async def on_kill(self: Any) -> None:
            if not lacks("kill"):
                await original(self)

        return on_kill

    _wrap(module.SmartLiveJobTrigger, "on_kill", make_on_kill)


def _reconciler(module: ModuleType) -> None:
    def make_tell(original: Callable[..., Any]) -> Callable[..., Any]:
        return lambda self, sighting: None if lacks("reconciliation") else original(self, sighting)

    _wrap(module.Watch, "tell", make_tell)


def _task_runner(module: ModuleType) -> None:
    def make_finalize(original: Callable[..., Any]) -> Callable[..., Any]:
        def finalize(ti: Any, state: Any, *args: Any, **kwargs: Any) -> Any:
            if state == "deferred":
                reach("after defer")
            return original(ti, state, *args, **kwargs)

        return finalize

    _wrap(module, "finalize", make_finalize)


_SEAMS: dict[str, Callable[[ModuleType], None]] = {
    "airflow_provider_smartlive.livestream.own_task": _own_task,
    "airflow_provider_smartlive.client.task_hook": _hook,
    "airflow_provider_smartlive.livestream.start": _start,
    "airflow_provider_smartlive.operators.start": _start_operator,
    "airflow_provider_smartlive.triggers": _triggers,
    "airflow_provider_smartlive.reconciler": _reconciler,
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
