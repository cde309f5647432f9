"""The check before a show: when it is due, what it finds, and that it is made once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred

from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.campaigns import tasks, waiting
from airflow_provider_smartlive.campaigns.notify import Notification
from airflow_provider_smartlive.campaigns.tasks import (
    PrerollCheckFailedError,
    PrerollCheckOperator,
)
from airflow_provider_smartlive.campaigns.times import ShowTimes
from airflow_provider_smartlive.hooks import SmartLiveHook
from airflow_provider_smartlive.livestream import callback_check
from airflow_provider_smartlive.livestream.callback_check import Diagnosis
from airflow_provider_smartlive.sandbox.testing import LocalSandbox, quick_config
from tests.campaigns.told import MESSAGES, listen
from tests.support.fake_airflow import FakeSupervisor, a_context
from tests.support.virtual_time import Clock

pytestmark = pytest.mark.usefixtures("supervisor")

SHANGHAI = ZoneInfo("Asia/Shanghai")
TIMES = ShowTimes(
    SHANGHAI,
    crons=("0 19 * * mon",),
    stop=datetime(2026, 1, 1, 22).time(),
    lead=timedelta(minutes=10),
)
RUN_AT = datetime(2026, 11, 30, 18, 50, tzinfo=SHANGHAI).astimezone(UTC)
START, STOP = RUN_AT + timedelta(minutes=10), RUN_AT + timedelta(hours=3, minutes=10)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(RUN_AT + timedelta(seconds=5))
    for module in (tasks, waiting):
        monkeypatch.setattr(module, "utcnow", clock)
    monkeypatch.setattr(waiting, "time", SimpleNamespace(sleep=clock.sleep))
    return clock


@pytest.fixture
def callbacks(monkeypatch: pytest.MonkeyPatch) -> list[Diagnosis]:
    found = [Diagnosis(True, "it works")]
    monkeypatch.setattr(callback_check, "send", lambda issued, has_task: found[-1])
    return found


@pytest.fixture(autouse=True)
def _told() -> Iterator[None]:
    MESSAGES.clear()
    yield
    MESSAGES.clear()


def context(kind: str = "scheduled", run_at: datetime = RUN_AT, **params: Any) -> Any:
    names = {"dag_id": "spring", "run_id": "r", "task_id": "tea.check"}
    return a_context(FakeSupervisor(), run_type=kind, run_after=run_at, **names) | {
        "params": params,
        "dag": SimpleNamespace(timetable=None, timezone=SHANGHAI),
    }


def check(**changes: Any) -> PrerollCheckOperator:
    arguments: dict[str, Any] = {
        "task_id": "check",
        "room_id": "shoes",
        "output_conn_ids": ["channel"],
        "starter_task_id": "tea.go_live",
        "show": "tea",
        "times": TIMES,
    }
    return PrerollCheckOperator(**{**arguments, **changes})


def execute(operator: PrerollCheckOperator, given: Any) -> dict[str, Any]:
    """Run it past Airflow's guard against calls from outside of a task."""
    found: dict[str, Any] = operator.execute.__wrapped__(operator, given)  # type: ignore[attr-defined]  # the guard's
    return found


# --- when it is due


@pytest.mark.parametrize(
    ("changes", "given", "text"),
    [
        ({}, context(run_at=RUN_AT + timedelta(hours=1)), "The show is not due in this run."),
        ({}, context("backfill"), "This run is a backfill"),
        ({}, context("manual", shows=["coffee"]), "This run plays coffee."),
        ({"times": None}, context("backfill"), "This run is a backfill"),
    ],
)
def test_a_show_that_is_not_due_is_skipped(
    clock: Clock, changes: dict[str, Any], given: Any, text: str
) -> None:
    with pytest.raises(AirflowSkipException, match=text):
        execute(check(**changes), given)


@pytest.mark.parametrize(
    ("late", "window", "text"),
    [
        (timedelta(hours=2), timedelta(hours=1), "was to start at .* ago; start_window is 1:00:00"),
        (timedelta(hours=4), None, "The show was to be over at"),
    ],
)
def test_it_is_too_late(clock: Clock, late: timedelta, window: timedelta | None, text: str) -> None:
    clock.now = START + late
    with pytest.raises(AirflowSkipException, match=text):
        execute(check(start_window=window), context())


@pytest.mark.usefixtures("channels", "callbacks")
def test_it_checks_waits_for_the_start_and_looks_again(
    clock: Clock, supervisor: FakeSupervisor, smartlive_sandbox: LocalSandbox
) -> None:
    smartlive_sandbox.add_room("shoes", seconds=1000)
    operator, given = check(), context()
    with pytest.raises(TaskDeferred) as deferred:
        execute(operator, given)
    assert deferred.value.trigger.moment == START
    assert supervisor.store == {}
    clock.now = START
    result = operator.execute_complete(given, None, **deferred.value.kwargs)
    assert result == {
        "version": 1,
        "planned_start": START.isoformat(),
        "planned_end": STOP.isoformat(),
    }
    # What is cleared behind it later finds the same again, without another check.
    clock.now = START + timedelta(hours=2)
    smartlive_sandbox.add_fault(target="request", action="status", status=500)
    assert execute(operator, given) == result


