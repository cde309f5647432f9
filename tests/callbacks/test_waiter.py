from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_smartlive.callbacks.route import Identity
from airflow_provider_smartlive.callbacks.waiter import (
    CALLBACK,
    Waiter,
    Wake,
    is_fresh,
    starter_waiter_key,
    waiter_key,
)

AT = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


def test_the_key_does_not_depend_on_how_the_id_is_spelled():
    assert waiter_key("26F06524-4F75-4b3a-a853-b649a21aaf66") == waiter_key(
        "26f065244f754b3aa853b649a21aaf66"
    )


def test_the_key_of_a_starter_tells_task_instances_apart_and_fits_an_xcom():
    starter = Identity("d" * 250, "r" * 250, "t" * 250)
    mapped = Identity("d" * 250, "r" * 250, "t" * 250, 0)

    assert starter_waiter_key(starter) == starter_waiter_key(Identity("d" * 250, "r" * 250, "t" * 250))
    assert starter_waiter_key(starter) != starter_waiter_key(mapped)
    assert len(starter_waiter_key(starter)) <= 512


def test_a_registration_survives_the_way_through_an_xcom():
    waiter = Waiter(job_id="26f06524", target_state="END", needs_worker=True)

    assert Waiter.load(waiter.dump()) == waiter


def test_a_wake_up_survives_the_way_through_airflow():
    wake = Wake(source=CALLBACK, job_id="26f06524", state="END", at=AT)

    assert wake.dump() == {
        "version": 1,
        "source": "callback",
        "job_id": "26f06524",
        "state": "END",
        "stopped": False,
        "at": "2026-11-22T20:00:00Z",
    }
    assert Wake.load(wake.dump()) == wake


def test_fields_of_a_later_release_are_ignored_and_a_later_version_is_not_guessed_at():
    dumped = Waiter(job_id="26f06524", target_state="END").dump()

    assert Waiter.load({**dumped, "colour": "red"}).job_id == "26f06524"
    with pytest.raises(ValueError, match="version"):
        Waiter.load({**dumped, "version": 2})


@pytest.mark.parametrize("value", [None, "END", [], {"job_id": "x"}])
def test_what_is_no_registration_is_refused(value):
    with pytest.raises(ValueError, match="Waiter"):
        Waiter.load(value)


def test_freshness_ends_after_its_time():
    assert is_fresh(AT, AT + timedelta(seconds=7.999), 8)
    assert not is_fresh(AT, AT + timedelta(seconds=8), 8)
