"""Wait on a worker for what would wake a deferred task."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow_provider_smartlive.decisions import WakeSource

if TYPE_CHECKING:
    from airflow_provider_smartlive.livestream.kill import KillHandler
    from airflow_provider_smartlive.livestream.manager import JobManager

#: Seconds between two looks into the callback table.
POLL_INTERVAL = 5.0


def next_source(manager: JobManager, kill: KillHandler, *, now: Callable[[], datetime]) -> WakeSource:
    """
    Wait until there is something to decide about a job, and return what it is.

    :param manager: decides for the job.
    :param kill: tells when the task is to end.
    :raises SmartLiveKilledError: if the task was ended from outside.
    """
    interval = manager.wait.interval(manager.limits)
    ask_at = now() + timedelta(seconds=max(interval, manager.pause))
    connect_by = manager.wait.connect_by(manager.limits)
    if connect_by is not None and connect_by > now():
        ask_at = min(ask_at, connect_by)  # whether video was pushed, MetaStudio has to say
    while True:
        kill.end_if_requested()
        callbacks = manager.callbacks()
        if source := manager.due(callbacks):
            return source
        if not manager.wait.is_ending and manager.has_ended(callbacks):
            return WakeSource.CALLBACK
        if now() >= ask_at:
            return WakeSource.RECONCILIATION
        kill.sleep(min(POLL_INTERVAL, interval))
