"""The starting operator from its first line to its result, deferred and not: the same results, the same errors."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowRuntimeError,
    AirflowSkipException,
    AirflowTaskTimeout,
    ErrorType,
)
from airflow.sdk.execution_time import comms

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.exceptions import (
    AmbiguousStartError,
    SmartLiveJobBlockedError,
    SmartLiveJobFailedError,
    SmartLiveKilledError,
    SmartLiveTimeoutError,
)
from airflow_provider_smartlive.metastudio.errors import AuthenticationError, QuotaExceeded
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.operators import StartSmartLiveJobOperator
from tests.support.fake_airflow import TASK, api_error
from tests.support.fake_callbacks import STREAM_KEY
from tests.support.fake_metastudio import ROOM, After, FakeMetaStudio, ambiguous, unreachable
from tests.support.simulation import LIVE, StartSimulation
from tests.support.virtual_time import NOON

OTHER_JOB = "00000000000000000000000000000bad"
REFUSED = AuthenticationError("wrong signature", http_status=401, error_code="APIGW.0301")


class TestTheWayOfOneLivestream:
    def test_end_wakes_the_task_and_the_summary_tells_it(self, show: StartSimulation) -> None:
        show.at(10, show.calls_back(*LIVE))
        show.at(3601, show.ends(duration=3595, stream_duration=3590, used_resource_type="UNLIMITED"))
        show.at(3601, show.calls_back("END"))
        result = show.go_live()
        assert {name: result[name] for name in ("job_id", "room_id", "state", "outcome", "woken_by")} == {
            "job_id": show.job.job_id,
            "room_id": ROOM,
            "state": "SUCCEED",
            "outcome": "the job succeeded",
            "woken_by": "callback",
        }
        assert result["origin"] == "started"
        assert result["request_id"] == "fake-request"
        assert [state for state, _ in result["streams"][0]["transitions"]] == [*LIVE, "END"]
        assert 3601 <= show.clock.seconds <= 3606, "at once, or at the next look into the table"

    def test_job_and_room_are_published_before_the_wait(self, show: StartSimulation) -> None:
        published: list[Any] = []
        show.at(
            1, lambda: published.extend((show.supervisor.xcom("job_id"), show.supervisor.xcom("room_id")))
        )
        show.at(60, show.ends())
        show.go_live(reconcile_interval=30)
        assert published == [show.job.job_id, ROOM]
        assert show.job.job_id in show.supervisor.xcom("smartlive_room_link")

    def test_with_every_callback_lost_metastudio_is_asked(self, show: StartSimulation) -> None:
        show.at(3601, show.ends())
        result = show.go_live()
        assert (result["state"], result["woken_by"]) == ("SUCCEED", "reconciliation")
        assert result["outcome"] == "the job succeeded; END was not seen"
        assert 3601 <= show.clock.seconds <= 3601 + 300 + 5

    def test_an_end_that_the_receiver_leaves_to_the_first_read_is_not_lost(
        self, show: StartSimulation
    ) -> None:
        """It resumes no task that was deferred a second ago."""
        show.at(0.5, show.ends(), lambda: setattr(show, "resume", None), show.calls_back(*LIVE, "END"))
        assert show.go_live()["woken_by"] == ("first-read" if show.deferrable else "callback")
        assert show.clock.seconds <= 9

    def test_airflows_own_deferral_timeout_is_not_used(self, deferred: StartSimulation) -> None:
        """It would skip the task's code, and with it the stop."""
        deferred.at(60, deferred.ends(), deferred.calls_back("END"))
        deferred.go_live(execution_timeout=timedelta(hours=1))
        assert [deferral.timeout for deferral in deferred.deferrals] == [None]

    def test_metastudio_gets_its_time_to_finish(self, show: StartSimulation) -> None:
        show.at(600, show.calls_back(*LIVE, "END"))
        show.at(631, show.ends())
        result = show.go_live()
        assert (result["state"], result["woken_by"]) == ("SUCCEED", "callback"), (
            "who told of the end, not who looked last"
        )
        assert 631 <= show.clock.seconds <= 645
        assert show.metastudio.stopped == []

    def test_a_job_that_does_not_finish_is_stopped(self, show: StartSimulation) -> None:
        show.at(600, show.calls_back(*LIVE, "END"))
        result = show.go_live(end_grace=60)
        assert (result["state"], result["woken_by"]) == ("SUCCEED", "grace-over")
        assert show.metastudio.stopped == [show.job.job_id]
        assert 660 <= show.clock.seconds <= 675

    def test_or_left_alone_if_somebody_asked_for_that(self, show: StartSimulation) -> None:
        show.at(600, show.calls_back(*LIVE, "END"))
        result = show.go_live(stop_after_end=False)
        assert result["state"] == "PROCESSING"
        assert show.metastudio.stopped == []

    def test_without_waiting_it_ends_at_once(self, show: StartSimulation) -> None:
        result = show.go_live(wait_for_termination=False)
        assert result["outcome"] == "started; not waited for"
        assert show.metastudio.running == [result["job_id"]] == [show.supervisor.xcom("job_id")]
        assert show.deferrals == []
        assert show.clock.now == NOON


