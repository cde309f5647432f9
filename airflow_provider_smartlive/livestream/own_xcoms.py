"""
Read and write this provider's XComs past the deployment's XCom backend.

A backend may keep values elsewhere, and leave a reference in the database. The receiver works on the database: it could
not read such a reference, and what it writes itself goes through no backend. None of these values holds a secret.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk.bases.xcom import BaseXCom

from airflow_provider_smartlive.callbacks.messages import OutputRefresh, refresh_key


def push(task: Any, key: str, value: Any) -> None:
    """
    Write an XCom, on a worker.

    :param task: a task instance, or anything else that has its four names.
    """
    BaseXCom.set(key, value, **_names(task))


def pull(task: Any, key: str) -> Any:
    """Return an XCom, on a worker; None if there is none."""
    return BaseXCom.get_one(key=key, **_names(task))


def delete(task: Any, key: str) -> None:
    """Delete an XCom if it is there, on a worker."""
    BaseXCom.delete(key, **_names(task))


async def push_async(task: Any, key: str, value: Any) -> None:
    """Write an XCom, in a trigger."""
    await BaseXCom.aset(key, value, **_names(task))


async def pull_async(task: Any, key: str) -> Any:
    """Return an XCom, in a trigger; None if there is none."""
    return await BaseXCom.aget_one(key=key, **_names(task))


def announce_refresh(ti: Any, job_id: str, sending: str) -> None:
    """
    Tell the receiver that the outputs of a job are about to be exchanged, before the command is sent.

    From then on END is counted by the links that come up anew. Whether MetaStudio reports END for the old ones is not
    known; without this, such an END would end the sensors in the midst of the show.

    :param ti: The task instance that sends the command. Airflow deletes its XComs when a try begins, so every try says
        it again, also one that finds the command sent.
    :param sending: See :class:`OutputRefresh`.
    """
    push(ti, refresh_key(job_id), OutputRefresh(sending=sending).dump())


def withdraw_refresh(ti: Any, job_id: str, sending: str) -> None:
    """
    Take :func:`announce_refresh` back: MetaStudio has refused the command.

    What came up before it counts again from the next event on.
    """
    push(ti, refresh_key(job_id), OutputRefresh(sending=sending, refused=True).dump())


def _names(task: Any) -> dict[str, Any]:
    names = {name: getattr(task, name) for name in ("dag_id", "run_id", "task_id")}
    return names | {"map_index": -1 if task.map_index is None else task.map_index}
