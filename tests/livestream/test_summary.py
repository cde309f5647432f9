"""What a livestream leaves behind: everything that was promised, and no secret."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from airflow.sdk.serde import deserialize, serialize

from airflow_provider_smartlive.decisions import WakeSource
from airflow_provider_smartlive.livestream.snapshot import JobSnapshot
from airflow_provider_smartlive.livestream.summary import failure_text, summarise
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob
from tests.support.fake_callbacks import STREAM_KEY, called_back
from tests.support.fake_metastudio import ROOM, unreachable
from tests.support.virtual_time import NOON

JOB = "26f065244f754b3aa853b649a21aaf66"
PRE_SIGNED = "https://bucket.example.com/records?Signature=fake-signature"


def a_job(**more: Any) -> SmartLiveJob:
    fields = {
        "job_id": JOB,
        "room_id": ROOM,
        "room_name": "Nightly",
        "state": "SUCCEED",
        "start_time": NOON.isoformat(),
        "end_time": (NOON + timedelta(hours=2)).isoformat(),
        "duration": 7200,
        "stream_duration": 7190,
        "used_resource_type": "UNLIMITED",
        "cover_url": PRE_SIGNED,
        "live_event_report_url": PRE_SIGNED,
        "live_job_log": {"interaction_records_url": PRE_SIGNED, "scripts_records_url": PRE_SIGNED},
    }
    return SmartLiveJob.model_validate(fields | more)


def a_summary(**more: Any) -> dict[str, Any]:
    return summarise(JobRef(ROOM, JOB), outcome="the job succeeded", **more)


def test_of_a_job_that_was_seen() -> None:
    assert a_summary(woken_by=WakeSource.CALLBACK, job=a_job()) == {
        "job_id": JOB,
        "room_id": ROOM,
        "outcome": "the job succeeded",
        "woken_by": "callback",
        "state": "SUCCEED",
        "room_name": "Nightly",
        "start_time": "2026-01-01T12:00:00+00:00",
        "end_time": "2026-01-01T14:00:00+00:00",
        "duration": 7200,
        "stream_duration": 7190,
        "used_resource_type": "UNLIMITED",
        "log_records": ["interaction_records_url", "scripts_records_url"],
    }


def test_of_a_stream_that_was_called_back() -> None:
    states = ("CONNECTING", "CONNECTED", "RECONNECTING", "CONNECTED", "RECONNECTING", "CONNECTED", "END")
    summary = a_summary(callbacks=called_back(JOB, *states).job(JOB))
    (stream,) = summary["streams"]
    assert (stream["output"], stream["state"], stream["reconnects"]) == (
        "rtmp://push.example.com/live/***",
        "END",
        2,
    )
    assert [state for state, _ in stream["transitions"]] == list(states)
    assert (summary["script_switches"], summary["replies_finished"]) == (0, 0)


def test_a_job_that_is_over_has_no_stream_that_is_connected() -> None:
    """After a planned stop, say: END may be called back later, or never."""
    callbacks = called_back(JOB, "CONNECTING", "CONNECTED").job(JOB)
    told = [
        (stream["state"], stream["end_called_back"])
        for is_over in (True, False)
        for stream in a_summary(callbacks=callbacks, is_over=is_over)["streams"]
    ]
    assert told == [("END", False), ("CONNECTED", False)]


def test_of_a_job_that_nobody_has_seen() -> None:
    assert a_summary() == {
        "job_id": JOB,
        "room_id": ROOM,
        "outcome": "the job succeeded",
        "woken_by": None,
    }


def test_of_a_job_of_a_later_metastudio() -> None:
    summary = a_summary(job=a_job(state="ARCHIVED", live_job_log=None, start_time="once upon a time"))
    assert (summary["state"], summary["log_records"], summary["start_time"]) == ("ARCHIVED", [], None)


def test_it_survives_airflows_own_encoding() -> None:
    callbacks = called_back(JOB, "CONNECTING", "CONNECTED", "END").job(JOB)
    summary = a_summary(woken_by=WakeSource.CALLBACK, job=a_job(), callbacks=callbacks, warnings=["x"])
    assert deserialize(json.loads(json.dumps(serialize(summary)))) == summary


def test_no_secret_is_in_it() -> None:
    callbacks = called_back(JOB, "CONNECTING", "END", output=STREAM_KEY).job(JOB)
    text = json.dumps(a_summary(job=a_job(), callbacks=callbacks))
    assert "fake-signature" not in text
    assert STREAM_KEY not in text


def test_a_failure_says_what_metastudio_says_without_what_the_request_held() -> None:
    ref, key = JobRef(ROOM, JOB), "a-stream-key-that-is-secret"
    says = {"error_code": "MSS.1", "error_msg": f"cannot push to {key}"}

    def text(snapshot: JobSnapshot) -> str:
        return failure_text(ref, "the job failed", snapshot, secrets=lambda: [key])

    begins = f"Job {JOB} in room {ROOM}: the job failed."
    failed = text(JobSnapshot.of(a_job(state="FAILED", error_info=says)))
    assert failed.startswith(f"{begins} MSS.1: cannot push to ")
    assert key not in failed
    blocked = text(JobSnapshot.of(a_job(state="BLOCKED", block_reason=f"shows {key}")))
    assert blocked.startswith(f"{begins} Reason: shows ")
    assert key not in blocked
    assert text(JobSnapshot.of(a_job(state="BLOCKED"))) == f"{begins} Reason: none given"
    assert text(JobSnapshot.of(a_job(state="FAILED"))) == begins


def test_the_secrets_are_not_asked_for_where_metastudio_says_nothing() -> None:
    def secrets() -> list[str]:
        raise AssertionError

    text = failure_text(JobRef(ROOM, JOB), "it is lost", JobSnapshot.failed(unreachable()), secrets=secrets)
    assert "did not answer in time" in text
