"""When a livestream goes live, and what its link is allowed: ``start_at``, ``connected_within``, and the like."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowRescheduleException, AirflowSkipException

from airflow_provider_smartlive.exceptions import SmartLiveJobFailedError
from airflow_provider_smartlive.operators import StartSmartLiveJobOperator
from tests.support.fake_callbacks import STREAM_KEY
from tests.support.simulation import LIVE, StartSimulation
from tests.support.virtual_time import NOON


class TestStartAt:
    def test_it_waits_without_a_worker_and_sends_nothing(
        self, show: StartSimulation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waits: list[Any] = []
        call = show._call

        def watch(*args: Any) -> Any:
            try:
                return call(*args)
            except AirflowRescheduleException as pause:
                waits.append((pause.reschedule_date, show.metastudio.asked["start"]))
                raise

        monkeypatch.setattr(show, "_call", watch)
        show.at(4200, show.ends())
        result = show.go_live(start_at="2026-01-01T13:00:00Z")
        assert waits == [(NOON + timedelta(hours=1), 0)]
        assert result["started_at"] == (NOON + timedelta(hours=1)).isoformat()
        assert (
            show.supervisor.xcom("smartlive_job")["planned_start"] == (NOON + timedelta(hours=1)).isoformat()
        )

    def test_the_window_counts_from_it(self, show: StartSimulation) -> None:
        show.at(600, show.ends())
        # The run is two hours late, the livestream is not.
        ti = {"run_after": NOON - timedelta(hours=2)}
        assert show.go_live(start_at=NOON - timedelta(minutes=10), ti=ti)["state"] == "SUCCEED"

    def test_later_than_the_window_it_is_skipped(self, show: StartSimulation) -> None:
        with pytest.raises(AirflowSkipException, match="due at 2026-01-01T10:00:00"):
            show.go_live(start_at=NOON - timedelta(hours=2))
        assert show.metastudio.jobs == []

    def test_after_its_end_it_is_skipped_whenever_it_should_have_begun(self, show: StartSimulation) -> None:
        with pytest.raises(AirflowSkipException, match=r"stop_at .* is over"):
            show.go_live(start_at=NOON, stop_at=NOON - timedelta(hours=1))
        assert show.metastudio.jobs == []

    def test_what_is_wrong_is_said_before_the_wait(self, show: StartSimulation) -> None:
        with pytest.raises(
            AirflowFailException, match=r"start_at is 2026-01-01T13:00:00\+00:00, not before stop_at"
        ):
            show.go_live(start_at="2026-01-01T13:00Z", stop_at="2026-01-01T13:00Z")
        with pytest.raises(AirflowFailException, match="bitrate"):
            show.go_live(start_at="2026-01-01T13:00Z", video_config={"bitrate": 1})
        assert show.clock.seconds == 0

    def test_a_retry_adopts_what_runs_although_it_is_early(self, deferred: StartSimulation) -> None:
        deferred.go_live(wait_for_termination=False, ti={"max_tries": 1})
        deferred.at(600, deferred.ends())
        ti = {"try_number": 2, "max_tries": 1}
        deferred.supervisor.clear_xcoms()
        assert deferred.go_live(start_at="2026-01-01T18:00Z", ti=ti)["origin"] == "adopted"

    def test_a_cleared_one_is_stopped_before_it_waits(self, deferred: StartSimulation) -> None:
        first = deferred.go_live(wait_for_termination=False)
        deferred.supervisor.clear_xcoms()
        deferred.at(1800, lambda: deferred.metastudio.running == [] or pytest.fail("it streams meanwhile"))
        deferred.at(7200, deferred.ends())
        ti = {"try_number": 2, "max_tries": 1, "clear_number": 1}
        second = deferred.go_live(start_at="2026-01-01T13:00Z", ti=ti)
        assert first["job_id"] in deferred.metastudio.stopped
        assert second["started_at"] >= (NOON + timedelta(hours=1)).isoformat()


class TestConnectedWithin:
    def test_a_stream_that_never_comes(self, show: StartSimulation) -> None:
        show.at(30, show.calls_back("CONNECTING"))
        with pytest.raises(SmartLiveJobFailedError, match="not CONNECTED in time"):
            show.go_live(connected_within=timedelta(minutes=5))
        assert show.metastudio.running == []
        assert 300 <= show.clock.seconds <= 400

    def test_a_limit_that_is_over_before_the_trigger_begins(self, show: StartSimulation) -> None:
        with pytest.raises(SmartLiveJobFailedError, match="not CONNECTED in time"):
            show.go_live(connected_within=2)
        assert show.clock.seconds < 60

    @pytest.mark.parametrize("called_back", [True, False])
    def test_a_stream_that_comes_in_time(self, show: StartSimulation, called_back: bool) -> None:
        """The callback may be lost: MetaStudio has the last word."""
        if called_back:
            show.at(250, show.calls_back(*LIVE))
        show.at(250, lambda: setattr(show.job, "stream_duration", 5.0))
        show.at(3000, show.ends())
        assert show.go_live(connected_within="300")["state"] == "SUCCEED"

    def test_an_interruption_is_another_matter(self, show: StartSimulation) -> None:
        show.at(30, show.calls_back(*LIVE))
        show.at(400, show.calls_back("RECONNECTING"))
        show.at(3000, show.ends())
        assert show.go_live(connected_within=300)["state"] == "SUCCEED"

    def test_the_way_to_connected_counts_for_no_other_limit(self, show: StartSimulation) -> None:
        show.at(30, show.calls_back("CONNECTING"))
        show.at(280, show.calls_back("CONNECTED"), lambda: setattr(show.job, "stream_duration", 5.0))
        show.at(3000, show.ends())
        limits: dict[str, Any] = {"connected_within": 300, "fail_on_disconnect_longer_than": 60}
        assert show.go_live(**limits)["state"] == "SUCCEED"


class TestMaxReconnects:
    def test_one_too_many(self, show: StartSimulation) -> None:
        for second in (100, 300, 500):
            show.at(second, show.calls_back("RECONNECTING", "CONNECTED"))
        show.at(30, show.calls_back(*LIVE))
        with pytest.raises(SmartLiveJobFailedError, match="interrupted too often"):
            show.go_live(max_reconnects="2")
        assert show.metastudio.running == []
        assert 500 <= show.clock.seconds <= 600

    def test_as_many_as_allowed(self, show: StartSimulation) -> None:
        show.at(30, show.calls_back(*LIVE))
        for second in (100, 300):
            show.at(second, show.calls_back("RECONNECTING", "CONNECTED"))
        show.at(3000, show.ends())
        assert show.go_live(max_reconnects=2)["state"] == "SUCCEED"

    @pytest.mark.parametrize("states", [("END", "RECONNECTING"), ("RECONNECTING", "END")])
    def test_what_is_reported_of_a_link_that_has_ended_stops_nothing(
        self, show: StartSimulation, states: tuple[str, str]
    ) -> None:
        """MetaStudio takes its time to finish the job, and the table is read meanwhile."""
        show.at(30, show.calls_back(*LIVE))
        show.at(1000, show.calls_back(*states))
        show.at(1100, show.ends())
        assert show.go_live(max_reconnects=0)["state"] == "SUCCEED"
        assert show.metastudio.stopped == []


class TestMinOnAir:
    def test_an_end_that_overtook_connected_does_not_say_how_long_it_was(self, show: StartSimulation) -> None:
        show.at(600, show.calls_back("END", "CONNECTED"), show.ends(stream_duration=None))
        assert show.go_live(min_on_air=300)["state"] == "SUCCEED"

    def test_an_end_that_comes_too_early(self, show: StartSimulation) -> None:
        show.at(600, show.ends(stream_duration=580), show.calls_back("END"))
        with pytest.raises(SmartLiveJobFailedError, match="on the air for 580 s; min_on_air is 1800 s"):
            show.go_live(min_on_air=timedelta(minutes=30), ti={"max_tries": 1})
        show.supervisor.clear_xcoms()
        show.at(show.clock.seconds + 2000, show.ends(stream_duration=1990))
        ti = {"try_number": 2, "max_tries": 1}
        result = show.go_live(min_on_air=timedelta(minutes=30), ti=ti)
        assert (result["origin"], result["stream_duration"]) == ("started", 1990)

    @pytest.mark.parametrize("arguments", [{"max_duration": 600}, {"stop_at": "2026-01-01T12:10Z"}])
    def test_a_planned_end_is_none(self, show: StartSimulation, arguments: dict[str, Any]) -> None:
        limits = {"min_on_air": 600} | arguments
        assert show.go_live(**limits)["outcome"] == "stopped as planned"

    def test_what_nobody_knows_starts_nothing_again(self, show: StartSimulation) -> None:
        show.at(600, show.ends())
        show.at(599, lambda: setattr(show.job, "stream_duration", None))
        assert show.go_live(min_on_air=1800)["state"] == "SUCCEED"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"max_reconnects": -1}, "max_reconnects is -1"),
        ({"max_reconnects": "often"}, "max_reconnects is 'often'"),
        ({"max_reconnects": True}, "max_reconnects is True"),
        ({"max_reconnects": 1, "use_callbacks": False}, "max_reconnects is 1, and use_callbacks is False"),
        (
            {"connected_within": 7200, "max_duration": 3600},
            "connected_within is 7200 s, longer than max_duration",
        ),
        ({"min_on_air": 7200, "max_duration": 3600}, "min_on_air is 7200 s, longer than max_duration"),
        ({"connected_within": 0}, "connected_within is 0"),
        ({"min_on_air": "soon"}, "min_on_air is 'soon'"),
        ({"start_at": "19:00"}, "start_at is '19:00'"),
    ],
)
def test_a_mistake_is_named_before_anything_is_sent(
    deferred: StartSimulation, arguments: dict[str, Any], text: str
) -> None:
    with pytest.raises(AirflowFailException, match=text) as error:
        deferred.go_live(**arguments)
    assert deferred.metastudio.asked == {}
    assert STREAM_KEY not in str(error.value)


def test_they_are_templated() -> None:
    fields = {"start_at", "connected_within", "max_reconnects", "min_on_air"}
    assert fields <= set(StartSmartLiveJobOperator.template_fields)
