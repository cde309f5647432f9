"""Operations on jobs: start, show, stop, list."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from functools import partial
from itertools import zip_longest
from typing import Any
from urllib.parse import urlencode, urlsplit

from airflow_provider_smartlive.metastudio.start import StartJobRequest
from airflow_provider_smartlive.sandbox.api import odd_types, records
from airflow_provider_smartlive.sandbox.api.answers import ApiAnswer, ApiError, invalid
from airflow_provider_smartlive.sandbox.api.call import ApiCall, Endpoint
from airflow_provider_smartlive.sandbox.api.paging import listing, select_jobs, text
from airflow_provider_smartlive.sandbox.api.validation import validate
from airflow_provider_smartlive.sandbox.hashes import fingerprint
from airflow_provider_smartlive.sandbox.model.jobs import StoredJob
from airflow_provider_smartlive.sandbox.model.rooms import StoredRoom
from airflow_provider_smartlive.sandbox.rtmp.output_url import join_output

#: How long a live_event_report_url is valid: longer than the longest livestream.
_REPORT_LIFE = timedelta(days=8)

#: What a job takes over from its room when the request says nothing.
_INHERITED = (
    "video_config",
    "play_policy",
    "rtc_callback_config",
    "view_mode",
    "co_streamer_config",
    "live_event_callback_config",
    "relation_live_platform_info",
)


async def start(call: ApiCall) -> ApiAnswer:
    """Start a job (202)."""
    request = _read_request(call)
    room = _room_to_start_in(call)
    settings = _settings(call, room, request)
    _check_callback(call, settings.get("live_event_callback_config") or {})
    _check_places(call, room, settings)
    job = call.backend.engine.start(room, settings)
    callback = job.callback.get("live_event_type_callback_url")
    call.noted.update(job_id=job.job_id, url_hash=fingerprint(callback), outputs=len(job.outputs))
    return ApiAnswer(202, job.started(report_url=report_url(call, job), echo=call.echoes))


async def show(call: ApiCall) -> ApiAnswer:
    """Show a job."""
    view = _view(call, call.job())
    return ApiAnswer(200, odd_types.spoilt(view) if call.fault("odd_types") else view)


async def stop(call: ApiCall) -> ApiAnswer:
    """Stop a job."""
    job = call.job()
    if job.is_active:
        await call.backend.engine.stop(job)
    elif call.backend.assumptions.stop_finished != "200":
        raise ApiError.of(call.backend.assumptions.stop_finished)
    return ApiAnswer(200)


async def list_in_room(call: ApiCall) -> ApiAnswer:
    """List the jobs of a room."""
    if call.backend.rooms.get(call.path["room_id"]) is None and call.backend.any_room:
        return _listing(call, [])
    room = call.room()
    key = call.backend.rooms.key(room.room_id)
    jobs = [job for job in call.backend.engine.jobs() if call.backend.rooms.key(job.room_id) == key]
    return _listing(call, jobs)


async def list_all(call: ApiCall) -> ApiAnswer:
    """List the jobs of the project."""
    wanted = text(call.query, "room_name", 128).lower()
    return _listing(call, [job for job in call.backend.engine.jobs() if wanted in job.room_name.lower()])


def report_url(call: ApiCall, job: StoredJob, *, at: datetime | None = None) -> str:
    """
    Return the pre-signed URL to which live events of a job are reported.

    :param at: from when it is valid; default: the job's creation, so that the URL stays the same.
    """
    expires = int(((at or job.create_time) + _REPORT_LIFE).timestamp() * 1000)
    project = call.backend.account.project_id
    path = f"/v1/{project}/smart-live-rooms/{job.room_id}/smart-live-jobs/{job.job_id}/live-event-report"
    query = urlencode({"auth_key": report_signature(job, expires), "expires_time": expires})
    return f"{call.base_url}{path}?{query}"


def report_signature(job: StoredJob, expires: int) -> str:
    """
    Return the ``auth_key`` of a report URL. MetaStudio's own algorithm is not published.

    :param expires: the ``expires_time``, in milliseconds since 1970.
    """
    return hmac.new(job.report_key.encode(), f"{job.job_id}/{expires}".encode(), hashlib.sha256).hexdigest()


def check_outputs(urls: list[str], stream_keys: list[str], *, most: int) -> None:
    """
    Check that video can be pushed there.

    :param most: how many outputs there may be.
    :raises ApiError: if it cannot.
    """
    if len(urls) > most:
        raise invalid(f"output_urls must not have more than {most} items")
    for url, key in zip_longest(urls, stream_keys):
        try:
            join_output(url, key)
        except ValueError:
            raise ApiError(400, "MSS.45000009") from None


def _read_request(call: ApiCall) -> StartJobRequest:
    assumptions = call.backend.assumptions
    request = validate(StartJobRequest, call.json(), refuse_unknown=assumptions.refuse_unknown_fields)
    check_outputs(request.output_urls or [], request.stream_keys or [], most=assumptions.max_outputs)
    warnings = request.warnings() if assumptions.refuse_live_limits else []
    if warnings:
        raise invalid(warnings[0])
    return request


def _room_to_start_in(call: ApiCall) -> StoredRoom:
    call.make_room()
    room = call.room()
    if room.state != "ENABLE":
        raise ApiError.of(call.backend.assumptions.blocked_room)
    return room


def _settings(call: ApiCall, room: StoredRoom, request: StartJobRequest) -> dict[str, Any]:
    """Complete the request: what it leaves out comes from the room, and what that leaves out from the tenant."""
    asked = request.model_dump(mode="json", exclude_none=True)
    inherited = {name: room.body[name] for name in _INHERITED if room.body.get(name) is not None}
    if "output_urls" not in asked:
        inherited |= {name: room.body[name] for name in ("output_urls", "stream_keys") if name in room.body}
    if "live_event_callback_config" in inherited:
        # Only rooms have this field: it is about live platforms, of which the sandbox has none.
        own = inherited["live_event_callback_config"]
        inherited["live_event_callback_config"] = {
            name: value for name, value in own.items() if name != "is_inheritance_platform_callback"
        }
    tenant = call.backend.tenant.config()
    inherited.setdefault("live_event_callback_config", tenant.get("live_event_callback_config"))
    settings = {name: value for name, value in {**inherited, **asked}.items() if value is not None}
    if tenant.get("live_exit_config"):
        policy = settings.setdefault("play_policy", {})
        settings["play_policy"] = {"live_exit_config": tenant["live_exit_config"], **policy}
    return settings


def _check_callback(call: ApiCall, config: dict[str, Any]) -> None:
    url = config.get("live_event_type_callback_url")
    if not url:
        return
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or (call.backend.assumptions.callback_requires_https and parts.scheme != "https"):
        raise ApiError(400, "MSS.20010093")


def _check_places(call: ApiCall, room: StoredRoom, settings: dict[str, Any]) -> None:
    backend = call.backend
    is_single = (settings.get("job_run_config") or {}).get("single_job_in_room")
    if is_single and backend.engine.active(room):
        raise ApiError.of(backend.assumptions.second_job)
    most = backend.assumptions.max_running_jobs
    if most and len(backend.engine.active()) >= most:
        raise ApiError.of(backend.assumptions.quota)


def _view(call: ApiCall, job: StoredJob) -> dict[str, Any]:
    shown = call.backend.clock.shown()
    record_url = partial(records.record_url, call.base_url, job)
    return job.view(shown, report_url=report_url(call, job), record_url=record_url, echo=call.echoes)


def _listing(call: ApiCall, jobs: list[StoredJob]) -> ApiAnswer:
    assumptions = call.backend.assumptions
    visible = [job for job in jobs if call.sees(job, lag=assumptions.listing_lag_seconds)]
    found: list[Any] = list(select_jobs(call.query, visible))
    if call.fault("odd_types"):
        found = [*odd_types.foreign_jobs(call.backend.clock.now()), *found]
    content = listing("smart_live_jobs", call.query, found, empty=assumptions.empty_lists)
    if "smart_live_jobs" in content:
        content["smart_live_jobs"] = [
            _view(call, job) if isinstance(job, StoredJob) else job for job in content["smart_live_jobs"]
        ]
    return ApiAnswer(200, content)


_ROOM = "/v1/{project_id}/smart-live-rooms/{room_id}"

ENDPOINTS = (
    Endpoint("start", "POST", f"{_ROOM}/smart-live-jobs", start, writes=True),
    Endpoint("list", "GET", f"{_ROOM}/smart-live-jobs", list_in_room),
    Endpoint("show", "GET", f"{_ROOM}/smart-live-jobs/{{job_id}}", show),
    Endpoint("stop", "POST", f"{_ROOM}/smart-live-jobs/{{job_id}}/stop", stop, writes=True),
    Endpoint("list_all", "GET", "/v1/{project_id}/smart-live-jobs", list_all),
)
