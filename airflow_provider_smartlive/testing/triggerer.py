"""The triggers of deferred tasks, on an event loop that runs whenever no task does."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable
from pkgutil import resolve_name
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, TypeVarTuple, cast

import psutil
import structlog
from airflow.executors.workloads import TaskInstanceDTO
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.sdk.execution_time.supervisor import (
    InProcessSupervisorComms,
    InProcessTestSupervisor,
    set_supervisor_comms,
)
from airflow.serialization.decoders import smart_decode_trigger_kwargs
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import select

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from airflow.triggers.base import BaseTrigger
    from pydantic import BaseModel

log = structlog.get_logger(__name__)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _Comms(InProcessSupervisorComms):
    """How triggers reach Airflow: they await what tasks call."""

    async def asend(self, msg: BaseModel) -> Any:
        return self.send(msg)


class _Loop(asyncio.SelectorEventLoop):
    """
    An event loop that does at once, by itself, what is handed to a thread.

    Triggers ask Airflow some things in a thread. One that is still at it when the loop stands still and a task runs
    would use, and put back, the process's one way to reach Airflow, and the task would speak in the triggerer's name.
    """

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Call the function, and return its result or error as a future that is done."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done


class Triggerer:
    """
    Does what Airflow's triggerer does, for the tasks of one run; a context manager.

    A process has one way to reach Airflow, for a task or for triggers, so triggers stand still while a task runs.

    :param dag_id: the DAG.
    :param run_id: its run.
    """

    def __init__(self, dag_id: str, run_id: str) -> None:
        self._of_run = (TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
        self._running: dict[int, asyncio.Task[None]] = {}
        self._loop = _Loop()
        self._comms = _make_comms()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with set_supervisor_comms(self._comms):
            self._loop.run_until_complete(self._end(set(self._running)))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def go_on(self, seconds: float) -> None:
        """Let the triggers of all tasks that are deferred by now run for a while."""
        wanted, new = self._look()
        with set_supervisor_comms(self._comms):
            self._loop.run_until_complete(self._go_on(wanted, new, seconds))

    def _look(self) -> tuple[set[int], dict[int, BaseTrigger]]:
        """Return which triggers somebody waits for, and those among them that do not run yet."""
        statement = (
            select(Trigger, TaskInstance)
            .join(TaskInstance, TaskInstance.trigger_id == Trigger.id)
            .where(*self._of_run, TaskInstance.state == TaskInstanceState.DEFERRED)
        )
        with create_session(scoped=False) as session:
            found = session.execute(statement).all()
            new = {row.id: _load(row, task) for row, task in found if row.id not in self._running}
            return {row.id for row, _ in found}, new

    async def _go_on(self, wanted: set[int], new: dict[int, BaseTrigger], seconds: float) -> None:
        # A trigger that is not wanted any more has fired, or a callback resumed its task past it.
        await self._end(self._running.keys() - wanted)
        for trigger_id, trigger in new.items():
            self._running[trigger_id] = asyncio.create_task(_run(trigger_id, trigger))
        await asyncio.sleep(seconds)

    async def _end(self, trigger_ids: set[int]) -> None:
        ended = [self._running.pop(trigger_id) for trigger_id in trigger_ids]
        for task in ended:
            task.cancel()
        await asyncio.gather(*ended, return_exceptions=True)


def _load(row: Trigger, task: TaskInstance) -> BaseTrigger:
    """Make a trigger of what Airflow's database keeps of it."""
    kwargs = {name: smart_decode_trigger_kwargs(value) for name, value in row.kwargs.items()}
    trigger: Any = resolve_name(row.classpath)(**kwargs)
    trigger.trigger_id = row.id
    trigger.task_instance = TaskInstanceDTO.model_validate(task, from_attributes=True)
    return cast("BaseTrigger", trigger)


async def _run(trigger_id: int, trigger: BaseTrigger) -> None:
    """Run a trigger until it fires; one that fails, or ends without an event, fails its task."""
    error: Exception | None = None
    try:
        async for event in trigger.run():
            with create_session(scoped=False) as session:
                Trigger.submit_event(trigger_id, event, session=session)
            return
    except Exception as raised:
        log.exception("A trigger failed.", classpath=trigger.serialize()[0])
        error = raised
    finally:
        await trigger.cleanup()
    with create_session(scoped=False) as session:
        Trigger.submit_failure(trigger_id, error, session=session)


def _make_comms() -> _Comms:
    supervisor = InProcessTestSupervisor(
        id=uuid.uuid4(),
        pid=os.getpid(),
        process=cast("Any", psutil.Process()),  # nobody tracks this process
        process_log=log,
        client=InProcessTestSupervisor._api_client(),
    )
    supervisor.comms = _Comms(supervisor=supervisor)
    return supervisor.comms
