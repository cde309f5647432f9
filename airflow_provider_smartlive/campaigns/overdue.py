"""Tell that a run of a campaign is late: the callback of a deadline alert."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from inspect import isawaitable
from typing import Any

from airflow.sdk import Connection
from airflow.sdk.bases.notifier import BaseNotifier
from asgiref.sync import sync_to_async

from airflow_provider_smartlive.campaigns.notify import Recipient, name_of, of_connection

log = logging.getLogger(__name__)


async def tell_overdue(recipients: Sequence[str | Mapping[str, Any]], after: float, context: Any) -> None:
    """
    Tell. One that cannot be reached keeps no other from being told.

    :param recipients: who is told, as :func:`~airflow_provider_smartlive.campaigns.notify.dump` returns them.
    :param after: seconds from the beginning of the run.
    :param context: of the deadline alert: the run, as Airflow's API shows it, and no task.
    """
    run = context["dag_run"]
    text = f"{run['dag_id']}: not over {timedelta(seconds=after)} after it began (run {run['dag_run_id']})"
    told = {**context, "message": text}
    for one in recipients:
        recipient = one if isinstance(one, str) else Recipient(**one)
        try:
            await _send(recipient, told)
        except Exception as error:
            log.error("Nobody was told by %s: %s", name_of(recipient), error)


async def _send(recipient: str | Recipient, told: dict[str, Any]) -> None:
    if isinstance(recipient, str):
        # In the triggerer's own loop, as its triggers ask.
        connection = await Connection.async_get(recipient)
        recipient = of_connection(recipient, connection.conn_type, told["message"])
    notifier: Any = recipient.load()
    if isinstance(notifier, BaseNotifier) and type(notifier).async_notify is not BaseNotifier.async_notify:
        # Notifiers change the context that they render with.
        of_run: Any = dict(told)
        notifier.context = of_run
        await notifier
        return
    result = await sync_to_async(notifier)(dict(told))
    if isawaitable(result):
        await result
