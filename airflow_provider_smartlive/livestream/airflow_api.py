"""Call Airflow's API on a worker, again if it fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from airflow.sdk.exceptions import AirflowRuntimeError

#: Seconds between the tries to reach Airflow's API; its client has tried for a while already each time.
API_PAUSES = (1.0, 2.0, 4.0, 8.0)

T = TypeVar("T")


def ask(
    action: Callable[[], T],
    *,
    sleep: Callable[[float], None] | None = None,
    pauses: Sequence[float] = API_PAUSES,
) -> T:
    """
    Do something by way of Airflow's API, again and again.

    :param sleep: waits between two tries, in seconds; ``time.sleep`` if it is left out.
    :param pauses: the seconds between the tries.
    :raises AirflowRuntimeError: if it still fails after all of them.
    """
    for pause in pauses:
        try:
            return action()
        except AirflowRuntimeError:
            (sleep or time.sleep)(pause)
    return action()
