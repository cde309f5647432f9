"""Stopping a livestream by its id, or by whoever started it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time import comms

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.messages import XCOM_TABLE_KEY
from airflow_provider_smartlive.callbacks.table import CallbackTable
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.url import CallbackTarget, issue
from airflow_provider_smartlive.exceptions import SmartLiveJobFailedError
from airflow_provider_smartlive.livestream import airflow_api
from airflow_provider_smartlive.metastudio.callback_auth import AuthType
from airflow_provider_smartlive.metastudio.errors import AuthenticationError
from airflow_provider_smartlive.metastudio.start import StartJobRequest
from airflow_provider_smartlive.operators import StopSmartLiveJobOperator
from tests.support.fake_airflow import DAG, RUN, FakeSupervisor, a_context, api_error
from tests.support.fake_metastudio import ROOM, FakeJob, FakeMetaStudio

pytestmark = pytest.mark.usefixtures("hooked")

STARTER = "go_live"


def started(
    metastudio: FakeMetaStudio,
    *,
    generation: int = 0,
    task_id: str = STARTER,
    map_index: int = -1,
    deployment: str | None = None,
    **more: Any,
) -> FakeJob:
    """Make a running job that carries the callback URL of a task."""
    target = CallbackTarget(
        TaskRef(DAG, RUN, task_id, map_index),
        str(generation),
        generation,
        settings.deployment() if deployment is None else deployment,
    )
    issued = issue(
        target,
        base_url="https://airflow.example.com",
        secrets=settings.callback_secrets(),
        auth_type=AuthType.MSS_A_HEAD,
    )
    config = {
        "live_event_callback_config": {
            "live_event_type_callback_url": issued.url,
            "auth_type": "MSS_A_HEAD",
            "key": issued.key,
        }
    }
    return metastudio.add(request=StartJobRequest.model_validate(config), **more)


def reports(supervisor: FakeSupervisor, job: FakeJob, *, room_id: str = ROOM, map_index: int = -1) -> None:
    """Let a starter have said which job it has."""
    supervisor.xcoms |= {
        (STARTER, map_index, "job_id"): job.job_id,
        (STARTER, map_index, "room_id"): room_id,
    }


def stop(supervisor: FakeSupervisor, *, starter: str | None = "success", **arguments: Any) -> list[str]:
    """
    Run the operator.

    :param starter: the state of the task that starts the job.
    """
    supervisor.states.setdefault("stop", "running")
    if STARTER in supervisor.states:
        supervisor.states[STARTER] = starter
    operator = StopSmartLiveJobOperator(task_id="stop", **{"stop_grace": 0} | arguments)
    context: Any = a_context(supervisor, task_id="stop")
    return operator.execute(context)


class TestByItsId:
    def test_a_job_is_stopped(self, metastudio: FakeMetaStudio, supervisor: FakeSupervisor) -> None:
        job, other = metastudio.add(), metastudio.add()
        assert stop(supervisor, job_id=job.job_id, room_id=ROOM) == [job.job_id]
        assert metastudio.running == [other.job_id]

    def test_one_that_is_over_is_a_success(
        self, metastudio: FakeMetaStudio, supervisor: FakeSupervisor
    ) -> None:
        job = metastudio.add(state="SUCCEED")
        assert stop(supervisor, job_id=job.job_id, room_id=ROOM) == [job.job_id]
        assert metastudio.stopped == []

    @pytest.mark.parametrize("room_id", ["another-room", None])
    def test_it_is_stopped_in_its_real_room(
        self, metastudio: FakeMetaStudio, supervisor: FakeSupervisor, room_id: str | None
    ) -> None:
        job = metastudio.add()
        assert stop(supervisor, job_id=job.job_id, room_id=room_id) == [job.job_id]
        assert metastudio.running == []

    def test_one_that_nobody_knows_is_no_success(
        self, metastudio: FakeMetaStudio, supervisor: FakeSupervisor
    ) -> None:
        metastudio.add()
        with pytest.raises(AirflowFailException, match=r"knows no job 7777.*nothing was stopped"):
            stop(supervisor, job_id="7777", room_id=ROOM, stop_grace=60)

    def test_without_its_room_only_an_active_one_is_found(
        self, metastudio: FakeMetaStudio, supervisor: FakeSupervisor
    ) -> None:
        job = metastudio.add(state="SUCCEED")
        with pytest.raises(AirflowFailException, match=r"not among the active jobs.*pass room_id"):
            stop(supervisor, job_id=job.job_id)

    def test_a_stop_that_does_not_work_fails(
        self, metastudio: FakeMetaStudio, supervisor: FakeSupervisor
    ) -> None:
        job = metastudio.add(looks_until_stopped=None)
        with pytest.raises(SmartLiveJobFailedError, match="still running"):
            stop(supervisor, job_id=job.job_id, room_id=ROOM)

    def test_a_job_that_is_not_shown_yet_is_waited_for(
        self, metastudio: FakeMetaStudio, supervisor: FakeSupervisor
    ) -> None:
        job = metastudio.add(room_id="elsewhere")
        metastudio.clock.at(6, lambda: setattr(job, "room_id", ROOM))
        stop(supervisor, job_id=job.job_id, room_id=ROOM, stop_grace=60)
        assert metastudio.running == []


class TestByItsStarter:
    def test_what_it_has_reported_is_stopped(
        self, metastudio: FakeMetaStudio, supervisor: FakeSupervisor
    ) -> None:
        job = metastudio.add()
        reports(supervisor, job)
        assert stop(supervisor, starter_task_id=STARTER) == [job.job_id]
        assert metastudio.running == []

    def test_where_its_connection_leads_elsewhere_nothing_is_a_success(
        self, metastudio: FakeMetaStudio, supervisor: FakeSupervisor
    ) -> None:
        """Somebody edited the connection, or the stop has another one: that it is not found there tells nothing."""
        job = metastudio.add()
        reports(supervisor, job)
        announcement = {"job_id": job.job_id, "address": metastudio.profile().base_url}
        supervisor.xcoms[STARTER, -1, "smartlive_job"] = announcement
        back, metastudio.endpoint = metastudio.endpoint, "https://elsewhere.example.com"
        with pytest.raises(
            SmartLiveJobFailedError,
            match=rf"leads to https://elsewhere.*job {job.job_id} in room {ROOM} was started at {back}",
        ):
            stop(supervisor, starter_task_id=STARTER)
        assert metastudio.running == [job.job_id]
        metastudio.endpoint = back
        assert stop(supervisor, starter_task_id=STARTER) == [job.job_id]
        assert metastudio.running == []

    def test_nor_is_it_if_the_starter_died_before_it_could_report(
        self, metastudio: FakeMetaStudio, supervisor: FakeSupervisor
    ) -> None:
        job = started(metastudio)
        back = metastudio.profile().base_url
        supervisor.xcoms[STARTER, -1, XCOM_TABLE_KEY] = CallbackTable(generation="1", address=back).dump()
        metastudio.endpoint, there = "https://elsewhere.example.com", metastudio.endpoint
        with pytest.raises(SmartLiveJobFailedError, match=f"sent its start to {back}.*leads to https://else"):
            stop(supervisor, starter_task_id=STARTER, starter="failed")
        metastudio.endpoint = there
        assert stop(supervisor, starter_task_id=STARTER, starter="failed") == [job.job_id]
        assert metastudio.running == []

    @pytest.mark.parametrize("generation", [0, 3])
    @pytest.mark.parametrize("room_id", [ROOM, "the-room-of-an-earlier-try"])
    @pytest.mark.parametrize(
        "state", ["failed", "success", "skipped", "upstream_failed", "up_for_retry", None]
    )
    def test_what_it_could_not_report_is_found_by_its_callback_url(
        self,
        metastudio: FakeMetaStudio,
        supervisor: FakeSupervisor,
        generation: int,
        room_id: str,
        state: str | None,
    ) -> None:
        """The starter was killed between the start and its report: only MetaStudio knows."""
        job, other = (
            started(metastudio, generation=generation, room_id=room_id),
            started(metastudio, task_id="another"),
        )
        assert stop(supervisor, starter=state, starter_task_id=STARTER) == [job.job_id]
        assert metastudio.running == [other.job_id]

    @pytest.mark.parametrize("state", ["failed", "success", "skipped", "upstream_failed", "removed"])
    def test_also_if_the_listing_does_not_show_it_yet(
        self, metastudio: FakeMetaStudio, supervisor: FakeSupervisor, state: str
    ) -> None:
        metastudio.clock.at(20, lambda: started(metastudio))
        assert len(stop(supervisor, starter=state, starter_task_id=STARTER)) == 1
        assert metastudio.running == []

    @pytest.mark.parametrize("question", [comms.GetXCom, comms.GetTaskStates])
    def test_one_fault_of_airflows_api_is_passing(
        self,
        metastudio: FakeMetaStudio,
        supervisor: FakeSupervisor,
        question: type,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(airflow_api, "API_PAUSES", (0.0,))
        job = metastudio.add()
        reports(supervisor, job)
        faults = [api_error()]

        def fail(message: Any) -> None:
            if isinstance(message, question) and faults:
                raise faults.pop()

        supervisor.on_message = fail
        assert stop(supervisor, starter_task_id=STARTER) == [job.job_id]
        assert metastudio.running == []

    @pytest.mark.parametrize("is_listed", [True, False])
    def test_without_the_report_its_callback_url_tells(
        self,
        metastudio: FakeMetaStudio,
        supervisor: FakeSupervisor,
        is_listed: bool,
    ) -> None:
        """If nothing is found so, the report may have named a job that carries no URL: that is no success."""
        if is_listed:
            started(metastudio)

        def fail(message: Any) -> None:
            if isinstance(message, comms.GetXCom):
                raise api_error()

        supervisor.on_message = fail
        if is_listed:
            assert len(stop(supervisor, starter_task_id=STARTER)) == 1
        else:
            with pytest.raises(SmartLiveJobFailedError, match="Airflow does not say which job"):
                stop(supervisor, starter_task_id=STARTER)
        assert metastudio.running == []

    def test_one_that_was_reported_and_is_listed_is_one_job(
        self, metastudio: FakeMetaStudio, supervisor: FakeSupervisor
    ) -> None:
        job = started(metastudio)
        metastudio.dashes = True
        reports(supervisor, job)
        assert stop(supervisor, starter_task_id=STARTER) == [job.job_id]
        assert metastudio.stopped == [job.job_id]

    def test_jobs_of_another_deployment_with_the_same_secret_are_left_alone(
        self, metastudio: FakeMetaStudio, supervisor: FakeSupervisor
    ) -> None:
        """But they are no success: the mark of this deployment may have changed with its base URL."""
        job = started(metastudio, deployment="production")
        with pytest.raises(SmartLiveJobFailedError, match=rf"job {job.job_id} .*\[smartlive\] deployment"):
            stop(supervisor, starter="failed", starter_task_id=STARTER)
        assert metastudio.running == [job.job_id]

    def test_a_job_named_beside_it_is_stopped_as_well(
        self, metastudio: FakeMetaStudio, supervisor: FakeSupervisor
    ) -> None:
        job, other = metastudio.add(), metastudio.add()
        reports(supervisor, job)
        assert stop(supervisor, starter_task_id=STARTER, job_id=other.job_id, room_id=ROOM) == [
            job.job_id,
            other.job_id,
        ]

    def test_one_job_that_does_not_stop_saves_no_other(
        self, metastudio: FakeMetaStudio, supervisor: FakeSupervisor
    ) -> None:
        stubborn, job = started(metastudio, looks_until_stopped=None), started(metastudio)
        reports(supervisor, stubborn)
        with pytest.raises(
            SmartLiveJobFailedError, match=f"job {stubborn.job_id} in room {ROOM} is still running"
        ):
            stop(supervisor, starter_task_id=STARTER)
        assert metastudio.running == [stubborn.job_id]
        assert not job.is_active

    @pytest.mark.parametrize("state", ["skipped", "upstream_failed", "failed", "success", "removed"])
    def test_one_that_is_over_and_has_started_nothing_leaves_nothing_to_stop(
        self, metastudio: FakeMetaStudio, supervisor: FakeSupervisor, state: str
    ) -> None:
        assert stop(supervisor, starter=state, starter_task_id=STARTER) == []
        assert metastudio.clock.seconds == 30

    @pytest.mark.parametrize("state", [None, "queued", "running", "up_for_retry"])
    def test_one_that_goes_on_may_still_start_one(
        self, metastudio: FakeMetaStudio, supervisor: FakeSupervisor, state: str | None
    ) -> None:
        with pytest.raises(SmartLiveJobFailedError, match=f"task {STARTER} .* may still start a job"):
            stop(supervisor, starter=state, starter_task_id=STARTER)

    @pytest.mark.parametrize("room_id", [ROOM, None])
    def test_a_job_that_cannot_be_recognised_may_be_the_one(
        self, metastudio: FakeMetaStudio, supervisor: FakeSupervisor, room_id: str | None
    ) -> None:
        """A task without callbacks has failed, and a job without callbacks runs in its room."""
        job = metastudio.add()
        if room_id is None:
            assert stop(supervisor, starter="failed", starter_task_id=STARTER) == []
            return
        with pytest.raises(SmartLiveJobFailedError, match=f"{job.job_id} in room {ROOM}, which may be what"):
            stop(supervisor, starter="failed", starter_task_id=STARTER, room_id=ROOM)


class TestMapped:
    @pytest.fixture
    def jobs(self, metastudio: FakeMetaStudio, supervisor: FakeSupervisor) -> list[FakeJob]:
        """A mapped starter with two instances; the second could not report its job."""
        supervisor.states = {f"{STARTER}_0": "success", f"{STARTER}_1": "failed"}
        jobs = [started(metastudio, map_index=index) for index in range(2)]
        reports(supervisor, jobs[0], map_index=0)
        return jobs

    def test_every_instance_is_stopped(
        self, metastudio: FakeMetaStudio, supervisor: FakeSupervisor, jobs: list[FakeJob]
    ) -> None:
        assert stop(supervisor, starter_task_id=STARTER) == [job.job_id for job in jobs]
        assert metastudio.running == []

    def test_or_the_one_that_is_asked_for(
        self, metastudio: FakeMetaStudio, supervisor: FakeSupervisor, jobs: list[FakeJob]
    ) -> None:
        assert stop(supervisor, starter_task_id=STARTER, starter_map_index=1) == [jobs[1].job_id]
        assert metastudio.running == [jobs[0].job_id]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"room_id": ROOM}, "Name the job"),
        ({"job_id": "None", "room_id": ROOM}, "job_id was rendered to nothing"),
        ({"job_id": "", "room_id": ROOM}, "job_id was rendered to nothing"),
        ({"job_id": "1", "room_id": "a/b"}, "room_id is 'a/b'"),
        ({"starter_task_id": "go_liv"}, "has no such task"),
        ({"starter_task_id": "first"}, r"full id, .*'group\.first'"),
        ({"starter_task_id": STARTER, "starter_run_id": "None"}, "starter_run_id was rendered to nothing"),
        ({"starter_task_id": STARTER, "starter_run_id": "yesterday"}, "there is no such run"),
        ({"starter_task_id": STARTER, "starter_dag_id": "another"}, "there is no such run"),
        ({"starter_task_id": STARTER, "starter_map_index": 1}, "not mapped"),
    ],
)
def test_a_name_that_is_wrong_fails_for_good(
    metastudio: FakeMetaStudio, supervisor: FakeSupervisor, arguments: dict[str, Any], text: str
) -> None:
    job = started(metastudio)
    supervisor.states["group.first"] = "success"
    with pytest.raises(AirflowFailException, match=text):
        stop(supervisor, **arguments)
    assert metastudio.running == [job.job_id]


def a_wrong_key() -> AuthenticationError:
    return AuthenticationError("Verify aksk signature fail", http_status=401, error_code="APIGW.0301")


def test_a_wrong_key_spares_a_stop_its_retries(
    metastudio: FakeMetaStudio, supervisor: FakeSupervisor
) -> None:
    metastudio.down = a_wrong_key()
    with pytest.raises(AirflowFailException, match="Check login and password"):
        stop(supervisor, starter="failed", starter_task_id=STARTER, retries=3)
    assert metastudio.asked.total() == 1


def test_but_not_one_whose_job_may_run(metastudio: FakeMetaStudio, supervisor: FakeSupervisor) -> None:
    reports(supervisor, started(metastudio))
    metastudio.down = a_wrong_key()
    with pytest.raises(AuthenticationError):
        stop(supervisor, starter_task_id=STARTER, retries=3)


def test_seconds_and_timedeltas_are_taken_alike() -> None:
    for grace in (90, "90", timedelta(seconds=90)):
        assert StopSmartLiveJobOperator(task_id="stop", stop_grace=grace).stop_grace == 90.0
    with pytest.raises(ValueError, match="stop_grace is"):
        StopSmartLiveJobOperator(task_id="stop", stop_grace=-1)
