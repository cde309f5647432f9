"""Make the check of a show from the arguments of its task."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.campaigns.checks import Preroll
from airflow_provider_smartlive.client.lookup import find_connection
from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook
from airflow_provider_smartlive.livestream import arguments
from airflow_provider_smartlive.retries import failing_for_good

if TYPE_CHECKING:
    from airflow.sdk import Connection


def read_preroll(task: Any, ti: Any, start: datetime) -> Preroll:
    """
    Read the arguments of a task, as templates have left them.

    :param task: the :class:`~.tasks.PrerollCheckOperator`.
    :param ti: its task instance.
    :param start: when the show is to go live.
    :raises AirflowFailException: if an argument is wrong.
    """
    with failing_for_good(unless=lambda: False):
        room_id = arguments.ident("room_id", task.room_id)
        if room_id is None:
            raise arguments.ArgumentError("room_id", "is None", "Pass an id.")
        preroll = Preroll(
            hook=SmartLiveTaskHook(smartlive_conn_id=task.smartlive_conn_id),
            room_id=room_id,
            output_conn_ids=arguments.conn_ids("output_conn_ids", task.output_conn_ids),
            interaction_conn_id=arguments.conn_id("interaction_conn_id", task.interaction_conn_id),
            quota=task.quota,
            start=start,
            own=replace(TaskRef.of(ti), task_id=task.starter_task_id),
            find_connection=_find_connection,
        )
        return preroll.with_standby(
            arguments.ident("standby_room_id", task.standby_room_id),
            arguments.conn_ids("standby_output_conn_ids", task.standby_output_conn_ids),
        )


def _find_connection(conn_id: str, argument: str) -> Connection:
    return find_connection(conn_id, argument=argument)