@pytest.mark.usefixtures("channels", "callbacks")
def test_a_run_by_hand_plays_at_once_and_as_long_as_planned(
    clock: Clock, smartlive_sandbox: LocalSandbox
) -> None:
    smartlive_sandbox.add_room("shoes", seconds=1000)
    clock.now = now = datetime(2026, 12, 2, 3, tzinfo=UTC)
    result = execute(check(), context("manual", run_at=now, shows=["tea"]))
    assert result["planned_start"] == now.isoformat()
    assert result["planned_end"] == (now + timedelta(hours=3)).isoformat()
    assert clock.now == now


@pytest.mark.usefixtures("channels", "callbacks")
def test_a_start_that_is_near_is_waited_for_without_a_deferral(
    clock: Clock, smartlive_sandbox: LocalSandbox
) -> None:
    smartlive_sandbox.add_room("shoes", seconds=1000)
    clock.now = START - timedelta(seconds=10)
    assert execute(check(), context())["planned_start"] == START.isoformat()
    assert clock.now == START


@pytest.mark.usefixtures("channels", "callbacks")
def test_without_a_show_the_run_says_when(clock: Clock, smartlive_sandbox: LocalSandbox) -> None:
    smartlive_sandbox.add_room("shoes", seconds=1000)
    with pytest.raises(TaskDeferred) as deferred:
        execute(check(times=None, check_before=timedelta(minutes=20)), context())
    assert deferred.value.trigger.moment == RUN_AT + timedelta(minutes=20)
    assert execute(check(times=None), context("manual"))["planned_end"] is None


@pytest.mark.usefixtures("channels", "callbacks")
def test_a_start_of_its_own_is_waited_for_and_checked_before(
    clock: Clock, smartlive_sandbox: LocalSandbox
) -> None:
    smartlive_sandbox.add_room("shoes", seconds=1000)
    start_at = "2026-11-30T21:00"  # on the DAG's clock
    operator = check(times=None, start_at=start_at, check_before=timedelta(minutes=20))
    start = datetime(2026, 11, 30, 21, tzinfo=SHANGHAI).astimezone(UTC)
    given = context("manual")
    with pytest.raises(TaskDeferred) as deferred:
        execute(operator, given)
    assert (deferred.value.trigger.moment, deferred.value.method_name) == (
        start - timedelta(minutes=20),
        "execute_check",
    )
    clock.now = start - timedelta(minutes=20)
    with pytest.raises(TaskDeferred) as deferred:
        execute(operator, given)
    assert (deferred.value.trigger.moment, deferred.value.method_name) == (start, "execute_complete")
    clock.now = start
    result = operator.execute_complete(given, None, **deferred.value.kwargs)
    assert result["planned_start"] == start.isoformat()


def test_a_start_that_is_no_time_fails_for_good(clock: Clock, smartlive_connection: str) -> None:
    with pytest.raises(AirflowFailException, match="start_at is '20:00': a time without a date"):
        execute(check(times=None, start_at="20:00"), context())


@pytest.mark.parametrize(("kind", "told"), [("scheduled", True), ("backfill", False)])
def test_a_show_that_is_too_late_is_told(clock: Clock, kind: str, told: bool) -> None:
    clock.now = START + timedelta(hours=2)
    with pytest.raises(AirflowSkipException):
        execute(check(notification=Notification([listen], subject="show tea")), context(kind))
    assert bool(MESSAGES) is told
    if told:
        assert "spring, show tea: skipped, as it is too late: The show was to start at" in MESSAGES[0]


# --- what it finds


def failing(operator: PrerollCheckOperator, given: Any = None) -> str:
    with pytest.raises(PrerollCheckFailedError) as failed:
        execute(operator, given or context())
    return str(failed.value)


@pytest.mark.usefixtures("channels", "callbacks")
def test_what_stops_a_show(clock: Clock, smartlive_sandbox: LocalSandbox) -> None:
    smartlive_sandbox.add_room("shoes", seconds=1000)
    assert "connection: " in failing(check(smartlive_conn_id="none"))
    assert "outputs: outputs: there is no connection 'none'" in failing(check(output_conn_ids=["none"]))
    assert "interaction: interaction: there is no connection" in failing(check(interaction_conn_id="none"))
    smartlive_sandbox.add_fault(target="show_room", action="status", status=500)
    assert "room: " in failing(check())


