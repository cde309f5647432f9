"""Tell that a run of a campaign is not over in time: what Airflow's triggerer calls for a deadline alert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async

from airflow_provider_smartlive.campaigns.notify import Recipient, send_all


async def tell_overdue(recipients: Sequence[str | Mapping[str, Any]], after: float, context: Any) -> None:
    """
    Tell.

    :param recipients: who is told, as :func:`~airflow_provider_smartlive.campaigns.notify.dump` returns them.
    :param after: seconds from the beginning of the run.
    :param context: of the deadline alert: the run, as Airflow's API shows it, and no task.
    """
    run = context["dag_run"]
    text = f"{run['dag_id']}: not over {timedelta(seconds=after)} after it began (run {run['dag_run_id']})"
    told = [one if isinstance(one, str) else Recipient(**one) for one in recipients]
    # Connections are read in a way that would block the triggerer's loop, and needs it.
    await sync_to_async(send_all)(told, text, context)
