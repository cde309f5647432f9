"""What a task and a trigger see of Airflow: a context, and the supervisor behind the SDK's own classes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from airflow.jobs.triggerer_job_runner import ToTriggerRunner
from airflow.sdk._shared.state import TaskScope
from airflow.sdk.api.datamodels._generated import PreviousTIResponse
from airflow.sdk.bases.operator import BaseOperator, ExecutorSafeguard
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import comms
from airflow.sdk.execution_time.context import OutletEventAccessors, TaskStateStoreAccessor
from pydantic import TypeAdapter

from tests.support.virtual_time import NOON

DAG, RUN, TASK = "nightly", "scheduled__2026-01-01", "go_live"


_TRIGGERS_READ: TypeAdapter[Any] = TypeAdapter(ToTriggerRunner)


@dataclass
class FakeSupervisor:
    """
    Answers what the SDK asks its supervisor for, from memory.

    :param xcoms: value by (task id, map index, key).
    :param states: of task instances, by the key that Airflow gives them.
    :param faults: what the next messages meet, in order; None lets one through.
    """

    xcoms: dict[tuple[str, int, str], Any] = field(default_factory=dict)
    store: dict[str, Any] = field(default_factory=dict)
    #: The state store of assets, by the name of the asset and the key.
    asset_store: dict[tuple[str, str], Any] = field(default_factory=dict)
    states: dict[str, str | None] = field(default_factory=lambda: {TASK: "running"})
    faults: list[BaseException | None] = field(default_factory=list)
    messages: list[Any] = field(default_factory=list)
    run_state: str = "running"
    on_message: Callable[[Any], None] = lambda message: None
    #: The run and its task as Airflow describes them to a worker; their other fields do not matter here.
    run: dict[str, Any] = field(default_factory=lambda: {"logical_date": None})
    task: dict[str, Any] = field(default_factory=dict)
    #: Finds the task instance of the last run before a logical date, instead of by ``task``.
    task_before: Callable[[comms.GetPreviousTI], Any] | None = None

    #: Whether a trigger asks: its process reads fewer kinds of answers than that of a task.
    of_trigger: bool = False

    def send(self, msg: Any) -> Any:
        answer = self._answer(msg)
        if self.of_trigger and answer is not None:
            _TRIGGERS_READ.validate_python(answer.model_dump())
        return answer

    def _answer(self, message: Any) -> Any:  # noqa: C901  one branch for each message of Airflow's
        self.messages.append(message)
        self.on_message(message)
        if self.faults and (fault := self.faults.pop(0)) is not None:
            raise fault
        match message:
            case comms.SetXCom():
                self.xcoms[_place(message)] = message.value
            case comms.GetXCom():
                return comms.XComResult(key=message.key, value=self.xcoms.get(_place(message)))
            case comms.DeleteXCom():
                self.xcoms.pop(_place(message), None)
            case comms.GetTaskStates():
                return comms.TaskStatesResult(task_states=self._states_of(message))
            case comms.GetDagRunState():
                return comms.DagRunStateResult(state=self.run_state)
            case comms.GetDagRun():
                return comms.DagRunResult.model_construct(**self.run)
            case comms.GetPreviousTI():
                find = self.task_before or self._task_before
                return comms.PreviousTIResult(task_instance=find(message))
            case comms.GetTaskStateStore():
                if message.key in self.store:
                    return comms.TaskStateStoreResult(value=self.store[message.key])
                return comms.ErrorResponse(error=ErrorType.TASK_STORE_NOT_FOUND)
            case comms.SetTaskStateStore():
                self.store[message.key] = message.value
            case comms.DeleteTaskStateStore():
                self.store.pop(message.key, None)
            case comms.GetAssetStateStoreByName():
                if (message.name, message.key) in self.asset_store:
                    return comms.AssetStateStoreResult(value=self.asset_store[message.name, message.key])
                return comms.ErrorResponse(error=ErrorType.ASSET_STORE_NOT_FOUND)
            case comms.SetAssetStateStoreByName():
                self.asset_store[message.name, message.key] = message.value
            case comms.GetConnection():
                # Those of a test stand in the environment, where the SDK looks first.
                return comms.ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND)
            case comms.MaskSecret():
                return None
            case _:
                raise NotImplementedError(type(message).__name__)
        return None

    async def asend(self, msg: Any) -> Any:
        return self.send(msg)

    def _states_of(self, message: comms.GetTaskStates) -> dict[str, dict[str, str | None]]:
        """Return states as Airflow does: of the run's tasks that are asked for, mapped ones with their index."""
        if message.run_ids != [RUN] or message.dag_id != DAG:
            return {}
        found = self.states
        if message.task_ids is not None:
            index = r"_\d+" if message.map_index is None else f"_{message.map_index}"
            wanted = "|".join(rf"{task_id}({index})?" for task_id in message.task_ids)
            found = {name: state for name, state in found.items() if re.fullmatch(wanted, name)}
            if message.map_index is not None:
                found = {name: state for name, state in found.items() if name not in message.task_ids}
        return {RUN: found} if found else {}

    def _task_before(self, message: comms.GetPreviousTI) -> PreviousTIResponse | None:
        """Return the task instance of the last run before a logical date; of the last run if none is given."""
        found = PreviousTIResponse(**{"task_id": TASK, "dag_id": DAG, "run_id": RUN} | self.task)
        logical_date = found.logical_date
        is_before = message.logical_date is None or (
            logical_date is not None and logical_date < message.logical_date
        )
        is_asked_for = message.state is None or message.state == found.state
        same = (message.dag_id, message.task_id, message.map_index) == (DAG, TASK, found.map_index)
        return found if is_before and is_asked_for and same else None

    def clear_xcoms(self, task_id: str = TASK) -> list[str]:
        """Delete the XComs of a task, as its process does when a new try begins; return their keys."""
        places = [place for place in self.xcoms if place[0] == task_id]
        for place in places:
            del self.xcoms[place]
        return [key for _, _, key in places]

    def xcom(self, key: str, task_id: str = TASK, map_index: int = -1) -> Any:
        return self.xcoms.get((task_id, map_index, key))

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put it where the SDK looks for its supervisor."""
        monkeypatch.setattr("airflow.sdk.execution_time.task_runner.SUPERVISOR_COMMS", self, raising=False)


def _place(message: comms.SetXCom | comms.GetXCom | comms.DeleteXCom) -> tuple[str, int, str]:
    return message.task_id, -1 if message.map_index is None else message.map_index, message.key


def api_error() -> AirflowRuntimeError:
    """Return what the SDK raises when the Execution API is away."""
    return AirflowRuntimeError(comms.ErrorResponse(error=ErrorType.GENERIC_ERROR, detail={"message": "away"}))


@dataclass
class FakeTaskInstance:
    """
    The task instance of a context or trigger.

    :param deleted_xcoms: the keys of the XComs that Airflow deleted as this try began.
    """

    supervisor: FakeSupervisor
    dag_id: str = DAG
    run_id: str = RUN
    task_id: str = TASK
    map_index: int | None = -1
    try_number: int = 1
    max_tries: int = 0
    deleted_xcoms: list[str] = field(default_factory=list)

    @property
    def _ti_context_from_server(self) -> Any:
        return SimpleNamespace(xcom_keys_to_clear=self.deleted_xcoms)

    def get_first_reschedule_date(self, context: dict[str, Any]) -> datetime:
        return NOON

    def xcom_push(self, key: str, value: Any) -> None:
        from airflow.sdk.execution_time.xcom import XCom

        XCom.set(
            key,
            value,
            dag_id=self.dag_id,
            run_id=self.run_id,
            task_id=self.task_id,
            map_index=-1 if self.map_index is None else self.map_index,
        )


@contextmanager
def running(process: BaseOperator) -> Iterator[None]:
    """Let a task's code be called as Airflow's task runner calls it."""
    before = ExecutorSafeguard.tracker.set(process)
    try:
        yield
    finally:
        ExecutorSafeguard.tracker.reset(before)


def a_context(
    supervisor: FakeSupervisor,
    *,
    run_after: datetime = NOON,
    run_type: str = "scheduled",
    clear_number: int = 0,
    zone: tzinfo = UTC,
    loop: Any = None,
    **ti: Any,
) -> dict[str, Any]:
    """
    Return the part of a task's context that the provider reads.

    :param loop: what Airflow 3.4 gives a task that is one iteration of a loop.
    """
    instance = FakeTaskInstance(supervisor, **ti)
    scope = TaskScope(instance.dag_id, instance.run_id, instance.task_id, -1)
    return {
        "ti": instance,
        "task_state_store": TaskStateStoreAccessor(UUID(int=1), scope),
        "dag_run": SimpleNamespace(run_after=run_after, run_type=run_type, clear_number=clear_number),
        "dag": SimpleNamespace(timezone=zone, timetable=None),
        "outlet_events": OutletEventAccessors(),
    } | ({"loop": loop} if loop is not None else {})
