"""What is read as an argument, and what is refused with a word on the fix."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from datetime import time as time_of_day
from typing import Any
from zoneinfo import ZoneInfo

import pendulum
import pytest

from airflow_provider_smartlive.livestream import arguments
from airflow_provider_smartlive.livestream.arguments import ArgumentError
from tests.support.virtual_time import NOON

BERLIN, SHANGHAI = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Shanghai")


class TestTime:
    @pytest.mark.parametrize(
        "value",
        [
            "2026-01-01T12:00:00Z",
            "2026-01-01t12:00:00z",
            "2026-01-01 12:00Z",
            " 2026-01-01T20:00:00+08:00 ",
            "2026-01-01T20:00:00.000+0800",
            "20260101T120000Z",
            "20260101T120000+0000",
            NOON,
            datetime(2026, 1, 1, 20, tzinfo=timezone(timedelta(hours=8))),
            datetime(2026, 1, 1, 13, tzinfo=BERLIN),
            pendulum.datetime(2026, 1, 1, 17, 45, tz="Asia/Kathmandu"),
        ],
        ids=str,
    )
    def test_a_zone_in_the_value_counts(self, value: object) -> None:
        found = arguments.time("stop_at", value, zone=SHANGHAI)
        assert found == NOON
        # Airflow cannot read every zone back from its database.
        assert type(found) is datetime
        assert found.tzinfo is UTC

    @pytest.mark.parametrize(
        "value",
        ["2026-01-01T20:00:00", "2026-01-01 20:00", "20260101T200000", datetime(2026, 1, 1, 20)],
        ids=str,
    )
    @pytest.mark.parametrize(("zone", "hours"), [(SHANGHAI, 8), (UTC, 0), (BERLIN, 1)], ids=str)
    def test_without_one_that_of_the_dag_counts(
        self, value: object, zone: tzinfo, hours: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AIRFLOW__CORE__DEFAULT_TIMEZONE", "America/Sao_Paulo")
        assert arguments.time("stop_at", value, zone=zone) == datetime(2026, 1, 1, 20 - hours, tzinfo=UTC)

    @pytest.mark.parametrize("value", [None, "", "  "])
    def test_nothing_is_none(self, value: object) -> None:
        assert arguments.time("stop_at", value, zone=UTC) is None

    @pytest.mark.parametrize("value", ["2026-10-25T02:30:00", datetime(2026, 10, 25, 2, 30)], ids=str)
    def test_a_time_that_comes_twice_is_the_first_one(self, value: object) -> None:
        assert arguments.time("stop_at", value, zone=BERLIN) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)

    def test_unless_it_says_which(self) -> None:
        second = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN)
        assert arguments.time("stop_at", second, zone=UTC) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)

    @pytest.mark.parametrize(
        "value",
        ["2026-03-29T02:30:00", datetime(2026, 3, 29, 2, 30), datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN)],
        ids=str,
    )
    def test_a_time_that_is_left_out_counts_by_the_clock_that_was_not_put_forward(
        self, value: object
    ) -> None:
        found = arguments.time("stop_at", value, zone=BERLIN)
        assert found == datetime(2026, 3, 29, 3, 30, tzinfo=BERLIN)

    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            ("PT2H", "a duration.*max_duration"),
            ("P1D", "a duration"),
            ("2026-11-22/2026-11-23", "an interval"),
            ("11/22/2026 20:00", "another spelling"),
            ("22:30", "a time without a date"),
            (time_of_day(22, 30), "a time without a date"),
            ("10", "a number"),
            ("2026", "a number"),
            ("1795377600", "a number"),
            ("1795377600.5", "a number"),
            ("20261122", "a date without a time"),
            ("2026-11-22", "a date without a time"),
            (date(2026, 11, 22), "a date without a time"),
            (20261122, "of type int"),
            (1795377600.0, "of type float"),
            (True, "of type bool"),
            (timedelta(hours=2), "of type timedelta"),
            ("now", "'now'"),
            ("tomorrow", "'tomorrow'"),
            ("noonish", "'noonish'"),
            ("None", "rendered from a value that does not exist"),
            ("{{ params.until }}", "not rendered"),
            ("2026-13-01T20:00", "month must be in 1..12"),
            ("2026-11-22T25:00", "hour must be in 0..23"),
            ("2026-11-22T20:00 Europe/Berlin", "2026-11-22T20:00 Europe/Berlin"),
            ("0001-01-01T00:00+14:00", "out of range"),
        ],
        ids=str,
    )
    def test_what_is_no_point_in_time_is_refused(self, value: object, problem: str) -> None:
        with pytest.raises(ArgumentError, match=f"^stop_at is .*{problem}.*Write date and time"):
            arguments.time("stop_at", value, zone=UTC)


class TestDuration:
    @pytest.mark.parametrize(
        "value",
        [90, 90.0, "90", " 90.0 ", timedelta(seconds=90), pendulum.duration(minutes=1, seconds=30)],
        ids=repr,
    )
    def test_seconds_and_timedeltas_are_taken_alike(self, value: object) -> None:
        found = arguments.duration("max_duration", value)
        assert found == timedelta(seconds=90)
        assert type(found) is timedelta
        assert arguments.seconds("end_grace", value) == 90.0

    @pytest.mark.parametrize("value", [None, "", " "])
    def test_nothing_is_none(self, value: object) -> None:
        assert arguments.duration("max_duration", value) is None
        assert arguments.seconds("end_grace", value) is None

    @pytest.mark.parametrize("value", [0, "0", timedelta()], ids=repr)
    def test_zero_counts_where_it_makes_sense(self, value: object) -> None:
        assert arguments.duration("start_window", value, minimum=timedelta()) == timedelta()
        assert arguments.seconds("end_grace", value, minimum=0) == 0
        with pytest.raises(ArgumentError, match=r"max_duration is .*more than 0 s"):
            arguments.duration("max_duration", value)
        with pytest.raises(ArgumentError, match=r"reconcile_interval is .*at least 1 s"):
            arguments.seconds("reconcile_interval", value, minimum=1)

    @pytest.mark.parametrize(
        "value",
        [
            True,
            math.nan,
            math.inf,
            -math.inf,
            -1,
            "-1",
            timedelta(seconds=-1),
            1e300,
            10**400,
            "1e3",
            "five",
            "0:05:00",
            "PT5M",
            "None",
            "nan",
            "{{ params.x }}",
            [5],
            datetime(2026, 1, 1),
        ],
        ids=lambda value: repr(value)[:20],
    )
    def test_everything_else_is_refused(self, value: object) -> None:
        for read in (arguments.duration, arguments.seconds):
            with pytest.raises(ArgumentError, match=r"^end_grace is .*Pass a timedelta, or seconds"):
                read("end_grace", value)


class TestIds:
    @pytest.mark.parametrize(
        ("value", "found"),
        [
            (None, None),
            ("24bad716-87b1", "24bad716-87b1"),
            (" room ", "room"),
            (12345678, "12345678"),
            ("x" * 64, "x" * 64),
        ],
    )
    def test_of_rooms_and_jobs(self, value: object, found: str | None) -> None:
        assert arguments.ident("room_id", value) == found

    @pytest.mark.parametrize("value", ["a/b", "/", "a b", "a\tb", "a\\b", ".", "..", "x" * 65, "a\x00b"])
    def test_what_metastudio_takes_for_none(self, value: str) -> None:
        with pytest.raises(ArgumentError, match=r"^room_id is .*Pass the id alone"):
            arguments.ident("room_id", value)

    @pytest.mark.parametrize("read", [arguments.ident, arguments.airflow_id, arguments.conn_id])
    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            ("None", "rendered to nothing.*XCom or param.*does not exist"),
            ("", "rendered to nothing"),
            ("  ", "rendered to nothing"),
            (1e5, "native rendering"),
            (True, "of type bool"),
            (["a"], "of type list"),
            ("{{ ti.x }}", "not rendered"),
        ],
        ids=str,
    )
    def test_what_a_template_makes_of_a_missing_value(self, read: Any, value: object, problem: str) -> None:
        with pytest.raises(ArgumentError, match=f"^job_id .*{problem}"):
            read("job_id", value)

    def test_those_of_airflow_may_look_like_times(self) -> None:
        run_id = "scheduled__2026-01-01T00:00:00+00:00"
        assert arguments.airflow_id("starter_run_id", run_id) == run_id
        assert arguments.airflow_id("starter_run_id", 20261122) == "20261122"

    def test_a_url_in_place_of_a_connection_is_not_repeated(self) -> None:
        with pytest.raises(ArgumentError, match="interaction_conn_id is a URL") as refused:
            arguments.conn_id("interaction_conn_id", "rtmp://push.example.com/live/fake-key")
        assert "fake-key" not in str(refused.value)


class TestConnectionIds:
    @pytest.mark.parametrize(
        ("value", "found"),
        [
            (None, []),
            ("", []),
            ([], []),
            ("[]", []),
            ("shop_rtmp", ["shop_rtmp"]),
            (["shop_rtmp"], ["shop_rtmp"]),
            (("a", "b"), ["a", "b"]),
            ("a, b", ["a", "b"]),
            ("['a', 'b']", ["a", "b"]),
            ('["a", "b"]', ["a", "b"]),
            ("('a',)", ["a"]),
            (123, ["123"]),
            ([123, " b "], ["123", "b"]),
            ("[123]", ["123"]),
        ],
        ids=str,
    )
    def test_in_any_spelling(self, value: object, found: list[str]) -> None:
        assert arguments.conn_ids("output_conn_ids", value) == found

    @pytest.mark.parametrize(
        "value",
        ["None", [None], ["None"], "[None]", "a,,b", "['a'", "a b", {"a": 1}, True, 1.5, "{{ params.x }}"],
        ids=str,
    )
    def test_what_names_none_is_refused(self, value: object) -> None:
        with pytest.raises(ArgumentError, match=r"^output_conn_ids "):
            arguments.conn_ids("output_conn_ids", value)
