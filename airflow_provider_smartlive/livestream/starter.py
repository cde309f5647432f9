"""The task that started a job, as other tasks name it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_smartlive.callbacks.route import Identity
from airflow_provider_smartlive.callbacks.table import CallbackTable, JobCallbacks
from airflow_provider_smartlive.callbacks.waiter import JOB_ID_KEY, ROOM_ID_KEY, XCOM_TABLE_KEY

if TYPE_CHECKING:
    from airflow.sdk import Context


@dataclass(frozen=True)
class Starter:
    """
    A task instance that started a job, or will.

    That it is not there yet, or has no job yet, are normal states.

    :param map_index: -1 for a task that is not mapped.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1

    @classmethod
    def named(
        cls,
        context: Context,
        task_id: str,
        *,
        dag_id: str | None = None,
        run_id: str | None = None,
        map_index: int | None = None,
    ) -> Starter:
        """Fill in what was left out from the naming task: same DAG run, same map index."""
        ti = context["ti"]
        if map_index is None:
            map_index = -1 if ti.map_index is None else ti.map_index
        return cls(dag_id or ti.dag_id, run_id or ti.run_id, task_id, map_index)

    @property
    def identity(self) -> Identity:
        """Return it as callback URLs carry it."""
        return Identity(**asdict(self))

    def job_id(self) -> str | None:
        """Return the id of its job, on a worker."""
        return _text(self._pull(JOB_ID_KEY))

    def room_id(self) -> str | None:
        """Return the room of its job, on a worker."""
        return _text(self._pull(ROOM_ID_KEY))

    def callbacks(self, job_id: str) -> JobCallbacks | None:
        """Return what was called back about a job of it, on a worker."""
        return CallbackTable.load(self._pull(XCOM_TABLE_KEY)).job(job_id)

    async def job_id_async(self) -> str | None:
        """Return the id of its job, in a trigger."""
        return _text(await self._apull(JOB_ID_KEY))

    async def room_id_async(self) -> str | None:
        """Return the room of its job, in a trigger."""
        return _text(await self._apull(ROOM_ID_KEY))

    async def callbacks_async(self, job_id: str) -> JobCallbacks | None:
        """Return what was called back about a job of it, in a trigger."""
        return CallbackTable.load(await self._apull(XCOM_TABLE_KEY)).job(job_id)

    def _pull(self, key: str) -> Any:
        from airflow.sdk.execution_time.xcom import XCom

        return XCom.get_one(key=key, **asdict(self))

    async def _apull(self, key: str) -> Any:
        from airflow.sdk.execution_time.xcom import XCom

        return await XCom.aget_one(key=key, **asdict(self))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
