"""A stop that was accepted is not yet a job that has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_smartlive.decisions import JobStatus
from airflow_provider_smartlive.livestream.snapshot import JobSnapshot
from airflow_provider_smartlive.livestream.stop import (
    CONFIRM_INTERVAL,
    stop_and_confirm,
    stop_and_confirm_async,
)
from airflow_provider_smartlive.metastudio.errors import Conflict, PermissionDenied, Throttled
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.metastudio.jobs import JobList
from tests.support.fake_metastudio import ROOM, FakeAsyncHook, FakeMetaStudio, not_found, unreachable
from tests.support.virtual_time import Clock, run

Stop = Callable[..., JobSnapshot]


@pytest.fixture(params=["worker", "trigger"])
def stop(
    request: pytest.FixtureRequest, clock: Clock, metastudio: FakeMetaStudio, monkeypatch: pytest.MonkeyPatch
) -> Stop:
    """Both ways to stop, which must do the same."""

    def on_a_worker(job_id: str, grace: float = 60.0, lag: float = 0.0, address: Any = None) -> JobSnapshot:
        return stop_and_confirm(metastudio, JobRef(ROOM, job_id), address=address, grace=grace, lag=lag)

    def in_a_trigger(job_id: str, grace: float = 60.0, lag: float = 0.0, address: Any = None) -> JobSnapshot:
        stopping = stop_and_confirm_async("one", JobRef(ROOM, job_id), address=address, grace=grace, lag=lag)
        return run(clock, stopping)

    monkeypatch.setattr(
        "airflow_provider_smartlive.hooks.SmartLiveAsyncHook", lambda **_: FakeAsyncHook(metastudio)
    )
    return on_a_worker if request.param == "worker" else in_a_trigger


def test_a_job_is_stopped_and_seen_to_be_over(stop: Stop, metastudio: FakeMetaStudio) -> None:
    job = metastudio.add(looks_until_stopped=3)
    assert stop(job.job_id).status is JobStatus.SUCCEED
    assert [operation for _, operation in metastudio.log] == ["show", "stop", *["show"] * 4]


def test_looks_keep_their_distance(stop: Stop, metastudio: FakeMetaStudio, clock: Clock) -> None:
    stop(metastudio.add(looks_until_stopped=3).job_id)
    assert clock.seconds == pytest.approx(3 * CONFIRM_INTERVAL)


@pytest.mark.parametrize("state", ["SUCCEED", "FAILED", "BLOCKED"])
def test_what_is_over_is_left_alone(stop: Stop, metastudio: FakeMetaStudio, state: str) -> None:
    assert stop(metastudio.add(state=state).job_id).status.is_over
    assert metastudio.asked == {"show": 1}


def test_what_metastudio_does_not_know_does_not_run(stop: Stop, metastudio: FakeMetaStudio) -> None:
    assert stop("00000000000000000000000000000bad").status is JobStatus.NOT_FOUND
    assert metastudio.asked == {"show": 1, "list_all": 1}


def test_a_job_that_is_not_found_but_listed_runs(stop: Stop, metastudio: FakeMetaStudio) -> None:
    """A 404 alone is no end: MetaStudio's own listing of active jobs has the last word."""
    job = metastudio.add()
    metastudio.show_outcomes = [not_found(), not_found()]
    assert stop(job.job_id).status is JobStatus.SUCCEED
    assert metastudio.stopped == [job.job_id]


def test_a_job_is_stopped_in_the_room_where_it_is(stop: Stop, metastudio: FakeMetaStudio) -> None:
    job = metastudio.add(room_id="another-room", looks_until_stopped=2)
    assert stop(job.job_id).status is JobStatus.SUCCEED
    assert metastudio.stopped == [job.job_id]


