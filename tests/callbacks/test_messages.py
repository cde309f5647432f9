from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_smartlive.callbacks.messages import (
    CALLBACK,
    OutputRefresh,
    ResumeEvent,
    WaiterRegistration,
    end_key,
    is_fresh,
    is_ours,
    read_end_key,
    read_stop_key,
    refresh_key,
    starter_waiter_key,
    stop_key,
    waiter_key,
)
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.livestream.own_xcoms import (
    announce_refresh,
    withdraw_refresh,
)
from tests.support.fake_airflow import DAG, RUN, FakeTaskInstance

AT = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


def test_the_key_does_not_depend_on_how_the_id_is_spelled():
    assert waiter_key("26F06524-4F75-4b3a-a853-b649a21aaf66") == waiter_key(
        "26f065244f754b3aa853b649a21aaf66"
    )


def test_the_key_of_a_starter_tells_task_instances_apart_and_fits_an_xcom():
    starter = TaskRef("d" * 250, "r" * 250, "t" * 250)
    mapped = TaskRef("d" * 250, "r" * 250, "t" * 250, 0)

    assert starter_waiter_key(starter) == starter_waiter_key(TaskRef("d" * 250, "r" * 250, "t" * 250))
    assert starter_waiter_key(starter) != starter_waiter_key(mapped)
    assert len(starter_waiter_key(starter)) <= 512


def test_the_key_of_a_stop_says_all_that_a_retry_has_to_know():
    key = stop_key("disconnected", "26F06524-4F75-4b3a-a853-b649a21aaf66")

    assert read_stop_key(key) == ("disconnected", "26f065244f754b3aa853b649a21aaf66")


@pytest.mark.parametrize(
    "key", ["job_id", "smartlive_stop", "smartlive_stop/deadline", waiter_key("26f06524")]
)
def test_other_keys_say_nothing_of_a_stop(key: str):
    assert read_stop_key(key) is None


def test_the_key_of_an_end_says_of_which_job():
    assert read_end_key(end_key("26F06524-4F75-4b3a-a853-b649a21aaf66")) == "26f065244f754b3aa853b649a21aaf66"
    assert read_end_key(stop_key("deadline", "26f06524")) is None


def test_a_registration_survives_the_way_through_an_xcom():
    waiter = WaiterRegistration(job_id="26f06524", target_state="END", needs_worker=True)

    assert WaiterRegistration.load(waiter.dump()) == waiter


def test_a_wake_up_survives_the_way_through_airflow():
    wake = ResumeEvent(source=CALLBACK, job_id="26f06524", state="END", at=AT)

    assert wake.dump() == {
        "version": 1,
        "source": "callback",
        "job_id": "26f06524",
        "state": "END",
        "stopped": False,
        "confirmed": False,
        "at": "2026-11-22T20:00:00Z",
    }
    assert ResumeEvent.load(wake.dump()) == wake


def test_fields_of_a_later_release_are_ignored_and_a_later_version_is_not_guessed_at():
    dumped = WaiterRegistration(job_id="26f06524", target_state="END").dump()

    assert WaiterRegistration.load({**dumped, "colour": "red"}).job_id == "26f06524"
    with pytest.raises(ValueError, match="version"):
        WaiterRegistration.load({**dumped, "version": 2})


@pytest.mark.parametrize("value", [None, "END", [], {"job_id": "x"}])
def test_what_is_no_registration_is_refused(value):
    with pytest.raises(ValueError, match="Waiter"):
        WaiterRegistration.load(value)


def test_freshness_ends_after_its_time():
    assert is_fresh(AT, AT + timedelta(seconds=7.999), 8)
    assert not is_fresh(AT, AT + timedelta(seconds=8), 8)


def test_tasks_of_this_provider_are_known_by_their_triggers():
    from airflow_provider_smartlive import triggers

    assert triggers.__all__
    assert all(is_ours(f"{triggers.__name__}.{name}") for name in triggers.__all__)
    assert not is_ours("airflow.providers.standard.triggers.temporal.DateTimeTrigger")
    assert not is_ours("airflow_provider_smartlive_of_somebody_else.triggers.SmartLiveJobTrigger")


def test_an_exchange_of_outputs_is_announced_on_the_tasks_own_instance(supervisor):
    ti = FakeTaskInstance(supervisor, task_id="say")
    place = ("say", -1, refresh_key("26f065244f75"))
    announce_refresh(ti, "26F06524-4f75", "a sending")

    assert supervisor.xcoms == {place: OutputRefresh(sending="a sending").dump()}
    withdraw_refresh(ti, "26f065244f75", "a sending")
    assert supervisor.xcoms == {place: OutputRefresh(sending="a sending", refused=True).dump()}
    assert {(sent.dag_id, sent.run_id) for sent in supervisor.messages} == {(DAG, RUN)}
