"""Two jobs in one room, or on one RTMP output: the one that starts says so, in its log and in its result."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.url import CallbackTarget, issue
from airflow_provider_smartlive.livestream.runner import MAX_RIVAL_WARNINGS
from airflow_provider_smartlive.metastudio.callback_auth import AuthType
from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob
from airflow_provider_smartlive.metastudio.start import StartJobRequest
from tests.support.fake_callbacks import STREAM_KEY
from tests.support.fake_metastudio import ROOM, FakeJob, unreachable
from tests.support.simulation import StartSimulation

OTHER_ROOM = "24bad716-87b1-45e5-8912-00000000000b"
#: As in the fixture `connections`, spelt otherwise.
MAIN_OUTPUT = (f"rtmp://PUSH.example.com:1935/live/main/{STREAM_KEY}", None)
ANOTHER_OUTPUT = ("rtmp://push.example.com/live/main", "fake-stream-key-of-another-channel")


def runs(show: StartSimulation, *, room_id: str, output: tuple[str, str | None]) -> FakeJob:
    """Let a job of another task run."""
    issued = issue(
        CallbackTarget(TaskRef("morning", "manual__1", "shop", 3), "0", 0),
        base_url="https://airflow.example.com",
        secrets=("fake-callback-secret-for-tests-only-0001",),
        auth_type=AuthType.MSS_A_HEAD,
        outputs=[output],
    )
    config = {"live_event_type_callback_url": issued.url, "auth_type": "MSS_A_HEAD", "key": issued.key}
    request = StartJobRequest.model_validate({"live_event_callback_config": config})
    return show.metastudio.add(room_id=room_id, request=request)


def warnings(show: StartSimulation) -> list[str]:
    """Start, and return the warnings of the result."""
    found: list[str] = show.go_live(wait_for_termination=False)["warnings"]
    assert STREAM_KEY not in str(found)
    return found


def test_the_same_output(show: StartSimulation) -> None:
    rival = runs(show, room_id=OTHER_ROOM, output=MAIN_OUTPUT)
    (warning,) = warnings(show)
    assert warning.startswith(
        f"Job {rival.job_id} in room {OTHER_ROOM} (task shop[3] of DAG morning, run manual__1) has the same RTMP "
    )
    assert "own connection in output_conn_ids" in warning


def test_the_same_room(show: StartSimulation) -> None:
    rival = runs(show, room_id=ROOM.replace("-", "").upper(), output=ANOTHER_OUTPUT)
    (warning,) = warnings(show)
    assert rival.job_id in warning
    assert "runs in this room as well. Give each task its own room_id" in warning
    assert "single_job_in_room" in warning


def test_a_job_that_no_task_has_started(show: StartSimulation) -> None:
    show.metastudio.add(room_id=ROOM)
    (warning,) = warnings(show)
    assert "(not started by a task) runs in this room as well" in warning


def test_another_room_and_output_or_a_job_that_is_over(show: StartSimulation) -> None:
    runs(show, room_id=OTHER_ROOM, output=ANOTHER_OUTPUT)
    runs(show, room_id=ROOM, output=MAIN_OUTPUT).state = "SUCCEED"
    assert warnings(show) == []


def test_it_stands_in_the_log_and_in_the_result_of_a_whole_wait(
    show: StartSimulation, capsys: pytest.CaptureFixture[str]
) -> None:
    runs(show, room_id=OTHER_ROOM, output=MAIN_OUTPUT)
    show.at(600, show.ends())
    (warning,) = show.go_live()["warnings"]
    assert f"This livestream: {warning}" in capsys.readouterr().out


def test_it_ends_the_livestream_if_asked_to(show: StartSimulation) -> None:
    rival = runs(show, room_id=OTHER_ROOM, output=MAIN_OUTPUT)
    with pytest.raises(AirflowFailException, match=r"warnings_as_errors.*same RTMP output"):
        show.go_live(warnings_as_errors=True)
    assert show.metastudio.running == [rival.job_id]


def test_tasks_that_start_at_the_same_time(show: StartSimulation) -> None:
    """The second one to be there sees the first one, which has seen nothing before its own start."""
    show.metastudio.before_start = lambda: runs(show, room_id=OTHER_ROOM, output=MAIN_OUTPUT)
    assert len(warnings(show)) == 1


def test_a_listing_that_fails_costs_only_the_warning(
    show: StartSimulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_jobs = show.metastudio.list_jobs

    def fail_after_the_start(**filters: str) -> Iterator[SmartLiveJob]:
        if show.metastudio.jobs:
            raise unreachable()
        return list_jobs(**filters)

    monkeypatch.setattr(show.metastudio, "list_jobs", fail_after_the_start)
    assert warnings(show) == []
    assert len(show.metastudio.running) == 1


def test_many_of_them_do_not_fill_the_result(show: StartSimulation) -> None:
    for _ in range(2 * MAX_RIVAL_WARNINGS):
        show.metastudio.add(room_id=ROOM)
    assert len(warnings(show)) == MAX_RIVAL_WARNINGS