class TestBadEnds:
    def test_a_job_that_failed(self, show: StartSimulation) -> None:
        error = {"error_code": "MSS.45000009", "error_msg": "invalid RTMP URL"}
        show.at(100, show.ends("FAILED", error_info=error))
        with pytest.raises(SmartLiveJobFailedError, match=r"MSS\.45000009: invalid RTMP URL"):
            show.go_live()

    def test_a_job_that_was_blocked_is_not_retried(self, show: StartSimulation) -> None:
        show.at(100, show.ends("BLOCKED", block_reason="forbidden words"))
        with pytest.raises(SmartLiveJobBlockedError, match="forbidden words") as error:
            show.go_live()
        assert isinstance(error.value, AirflowFailException)

    def test_a_job_that_vanished(self, show: StartSimulation) -> None:
        show.at(100, show.metastudio.jobs.clear)
        with pytest.raises(SmartLiveJobFailedError, match="vanished"):
            show.go_live()

    def test_an_interruption_that_lasts_too_long(self, show: StartSimulation) -> None:
        show.at(30, show.calls_back(*LIVE))
        show.at(200, show.calls_back("DISCONNECTED", "RECONNECTING"))
        with pytest.raises(SmartLiveJobFailedError, match="interrupted for too long"):
            show.go_live(fail_on_disconnect_longer_than=timedelta(seconds=60))
        assert show.metastudio.running == []
        assert 260 <= show.clock.seconds <= 300

    def test_an_interruption_that_ends_in_time(self, show: StartSimulation) -> None:
        show.at(30, show.calls_back(*LIVE))
        show.at(200, show.calls_back("DISCONNECTED"))
        show.at(250, show.calls_back("CONNECTED"))
        show.at(600, show.ends(), show.calls_back("END"))
        result = show.go_live(fail_on_disconnect_longer_than=timedelta(seconds=60))
        assert result["state"] == "SUCCEED"

    def test_metastudio_away_for_a_while(self, show: StartSimulation) -> None:
        show.at(100, show.is_down(unreachable()))
        show.at(3500, show.is_down(None))
        show.at(5000, show.ends())
        assert show.go_live()["state"] == "SUCCEED"

    def test_metastudio_away_for_longer_than_the_budget(self, show: StartSimulation) -> None:
        show.at(100, show.is_down(unreachable()))
        with pytest.raises(SmartLiveJobFailedError, match="failure_budget"):
            show.go_live()
        assert 3700 <= show.clock.seconds <= 3700 + 700
        assert show.metastudio.running == [show.job.job_id]

    def test_metastudio_away_after_end(self, show: StartSimulation) -> None:
        show.at(600, show.is_down(unreachable()))
        show.at(601, show.calls_back(*LIVE, "END"))
        with pytest.raises(SmartLiveJobFailedError, match="failure_budget"):
            show.go_live()
        assert len(show.deferrals) < 15, "each costs a worker slot"

    def test_credentials_that_are_refused_for_a_while(self, show: StartSimulation) -> None:
        show.at(100, show.is_down(REFUSED))
        show.at(2000, show.is_down(None))
        show.at(5000, show.ends())
        assert show.go_live()["state"] == "SUCCEED"

    def test_credentials_that_stay_refused(self, show: StartSimulation) -> None:
        show.at(600, show.is_down(REFUSED))
        show.at(601, show.calls_back(*LIVE, "END"))
        with pytest.raises(SmartLiveJobBlockedError, match="refuses the credentials"):
            show.go_live()

    def test_refused_credentials_are_not_tried_until_the_key_is_locked(self, show: StartSimulation) -> None:
        show.at(600, show.is_down(REFUSED))
        show.at(601, show.calls_back(*LIVE, "END"))
        with pytest.raises(SmartLiveJobBlockedError):
            show.go_live()
        refused = [at for at, _ in show.metastudio.log if at >= 600]
        assert max(sum(at <= other < at + 300 for other in refused) for at in refused) <= 5


