"""Wait until a point in time, in the triggerer."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk.timezone import utcnow

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

#: Seconds for which it does not pay to defer; and a task that is resumed so soon may fail, because Airflow has not
#: heard of the end of its first process.
SHORT = 15.0


def wait_until(
    operator: BaseOperator, moment: datetime, *, method_name: str, kwargs: dict[str, Any] | None = None
) -> None:
    """
    Return at once if a time is over, in a while if it is near, and else defer.

    :param operator: the task.
    :param moment: the time.
    :param method_name: what the task goes on with after a deferral.
    :param kwargs: its arguments.
    """
    left = (moment - utcnow()).total_seconds()
    if left > SHORT:
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        operator.defer(
            # Nothing but UTC goes into the arguments of a trigger.
            trigger=DateTimeTrigger(moment=moment.astimezone(UTC)),
            method_name=method_name,
            kwargs=kwargs,
            timeout=None,
        )
    if left > 0:
        time.sleep(left)
