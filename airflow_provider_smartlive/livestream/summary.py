"""The result of a task, and what it publishes of its job, without a secret."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_smartlive.decisions import JobStatus
from airflow_provider_smartlive.metastudio.text import printable, safe_text

#: The state of a stream that will not come back.
END = "END"

if TYPE_CHECKING:
    from airflow_provider_smartlive.callbacks.table import JobCallbacks, StreamRow
    from airflow_provider_smartlive.livestream.record import JobRecord
    from airflow_provider_smartlive.livestream.snapshot import JobSnapshot
    from airflow_provider_smartlive.metastudio.ids import JobRef
    from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob


def announce(record: JobRecord, *, planned_start: datetime, start_info: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return what a task says of its job before it waits, as it goes into the XCom ``smartlive_job``.

    :param record: the record with the job.
    :param planned_start: when the run was to go live.
    :param start_info: origin, request id and warnings of the start.
    """
    return {
        "version": 1,
        "job_id": record.job_id,
        "room_id": record.room_id,
        "smartlive_conn_id": record.smartlive_conn_id,
        "address": record.address,
        "outputs": list(record.outputs),
        "callbacks": record.calls_back,
        "planned_start": planned_start.isoformat(),
        "planned_end": _iso(record.deadline),
        "timeout_at": _iso(record.timeout_at),
        **start_info,
    }


def summarise(
    job_ref: JobRef,
    *,
    outcome: str,
    woken_by: str | None = None,
    job: SmartLiveJob | None = None,
    callbacks: JobCallbacks | None = None,
    is_over: bool = False,
    **more: Any,
) -> dict[str, Any]:
    """
    Return the result of a livestream as it goes into the XCom.

    :param job_ref: the job.
    :param outcome: why the wait ended, in a few words.
    :param woken_by: what woke the task: ``callback``, ``reconciliation``, ...
    :param job: MetaStudio's last word.
    :param callbacks: what was called back; the states of a stream are as observed.
    :param is_over: whether the job is over, so that no stream of it can be up, whatever was called back last.
    """
    summary: dict[str, Any] = {
        "job_id": job_ref.job_id,
        "room_id": job_ref.room_id,
        "outcome": outcome,
        "woken_by": woken_by,
    }
    if job is not None:
        summary |= _of_job(job)
    if callbacks is not None:
        summary["streams"] = [_of_stream(stream, is_over=is_over) for stream in callbacks.streams]
        summary["script_switches"] = callbacks.scripts.switches if callbacks.scripts else 0
        summary["replies_finished"] = callbacks.replies.finished if callbacks.replies else 0
    return summary | more


def failure_text(
    job_ref: JobRef, reason: str, snapshot: JobSnapshot, *, secrets: Callable[[], Iterable[str]]
) -> str:
    """
    Return why a livestream failed, with what MetaStudio says of it.

    :param job_ref: the job.
    :param reason: why it counts as failed, in a few words.
    :param snapshot: what was seen of the job.
    :param secrets: returns what the request held and no text may repeat; asked only if MetaStudio says something.
    """
    text = f"Job {job_ref.job_id} in room {job_ref.room_id}: {reason}."
    if snapshot.error is not None:
        return f"{text} {snapshot.error}"
    if snapshot.job is None:
        return text
    if snapshot.status is JobStatus.BLOCKED:
        return (
            f"{text} Reason: {safe_text(snapshot.job.block_reason, secrets=tuple(secrets())) or 'none given'}"
        )
    error = snapshot.job.error_info
    if not error:
        return text
    known = tuple(secrets())
    return f"{text} {safe_text(error.error_code, secrets=known)}: {safe_text(error.error_msg, secrets=known)}"


def _of_job(job: SmartLiveJob) -> dict[str, Any]:
    log = job.live_job_log
    return {
        "state": str(job.state),
        "room_name": printable(job.room_name) or None,
        "start_time": _iso(job.start_time),
        "end_time": _iso(job.end_time),
        "duration": job.duration,
        "stream_duration": job.stream_duration,
        "used_resource_type": job.used_resource_type,
        # The records' URLs are pre-signed: whoever has one can read it. Only which ones there are is told.
        "log_records": sorted(name for name in log.model_fields_set if getattr(log, name)) if log else [],
    }


def _of_stream(stream: StreamRow, *, is_over: bool) -> dict[str, Any]:
    return {
        "output": stream.label,
        "fingerprint": stream.fingerprint,
        "state": END if is_over else stream.state,
        "end_called_back": stream.ended,
        "reconnects": stream.counts.get("RECONNECTING", 0),
        "transitions": [[state, _iso(at)] for state, at in stream.transitions],
    }


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