class TestPlannedAndForcedEnds:
    def test_max_duration(self, show: StartSimulation) -> None:
        result = show.go_live(max_duration=timedelta(hours=2))
        assert (result["outcome"], result["woken_by"]) == ("stopped as planned", "deadline")
        assert 7200 <= show.clock.seconds <= 7210
        assert show.metastudio.running == []

    @pytest.mark.parametrize(
        "stop_at", [NOON + timedelta(hours=1), "2026-01-01T13:00:00+00:00", "2026-01-01T13:00:00"]
    )
    def test_stop_at(self, show: StartSimulation, stop_at: Any) -> None:
        assert show.go_live(stop_at=stop_at)["outcome"] == "stopped as planned"
        assert 3600 <= show.clock.seconds <= 3610

    def test_the_earlier_of_both_counts(self, show: StartSimulation) -> None:
        show.go_live(stop_at=NOON + timedelta(hours=1), max_duration=timedelta(minutes=30))
        assert 1800 <= show.clock.seconds <= 1810

    def test_execution_timeout_stops_and_fails(self, show: StartSimulation) -> None:
        show.at(1800, show.alarm)
        with pytest.raises(SmartLiveTimeoutError, match="was stopped"):
            show.go_live(execution_timeout=timedelta(minutes=30))
        assert show.metastudio.running == []

    def test_a_job_that_is_over_at_that_moment_is_a_success(self, show: StartSimulation) -> None:
        show.at(1799, show.ends())
        show.at(1800, show.alarm)
        result = show.go_live(execution_timeout=timedelta(minutes=30), reconcile_interval=7200)
        assert (result["state"], result["woken_by"]) == ("SUCCEED", "timeout")

    def test_a_retry_after_a_timeout_starts_anew(self, show: StartSimulation) -> None:
        show.at(1800, show.alarm)
        with pytest.raises(SmartLiveTimeoutError):
            show.go_live(execution_timeout=timedelta(minutes=30))
        show.at(2000, show.ends())
        result = show.go_live(ti={"try_number": 2})
        assert (result["origin"], len(show.metastudio.jobs)) == ("started", 2)


