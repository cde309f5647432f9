"""Exactly one start, whatever dies in between."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
import structlog
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow.sdk.execution_time.comms import SetTaskStateStore

from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.url import CallbackTarget, issue
from airflow_provider_smartlive.client.connection import InvalidConnectionError
from airflow_provider_smartlive.client.errors import TransportFailure, Unreachable
from airflow_provider_smartlive.exceptions import AmbiguousStartError, SmartLiveKilledError
from airflow_provider_smartlive.livestream import request
from airflow_provider_smartlive.livestream.acquired_job import AcquiredJob, Origin
from airflow_provider_smartlive.livestream.current_task import STORE_KEY, CurrentTask
from airflow_provider_smartlive.livestream.job_search import JobSearch
from airflow_provider_smartlive.livestream.record import JobRecord
from airflow_provider_smartlive.livestream.start import JobStart
from airflow_provider_smartlive.metastudio.callback_auth import AuthType
from airflow_provider_smartlive.metastudio.errors import (
    AuthenticationError,
    NotFound,
    QuotaExceeded,
    Throttled,
)
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.metastudio.start import StartJobRequest
from tests.support.current_task import FIRST, TASK_REF, a_current_task
from tests.support.fake_airflow import TASK, FakeSupervisor
from tests.support.fake_metastudio import ROOM, After, Crash, FakeMetaStudio, ambiguous, unreachable
from tests.support.virtual_time import NOON, Clock

OTHER_ROOM = "24bad716-87b1-45e5-8912-00000000000b"
OLD_SECRET = "fake-callback-secret-for-tests-only-0001"
NEW_SECRET = "fake-callback-secret-for-tests-only-0002"
WINDOW = 30.0
HERE = "this-one"
ADDRESS = "https://metastudio.cn-north-4.myhuaweicloud.com/v1/fake-project"


def a_record(generation: int = 0, room_id: str = ROOM, **more: Any) -> JobRecord:
    return JobRecord(str(generation), FIRST, "smartlive_default", room_id, **{"address": ADDRESS} | more)


@dataclass
class Task:
    """A task through its tries and lives: only MetaStudio and the task state store stay."""

    metastudio: FakeMetaStudio
    clock: Clock
    supervisor: FakeSupervisor
    #: Whether Airflow has given the task to another try.
    is_taken: bool = False

    def run(
        self,
        generation: int = 0,
        *,
        secrets: tuple[str, ...] = (OLD_SECRET,),
        base_url: str = "https://airflow.example.com",
        use_callbacks: bool = True,
        crash_at_save: int | None = None,
        may_send: Any = lambda: None,
        stop_grace: float = 60.0,
        room_id: str = ROOM,
        deployment: str = HERE,
        **fields: Any,
    ) -> AcquiredJob:
        """Run the task's code up to the point where it has its job, as the runner does."""
        task = self.current
        crash = _crash_at(crash_at_save)

        def on_message(message: Any) -> None:
            crash(message)
            if self.is_taken and isinstance(message, SetTaskStateStore):
                raise TaskTaken

        self.supervisor.on_message = on_message
        start = JobStart(
            lambda conn_id: self.metastudio,
            task=task,
            job_search=self.job_search(secrets=secrets),
            deployment=deployment,
            stop_grace=stop_grace,
            single_job_in=("smartlive_default", room_id)
            if (fields.get("job_run_config") or {}).get("single_job_in_room")
            else None,
            log=structlog.get_logger(),
            now=self.clock,
            sleep=self.clock.sleep,
        )
        address = self.metastudio.profile().base_url
        planned = a_record(generation, room_id, calls_back=use_callbacks, address=address)
        record = task.record()
        if record is not None and record.generation != planned.generation:
            start.end(record)
        elif record is not None:
            if acquired := start.take_up(record):
                return acquired
            planned = replace(planned, discarded=record.without(record.job_id).discarded)
        target = CallbackTarget(TASK_REF, planned.generation, generation, deployment)
        built = a_request(target, secrets[:1] if use_callbacks else (), base_url, fields)
        run_config = built.job_run_config
        planned = replace(planned, single_job_in_room=bool(run_config and run_config.single_job_in_room))
        return start.send(planned, built, may_send=may_send, deadline=lambda at: None)

    def job_search(self, hook_of: Any = None, *, secrets: tuple[str, ...] = (OLD_SECRET,)) -> JobSearch:
        """Return what searches for its jobs."""
        return JobSearch(
            hook_of or (lambda conn_id: self.metastudio),
            task_ref=TASK_REF,
            secrets=secrets,
            look_again_window=WINDOW,
            now=self.clock,
            sleep=self.clock.sleep,
        )

    @property
    def current(self) -> CurrentTask:
        """Return it as a new process sees it."""
        return a_current_task(self.supervisor, self.clock)

    @property
    def store(self) -> dict[str, Any]:
        return self.supervisor.store

    @property
    def record(self) -> JobRecord | None:
        return self.current.record()


