"""Which failures are worth a retry, and which ones spare a task its retries."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator, RetryAction
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from pydantic import ValidationError

from airflow_provider_smartlive.callbacks.url import CallbackUrlError
from airflow_provider_smartlive.client.connection import InvalidConnectionError
from airflow_provider_smartlive.client.errors import StartOutcomeUnknown, Unreachable
from airflow_provider_smartlive.client.network import NetworkSetupError
from airflow_provider_smartlive.exceptions import SmartLiveJobFailedError
from airflow_provider_smartlive.metastudio.errors import (
    AuthenticationError,
    Blocked,
    Conflict,
    InvalidRequest,
    MetaStudioError,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    ServerError,
    Throttled,
    UnexpectedResponse,
)
from airflow_provider_smartlive.metastudio.start import StartJobRequest
from airflow_provider_smartlive.retries import LONGEST_RETRY_DELAY, SmartLiveRetryPolicy, failing_for_good

MINUTE = timedelta(minutes=1)

#: What becomes of each family. None as delay: that of the task.
DECISIONS: dict[type[MetaStudioError], tuple[RetryAction, timedelta | None]] = {
    MetaStudioError: (RetryAction.DEFAULT, None),
    AuthenticationError: (RetryAction.FAIL, None),
    PermissionDenied: (RetryAction.FAIL, None),
    InvalidRequest: (RetryAction.FAIL, None),
    NotFound: (RetryAction.FAIL, None),
    Conflict: (RetryAction.RETRY, None),
    QuotaExceeded: (RetryAction.RETRY, timedelta(minutes=5)),
    Throttled: (RetryAction.RETRY, MINUTE),
    Blocked: (RetryAction.FAIL, None),
    ServerError: (RetryAction.RETRY, None),
    UnexpectedResponse: (RetryAction.RETRY, None),
    Unreachable: (RetryAction.RETRY, None),
    StartOutcomeUnknown: (RetryAction.FAIL, None),
    NetworkSetupError: (RetryAction.FAIL, None),
}


def decide(error: BaseException, policy: SmartLiveRetryPolicy | None = None) -> Any:
    return (policy or SmartLiveRetryPolicy()).evaluate(error, try_number=1, max_tries=3)


@pytest.mark.parametrize(("family", "expected"), DECISIONS.items(), ids=lambda value: str(value))
def test_each_family_has_its_decision(
    family: type[MetaStudioError], expected: tuple[RetryAction, timedelta | None]
) -> None:
    decision = decide(family("as MetaStudio says"))
    assert (decision.action, decision.retry_delay) == expected
    assert bool(decision.reason) == (decision.action is not RetryAction.DEFAULT)


def test_no_family_is_forgotten() -> None:
    families = {MetaStudioError, *_subclasses(MetaStudioError)}
    assert families == set(DECISIONS)


def _subclasses(kind: type[Any]) -> set[type[Any]]:
    direct = set(kind.__subclasses__())
    return direct.union(*(_subclasses(sub) for sub in direct))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [(None, MINUTE), (5.0, MINUTE), (300.0, timedelta(minutes=5)), (1e18, LONGEST_RETRY_DELAY)],
)
def test_a_throttled_task_waits_as_long_as_it_is_asked_to(asked: float | None, expected: timedelta) -> None:
    assert decide(Throttled("slow down", retry_after=asked)).retry_delay == expected


def test_a_connection_that_is_wrong_is_not_tried_again() -> None:
    assert decide(InvalidConnectionError("region is missing")).action is RetryAction.FAIL


@pytest.mark.parametrize(
    "error", [SmartLiveJobFailedError("the job failed"), ValueError("the user's own code")]
)
def test_everything_else_follows_the_task(error: Exception) -> None:
    assert decide(error).action is RetryAction.DEFAULT


def test_the_policy_survives_its_own_serialisation() -> None:
    policy = SmartLiveRetryPolicy(throttled_delay=timedelta(seconds=7), quota_delay=timedelta(hours=2))
    data = json.loads(json.dumps(policy.serialize()))
    read = SmartLiveRetryPolicy.deserialize(data)
    assert vars(read) == vars(policy)
    assert data["__type"] == "airflow_provider_smartlive.retries.SmartLiveRetryPolicy"


def test_a_dag_with_the_policy_is_serialised_the_same_each_time() -> None:
    """Airflow keeps a mark only, and has the worker read the policy from the DAG file."""
    from airflow.serialization.serialized_objects import DagSerialization

    def serialised() -> dict[str, Any]:
        with DAG("show", default_args={"retry_policy": SmartLiveRetryPolicy()}) as dag:
            BaseOperator(task_id="go_live")
        data: dict[str, Any] = DagSerialization.to_dict(dag)
        return data

    data = serialised()
    assert data["dag"]["tasks"][0]["__var"]["has_retry_policy"] is True
    assert json.dumps(data, sort_keys=True) == json.dumps(serialised(), sort_keys=True)


def _refused_by_pydantic() -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        StartJobRequest.model_validate({"play_policy": {"repeat_count": 101}})
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        InvalidConnectionError("region is missing"),
        InvalidRequest("Invalid parameter", error_code="MSS.00000003"),
        PermissionDenied("not yours"),
        AuthenticationError("wrong signature", error_code="APIGW.0301"),
        Blocked("frozen"),
        NotFound("no such room", error_code="MSS.20010045"),
        CallbackUrlError("callback_secrets is empty"),
        ValueError("Connection 'shop' holds no RTMP URL"),
        _refused_by_pydantic(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_hopeless_spare_the_task_its_retries(error: Exception) -> None:
    with pytest.raises(AirflowFailException) as caught, failing_for_good(unless=lambda: False):
        raise error
    assert str(error) in str(caught.value)
    assert caught.value.__cause__ is error


def test_while_a_job_may_run_every_retry_is_a_chance_to_own_it() -> None:
    with pytest.raises(InvalidConnectionError), failing_for_good(unless=lambda: True):
        raise InvalidConnectionError("region is missing")


def _no_such_job() -> NotFound:
    error = NotFound("no such job", error_code="MSS.20010074")
    error.room_id, error.job_id = "room", "job"
    return error


@pytest.mark.parametrize(
    "error",
    [
        ServerError("later"),
        Throttled("slower"),
        Conflict("busy"),
        QuotaExceeded("full"),
        AirflowException("no answer"),
        _no_such_job(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_pass_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, failing_for_good(unless=lambda: False):
        raise error
    assert caught.value is error
