"""A standby is started once, and only if the primary certainly has no job, whatever dies in between."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.sdk.execution_time.comms import SetTaskStateStore

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.task_status import TaskStatus
from airflow_provider_smartlive.exceptions import (
    AmbiguousStartError,
    SmartLiveJobFailedError,
    SmartLiveKilledError,
    SmartLiveTimeoutError,
)
from airflow_provider_smartlive.livestream.current_task import STORE_KEY
from airflow_provider_smartlive.livestream.sweep import unwanted
from airflow_provider_smartlive.metastudio.errors import (
    Conflict,
    MetaStudioError,
    QuotaExceeded,
    Throttled,
    UnexpectedResponse,
)
from airflow_provider_smartlive.operators import StartSmartLiveJobOperator, StopSmartLiveJobOperator
from tests.support.fake_airflow import TASK, a_context, running
from tests.support.fake_metastudio import ROOM, After, Crash, FakeJob, ambiguous, unreachable
from tests.support.simulation import LIVE, StartSimulation

STANDBY = "24bad716-87b1-45e5-8912-00000000000b"
OTHER_OUTPUT = (
    '{"conn_type": "rtmp", "host": "rtmp://other.example.com/live/main", "password": "fake-stream-key-0002"}'
)
SINGLE = {"job_run_config": {"single_job_in_room": True}}


def refused() -> QuotaExceeded:
    return QuotaExceeded("running jobs at the limit", http_status=400, error_code="MSS.20010056")


class Task:
    """A task with a standby, through its tries and lives. Two jobs of it that run at once fail the test."""

    def __init__(self, show: StartSimulation) -> None:
        self.show = show
        self.metastudio = show.metastudio
        #: The rooms to which starts were sent.
        self.sent_to: list[str] = []
        add, start_job = self.metastudio.add, self.metastudio.start_job

        def add_one(**more: Any) -> FakeJob:
            assert not self.metastudio.running, "two jobs of one task"
            return add(**more)

        def start(room_id: str, *args: Any, **bounds: Any) -> Any:
            self.sent_to.append(room_id)
            return start_job(room_id, *args, **bounds)

        self.metastudio.add = add_one  # type: ignore[method-assign]  # of this one
        self.metastudio.start_job = start  # type: ignore[method-assign]  # of this one

    def run(self, *outcomes: BaseException | After | None, **arguments: Any) -> Any:
        """Run one try; its starts meet these outcomes, and its job ends by itself after ten minutes."""
        self.metastudio.start_outcomes = list(outcomes)
        self.show.at(self.show.clock.seconds + 600, lambda: self.metastudio.jobs and self.show.ends()())
        return self.show.go_live(**{"standby_room_id": STANDBY} | arguments)

    def dies_at_save(self, number: int) -> None:
        """Let the process die instead of writing its record for the n-th time from now on."""
        saves = iter(range(1, 100))

        def on_message(message: Any) -> None:
            if isinstance(message, SetTaskStateStore) and next(saves) == number:
                self.show.supervisor.on_message = lambda message: None
                raise Crash

        self.show.supervisor.on_message = on_message

    @property
    def rooms(self) -> list[str]:
        return [job.room_id for job in self.metastudio.jobs]

    @property
    def record(self) -> dict[str, Any]:
        record: dict[str, Any] = self.show.supervisor.store[STORE_KEY]
        return record


@pytest.fixture
def task(deferred: StartSimulation) -> Task:
    return Task(deferred)


# --- when it is started


def test_a_primary_that_is_accepted_needs_no_standby(task: Task) -> None:
    result = task.run()
    assert (result["room_id"], result["standby"]) == (ROOM, False)
    assert task.rooms == [ROOM]
    assert task.record["standby"] is False


def test_a_primary_that_is_refused_has_a_standby(task: Task) -> None:
    result = task.run(refused())
    assert (result["room_id"], result["standby"]) == (STANDBY, True)
    assert task.sent_to == [ROOM, STANDBY]
    assert task.record["standby"] is True


def test_without_one_it_is_refused(task: Task) -> None:
    with pytest.raises(QuotaExceeded):
        task.run(refused(), standby_room_id=None)
    assert task.sent_to == [ROOM]


def test_a_standby_may_be_an_output_in_the_same_room(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_RTMP_OTHER", OTHER_OUTPUT)
    result = task.run(refused(), standby_room_id=None, standby_output_conn_ids="rtmp_other")
    assert (result["room_id"], result["standby"]) == (ROOM, True)
    assert task.show.sent["output_urls"] == ["rtmp://other.example.com/live/main"]


def test_both_are_rendered_by_themselves_in_each_mapped_task(task: Task) -> None:
    """Its starts go to the rooms of its own row."""
    partial = StartSmartLiveJobOperator.partial(task_id=TASK, standby_output_conn_ids="{{ params.out }}")
    mapped = partial.expand_kwargs([{"room_id": ROOM, "standby_room_id": "{{ params.room }}"}])
    operator = mapped.unmap({"room_id": ROOM, "standby_room_id": "{{ params.room }}"})
    operator.render_template_fields({"params": {"room": STANDBY, "out": "rtmp_main"}})
    assert (operator.standby_room_id, operator.standby_output_conn_ids) == (STANDBY, "rtmp_main")
    assert task.run(refused(), standby_room_id=operator.standby_room_id)["room_id"] == STANDBY


@pytest.mark.parametrize(
    "outcome", [ambiguous(), Throttled("too many", http_status=429)], ids=["unknown", "throttled"]
)
def test_what_is_no_refusal_never_starts_it(task: Task, outcome: MetaStudioError) -> None:
    assert task.run(outcome)["room_id"] == ROOM
    assert task.sent_to == [ROOM, ROOM]


def test_a_start_that_was_throttled_to_the_end_is_tried_again_in_the_primary(task: Task) -> None:
    with pytest.raises(Throttled):
        task.run(*[Throttled("too many", http_status=429)] * 3)
    assert task.run()["room_id"] == ROOM
    assert set(task.sent_to) == {ROOM}


def test_a_livestream_that_was_accepted_and_failed_is_no_refusal(task: Task) -> None:
    task.show.at(60, task.show.ends("FAILED"))
    with pytest.raises(SmartLiveJobFailedError):
        task.show.go_live(standby_room_id=STANDBY)
    assert task.sent_to == [ROOM]
    # The job is over, for certain: where the next start is refused, the standby may begin.
    assert task.run(refused())["room_id"] == STANDBY


def test_an_error_of_the_look_before_the_start_is_no_refusal(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(**filters: Any) -> Any:
        raise refused()

    monkeypatch.setattr(task.metastudio, "list_jobs", fails)
    with pytest.raises(QuotaExceeded):
        task.run()
    assert task.sent_to == []


def test_nor_is_one_of_the_look_after_an_unclear_start(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: Any, **filters: Any) -> Any:
        raise refused()

    monkeypatch.setattr(task.metastudio, "list_room_jobs", fails)
    with pytest.raises(QuotaExceeded):
        task.run(After(ambiguous()))
    assert task.sent_to == [ROOM]


# --- what is not certain is no


def test_a_job_of_an_unclear_start_is_the_one(task: Task) -> None:
    assert task.run(After(ambiguous()))["room_id"] == ROOM
    assert task.sent_to == [ROOM]


def test_a_refusal_after_an_unclear_start_is_no_certainty_in_any_try(task: Task) -> None:
    for outcomes in ([ambiguous(), refused()], [refused()], [refused()]):
        with pytest.raises(QuotaExceeded):
            task.run(*outcomes)
    assert STANDBY not in task.sent_to


def test_nor_is_it_after_a_process_that_died_while_its_start_was_under_way(task: Task) -> None:
    with pytest.raises(Crash):
        task.run(Crash())
    with pytest.raises(QuotaExceeded):
        task.run(refused())
    assert STANDBY not in task.sent_to


def test_nor_after_a_clear_that_came_upon_an_unclear_start(task: Task) -> None:
    with pytest.raises(Crash):
        task.run(Crash())
    with pytest.raises(QuotaExceeded):
        task.run(refused(), ti={"max_tries": 5, "try_number": 2})
    assert STANDBY not in task.sent_to


@pytest.mark.parametrize(
    "answer",
    [
        UnexpectedResponse("a proxy's word", http_status=400),
        Conflict("a proxy's word", http_status=409, error_code="409"),
        MetaStudioError("never heard of", http_status=418, error_code="MSS.99999999"),
    ],
    ids=["without a code", "with a code of its own", "unheard of"],
)
def test_nor_after_a_try_that_was_answered_by_a_proxy(task: Task, answer: MetaStudioError) -> None:
    for outcome in (answer, refused()):
        with pytest.raises(type(outcome)):
            task.run(outcome)
    assert STANDBY not in task.sent_to


def test_nor_after_a_try_that_reached_its_execution_timeout_over_an_unclear_start(task: Task) -> None:
    task.show.at(10, task.show.alarm)
    with pytest.raises(SmartLiveTimeoutError):
        task.run(ambiguous())
    with pytest.raises(QuotaExceeded):
        task.run(refused())
    assert STANDBY not in task.sent_to


def test_a_job_that_nothing_tells_apart_is_no_certainty(task: Task) -> None:
    """MetaStudio refuses a second job in the room: it may be that of the unclear start."""
    task.metastudio.echoes_callbacks = False
    with pytest.raises(AmbiguousStartError):
        task.run(After(ambiguous()), **SINGLE)
    assert task.sent_to == [ROOM, ROOM]


def test_a_job_that_a_refused_start_has_made_is_stopped_first(task: Task) -> None:
    assert task.run(After(refused()))["room_id"] == STANDBY
    assert task.rooms == [ROOM, STANDBY]
    assert task.metastudio.stopped == [task.metastudio.jobs[0].job_id]


def test_it_is_not_started_while_the_jobs_of_this_task_cannot_be_listed(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_jobs, looks = task.metastudio.list_jobs, iter([True])

    def once(**filters: Any) -> Any:
        if not next(looks, False):
            raise unreachable()
        return list_jobs(**filters)

    monkeypatch.setattr(task.metastudio, "list_jobs", once)
    with pytest.raises(MetaStudioError, match="did not answer"):
        task.run(refused())
    assert task.sent_to == [ROOM]


def test_nor_is_it_a_certainty_that_the_next_start_is_refused_for_another_reason(task: Task) -> None:
    single = {"use_callbacks": False, **SINGLE}
    with pytest.raises(QuotaExceeded):
        task.run(After(ambiguous()), refused(), **single)
    with pytest.raises(AmbiguousStartError):
        task.run(**single)
    assert STANDBY not in task.sent_to


@pytest.mark.parametrize(
    ("outcome", "sent_to"),
    [(refused(), [ROOM]), (Throttled("too many", http_status=429), [ROOM]), (ambiguous(), [ROOM])],
    ids=["refused", "throttled", "unknown"],
)
def test_a_start_that_made_no_job_is_no_skip_because_it_is_too_late_for_another_one(
    task: Task, outcome: MetaStudioError, sent_to: list[str]
) -> None:
    task.metastudio.before_start = lambda: task.show.clock.sleep(8)
    with pytest.raises(
        AirflowFailException, match=f"^{re.escape(str(outcome))} It is too late for another one"
    ):
        task.run(outcome, start_window=5)
    assert task.sent_to == sent_to


@pytest.mark.parametrize("attempt", [{}, {"max_tries": 5, "try_number": 2}], ids=["retry", "clear"])
def test_a_start_whose_job_was_found_is_not_unclear_any_more(task: Task, attempt: dict[str, int]) -> None:
    with pytest.raises(Crash):
        task.run(After(Crash()))
    task.show.ends("FAILED")()
    assert task.run(refused(), ti=attempt)["room_id"] == STANDBY


def test_nor_is_one_whose_job_was_taken_up(task: Task) -> None:
    with pytest.raises(Crash):
        task.run(After(Crash()))
    task.show.at(task.show.clock.seconds + 60, task.show.ends("FAILED"))
    with pytest.raises(SmartLiveJobFailedError):
        task.run()
    assert task.run(refused())["room_id"] == STANDBY


# --- what dies in between


def test_a_process_that_dies_before_it_has_noted_the_refusal(task: Task) -> None:
    task.dies_at_save(2)
    with pytest.raises(Crash):
        task.run(refused())
    with pytest.raises(QuotaExceeded):
        task.run(refused())
    assert task.sent_to == [ROOM, ROOM]
    assert task.run()["room_id"] == ROOM


def test_a_process_that_dies_before_the_note_of_the_standby(task: Task) -> None:
    """The primary was refused, and is asked again: its room may be free by now."""
    task.dies_at_save(3)
    with pytest.raises(Crash):
        task.run(refused())
    assert task.run(refused())["room_id"] == STANDBY
    assert task.sent_to == [ROOM, ROOM, STANDBY]


def test_a_process_that_dies_between_the_note_and_the_start_of_the_standby(task: Task) -> None:
    """Nobody knows that it was not sent: it is looked for there, and started there, never in the primary."""
    with pytest.raises(Crash):
        task.run(refused(), Crash())
    assert task.run()["room_id"] == STANDBY
    assert task.sent_to == [ROOM, STANDBY, STANDBY]
    assert task.rooms == [STANDBY]


@pytest.mark.parametrize("lag", [0, 20])
def test_a_process_that_dies_before_it_has_read_the_answer_of_the_standby(task: Task, lag: int) -> None:
    task.metastudio.listing_lag = timedelta(seconds=lag)
    with pytest.raises(Crash):
        task.run(refused(), After(Crash()))
    assert (task.record["room_id"], task.record["job_id"]) == (STANDBY, None)
    result = task.run(AssertionError("nothing is sent"))
    assert (result["room_id"], result["standby"], result["origin"]) == (STANDBY, True, "adopted")
    assert task.rooms == [STANDBY]


def test_a_process_that_dies_before_it_has_stored_the_job_of_the_standby(task: Task) -> None:
    task.dies_at_save(4)
    with pytest.raises(Crash):
        task.run(refused())
    assert task.run(AssertionError("nothing is sent"))["room_id"] == STANDBY
    assert task.rooms == [STANDBY]


def test_a_job_that_has_failed_is_not_taken_for_that_of_the_next_start(task: Task) -> None:
    """The listing does not show that one yet, of which nobody has read the answer either."""
    with pytest.raises(Crash):
        task.run(After(Crash()))
    task.show.ends("FAILED")()
    task.show.clock.sleep(30)
    task.metastudio.listing_lag = timedelta(seconds=20)
    with pytest.raises(Crash):
        task.run(After(Crash()))
    assert task.record["discarded"] == [task.metastudio.jobs[0].job_id]
    result = task.run(AssertionError("nothing is sent"))
    assert (result["job_id"], result["origin"]) == (task.metastudio.jobs[1].job_id, "adopted")


def test_an_unclear_start_of_the_standby_is_looked_for_there(task: Task) -> None:
    assert task.run(refused(), After(ambiguous()))["room_id"] == STANDBY
    assert task.rooms == [STANDBY]


def test_a_standby_that_gives_no_clear_answer_is_the_only_one_that_is_asked_again(task: Task) -> None:
    with pytest.raises(AirflowException, match="no clear answer"):
        task.run(refused(), *[ambiguous()] * 3)
    assert task.run()["room_id"] == STANDBY
    assert task.sent_to == [ROOM, *[STANDBY] * 4]


def test_a_retry_does_not_go_back_to_the_primary(task: Task) -> None:
    with pytest.raises(QuotaExceeded):
        task.run(refused(), refused())
    assert task.run()["room_id"] == STANDBY
    assert task.sent_to == [ROOM, STANDBY, STANDBY]


def test_a_retry_finds_the_standby_that_has_ended_meanwhile(task: Task) -> None:
    with pytest.raises(Crash):
        task.run(refused(), After(Crash()))
    task.show.ends()()
    result = task.run(AssertionError("nothing is sent"))
    assert (result["room_id"], result["origin"]) == (STANDBY, "finished")


def test_single_job_in_room_is_believed_in_the_room_of_the_standby(task: Task) -> None:
    task.metastudio.echoes_callbacks = False
    with pytest.raises(AmbiguousStartError, match=STANDBY):
        task.run(refused(), After(ambiguous()), **SINGLE)
    assert task.sent_to == [ROOM, STANDBY, STANDBY]  # MetaStudio refuses the second one there
    assert task.rooms == [STANDBY]


# --- a process that was frozen, or whose task has ended


class TaskTaken(Exception):  # noqa: N818 - says what happened
    """What Airflow's API answers to a process whose task is another one's by now."""


def after_the_refusal(task: Task, action: Callable[[], None]) -> None:
    """Do something when MetaStudio has refused the primary and that is noted."""
    list_jobs, looks = task.metastudio.list_jobs, iter([True])

    def slowly(**filters: Any) -> Any:
        if not next(looks, False):
            action()
        return list_jobs(**filters)

    task.metastudio.list_jobs = slowly  # type: ignore[method-assign]  # of this one


def test_a_worker_that_was_frozen_after_the_refusal_starts_no_standby_beside_another_one(task: Task) -> None:
    def taken(message: Any) -> None:
        if isinstance(message, SetTaskStateStore):
            raise TaskTaken

    after_the_refusal(task, lambda: setattr(task.show.supervisor, "on_message", taken))
    with pytest.raises(TaskTaken):
        task.run(refused())
    assert task.sent_to == [ROOM]


def test_a_worker_that_was_frozen_after_the_note_of_the_standby_sends_nothing(task: Task) -> None:
    def freeze() -> None:
        if len(task.sent_to) == 2:
            task.show.clock.sleep(400)
            task.show.supervisor.on_message = taken

    def taken(message: Any) -> None:
        if isinstance(message, SetTaskStateStore):
            raise TaskTaken

    task.metastudio.before_start = freeze
    with pytest.raises(TaskTaken):
        task.run(refused())
    assert task.rooms == []


def test_a_task_that_has_ended_meanwhile_starts_no_standby(task: Task) -> None:
    task.metastudio.before_start = lambda: task.show.supervisor.states.update({TASK: "failed"})
    with pytest.raises(SmartLiveKilledError):
        task.run(refused())
    assert task.sent_to == [ROOM]


# --- what becomes of its job


def test_a_clear_stops_it_and_begins_in_the_primary(task: Task) -> None:
    with pytest.raises(Crash):
        task.run(refused(), After(Crash()))
    assert task.run(ti={"max_tries": 5, "try_number": 2})["room_id"] == ROOM
    assert task.rooms == [STANDBY, ROOM]
    assert task.metastudio.stopped == [task.metastudio.jobs[0].job_id]
    assert task.record["standby"] is False


def test_it_is_stopped_as_planned(task: Task) -> None:
    result = task.run(refused(), max_duration=300)
    assert (result["room_id"], result["outcome"]) == (STANDBY, "stopped as planned")
    assert task.metastudio.stopped == [task.show.job.job_id]


def test_it_is_stopped_when_the_task_is_killed(task: Task) -> None:
    def kill() -> None:
        task.show.supervisor.states = {TASK: "failed"}
        task.show.process.on_kill()

    task.show.at(120, kill)
    with pytest.raises(SmartLiveKilledError):
        task.run(refused(), deferrable=False)
    assert task.metastudio.stopped == [task.show.job.job_id]


def test_its_end_is_called_back(task: Task) -> None:
    task.show.at(10, task.show.calls_back(*LIVE))
    task.show.at(300, task.show.ends(), task.show.calls_back("END"))
    result = task.run(refused())
    assert (result["room_id"], result["woken_by"]) == (STANDBY, "callback")


def test_whoever_names_its_task_finds_its_room(task: Task) -> None:
    """Also with the room of the primary as an argument, as the tasks of a campaign have it."""
    task.run(refused())
    stop = StopSmartLiveJobOperator(task_id="stop", starter_task_id=TASK, room_id=ROOM)
    context = a_context(task.show.supervisor, task_id="stop")
    assert stop.find_room(context) == STANDBY
    named = StopSmartLiveJobOperator(task_id="stop", job_id="any", starter_task_id=TASK, room_id=ROOM)
    assert named.find_room(context) == ROOM


def test_a_tear_down_stops_it(task: Task) -> None:
    task.metastudio.start_outcomes = [refused()]
    task.show.go_live(standby_room_id=STANDBY, wait_for_termination=False)
    task.show.supervisor.states = {TASK: "success"}
    stop = StopSmartLiveJobOperator(task_id="stop", starter_task_id=TASK, room_id=ROOM)
    with running(stop):
        assert stop.execute(a_context(task.show.supervisor, task_id="stop")) == [task.show.job.job_id]
    assert (task.rooms, task.metastudio.running) == ([STANDBY], [])


def test_the_sweep_finds_it(task: Task) -> None:
    with pytest.raises(Crash):
        task.run(refused(), After(Crash()))
    found = unwanted(
        task.metastudio.list_jobs(),
        secrets=settings.callback_secrets(),
        find_task=lambda task_ref: TaskStatus("failed", run_goes_on=False),
        now=task.show.clock,
    )
    assert [job.room_id for job, _ in found] == [STANDBY]


def test_its_announcement_and_its_link_are_those_of_the_standby(task: Task) -> None:
    task.run(refused())
    xcom = task.show.supervisor.xcom
    assert (xcom("room_id"), xcom("smartlive_job")["room_id"]) == (STANDBY, STANDBY)
    assert xcom("smartlive_job")["standby"] is True
    assert STANDBY in xcom("smartlive_room_link")


# --- mistakes


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"standby_room_id": ROOM.upper()}, "standby_room_id is that of the primary"),
        (
            {"standby_room_id": None, "standby_output_conn_ids": ["rtmp_main"]},
            "standby_output_conn_ids is that of the primary",
        ),
        ({"standby_output_conn_ids": ["nowhere"]}, "standby_output_conn_ids.*nowhere"),
        ({"standby_room_id": "no room"}, "standby_room_id"),
    ],
)
def test_a_mistake_in_the_standby_is_found_before_anything_is_started(
    task: Task, arguments: dict[str, Any], text: str
) -> None:
    with pytest.raises(AirflowFailException, match=text):
        task.run(**arguments)
    assert task.sent_to == []


def test_a_failure_shows_no_stream_key_of_the_standby(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_RTMP_OTHER", OTHER_OUTPUT)
    reason = {"error_info": {"error_code": "MSS.1", "error_msg": "no such stream fake-stream-key-0002"}}
    task.show.at(60, task.show.ends("FAILED", **reason))
    task.metastudio.start_outcomes = [refused()]
    with pytest.raises(SmartLiveJobFailedError) as raised:
        task.show.go_live(standby_room_id=STANDBY, standby_output_conn_ids="rtmp_other")
    assert "fake-stream-key-0002" not in str(raised.value)
    assert "fake-stream-key-0002" not in json.dumps(task.record)


def test_a_connection_that_is_gone_makes_nobody_forget_the_keys_of_the_others(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_RTMP_OTHER", OTHER_OUTPUT)
    monkeypatch.setenv("AIRFLOW_CONN_RTMP_MAIN", OTHER_OUTPUT.replace("fake-stream-key-0002", "key8"))
    reason = {"error_info": {"error_code": "MSS.1", "error_msg": "no such stream key8"}}
    task.show.at(50, lambda: monkeypatch.delenv("AIRFLOW_CONN_RTMP_OTHER"))
    task.show.at(60, task.show.ends("FAILED", **reason))
    with pytest.raises(SmartLiveJobFailedError) as raised:
        task.show.go_live(standby_room_id=STANDBY, standby_output_conn_ids="rtmp_other")
    assert "no such stream ***" in str(raised.value)
    assert "key8" not in json.dumps(task.record)