def a_request(
    target: CallbackTarget, secrets: tuple[str, ...], base_url: str, fields: dict[str, Any]
) -> StartJobRequest:
    """Return a request whose callback URL carries a route."""
    issued = (
        issue(target, base_url=base_url, secrets=secrets, auth_type=AuthType.MSS_A_HEAD) if secrets else None
    )
    return request.build(fields, issued=issued, max_live_duration=24)


def _crash_at(number: int | None) -> Any:
    saves = iter(range(1, 100))

    def on_message(message: Any) -> None:
        if isinstance(message, SetTaskStateStore) and next(saves) == number:
            raise Crash

    return on_message


@pytest.fixture
def task(metastudio: FakeMetaStudio, clock: Clock, supervisor: FakeSupervisor) -> Task:
    return Task(metastudio, clock, supervisor)


def test_a_first_try_starts_one_job(task: Task) -> None:
    acquired = task.run()
    assert acquired.origin is Origin.STARTED
    assert acquired.started_at == NOON
    assert acquired.response is not None
    assert task.metastudio.running == [acquired.job_id]
    assert task.record == a_record(sent_at=NOON, job_id=acquired.job_id, started_at=NOON)


def test_it_looks_before_it_sends(task: Task) -> None:
    task.metastudio.start_outcomes = [Crash()]
    with pytest.raises(Crash):
        task.run()
    assert task.metastudio.asked["list_all"] == 1


def test_a_retry_adopts_the_job_that_runs(task: Task) -> None:
    first = task.run()
    task.clock.sleep(600)
    again = task.run()
    assert (again.job_id, again.origin, again.started_at) == (first.job_id, Origin.ADOPTED, NOON)
    assert task.metastudio.asked["start"] == 1


# -- crashes: before the POST leaves, after it had its effect, before and after the id is stored


def test_a_crash_before_the_start_is_recorded_leaves_nothing(task: Task) -> None:
    with pytest.raises(Crash):
        task.run(crash_at_save=1)
    assert task.metastudio.jobs == []
    assert task.run().origin is Origin.STARTED


def test_a_crash_before_the_post_leaves(task: Task) -> None:
    task.metastudio.start_outcomes = [Crash()]
    with pytest.raises(Crash):
        task.run()
    assert task.record == a_record(sent_at=NOON)
    assert task.run().origin is Origin.STARTED
    assert len(task.metastudio.jobs) == 1


def test_a_crash_after_metastudio_accepted(task: Task) -> None:
    task.metastudio.start_outcomes = [After(Crash())]
    with pytest.raises(Crash):
        task.run()
    assert task.run().origin is Origin.ADOPTED
    assert len(task.metastudio.jobs) == 1


def test_a_crash_before_the_id_is_stored(task: Task) -> None:
    with pytest.raises(Crash):
        task.run(crash_at_save=2)
    assert task.record is not None
    assert task.record.job_id is None
    assert task.run().origin is Origin.ADOPTED
    assert len(task.metastudio.jobs) == 1


def test_a_crash_while_the_listing_lags(task: Task) -> None:
    task.metastudio.listing_lag = timedelta(seconds=WINDOW - 5)
    task.metastudio.start_outcomes = [After(Crash())]
    with pytest.raises(Crash):
        task.run()
    assert task.run().origin is Origin.ADOPTED
    assert len(task.metastudio.jobs) == 1


def test_without_a_crash_nothing_is_waited_for(task: Task) -> None:
    task.run()
    assert task.clock.now == NOON


