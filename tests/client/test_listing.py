"""The pages of a listing: what is asked for, and where the next one starts."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_smartlive.client.listing import AllJobsFilters, JobFilters, next_offset, page_query
from airflow_provider_smartlive.metastudio.jobs import JobList


@pytest.mark.parametrize(
    ("count", "found", "following"),
    [(250, 100, 100), (100, 100, None), (0, 0, None), (5, 0, None), ("many", 100, 100), ("many", 99, None)],
)
def test_where_the_next_page_starts(count: object, found: int, following: int | None) -> None:
    page = JobList.from_body(json.dumps({"count": count, "smart_live_jobs": [None] * found}).encode())
    assert next_offset(0, page) == following


def test_a_query_is_sorted_and_encoded_as_it_is_signed() -> None:
    filters: dict[str, Any] = {
        "state": ["WAITING", "PROCESSING"],
        "room_name": "a & b",
        "create_since": datetime(2026, 11, 1, 20, tzinfo=timezone(timedelta(hours=8))),
        "sort_key": None,
    }
    assert page_query(100, 50, filters, AllJobsFilters) == (
        "?create_since=2026-11-01T12%3A00%3A00Z&limit=50&offset=100&room_name=a%20%26%20b&state=WAITING%2CPROCESSING"
    )


def test_a_filter_that_a_listing_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="Unknown filter room_name; there are create_since"):
        page_query(0, 100, {"room_name": "a"}, JobFilters)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a time zone"):
        page_query(0, 100, {"create_since": datetime(2026, 11, 1)}, JobFilters)