@pytest.mark.usefixtures("channels", "callbacks")
@pytest.mark.parametrize("smartlive_sandbox_config", [quick_config(any_room=False)], ids=["knows its rooms"])
def test_what_is_wrong_with_a_room_or_its_standby(clock: Clock, smartlive_sandbox: LocalSandbox) -> None:
    def told(**changes: Any) -> str:
        MESSAGES.clear()
        with pytest.raises(TaskDeferred):
            execute(check(notification=Notification([listen], subject="tea"), **changes), context())
        return "".join(MESSAGES)

    standby = {"standby_room_id": "hats"}
    assert "room: there is no room shoes" in failing(check(**standby))
    smartlive_sandbox.add_room("shoes", seconds=1000)
    assert "standby: room: there is no room hats" in told(**standby)
    smartlive_sandbox.add_room("hats", seconds=1000)
    assert told(**standby) == ""
    assert "room: there is no room gloves" in told(**standby, room_id="gloves")
    assert "room: there is no room gloves" in failing(
        check(room_id="gloves", standby_output_conn_ids="channel_2")
    )
    assert "standby: outputs: outputs: there is no connection 'none'" in failing(
        check(**standby, standby_output_conn_ids="none")
    )
    started(smartlive_sandbox, "hats")
    assert "standby: other jobs: " in told(**standby)


@pytest.mark.usefixtures("channels", "callbacks")
def test_arguments_that_no_retry_can_mend(clock: Clock) -> None:
    for changes in (
        {"room_id": "a/b"},
        {"room_id": "None"},
        {"output_conn_ids": "rtmp://x/y"},
        {"standby_room_id": "a/b"},
        {"standby_output_conn_ids": "rtmp://x/y"},
    ):
        with pytest.raises(AirflowFailException, match="A retry would meet the same"):
            execute(check(**changes), context())


@pytest.mark.usefixtures("channels")
def test_callbacks_that_do_not_get_through_are_told_and_stop_nothing(
    clock: Clock, smartlive_sandbox: LocalSandbox, callbacks: list[Diagnosis]
) -> None:
    smartlive_sandbox.add_room("shoes", seconds=1000)
    callbacks.append(Diagnosis(False, "404: no receiver there."))
    notification = Notification([listen], subject="show tea")
    with pytest.raises(TaskDeferred):
        execute(check(notification=notification), context())
    assert MESSAGES == ["spring, show tea: callbacks: 404: no receiver there. (run r)"]


def started(sandbox: LocalSandbox, room: str) -> None:
    SmartLiveHook().start_job(room, {"play_policy": {"play_mode": "NO_PRESET"}})


@pytest.mark.usefixtures("channels", "callbacks")
def test_another_job_in_the_room_stops_it_at_the_check_or_at_the_start(
    clock: Clock, smartlive_sandbox: LocalSandbox
) -> None:
    smartlive_sandbox.add_room("shoes", seconds=1000)
    operator, given = check(), context()
    with pytest.raises(TaskDeferred) as deferred:
        execute(operator, given)
    started(smartlive_sandbox, "shoes")
    clock.now = START
    with pytest.raises(PrerollCheckFailedError, match="runs in this room as well"):
        operator.execute_complete(given, None, **deferred.value.kwargs)
    assert "runs in this room as well" in failing(check())


@pytest.mark.usefixtures("channels", "callbacks")
def test_the_quota_counts_what_still_runs_at_the_start(clock: Clock, smartlive_sandbox: LocalSandbox) -> None:
    for room in ("shoes", "hats"):
        smartlive_sandbox.add_room(room, seconds=1000)
    started(smartlive_sandbox, "hats")
    assert "quota is 1, and 1 of http" in failing(check(quota=1))
    with pytest.raises(TaskDeferred):
        execute(check(quota=2), context())


@pytest.mark.parametrize(
    ("deadline", "task_id", "stays"),
    [
        (START, "other.go_live", False),
        (START + timedelta(minutes=1), "other.go_live", True),
        (None, "other.go_live", True),
        (None, "tea.go_live", False),
    ],
)
def test_what_is_planned_to_be_over_is_in_nobodys_way(
    deadline: datetime | None, task_id: str, stays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_smartlive.campaigns import checks

    target = SimpleNamespace(
        task_ref=TaskRef("spring", "r", task_id), terms=SimpleNamespace(deadline=deadline)
    )
    monkeypatch.setattr(checks, "target_of", lambda job, secrets: target)
    preroll = checks.Preroll(
        hook=None,  # type: ignore[arg-type]  # nobody is asked
        room_id="shoes",
        output_conn_ids=(),
        interaction_conn_id=None,
        quota=None,
        start=START,
        own=TaskRef("spring", "r", "tea.go_live"),
        find_connection=None,  # type: ignore[arg-type]  # nothing is read
    )
    assert preroll._stays(None, ()) is stays  # type: ignore[arg-type]  # its route is said above
