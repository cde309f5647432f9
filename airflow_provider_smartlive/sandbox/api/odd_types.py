"""Answers whose fields have other types than documented, as a later MetaStudio or another team's job may have them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow_provider_smartlive.sandbox.model.jobs import wire_time

#: Values of wrong types for fields that say nothing about where a job stands.
_ODD: dict[str, Any] = {
    "room_name": {"zh": "name"},
    "duration": "long",
    "end_time": 1795449600,
    "lastupdate_time": "yesterday",
    "rtc_room_info": "none",
    "live_event_report_url": ["https://example.com"],
    "rtc_callback_config": [],
    "co_streamer_config": "SILENCE",
    "live_job_log": "https://example.com/log",
    "relation_live_platform_info": 7,
    "used_resource_type": {"type": "ONDEMAND"},
    "cover_url": 7,
    "is_ai_mark_on": "maybe",
}

#: The same for fields of which a job of one's own has need.
_ODDER: dict[str, Any] = {
    "stream_duration": "a while",
    "start_time": [2026, 11, 23],
    "create_time": {"seconds": 1},
    "error_info": "MSS.00000004",
    "block_reason": 7,
    "live_event_callback_config": "https://example.com/callbacks",
    "state": 7,
    "room_id": 7,
    "job_id": None,
}


def spoilt(view: dict[str, Any]) -> dict[str, Any]:
    """
    Return an answer of which only the fields that say nothing about where a job stands have wrong types.

    :param view: the job as show answers it.
    """
    return {**view, **_ODD}


def foreign_jobs(now: datetime) -> list[Any]:
    """
    Return jobs of another team: one for each wrong type, one with all of them, and what is no job at all.

    :param now: their ``create_time``.
    """
    wrong: list[dict[str, Any]] = [{name: value} for name, value in (_ODD | _ODDER).items()]
    jobs = [
        {
            "job_id": f"0dd00000-0000-4000-8000-{number:012d}",
            "room_id": "0dd00000-0000-4000-8000-000000000000",
            "room_name": "Another team's room",
            "state": "PROCESSING",
            "create_time": wire_time(now),
            **fields,
        }
        for number, fields in enumerate([*wrong, _ODD])
    ]
    return [*jobs, None, "job", []]