@pytest.mark.parametrize(
    "fault",
    [unreachable(), PermissionDenied("no lists for you", http_status=403), not_found()],
    ids=["unreachable", "denied", "not found"],
)
def test_a_job_that_is_not_found_is_not_over_while_the_listing_cannot_tell(
    stop: Stop, metastudio: FakeMetaStudio, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def list_jobs_page(offset: int, **filters: str) -> JobList:
        raise fault

    monkeypatch.setattr(metastudio, "list_jobs_page", list_jobs_page)
    assert stop("00000000000000000000000000000bad", grace=10).status is JobStatus.UNKNOWN


def test_a_job_that_metastudio_may_not_show_yet_is_not_over(
    stop: Stop, metastudio: FakeMetaStudio, clock: Clock
) -> None:
    job = metastudio.add(room_id="not there yet", state="SUCCEED")

    def appears() -> None:
        job.room_id, job.state = ROOM, "PROCESSING"

    clock.at(9, appears)
    assert stop(job.job_id, lag=30).status is JobStatus.SUCCEED
    assert metastudio.stopped == [job.job_id]


def test_a_job_that_never_appears_is_over_when_it_would_have(
    stop: Stop, metastudio: FakeMetaStudio, clock: Clock
) -> None:
    assert stop("00000000000000000000000000000bad", lag=30).status is JobStatus.NOT_FOUND
    assert 30 <= clock.seconds <= 30 + CONFIRM_INTERVAL


def test_an_end_is_ours_only_if_a_stop_was_accepted(stop: Stop, metastudio: FakeMetaStudio) -> None:
    assert stop(metastudio.add().job_id).stopped
    assert not stop(metastudio.add(state="SUCCEED").job_id).stopped
    ended = metastudio.add()
    metastudio.stop_outcomes = [Conflict("a finished job cannot be changed", http_status=400)]
    ended.stopping = True
    metastudio.show_outcomes = [unreachable()]
    assert not stop(ended.job_id).stopped


def test_it_gives_up_when_its_time_is_over_and_says_so(
    stop: Stop, metastudio: FakeMetaStudio, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    job = metastudio.add(looks_until_stopped=None)
    assert not stop(job.job_id, grace=20).status.is_over
    assert 20 <= clock.seconds <= 20 + CONFIRM_INTERVAL
    assert "sweep" in caplog.text


def test_a_job_that_ends_by_itself_meanwhile_is_no_error(stop: Stop, metastudio: FakeMetaStudio) -> None:
    job = metastudio.add()
    metastudio.stop_outcomes = [Conflict("a finished job cannot be changed", http_status=400)]
    job.stopping = True
    metastudio.show_outcomes = [unreachable()]
    assert stop(job.job_id).status is JobStatus.SUCCEED


def test_a_job_that_cannot_be_seen_is_stopped_all_the_same(stop: Stop, metastudio: FakeMetaStudio) -> None:
    job = metastudio.add()
    metastudio.show_outcomes = [unreachable(), unreachable()]
    assert stop(job.job_id).status is JobStatus.SUCCEED
    assert metastudio.stopped == [job.job_id]


def test_a_stop_that_did_not_get_through_is_sent_again(stop: Stop, metastudio: FakeMetaStudio) -> None:
    job = metastudio.add()
    metastudio.stop_outcomes = [Throttled("slow down", http_status=429), unreachable()]
    assert stop(job.job_id).status is JobStatus.SUCCEED
    assert metastudio.asked["stop"] == 3


def test_a_stop_that_never_gets_through_is_not_confirmed(
    stop: Stop, metastudio: FakeMetaStudio, clock: Clock
) -> None:
    metastudio.down = unreachable()
    assert stop(metastudio.add().job_id, grace=20).status is JobStatus.UNKNOWN
    assert clock.seconds >= 20


def test_a_stop_that_is_refused_is_an_error(stop: Stop, metastudio: FakeMetaStudio) -> None:
    metastudio.stop_outcomes = [PermissionDenied("not yours", http_status=403)]
    with pytest.raises(PermissionDenied):
        stop(metastudio.add().job_id)