class TestStarting:
    def test_the_request_carries_what_was_asked_for(self, show: StartSimulation) -> None:
        show.go_live(
            wait_for_termination=False,
            request={"video_config": {"codec": "H264", "bitrate": 3000, "width": 1080, "height": 1920}},
            play_policy={"repeat_count": 3},
            view_mode="VERTICAL",
            interaction_conn_id="interaction",
            max_duration=timedelta(hours=2),
            callback_event_types=["RTMP_STREAM_STATE_CHANGE"],
        )
        assert show.sent["output_urls"] == ["rtmp://push.example.com/live/main"]
        assert show.sent["stream_keys"] == [STREAM_KEY]
        assert show.sent["interaction_callback_url"].startswith("https://reply.example.com")
        assert show.sent["play_policy"]["repeat_count"] == 3
        assert show.sent["play_policy"]["live_exit_config"] == {"max_live_duration": 3}
        config = show.sent["live_event_callback_config"]
        assert config["callback_event_type"] == ["RTMP_STREAM_STATE_CHANGE"]
        base_url = settings.callback_base_url()
        assert config["live_event_type_callback_url"].startswith(f"{base_url}/smartlive/callbacks/")

    def test_a_field_that_is_given_twice_is_refused(self, show: StartSimulation) -> None:
        with pytest.raises(AirflowException, match="play_policy"):
            show.go_live(request={"play_policy": {"repeat_count": 1}}, play_policy={"repeat_count": 2})
        assert show.metastudio.asked == {}

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            ({"request": {"output_urls": ["rtmp://x.example.com"]}}, "output_conn_ids"),
            ({"play_policy": {"repeat_count": 101}}, "repeat_count"),
            ({"output_conn_ids": ["missing"]}, "missing"),
            ({"output_conn_ids": ["interaction"]}, "interaction"),
            ({"stop_at": "tomorrow-ish"}, "tomorrow-ish"),
        ],
    )
    def test_what_is_wrong_is_refused_before_anything_is_started(
        self, show: StartSimulation, arguments: dict[str, Any], named: str
    ) -> None:
        with pytest.raises(AirflowException, match=named):
            show.go_live(**arguments)
        assert show.metastudio.asked == {}

    def test_without_a_callback_secret_nothing_is_started(
        self, show: StartSimulation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from airflow_provider_smartlive import settings

        monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_SECRETS", "")
        settings.forget_secrets()
        with pytest.raises(AirflowException, match=r"callback_secrets is empty.*use_callbacks=False"):
            show.go_live()
        assert show.metastudio.asked == {}

    def test_without_callbacks_it_needs_no_secret_and_asks_more_often(
        self, show: StartSimulation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from airflow_provider_smartlive import settings

        monkeypatch.setenv("AIRFLOW__SMARTLIVE__CALLBACK_SECRETS", "")
        settings.forget_secrets()
        show.at(1000, show.ends())
        show.go_live(use_callbacks=False)
        assert "live_event_callback_config" not in show.sent
        assert 1000 <= show.clock.seconds <= 1000 + 60 + 5

    def test_without_an_output_of_our_own_it_asks_more_often_too(self, show: StartSimulation) -> None:
        show.at(1000, show.ends())
        show.go_live(output_conn_ids=[])
        assert show.clock.seconds <= 1000 + 60 + 5

    def test_a_warning_about_the_request_refuses_it_if_asked_to(self, show: StartSimulation) -> None:
        policy = {"live_exit_config": {"max_exception_waiting_duration": 0}}
        with pytest.raises(AirflowFailException, match="max_exception_waiting_duration"):
            show.go_live(play_policy=policy, warnings_as_errors=True)
        assert show.metastudio.asked == {}
        show.go_live(play_policy=policy, wait_for_termination=False)
        assert len(show.metastudio.running) == 1

    def test_a_warning_of_metastudio_stops_the_stream_if_asked_to(self, show: StartSimulation) -> None:
        show.metastudio.warnings = ["TOO_LESSS_SCRIPT_ITEMS"]
        with pytest.raises(AirflowFailException, match="TOO_LESSS_SCRIPT_ITEMS"):
            show.go_live(warnings_as_errors=True)
        assert show.metastudio.running == []

    def test_else_it_stands_in_the_result(self, show: StartSimulation) -> None:
        show.metastudio.warnings = ["TOO_LESSS_SCRIPT_ITEMS"]
        assert show.go_live(wait_for_termination=False)["warnings"] == ["TOO_LESSS_SCRIPT_ITEMS"]

    def test_a_refusal_that_may_pass_is_left_to_the_retries(self, show: StartSimulation) -> None:
        show.metastudio.start_outcomes = [QuotaExceeded("running jobs at the limit", http_status=400)]
        with pytest.raises(QuotaExceeded):
            show.go_live()

    def test_an_answer_that_got_lost_is_looked_for(self, show: StartSimulation) -> None:
        show.metastudio.start_outcomes = [After(ambiguous())]
        show.at(600, show.ends())
        assert show.go_live()["origin"] == "adopted"
        assert len(show.metastudio.jobs) == 1

    def test_or_refused_where_it_cannot_be(self, show: StartSimulation) -> None:
        show.metastudio.start_outcomes = [After(ambiguous())]
        with pytest.raises(AmbiguousStartError):
            show.go_live(use_callbacks=False)


class TestTooLate:
    @pytest.mark.parametrize("late", [timedelta(minutes=61), timedelta(days=3)])
    def test_a_show_that_is_late_is_skipped(self, show: StartSimulation, late: timedelta) -> None:
        with pytest.raises(AirflowSkipException, match="start_window"):
            show.go_live(ti={"run_after": NOON - late})
        assert show.metastudio.asked["start"] == 0

    def test_one_that_is_a_little_late_is_not(self, show: StartSimulation) -> None:
        show.go_live(ti={"run_after": NOON - timedelta(minutes=59)}, wait_for_termination=False)
        assert show.metastudio.asked["start"] == 1

    def test_the_window_is_the_users(self, show: StartSimulation) -> None:
        late = {"run_after": NOON - timedelta(days=3)}
        show.go_live(ti=late, start_window=None, wait_for_termination=False)
        with pytest.raises(AirflowSkipException):
            show.go_live(
                ti={"run_after": NOON - timedelta(minutes=2), "max_tries": 5},
                start_window=timedelta(minutes=1),
            )

    def test_a_backfill_is_skipped_unless_allowed(self, show: StartSimulation) -> None:
        with pytest.raises(AirflowSkipException, match="allow_backfill"):
            show.go_live(ti={"run_type": "backfill"})
        show.go_live(ti={"run_type": "backfill"}, allow_backfill=True, wait_for_termination=False)
        assert show.metastudio.asked["start"] == 1

    def test_a_stop_at_that_is_over_is_nothing_to_go_live_for(self, show: StartSimulation) -> None:
        with pytest.raises(AirflowSkipException, match="stop_at"):
            show.go_live(stop_at=NOON - timedelta(seconds=1))

    def test_a_job_that_runs_is_adopted_however_late_the_retry_is(self, show: StartSimulation) -> None:
        show.go_live(wait_for_termination=False)
        show.clock.sleep(2 * 3600)
        show.at(3 * 3600, show.ends())
        assert show.go_live(ti={"try_number": 2})["origin"] == "adopted"


class TestRetries:
    def test_a_retry_adopts_and_keeps_the_deadline(self, show: StartSimulation) -> None:
        two_hours = timedelta(hours=2)
        show.go_live(wait_for_termination=False, max_duration=two_hours)
        show.clock.sleep(3600)
        result = show.go_live(ti={"try_number": 2}, max_duration=two_hours)
        assert (result["origin"], result["outcome"]) == ("adopted", "stopped as planned")
        assert 7200 <= show.clock.seconds <= 7210, "counted from the start of the job"

    def test_a_retry_takes_the_result_of_a_job_that_ended_while_away(self, show: StartSimulation) -> None:
        show.go_live(wait_for_termination=False)
        show.ends()()
        show.supervisor.xcoms.clear()
        result = show.go_live(ti={"try_number": 2})
        assert (result["origin"], result["state"]) == ("finished", "SUCCEED")
        assert show.supervisor.xcom("job_id") == result["job_id"], "published again, for this try"
        assert len(show.metastudio.jobs) == 1

    def test_a_clear_stops_the_old_job_and_starts_anew(self, show: StartSimulation) -> None:
        first = show.go_live(wait_for_termination=False)
        again = show.go_live(wait_for_termination=False, ti={"try_number": 2, "max_tries": 1})
        assert show.metastudio.stopped == [first["job_id"]]
        assert show.metastudio.running == [again["job_id"]]


class TestTimeoutDuringTheStart:
    """``execution_timeout`` may strike in the middle of the POST: whether it had its effect nobody knows."""

    @pytest.mark.parametrize("max_tries", [0, 2])
    @pytest.mark.parametrize("lag", [0, 20])
    def test_the_job_is_looked_for_and_stopped(self, show: StartSimulation, lag: int, max_tries: int) -> None:
        show.metastudio.listing_lag = timedelta(seconds=lag)
        show.metastudio.start_outcomes = [After(AirflowTaskTimeout("Timeout"))]
        with pytest.raises(SmartLiveTimeoutError, match="while the job was started"):
            show.go_live(execution_timeout=timedelta(hours=1), ti={"max_tries": max_tries})
        assert len(show.metastudio.jobs) == 1
        assert show.metastudio.running == []

    def test_while_an_unclear_start_is_looked_for(self, show: StartSimulation) -> None:
        show.metastudio.start_outcomes = [After(ambiguous())]
        show.metastudio.listing_lag = timedelta(seconds=20)
        show.at(5, show.alarm)
        with pytest.raises(SmartLiveTimeoutError):
            show.go_live(execution_timeout=timedelta(seconds=5))
        assert show.metastudio.running == []

    def test_a_retry_starts_another_one(self, show: StartSimulation) -> None:
        show.metastudio.start_outcomes = [After(AirflowTaskTimeout("Timeout"))]
        with pytest.raises(SmartLiveTimeoutError):
            show.go_live(execution_timeout=timedelta(hours=1), ti={"max_tries": 2})
        show.at(600, show.ends())
        assert show.go_live(ti={"try_number": 2, "max_tries": 2})["origin"] == "started"
        assert len(show.metastudio.jobs) == 2


class TestEventsOfOthers:
    def test_the_end_of_another_job_says_nothing(self, deferred: StartSimulation) -> None:
        deferred.at(100, deferred.wakes("callback", OTHER_JOB, "END"))
        deferred.at(600, deferred.ends())
        result = deferred.go_live()
        assert result["woken_by"] == "reconciliation"
        assert deferred.metastudio.stopped == []
        assert len(deferred.deferrals) == 2

    def test_nor_does_a_deadline_of_another_job(self, deferred: StartSimulation) -> None:
        deferred.at(100, deferred.wakes("deadline", OTHER_JOB))
        deferred.at(600, deferred.ends())
        deferred.go_live()
        assert deferred.metastudio.stopped == []

    def test_an_id_in_another_spelling_is_ours(self, deferred: StartSimulation) -> None:
        deferred.at(
            100, deferred.ends(), lambda: deferred.wakes("callback", deferred.job.job_id.upper(), "END")()
        )
        assert deferred.go_live()["woken_by"] == "callback"

    def test_an_end_that_metastudio_does_not_confirm_is_not_believed(self, deferred: StartSimulation) -> None:
        """A wake-up without END in the table: whoever sent it, the stream goes on."""
        deferred.at(100, lambda: deferred.wakes("callback", deferred.job.job_id, "END")())
        deferred.at(5000, deferred.ends())
        deferred.go_live()
        assert deferred.clock.seconds >= 5000
        assert deferred.metastudio.stopped == []

    def test_a_second_resume_is_harmless(self, deferred: StartSimulation) -> None:
        deferred.at(100, deferred.ends(), deferred.calls_back(*LIVE, "END"), deferred.calls_back("END"))
        assert deferred.go_live()["state"] == "SUCCEED"


#: What Airflow lists of a task that was ended, cleared while it ran, or deleted.
ENDED: list[dict[str, str | None]] = [{TASK: "failed"}, {TASK: "success"}, {TASK: "restarting"}, {}]


class TestBeingKilled:
    """On a worker; what happens to a deferred task is the trigger's business (test_triggers)."""

    @pytest.fixture(autouse=True)
    def _on_a_worker(self, show: StartSimulation) -> None:
        show.deferrable = False

    @pytest.mark.parametrize("states", ENDED, ids=str)
    def test_a_task_that_was_ended_takes_its_job_along(
        self, show: StartSimulation, states: dict[str, str | None]
    ) -> None:
        show.supervisor.states = states
        show.at(600, lambda: show.process.on_kill())
        with pytest.raises(SmartLiveKilledError):
            show.go_live(ti={"max_tries": 2})
        assert show.metastudio.running == []

    def test_a_worker_that_shuts_down_leaves_the_job_to_the_retry(self, show: StartSimulation) -> None:
        show.supervisor.states = {TASK: "running"}
        show.at(600, lambda: show.process.on_kill())
        with pytest.raises(SmartLiveKilledError):
            show.go_live(ti={"max_tries": 2})
        assert len(show.metastudio.running) == 1
        show.at(900, show.ends())
        assert show.go_live(ti={"try_number": 2, "max_tries": 2})["origin"] == "adopted"

    def test_a_task_that_a_new_scheduler_has_reset_is_tried_again(self, show: StartSimulation) -> None:
        """It could not adopt the task's process, and takes the state away. There need be no retry left for that."""
        show.supervisor.states = {TASK: None}
        show.at(600, lambda: show.process.on_kill())
        with pytest.raises(SmartLiveKilledError):
            show.go_live()
        assert len(show.metastudio.running) == 1
        show.supervisor.states = {TASK: "running"}
        show.at(900, show.ends())
        assert show.go_live(ti={"try_number": 2})["origin"] == "adopted"
        assert show.metastudio.stopped == []

    def test_one_that_will_never_run_again_is_not(self, show: StartSimulation) -> None:
        """Cleared without its run, which is over."""
        show.supervisor.states, show.supervisor.run_state = {TASK: None}, "failed"
        show.at(600, lambda: show.process.on_kill())
        with pytest.raises(SmartLiveKilledError):
            show.go_live()
        assert show.metastudio.running == []

    def test_a_reset_task_that_fails_meanwhile_leaves_its_job(self, show: StartSimulation) -> None:
        """Airflow refuses what its process stores, and that is no last try."""

        def refuse(message: Any) -> None:
            if isinstance(message, comms.SetXCom) and message.key == "smartlive_job":
                show.supervisor.states = {TASK: None}
                raise AirflowRuntimeError(comms.ErrorResponse(error=ErrorType.API_SERVER_ERROR))

        show.supervisor.on_message = refuse
        with pytest.raises(AirflowRuntimeError):
            show.go_live()
        assert len(show.metastudio.running) == 1
        show.supervisor.on_message = lambda message: None
        show.supervisor.states = {TASK: "running"}
        show.at(show.clock.seconds + 900, show.ends())
        assert show.go_live(ti={"try_number": 2})["origin"] == "adopted"

    def test_without_a_retry_left_nobody_would_own_it(self, show: StartSimulation) -> None:
        show.supervisor.states = {TASK: "running"}
        show.at(600, lambda: show.process.on_kill())
        with pytest.raises(SmartLiveKilledError):
            show.go_live(ti={"try_number": 3, "max_tries": 2})
        assert show.metastudio.running == []

    def test_a_kill_before_the_start_starts_nothing(self, show: StartSimulation) -> None:
        show.supervisor.states = {TASK: "failed"}
        show.supervisor.on_message = lambda message: (
            show.process.on_kill() if message.type == "GetTaskStateStore" else None
        )
        with pytest.raises(SmartLiveKilledError):
            show.go_live()
        assert show.metastudio.asked["start"] == 0

    @pytest.mark.parametrize(
        "arguments", [{}, {"deferrable": True}, {"wait_for_termination": False}], ids=str
    )
    def test_a_kill_during_the_post_is_honoured_right_after_it(
        self, show: StartSimulation, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        show.supervisor.states = {TASK: "failed"}
        start_job = FakeMetaStudio.start_job

        def killed_meanwhile(metastudio: FakeMetaStudio, room_id: str, request: Any, **bounds: Any) -> Any:
            show.process.on_kill()
            return start_job(metastudio, room_id, request, **bounds)

        monkeypatch.setattr(FakeMetaStudio, "start_job", killed_meanwhile)
        with pytest.raises(SmartLiveKilledError):
            show.go_live(**arguments)
        assert show.metastudio.asked["start"] == 1
        assert show.metastudio.running == []

    @pytest.mark.parametrize("arguments", [{"deferrable": True}, {"wait_for_termination": False}], ids=str)
    @pytest.mark.parametrize("states", ENDED, ids=str)
    def test_a_process_that_heard_of_nothing_leaves_no_job_behind(
        self, show: StartSimulation, states: dict[str, str | None], arguments: dict[str, Any]
    ) -> None:
        """Airflow tells it some seconds later, and refuses its deferral: no trigger would stop the job."""
        show.supervisor.states = states
        with pytest.raises(SmartLiveKilledError):
            show.go_live(**arguments)
        assert show.metastudio.running == []
        assert show.deferrals == []

    @pytest.mark.parametrize("ti", [{}, {"try_number": 1, "max_tries": 2}], ids=str)
    def test_but_it_leaves_the_job_of_a_task_that_was_reset(
        self, show: StartSimulation, ti: dict[str, int]
    ) -> None:
        show.supervisor.states = {TASK: None}
        show.go_live(wait_for_termination=False, ti=ti)
        assert len(show.metastudio.running) == 1
        show.supervisor.states = {TASK: "running"}
        again = show.go_live(wait_for_termination=False, ti=ti | {"try_number": 2})
        assert again["origin"] == "adopted"
        assert len(show.metastudio.jobs) == 1

    def test_but_it_leaves_the_job_of_a_task_that_waits_elsewhere(self, show: StartSimulation) -> None:
        """A deferred task can be resumed twice; the other process has deferred it already."""
        show.supervisor.states = {TASK: "deferred"}
        show.at(900, show.ends())
        assert show.go_live(deferrable=True)["state"] == "SUCCEED"
        assert show.metastudio.stopped == []

    def test_a_job_of_a_kill_is_nobodys_result(self, show: StartSimulation) -> None:
        show.supervisor.states = {TASK: "restarting"}
        show.at(600, lambda: show.process.on_kill())
        with pytest.raises(SmartLiveKilledError):
            show.go_live(ti={"max_tries": 2})
        show.supervisor.states = {TASK: "running"}
        result = show.go_live(ti={"try_number": 2, "max_tries": 2}, wait_for_termination=False)
        assert result["origin"] == "started"

    def test_who_asked_for_it_keeps_the_job(self, show: StartSimulation) -> None:
        show.supervisor.states = {TASK: "failed"}
        show.at(600, lambda: show.process.on_kill())
        show.at(900, show.ends())
        assert show.go_live(cancel_on_kill=False)["state"] == "SUCCEED"
        assert show.metastudio.stopped == []

    def test_a_kill_while_the_job_is_just_being_judged(self, show: StartSimulation) -> None:
        """After a deferral the task is back on a worker, and has its owner from the first line on."""
        show.deferrable = True
        show.at(600, lambda: show.supervisor.states.update({TASK: "failed"}), show.calls_back(*LIVE, "END"))
        settle = type(show.metastudio).show_job
        killed: list[bool] = []

        def killed_meanwhile(metastudio: FakeMetaStudio, job_ref: JobRef) -> Any:
            if (
                not killed and show.supervisor.states.get(TASK) == "failed"
            ):  # before, it is the trigger that looks
                killed.append(True)
                show.process.on_kill()
            return settle(metastudio, job_ref)

        show.metastudio.show_job = killed_meanwhile.__get__(show.metastudio)
        show.go_live()
        assert killed
        assert show.metastudio.running == []

    # The thread says so by an exception of its own, which goes to the task's log.
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_an_execution_api_that_is_away_at_that_moment(self, show: StartSimulation) -> None:
        show.supervisor.states = {TASK: "failed"}

        def on_message(message: Any) -> None:
            if message.type == "GetTaskStates" and not failed:
                failed.append(True)
                raise api_error()

        failed: list[bool] = []
        show.supervisor.on_message = on_message
        show.at(600, lambda: show.process.on_kill())
        with pytest.raises(SmartLiveKilledError):
            show.go_live()
        assert show.metastudio.running == [], "the main thread has tried again"


class TestSecrets:
    @pytest.mark.parametrize(
        "text", ["publish of stream {} was rejected", "push to push.example.com/live/{}"]
    )
    @pytest.mark.parametrize("state", ["FAILED", "BLOCKED"])
    def test_a_short_key_in_metastudios_own_words_is_taken_out(
        self, show: StartSimulation, monkeypatch: pytest.MonkeyPatch, state: str, text: str
    ) -> None:
        output = {"conn_type": "rtmp", "host": "rtmp://push.example.com/live", "password": "s7-Gold"}
        monkeypatch.setenv("AIRFLOW_CONN_RTMP_SHORT", json.dumps(output))
        told = text.format("s7-Gold")
        error = {"error_info": {"error_code": "MSS.45000009", "error_msg": told}, "block_reason": told}
        show.at(60, show.ends(state, **error))
        with pytest.raises(AirflowException) as failure:
            show.go_live(output_conn_ids=["rtmp_short"], reconcile_interval=30)
        assert "s7-Gold" not in str(failure.value)
        assert "push" in str(failure.value) or "publish" in str(failure.value)

    def test_no_secret_is_shown_or_stored(
        self, show: StartSimulation, capsys: pytest.CaptureFixture[str]
    ) -> None:
        show.at(600, show.calls_back(*LIVE, output=STREAM_KEY))
        show.at(900, show.ends(), show.calls_back("END", output=STREAM_KEY))
        result = show.go_live(interaction_conn_id="interaction")
        config = show.sent["live_event_callback_config"]
        url, key = config["live_event_type_callback_url"], config["key"]
        log = capsys.readouterr().out
        assert "RTMP" in log
        surfaces = {
            "result": json.dumps(result),
            "XComs": repr(show.supervisor.xcoms),
            "task state store": repr(show.supervisor.store),
            "deferrals": repr([(each.trigger.serialize(), each.kwargs) for each in show.deferrals]),
            "log": log,
        }
        for secret in (STREAM_KEY, url, url.rpartition("/")[2], key, "fake-interaction-token"):
            assert [name for name, text in surfaces.items() if secret in text] == []

    def test_the_scan_would_find_one(self, show: StartSimulation) -> None:
        show.go_live(wait_for_termination=False)
        assert STREAM_KEY in json.dumps(show.sent)

    def test_url_and_key_of_the_callback_are_masked(self, show: StartSimulation) -> None:
        show.go_live(wait_for_termination=False)
        masked = [message.value for message in show.supervisor.messages if message.type == "MaskSecret"]
        config = show.sent["live_event_callback_config"]
        assert {config["live_event_type_callback_url"], config["key"], STREAM_KEY} <= set(masked)

    def test_no_secret_is_a_template_field(self) -> None:
        fields = set(StartSmartLiveJobOperator.template_fields)
        assert not fields & {"output_urls", "stream_keys", "interaction_callback_url"}
