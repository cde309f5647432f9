"""How a livestream can end badly; the base class says whether a retry may help."""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowException, AirflowFailException


class SmartLiveJobFailedError(AirflowException):
    """The job failed, vanished, or its end could not be learned. A retry starts a new one."""


class SmartLiveJobBlockedError(AirflowFailException):
    """MetaStudio blocked the job (compliance), or refuses the credentials: a retry cannot help."""


class SmartLiveTimeoutError(AirflowException):
    """``execution_timeout`` was reached; the job was stopped."""


class SmartLiveKilledError(AirflowException):
    """The task was ended from outside while it was running."""


class AmbiguousStartError(AirflowFailException):
    """A start has an unknown outcome and cannot be looked up, so that sending it again could stream twice."""
