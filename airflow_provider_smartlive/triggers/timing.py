"""When a trigger may send its task back to a worker."""

from __future__ import annotations

from airflow_provider_smartlive import settings

#: Seconds after ``[smartlive] resume_delay`` that a trigger leaves its task alone as well: it reads the callback table
#: for an END that came between the operator's last look and the deferral, or was left to it by the receiver.
FIRST_READ_AFTER = 0.5


def first_read() -> float:
    """Return the seconds after which a trigger may send its task back to a worker; only deadlines come earlier."""
    return settings.usable_number("resume_delay") + FIRST_READ_AFTER


def head_start(interval: float) -> float:
    """Return the seconds before questions begin whose first answer may already resume the task, an interval later."""
    return max(0.0, first_read() - interval)