def test_the_negative_control_duplicates_appear_without_the_look(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same crash, with the look-up taken out: this file can see a double start."""
    monkeypatch.setattr(JobSearch, "listings", lambda self, record: iter([[]]))
    monkeypatch.setattr(JobStart, "_stop_others", lambda self, hook, planned: None)
    task.metastudio.start_outcomes = [After(Crash())]
    with pytest.raises(Crash):
        task.run()
    task.run()
    assert len(task.metastudio.running) == 2


# -- what became of the job while nobody looked


def test_a_job_that_finished_while_away_gives_its_result(task: Task) -> None:
    first = task.run()
    task.metastudio.jobs[0].state = "SUCCEED"
    again = task.run()
    assert (again.job_id, again.origin) == (first.job_id, Origin.FINISHED)
    assert task.metastudio.asked["start"] == 1


def test_a_job_that_was_blocked_while_away_is_not_started_again(task: Task) -> None:
    task.run()
    task.metastudio.jobs[0].state = "BLOCKED"
    assert task.run().origin is Origin.FINISHED
    assert task.metastudio.asked["start"] == 1


def test_a_job_that_finished_before_its_id_was_stored_is_found_in_the_listing(task: Task) -> None:
    task.metastudio.start_outcomes = [After(Crash())]
    with pytest.raises(Crash):
        task.run()
    task.metastudio.jobs[0].state = "SUCCEED"
    assert task.run().origin is Origin.FINISHED
    assert task.metastudio.asked["start"] == 1


def test_a_job_that_failed_while_away_is_what_a_retry_is_for(task: Task) -> None:
    first = task.run()
    task.metastudio.jobs[0].state = "FAILED"
    again = task.run()
    assert again.origin is Origin.STARTED
    assert again.job_id != first.job_id
    assert task.metastudio.running == [again.job_id]


def test_a_job_that_vanished_is_started_anew(task: Task) -> None:
    task.run()
    task.metastudio.jobs.clear()
    assert task.run().origin is Origin.STARTED


@pytest.mark.parametrize("state", ["PROCESSING", "SUCCEED"])
def test_a_job_that_we_stopped_is_nobodys_result(task: Task, state: str) -> None:
    first = task.run()
    task.current.mark_stopped(first.job_id)
    task.metastudio.jobs[0].state = state
    again = task.run()
    assert again.origin is Origin.STARTED
    assert task.metastudio.running == [again.job_id]
    assert task.record is not None
    assert task.record.is_discarded(first.job_id)


def test_a_job_that_we_stopped_is_known_after_another_start_too(task: Task) -> None:
    first = task.run()
    task.current.mark_stopped(first.job_id)
    second = task.run()
    task.store[STORE_KEY]["job_id"] = None
    assert task.run().job_id == second.job_id


# -- lives: a clear raises the generation


def test_a_clear_after_success_goes_live_again(task: Task) -> None:
    first = task.run(generation=0)
    task.metastudio.jobs[0].state = "SUCCEED"
    again = task.run(generation=1)
    assert again.origin is Origin.STARTED
    assert again.job_id != first.job_id
    assert task.metastudio.stopped == []


def test_a_clear_while_running_stops_the_old_job_confirms_and_starts_anew(task: Task) -> None:
    first = task.run(generation=0)
    task.metastudio.jobs[0].looks_until_stopped = 3
    again = task.run(generation=1)
    assert again.origin is Origin.STARTED
    assert task.metastudio.stopped == [first.job_id]
    assert task.metastudio.running == [again.job_id]


def test_an_old_job_that_is_only_in_the_listing_is_stopped_too(task: Task) -> None:
    first = task.run(generation=0)
    task.store.clear()
    again = task.run(generation=1)
    assert task.metastudio.stopped == [first.job_id]
    assert task.metastudio.running == [again.job_id]


def test_nothing_is_started_beside_an_old_job_that_does_not_stop(task: Task) -> None:
    task.run(generation=0)
    task.metastudio.jobs[0].looks_until_stopped = None
    with pytest.raises(AirflowException, match="still running"):
        task.run(generation=1, stop_grace=0)
    assert task.metastudio.asked["start"] == 1


def test_an_old_start_with_an_unknown_outcome_is_waited_for_before_a_new_one(task: Task) -> None:
    task.metastudio.listing_lag = timedelta(seconds=WINDOW - 5)
    task.metastudio.start_outcomes = [After(Crash())]
    with pytest.raises(Crash):
        task.run(generation=0)
    again = task.run(generation=1)
    assert task.metastudio.stopped == [task.metastudio.jobs[0].job_id]
    assert task.metastudio.running == [again.job_id]


def test_not_even_a_clear_forgets_an_unknown_outcome_that_nobody_can_look_up(task: Task) -> None:
    task.metastudio.echoes_callbacks = False
    unknown = task.metastudio.add()
    task.metastudio.start_outcomes = [Crash()]
    with pytest.raises(Crash):
        task.run(generation=0)
    for generation in (0, 1):
        with pytest.raises(AmbiguousStartError, match=r"clear the task; or trigger a new run"):
            task.run(generation=generation)
    unknown.state = "SUCCEED"
    assert task.run(generation=1).origin is Origin.STARTED, "whatever it was, it is over"


@pytest.mark.parametrize("generation", [0, 1])
def test_without_callbacks_a_job_of_an_unknown_start_is_not_doubled(task: Task, generation: int) -> None:
    task.metastudio.start_outcomes = [After(Crash())]
    with pytest.raises(Crash):
        task.run(use_callbacks=False)
    with pytest.raises(AmbiguousStartError):
        task.run(generation=generation, use_callbacks=False)
    assert len(task.metastudio.jobs) == 1


# -- the room and the connection to which the start was sent


@pytest.mark.parametrize("is_clear", [True, False], ids=["its answer is known", "its outcome is unknown"])
def test_a_retry_adopts_the_job_in_its_own_room(task: Task, is_clear: bool) -> None:
    task.metastudio.start_outcomes = [None if is_clear else After(Crash())]
    with contextlib.suppress(Crash):
        task.run()
    acquired = task.run(room_id=OTHER_ROOM)
    assert (acquired.origin, acquired.record.room_id) == (Origin.ADOPTED, ROOM)
    assert len(task.metastudio.jobs) == 1


@pytest.mark.parametrize("is_clear", [True, False], ids=["its answer is known", "its outcome is unknown"])
def test_a_clear_stops_the_job_in_its_own_room(task: Task, is_clear: bool) -> None:
    task.metastudio.start_outcomes = [None if is_clear else After(Crash())]
    with contextlib.suppress(Crash):
        task.run()
    acquired = task.run(generation=1, room_id=OTHER_ROOM)
    assert (acquired.origin, acquired.record.room_id) == (Origin.STARTED, OTHER_ROOM)
    assert task.metastudio.running == [acquired.job_id]


def test_the_job_is_asked_for_over_the_connection_that_started_it(task: Task) -> None:
    task.run()
    record = task.record
    assert record is not None
    other_account = FakeMetaStudio(task.clock)
    hooks = {"smartlive_default": task.metastudio, "another": other_account}
    start = JobStart(
        hooks.__getitem__,
        task=task.current,
        job_search=task.job_search(hooks.__getitem__),
        deployment=HERE,
        stop_grace=60,
        log=structlog.get_logger(),
        now=task.clock,
        sleep=task.clock.sleep,
    )
    assert start.take_up(record) is not None
    assert other_account.asked == {}


def test_a_job_that_metastudio_does_not_show_yet_is_waited_for(task: Task) -> None:
    """Its id is stored, the process has died, and a second later neither show nor listing know it."""
    task.run()
    task.clock.sleep(1)
    task.metastudio.listing_lag = timedelta(seconds=WINDOW)
    task.metastudio.show_outcomes = [NotFound("job not found", http_status=404) for _ in range(3)]
    assert task.run().origin is Origin.ADOPTED
    assert len(task.metastudio.jobs) == 1


def test_a_later_life_is_left_alone_by_a_process_of_an_earlier_one(task: Task) -> None:
    task.run(generation=5)
    task.store[STORE_KEY] = a_record(3).dump()
    with pytest.raises(AirflowFailException, match="later life"):
        task.run(generation=4)
    assert len(task.metastudio.running) == 1


def test_the_job_of_another_deployment_with_the_same_secret_is_left_alone(task: Task) -> None:
    production = task.run(deployment="production")
    task.store.clear()
    staging = task.run(generation=1)
    assert task.metastudio.running == [production.job_id, staging.job_id]


# -- recognising


def test_the_job_of_another_task_is_not_ours(task: Task) -> None:
    stranger = CallbackTarget(TaskRef("other_dag", "scheduled__2026-01-01", "go_live"), "0", 0)
    task.metastudio.add(request=a_request(stranger, (OLD_SECRET,), "https://airflow.example.com", {}))
    assert task.run().origin is Origin.STARTED
    assert task.metastudio.stopped == []


def test_another_map_index_is_another_task(task: Task) -> None:
    sibling = CallbackTarget(TaskRef(TASK_REF.dag_id, TASK_REF.run_id, TASK_REF.task_id, 3), "0", 0)
    task.metastudio.add(request=a_request(sibling, (OLD_SECRET,), "https://airflow.example.com", {}))
    assert task.run().origin is Origin.STARTED


def test_a_url_that_nobody_of_us_issued_is_not_ours(task: Task) -> None:
    task.metastudio.add(
        request=a_request(
            CallbackTarget(TASK_REF, "0", 0),
            ("fake-secret-of-another-deployment-0001",),
            "https://a.example.com",
            {},
        )
    )
    assert task.run().origin is Origin.STARTED


def test_rotated_secrets_and_a_changed_base_url_change_nothing(task: Task) -> None:
    task.metastudio.start_outcomes = [After(Crash())]
    with pytest.raises(Crash):
        task.run(secrets=(OLD_SECRET,))
    again = task.run(secrets=(NEW_SECRET, OLD_SECRET), base_url="https://moved.example.com/airflow")
    assert again.origin is Origin.ADOPTED
    assert len(task.metastudio.jobs) == 1


@pytest.mark.parametrize("generation", [0, 1], ids=["retry", "clear"])
def test_a_job_whose_secret_was_thrown_away_may_be_that_of_an_unclear_start(
    task: Task, generation: int
) -> None:
    task.metastudio.start_outcomes = [After(Crash())]
    with pytest.raises(Crash):
        task.run()
    with pytest.raises(AmbiguousStartError, match=r"no secret of \[smartlive\] callback_secrets opens"):
        task.run(generation, secrets=(NEW_SECRET,))
    assert len(task.metastudio.jobs) == 1
    task.run(generation, secrets=(NEW_SECRET, OLD_SECRET))
    assert len(task.metastudio.running) == 1


def test_a_job_with_somebody_elses_callback_url_is_not(task: Task) -> None:
    task.metastudio.start_outcomes = [Crash()]
    with pytest.raises(Crash):
        task.run()
    foreign = {"live_event_callback_config": {"live_event_type_callback_url": "https://example.com/events/1"}}
    task.metastudio.add(more=foreign)
    assert task.run(secrets=(NEW_SECRET,)).origin is Origin.STARTED


def test_an_id_in_another_spelling_is_the_same_job(task: Task) -> None:
    first = task.run()
    task.metastudio.dashes = True
    again = task.run()
    assert again.origin is Origin.ADOPTED
    task.current.mark_stopped(first.job_id.upper())
    assert task.run().origin is Origin.STARTED
    assert task.metastudio.stopped == [first.job_id]


def test_of_two_jobs_of_one_request_one_stays(task: Task) -> None:
    """MetaStudio may have made two jobs of one POST: a gateway that sends again."""
    task.metastudio.start_outcomes = [After(Crash())]
    with pytest.raises(Crash):
        task.run()
    first = task.metastudio.jobs[0]
    second = task.metastudio.add(request=first.request)
    acquired = task.run()
    assert acquired.origin is Origin.ADOPTED
    assert task.metastudio.running == [acquired.job_id] == [second.job_id]


def test_a_job_that_runs_comes_before_one_that_is_over(task: Task) -> None:
    task.metastudio.start_outcomes = [After(Crash())]
    with pytest.raises(Crash):
        task.run()
    first = task.metastudio.jobs[0]
    task.metastudio.add(request=first.request, state="SUCCEED")
    assert task.run().job_id == first.job_id


def test_only_running_jobs_are_asked_for_before_a_start(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(
        FakeMetaStudio, "list_jobs", lambda self, **filters: asked.append(filters) or iter([])
    )
    task.run()
    assert asked == [{"state": "WAITING,PROCESSING"}]


# -- a POST with an unknown outcome


def test_a_lost_answer_is_looked_for_and_adopted(task: Task) -> None:
    task.metastudio.start_outcomes = [After(ambiguous())]
    acquired = task.run()
    assert acquired.origin is Origin.ADOPTED
    assert len(task.metastudio.jobs) == 1


@pytest.mark.parametrize(
    "odd", [{"state": None}, {"state": ["RUNNING"]}, {"duration": "1h", "rtc_room_info": "x"}]
)
def test_a_job_that_can_hardly_be_read_is_adopted_all_the_same(task: Task, odd: dict[str, Any]) -> None:
    """Nobody starts beside a job of one's own because a field of it is odd."""
    task.metastudio.start_outcomes = [After(ambiguous())]
    task.metastudio.more = odd
    assert task.run().origin is Origin.ADOPTED
    assert task.run().origin is Origin.ADOPTED  # by the id that is remembered, too
    assert len(task.metastudio.jobs) == 1


def test_a_lost_answer_is_found_although_the_listing_lags(task: Task) -> None:
    task.metastudio.listing_lag = timedelta(seconds=WINDOW - 5)
    task.metastudio.start_outcomes = [After(ambiguous())]
    assert task.run().origin is Origin.ADOPTED
    assert len(task.metastudio.jobs) == 1


def test_a_start_that_never_arrived_is_sent_again_after_the_window(task: Task) -> None:
    task.metastudio.start_outcomes = [ambiguous()]
    acquired = task.run()
    assert acquired.origin is Origin.STARTED
    assert len(task.metastudio.jobs) == 1
    assert task.clock.now - NOON >= timedelta(seconds=WINDOW)


def test_a_lost_answer_whose_job_has_failed_is_this_trys_failure(task: Task) -> None:
    """Else the task would start three jobs that fail, and say that there was none."""
    task.metastudio.listing_lag = timedelta(seconds=10)
    task.metastudio.start_outcomes = [After(ambiguous())]
    task.clock.at(5, lambda: setattr(task.metastudio.jobs[0], "state", "FAILED"))
    acquired = task.run()
    assert (acquired.job_id, acquired.origin) == (task.metastudio.jobs[0].job_id, Origin.FINISHED)
    assert task.metastudio.asked["start"] == 1
    assert task.run().origin is Origin.STARTED, "a retry starts anew"


def test_the_failed_job_of_an_earlier_try_is_not_taken_for_this_ones(task: Task) -> None:
    task.run()
    task.metastudio.jobs[0].state = "FAILED"
    task.metastudio.start_outcomes = [ambiguous()]
    assert task.run().origin is Origin.STARTED
    assert task.metastudio.asked["start"] == 3


def test_starts_that_never_arrive_end_some_time(task: Task) -> None:
    task.metastudio.start_outcomes = [ambiguous() for _ in range(10)]
    with pytest.raises(AirflowException, match="no clear answer to 3 starts"):
        task.run()
    assert task.metastudio.asked["start"] == 3


def test_a_listing_that_lags_beyond_the_window_is_the_stated_limit(task: Task) -> None:
    """Why the window is a setting: a lag beyond it costs a second stream."""
    task.metastudio.listing_lag = timedelta(minutes=10)
    task.metastudio.start_outcomes = [After(ambiguous())]
    task.run()
    assert len(task.metastudio.running) == 2


def test_without_an_echo_of_callback_urls_it_refuses_to_guess(task: Task) -> None:
    task.metastudio.echoes_callbacks = False
    task.metastudio.start_outcomes = [After(ambiguous())]
    with pytest.raises(AmbiguousStartError, match="single_job_in_room"):
        task.run()
    assert len(task.metastudio.jobs) == 1


def test_an_ambiguous_start_is_not_retried_by_airflow_either() -> None:
    assert issubclass(AmbiguousStartError, AirflowFailException)


def test_without_an_echo_an_empty_listing_is_still_an_answer(task: Task) -> None:
    task.metastudio.echoes_callbacks = False
    task.metastudio.start_outcomes = [ambiguous()]
    assert task.run().origin is Origin.STARTED


def test_without_callbacks_there_is_no_key_to_look_by(task: Task) -> None:
    task.metastudio.add()
    task.metastudio.start_outcomes = [ambiguous()]
    with pytest.raises(AmbiguousStartError):
        task.run(use_callbacks=False)
    assert task.metastudio.asked["start"] == 1


def test_without_callbacks_an_empty_listing_is_an_answer_too(task: Task) -> None:
    task.metastudio.start_outcomes = [ambiguous()]
    assert task.run(use_callbacks=False).origin is Origin.STARTED
    assert len(task.metastudio.jobs) == 1


def test_without_callbacks_a_stored_id_is_still_adopted(task: Task) -> None:
    first = task.run(use_callbacks=False)
    again = task.run(use_callbacks=False)
    assert (again.job_id, again.origin) == (first.job_id, Origin.ADOPTED)


def test_single_job_in_room_makes_sending_again_safe(task: Task) -> None:
    task.metastudio.start_outcomes = [ambiguous()]
    acquired = task.run(use_callbacks=False, job_run_config={"single_job_in_room": True})
    assert acquired.origin is Origin.STARTED
    assert len(task.metastudio.jobs) == 1


def test_single_job_in_room_lets_metastudio_refuse_the_second(task: Task) -> None:
    task.metastudio.start_outcomes = [After(ambiguous())]
    with pytest.raises(AmbiguousStartError, match="it may be that job"):
        task.run(use_callbacks=False, job_run_config={"single_job_in_room": True})
    assert len(task.metastudio.running) == 1
    assert task.record is not None
    assert task.record.is_unsettled, "a retry must not forget it either"


def test_a_job_that_is_not_listed_yet_is_waited_for_although_an_earlier_one_of_its_life_is(
    task: Task,
) -> None:
    task.run()
    task.metastudio.jobs[0].state = "FAILED"
    task.metastudio.listing_lag = lag = timedelta(seconds=20)
    list_jobs = task.metastudio.list_jobs
    task.metastudio.list_jobs = lambda **filters: (  # type: ignore[method-assign]  # of this one
        job for job in list_jobs(**filters) if job.create_time and task.clock.now - job.create_time >= lag
    )
    task.clock.sleep(30)
    task.metastudio.start_outcomes = [After(Crash())]
    with pytest.raises(Crash):
        task.run()
    acquired = task.run(1)
    assert task.metastudio.stopped == [task.metastudio.jobs[1].job_id]
    assert task.metastudio.running == [acquired.job_id]


def test_an_unclear_start_is_remembered_while_another_job_of_the_task_is_stopped(task: Task) -> None:
    single = {"job_run_config": {"single_job_in_room": True}}
    task.metastudio.start_outcomes = [After(Crash())]
    with pytest.raises(Crash):
        task.run(use_callbacks=False, **single)
    target = CallbackTarget(TASK_REF, "0", 0, HERE)
    left = a_request(target, (OLD_SECRET,), "https://airflow.example.com", {})
    task.metastudio.add(room_id=OTHER_ROOM, request=left)

    def die(job_ref: JobRef) -> None:
        raise Crash

    task.metastudio.stop_job = die  # type: ignore[method-assign]  # of this one
    with pytest.raises(Crash):
        task.run(use_callbacks=False, **single)
    assert task.record is not None
    assert task.record.is_unsettled


@pytest.mark.parametrize(
    "then", [{}, {"job_run_config": {"single_job_in_room": True}}], ids=["without", "single"]
)
def test_an_unclear_start_is_remembered_when_the_next_one_is_refused(
    task: Task, then: dict[str, Any]
) -> None:
    """Else the one after that would take a refused room for free, or one that takes two jobs for empty."""
    single = {"job_run_config": {"single_job_in_room": True}}
    task.metastudio.start_outcomes = [After(Crash())]
    with pytest.raises(Crash):
        task.run(use_callbacks=False, **single)
    task.metastudio.start_outcomes = [
        QuotaExceeded("running jobs at the limit", http_status=400, error_code="MSS.20010056")
    ]
    with pytest.raises(QuotaExceeded):
        task.run(use_callbacks=False, **single)
    with pytest.raises(AmbiguousStartError):
        task.run(use_callbacks=False, **then)
    assert len(task.metastudio.running) == 1


@pytest.mark.parametrize(
    "retry", [{"room_id": OTHER_ROOM, "job_run_config": {"single_job_in_room": True}}, {}]
)
def test_single_job_in_room_is_believed_for_that_room_and_request_only(
    task: Task, retry: dict[str, Any]
) -> None:
    task.metastudio.start_outcomes = [After(Crash())]
    with pytest.raises(Crash):
        task.run(use_callbacks=False, job_run_config={"single_job_in_room": True})
    with pytest.raises(AmbiguousStartError):
        task.run(use_callbacks=False, **retry)
    assert len(task.metastudio.running) == 1


def test_a_show_that_metastudio_has_forgotten_is_not_started_again(task: Task) -> None:
    first = task.run()
    assert task.record is not None
    task.store[STORE_KEY] = replace(task.record, ended=True).dump()
    task.metastudio.jobs.clear()
    task.clock.sleep(60)
    again = task.run()
    assert (again.job_id, again.origin) == (first.job_id, Origin.FINISHED)


def test_without_a_record_jobs_in_other_rooms_are_stopped_too(task: Task) -> None:
    """Its run was deleted and triggered again: nothing is remembered, and clocks of workers differ."""
    first = task.run(generation=5)
    task.store.clear()
    again = task.run(generation=4, room_id=OTHER_ROOM)
    assert task.metastudio.stopped == [first.job_id]
    assert task.metastudio.running == [again.job_id]


@pytest.mark.parametrize("generation", [0, 1])
def test_a_job_that_metastudio_does_not_show_yet_is_stopped_all_the_same(task: Task, generation: int) -> None:
    first = task.run()
    if generation == 0:
        task.current.mark_stopped(first.job_id)
    task.metastudio.show_outcomes = [NotFound("job not found", http_status=404) for _ in range(4)]
    task.metastudio.listing_lag = timedelta(seconds=WINDOW)
    again = task.run(generation=generation)
    assert task.metastudio.running == [again.job_id]


@pytest.mark.parametrize(
    "refusal",
    [
        QuotaExceeded("running jobs at the limit", http_status=400, error_code="MSS.20010056"),
        Unreachable("no trusted connection", failure=TransportFailure.TLS),
        Throttled("wait an hour", http_status=429, retry_after=3600),
    ],
    ids=repr,
)
def test_a_clear_refusal_leaves_nothing_to_wait_for(task: Task, refusal: Exception) -> None:
    task.metastudio.start_outcomes = [refusal]
    with pytest.raises(type(refusal)):
        task.run()
    assert task.record == a_record()
    assert task.run().origin is Origin.STARTED
    assert task.clock.now == NOON


@pytest.mark.parametrize(
    ("refusal", "asked"),
    [
        (Throttled("too many", http_status=429, retry_after=45), 45.0),
        (Unreachable("no connection", failure=TransportFailure.CONNECT), 0.0),
        (AuthenticationError("the token must be updated", http_status=401, error_code="APIGW.0307"), 0.0),
    ],
    ids=repr,
)
def test_a_start_that_was_not_carried_out_is_sent_again_with_its_own_time(
    task: Task, refusal: Exception, asked: float
) -> None:
    """MetaStudio may not show the job for a while after it was sent, not after it was first refused."""
    task.metastudio.start_outcomes = [refusal, After(Crash())]
    with pytest.raises(Crash):
        task.run()
    assert task.record is not None
    assert task.record.sent_at == task.metastudio.jobs[0].created_at
    assert timedelta(seconds=asked) <= task.clock.now - NOON <= timedelta(seconds=asked + 1)


def test_it_may_become_too_late_while_a_start_is_throttled(task: Task) -> None:
    def in_time() -> None:
        if task.clock.now - NOON > timedelta(seconds=10):
            too_late()

    task.metastudio.start_outcomes = [Throttled("too many", http_status=429, retry_after=45)]
    with pytest.raises(AirflowSkipException):
        task.run(may_send=in_time)
    assert task.metastudio.jobs == []
    assert task.record == a_record()


def test_starts_that_are_throttled_end_some_time(task: Task) -> None:
    task.metastudio.start_outcomes = [Throttled("too many", http_status=429) for _ in range(10)]
    with pytest.raises(Throttled):
        task.run()
    assert task.metastudio.asked["start"] == 3


def test_the_time_in_which_a_job_may_be_unknown_counts_from_the_answer(task: Task) -> None:
    """A token may have been fetched first: MetaStudio made the job at some time before it answered."""
    task.metastudio.before_start = lambda: task.clock.sleep(9)
    acquired = task.run()
    assert acquired.started_at == task.clock.now
    assert acquired.record.sent_at == NOON


# -- a connection that leads elsewhere by now


@pytest.mark.parametrize("generation", [0, 1], ids=["retry", "clear"])
@pytest.mark.parametrize("is_clear", [True, False])
def test_a_job_is_not_looked_for_where_it_cannot_be(task: Task, is_clear: bool, generation: int) -> None:
    """Somebody gave the connection another project: not to find the job there must not start a second one."""
    task.metastudio.start_outcomes = [None if is_clear else After(Crash())]
    with contextlib.nullcontext() if is_clear else pytest.raises(Crash):
        task.run()
    asked = task.metastudio.asked.copy()
    task.metastudio.endpoint = "https://elsewhere.example.com"
    with pytest.raises(
        InvalidConnectionError, match=r"'smartlive_default' leads to https://elsewhere.*cn-north-4"
    ):
        task.run(generation)
    assert task.metastudio.asked == asked


def test_one_that_leads_back_finds_its_job(task: Task) -> None:
    first = task.run()
    endpoint, task.metastudio.endpoint = task.metastudio.endpoint, "https://elsewhere.example.com"
    with pytest.raises(InvalidConnectionError):
        task.run()
    task.metastudio.endpoint = endpoint
    assert task.run().job_id == first.job_id


def test_a_job_that_is_over_or_was_never_sent_holds_no_connection(task: Task) -> None:
    old = "https://elsewhere.example.com/v1/fake-project"
    for record in (a_record(address=old), a_record(address=old, sent_at=NOON, job_id="a" * 32, is_over=True)):
        task.store[STORE_KEY] = record.dump()
        assert task.run(1).origin is Origin.STARTED


# -- whoever cannot look does not send


@pytest.mark.parametrize(
    "fault", [unreachable(), AuthenticationError("wrong signature", http_status=401)], ids=repr
)
def test_nothing_is_sent_while_metastudio_cannot_be_asked(task: Task, fault: Exception) -> None:
    task.run()
    task.metastudio.down = fault
    with pytest.raises(type(fault)):
        task.run()
    assert task.metastudio.asked["start"] == 1


def test_nothing_is_sent_while_the_stored_job_cannot_be_shown(task: Task) -> None:
    task.run()
    task.metastudio.show_outcomes = [unreachable()]
    with pytest.raises(type(unreachable())):
        task.run()
    assert len(task.metastudio.jobs) == 1


# -- too late


def too_late() -> None:
    raise AirflowSkipException("too late")


def test_it_is_skipped_when_it_is_too_late(task: Task) -> None:
    with pytest.raises(AirflowSkipException):
        task.run(may_send=too_late)
    assert task.metastudio.asked["start"] == 0
    assert task.record is None


def test_a_job_that_runs_is_adopted_however_late_it_is(task: Task) -> None:
    first = task.run()
    assert task.run(may_send=too_late).job_id == first.job_id


def test_an_older_job_is_stopped_even_if_it_is_too_late_for_a_new_one(task: Task) -> None:
    task.run(generation=0)
    with pytest.raises(AirflowSkipException):
        task.run(generation=1, may_send=too_late)
    assert task.metastudio.running == []


def test_it_may_become_too_late_while_an_unknown_outcome_is_looked_for(task: Task) -> None:
    def in_time() -> None:
        if task.clock.now - NOON > timedelta(seconds=10):
            too_late()

    task.metastudio.start_outcomes = [ambiguous()]
    with pytest.raises(AirflowSkipException):
        task.run(may_send=in_time)
    assert task.metastudio.jobs == []


def test_nothing_is_started_beside_what_another_release_has_written(task: Task) -> None:
    task.store[STORE_KEY] = {"version": 99, "what": "ever"}
    with pytest.raises(ValueError, match="another release"):
        task.run()
    assert task.metastudio.jobs == []


# --- a process that was frozen while another try began


class TaskTaken(Exception):  # noqa: N818 - says what happened
    """What Airflow's API answers to a process whose task is another one's by now."""


def freeze_before_the_post(task: Task, *, taken: bool) -> None:
    """Let the first start stand still between its record and its request; others take the task meanwhile, or not."""
    start_job, frozen = task.metastudio.start_job, iter([True])

    def slowly(room_id: str, request: StartJobRequest, *, send_by: Any = None) -> Any:
        if next(frozen, False):
            task.clock.sleep(400)
            task.is_taken = taken
        return start_job(room_id, request, send_by=send_by)

    task.metastudio.start_job = slowly  # type: ignore[method-assign]  # of this one


def test_a_process_that_was_frozen_before_its_start_sends_nothing_if_another_try_has_begun(
    task: Task,
) -> None:
    freeze_before_the_post(task, taken=True)
    with pytest.raises(TaskTaken):
        task.run()
    assert task.metastudio.jobs == []


def test_a_process_that_was_frozen_before_it_read_that_its_note_was_taken_sends_nothing(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = CurrentTask.save

    def slowly(self: CurrentTask, record: JobRecord) -> None:
        save(self, record)
        if record.sent_at is not None and not task.is_taken:
            task.clock.sleep(400)
            task.is_taken = True

    monkeypatch.setattr(CurrentTask, "save", slowly)
    with pytest.raises(TaskTaken):
        task.run()
    assert task.metastudio.jobs == []


def test_a_start_is_not_sent_again_for_a_task_that_has_ended_meanwhile(task: Task) -> None:
    freeze_before_the_post(task, taken=False)
    save = task.metastudio.start_job

    def ended(*args: Any, **bounds: Any) -> Any:
        task.supervisor.states = {TASK: "failed"}
        return save(*args, **bounds)

    task.metastudio.start_job = ended  # type: ignore[method-assign]  # of this one
    with pytest.raises(SmartLiveKilledError):
        task.run()
    assert task.metastudio.jobs == []


def test_a_process_that_was_frozen_before_its_start_sends_it_if_the_task_is_still_its_own(task: Task) -> None:
    freeze_before_the_post(task, taken=False)
    assert task.run().origin is Origin.STARTED
    assert len(task.metastudio.jobs) == 1


def test_a_process_that_was_frozen_before_its_look_stops_no_job_of_another_try(task: Task) -> None:
    list_jobs = task.metastudio.list_jobs

    def slowly(**filters: Any) -> Any:
        task.clock.sleep(400)
        built = a_request(
            CallbackTarget(TASK_REF, "0", 0, HERE), (OLD_SECRET,), "https://airflow.example.com", {}
        )
        task.metastudio.add(room_id=ROOM, request=built)
        task.is_taken = True
        return list_jobs(**filters)

    task.metastudio.list_jobs = slowly  # type: ignore[method-assign]  # of this one
    with pytest.raises(TaskTaken):
        task.run()
    assert [job.is_active for job in task.metastudio.jobs] == [True]
