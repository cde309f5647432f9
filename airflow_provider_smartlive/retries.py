"""Which failures are worth a retry: a policy for ``retry_policy``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk import RetryDecision, RetryPolicy
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_smartlive.client.connection import InvalidConnectionError
from airflow_provider_smartlive.client.errors import StartOutcomeUnknown
from airflow_provider_smartlive.client.project import OtherProjectError
from airflow_provider_smartlive.metastudio.errors import (
    AuthenticationError,
    Blocked,
    Conflict,
    InvalidRequest,
    MetaStudioError,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    Throttled,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

#: Nobody waits longer than this because a server says so.
LONGEST_RETRY_DELAY = timedelta(hours=1)

#: What MetaStudio says no to as long as nobody changes anything. Credentials belong here: a try has just read them,
#: and a few wrong signatures lock the key for all others.
REFUSALS = (AuthenticationError, PermissionDenied, Blocked, InvalidRequest)


class SmartLiveRetryPolicy(RetryPolicy):
    """
    Retry what may pass, fail at once what will not.

    For ``retry_policy`` of any task that talks to MetaStudio. ``retries`` of the task still bounds how often. What
    is not named here, such as a job that failed, follows the task's own ``retries`` and ``retry_delay``.

    :param throttled_delay: how long to wait after MetaStudio throttled us; longer if its answer says so.
    :param quota_delay: how long to wait when the account's quota is used up, as other livestreams have to end
        first.
    """

    def __init__(
        self,
        *,
        throttled_delay: timedelta = timedelta(minutes=1),
        quota_delay: timedelta = timedelta(minutes=5),
    ) -> None:
        self.throttled_delay = throttled_delay
        self.quota_delay = quota_delay

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Context | None = None,
    ) -> RetryDecision:
        """Return what Airflow does about a failure."""
        match exception:
            case Throttled():
                return RetryDecision.retry(self._patience(exception), "MetaStudio throttles this account.")
            case QuotaExceeded():
                return RetryDecision.retry(self.quota_delay, "MetaStudio has no free place for a job.")
            case Conflict():
                return RetryDecision.retry(reason="The room or job is busy with something else.")
            case MetaStudioError() if exception.is_transient:
                return RetryDecision.retry(reason="MetaStudio could not be reached or failed.")
            case StartOutcomeUnknown():
                return RetryDecision.fail("A livestream may run already; another start could stream twice.")
            case AuthenticationError() | PermissionDenied() | Blocked():
                return RetryDecision.fail("MetaStudio will refuse this account again.")
            case OtherProjectError():
                return (
                    RetryDecision.default()
                )  # a livestream may run there: a retry finds it when that is mended
            case InvalidRequest() | NotFound() | InvalidConnectionError():
                return RetryDecision.fail("The same request will be wrong again.")
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        """Return the policy as JSON-able primitives; delays are seconds."""
        return {
            "__type": f"{type(self).__module__}.{type(self).__qualname__}",
            "throttled_delay": self.throttled_delay.total_seconds(),
            "quota_delay": self.quota_delay.total_seconds(),
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Self:
        """Read what :meth:`serialize` wrote."""
        return cls(
            throttled_delay=timedelta(seconds=data["throttled_delay"]),
            quota_delay=timedelta(seconds=data["quota_delay"]),
        )

    def _patience(self, error: Throttled) -> timedelta:
        asked = min(error.retry_after or 0.0, LONGEST_RETRY_DELAY.total_seconds())
        return max(self.throttled_delay, timedelta(seconds=asked))


def is_hopeless(error: Exception) -> bool:
    """
    Tell whether a task meets the same error however often it tries.

    That is so for a connection, setting, output or argument that is wrong (all of them ``ValueError``), for
    :data:`REFUSALS`, and for a room that is not there. A *job* that is not there is another matter: MetaStudio may
    show it a little later, or the task that starts it may have another one soon.
    """
    if isinstance(error, NotFound):
        return error.is_about_room
    return isinstance(error, (ValueError, *REFUSALS))


@contextmanager
def failing_for_good(*, unless: Callable[[], bool]) -> Iterator[None]:
    """
    Spare a task the retries that cannot help.

    :param unless: tells whether a job may run all the same; then each retry is a chance to own it, or to stop it.
    :raises AirflowFailException: instead of errors that are hopeless (:func:`is_hopeless`).
    """
    try:
        yield
    except Exception as error:
        if not is_hopeless(error) or unless():
            raise
        raise AirflowFailException(f"{error} A retry would meet the same.") from error
