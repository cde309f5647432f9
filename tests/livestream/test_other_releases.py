"""What another release stored with a deferred task: a clear error, and never a lost job."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_smartlive.livestream.wait_state import StoredByOtherRelease, WaitLimits, WaitState
from airflow_provider_smartlive.triggers import SmartLiveJobTrigger
from tests.support import simulation
from tests.support.simulation import LIVE, StartSimulation


def _later(value: dict[str, Any]) -> dict[str, Any]:
    return value | {"version": 99}


@pytest.mark.parametrize("part", ["wait", "limits"])
def test_a_trigger_says_that_it_cannot_read_the_wait(deferred: StartSimulation, part: str) -> None:
    """Airflow resumes its task as one whose trigger failed, and that sees to the job."""
    deferred.at(30, deferred.calls_back(*LIVE))
    deferred.at(600, deferred.ends(), deferred.calls_back("END"))
    deferred.go_live()
    _, arguments = deferred.deferrals[0].trigger.serialize()

    with pytest.raises(StoredByOtherRelease, match=r"99, this one reads \d.* Install that release again"):
        SmartLiveJobTrigger(**arguments | {part: _later(arguments[part])})


@pytest.mark.parametrize("part", ["wait", "limits"])
def test_a_resumed_task_goes_on_by_its_record(
    deferred: StartSimulation, part: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read = simulation.deserialize

    def changed(value: Any) -> Any:
        kwargs = read(value)
        return kwargs | {part: _later(kwargs[part])}

    monkeypatch.setattr(simulation, "deserialize", changed)
    deferred.at(30, deferred.calls_back(*LIVE))
    deferred.at(600, deferred.ends(), deferred.calls_back("END"))

    result = deferred.go_live()
    assert (result["state"], deferred.metastudio.asked["start"]) == ("SUCCEED", 1)
    assert deferred.metastudio.stopped == []
    assert "stored by another release" in capsys.readouterr().out


def test_an_event_of_another_release_is_a_reason_to_look(
    deferred: StartSimulation, capsys: pytest.CaptureFixture[str]
) -> None:
    woken = deferred.wakes("callback", "any job", "END")

    def wake() -> None:
        resume = deferred.resume
        deferred.resume = lambda event: resume(event.model_copy(update={"version": 99}))
        woken()

    deferred.at(60, wake)
    deferred.at(600, deferred.ends(), deferred.calls_back("END"))

    result = deferred.go_live()
    assert (result["state"], deferred.metastudio.stopped) == ("SUCCEED", [])
    assert "same release for all of Airflow's processes" in capsys.readouterr().out


def test_formats_of_this_release_are_read() -> None:
    limits = WaitLimits(interval=300)
    assert WaitLimits.load(limits.dump()) == limits
    assert "version" in WaitState.__dataclass_fields__
