"""Operations on rooms, on the tenant's settings, and IAM's token endpoint."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from airflow_provider_smartlive.metastudio.base import RequestModel
from airflow_provider_smartlive.metastudio.play import LiveExitConfig
from airflow_provider_smartlive.metastudio.rooms import CreateRoomRequest
from airflow_provider_smartlive.metastudio.subscriptions import LiveEventCallbackConfig
from airflow_provider_smartlive.sandbox.api.answers import ApiAnswer, ApiError
from airflow_provider_smartlive.sandbox.api.call import ApiCall, Endpoint
from airflow_provider_smartlive.sandbox.api.jobs import check_outputs
from airflow_provider_smartlive.sandbox.api.paging import listing, text
from airflow_provider_smartlive.sandbox.api.validation import validate
from airflow_provider_smartlive.sandbox.model.jobs import StoredJob
from airflow_provider_smartlive.sandbox.model.rooms import StoredRoom
from airflow_provider_smartlive.sandbox.model.script import warnings
from airflow_provider_smartlive.sandbox.options import split_answer

#: The filter of room listings spells one state in another way than jobs do.
_LIVE_STATES = {"SUCCESS": "SUCCEED"}


class _Confirmation(RequestModel):
    """Body of "confirm room"."""

    action: Literal["confirm", "reject"]
    script_version: str | None = Field(None, max_length=32)


class _NotifyConfig(RequestModel):
    """Which alarms the tenant wants."""

    action: Literal["add", "del", "replace"]
    notify_events: list[Literal["AUTO_EXIT"]] = Field(default_factory=list)


class _UserConfig(RequestModel):
    """Body of "update user config"."""

    live_exit_config: LiveExitConfig | None = None
    live_event_callback_config: LiveEventCallbackConfig | None = None
    live_notify_config: _NotifyConfig | None = None


class _Confirmations(RequestModel):
    """Body of "batch confirm commands"."""

    command: Literal["REWRITE_PLAY_SCRIPT", "REWRITE_INTERACTION_RULES"]
    action: Literal["confirm", "reject"]
    command_ids: list[str] = Field(min_length=1)


async def create(call: ApiCall) -> ApiAnswer:
    """Create a room (200)."""
    room = call.backend.rooms.create(_body(call))
    call.noted["room"] = room.room_id
    return ApiAnswer(200, {"room_id": room.room_id})


async def list_rooms(call: ApiCall) -> ApiAnswer:
    """List rooms."""
    last = call.backend.engine.last_jobs()
    jobs = {room.room_id: last.get(call.backend.rooms.key(room.room_id)) for room in call.backend.rooms}
    found = [room for room in call.backend.rooms if _fits(call, room, jobs[room.room_id])]
    content = listing("smart_live_rooms", call.query, found, empty=call.backend.assumptions.empty_lists)
    if "smart_live_rooms" in content:
        project_id = call.backend.account.project_id
        page = content["smart_live_rooms"]
        content["smart_live_rooms"] = [room.summary(project_id, jobs[room.room_id]) for room in page]
    return ApiAnswer(200, content)


async def show(call: ApiCall) -> ApiAnswer:
    """Show a room; the one operation with a documented 404."""
    call.make_room()
    return ApiAnswer(200, _known(call).detail())


async def update(call: ApiCall) -> ApiAnswer:
    """Replace the content of a room."""
    room = _known(call)
    call.backend.rooms.update(room, _body(call))
    return ApiAnswer(200, room.detail())


async def delete(call: ApiCall) -> ApiAnswer:
    """Delete a room."""
    room = _known(call)
    if call.backend.engine.active(room):
        raise ApiError(400, "MSS.20020001")
    call.backend.rooms.remove(room)
    return ApiAnswer(200)


async def confirm(call: ApiCall) -> ApiAnswer:
    """Confirm the script of a room, or reject it."""
    room = _known(call)
    confirmation = validate(_Confirmation, call.json(), refuse_unknown=_refuses(call))
    room.confirm_state = "CONFIRMED" if confirmation.action == "confirm" else "REJECT"
    call.backend.rooms.save(room)
    return ApiAnswer(200)


async def warning_info(call: ApiCall) -> ApiAnswer:
    """Tell the risks of starting a room as it is now."""
    room = call.room()
    assumptions = call.backend.assumptions
    policy: dict[str, Any] = room.body.get("play_policy") or {}
    found = warnings(room.script(assumptions), room.body, policy, assumptions)
    content: dict[str, Any] = {}
    if found or assumptions.empty_lists == "array":
        content["live_warning_info"] = [{"warning_type": warning} for warning in found]
    hours = (policy.get("live_exit_config") or {}).get("max_live_duration")
    return ApiAnswer(200, content | ({"limit_duration": hours} if hours else {}))


async def confirm_commands(call: ApiCall) -> ApiAnswer:
    """Confirm rewriting commands; here none ever waits for a confirmation."""
    validate(_Confirmations, call.json(), refuse_unknown=_refuses(call))
    call.job()
    return ApiAnswer(200)


async def list_unconfirmed(call: ApiCall) -> ApiAnswer:
    """List the commands that wait for a confirmation: none."""
    return ApiAnswer(200, {"count": 0})


async def show_user_config(call: ApiCall) -> ApiAnswer:
    """Show the tenant's settings."""
    return ApiAnswer(200, call.backend.tenant.config())


async def update_user_config(call: ApiCall) -> ApiAnswer:
    """Change the tenant's settings; what is left out stays as it is."""
    request = validate(_UserConfig, call.json(), refuse_unknown=_refuses(call))
    config = call.backend.tenant.config()
    change = request.model_dump(mode="json", exclude_none=True)
    notify = change.pop("live_notify_config", None)
    if notify is not None:
        config["live_notify_config"] = {"notify_events": _notified(config, notify)}
    call.backend.tenant.replace(config | change)
    return ApiAnswer(200)


async def issue_token(call: ApiCall) -> ApiAnswer:
    """Issue an IAM token."""
    return call.authenticator.issue_token(call.json())


def _notified(config: dict[str, Any], change: dict[str, Any]) -> list[str]:
    before = set((config.get("live_notify_config") or {}).get("notify_events", []))
    named = set(change["notify_events"])
    after = {"add": before | named, "del": before - named, "replace": named}
    return sorted(after[change["action"]])


def _body(call: ApiCall) -> dict[str, Any]:
    request = validate(CreateRoomRequest, call.json(), refuse_unknown=_refuses(call))
    most = call.backend.assumptions.max_outputs
    check_outputs(request.output_urls or [], request.stream_keys or [], most=most)
    return request.model_dump(mode="json", exclude_none=True)


def _known(call: ApiCall) -> StoredRoom:
    """Return the room of the path; an unknown one is a 404 here."""
    room = call.backend.rooms.get(call.path["room_id"])
    if room is None:
        raise ApiError(404, split_answer(call.backend.assumptions.unknown_room)[1])
    return room


def _fits(call: ApiCall, room: StoredRoom, last_job: StoredJob | None) -> bool:
    wanted = {
        name: text(call.query, name, 128)
        for name in ("room_name", "live_state", "room_type", "confirm_state")
    }
    state = _LIVE_STATES.get(wanted["live_state"], wanted["live_state"])
    return (
        wanted["room_name"].lower() in room.name.lower()
        and (not state or state == (last_job.state if last_job else "NULL"))
        and wanted["room_type"] in ("", room.room_type)
        and wanted["confirm_state"] in ("", room.confirm_state)
    )


def _refuses(call: ApiCall) -> bool:
    return call.backend.assumptions.refuse_unknown_fields


_ROOMS = "/v1/{project_id}/smart-live-rooms"
_ROOM = f"{_ROOMS}/{{room_id}}"
_CONFIG = "/v1/{project_id}/smart-live-configs/user-config"

ENDPOINTS = (
    Endpoint("create_room", "POST", _ROOMS, create, writes=True),
    Endpoint("list_rooms", "GET", _ROOMS, list_rooms),
    Endpoint("show_room", "GET", _ROOM, show),
    Endpoint("update_room", "PUT", _ROOM, update, writes=True),
    Endpoint("delete_room", "DELETE", _ROOM, delete, writes=True),
    Endpoint("confirm_room", "POST", f"{_ROOM}/confirm", confirm, writes=True),
    Endpoint("warnings", "GET", f"{_ROOM}/live-warning-info", warning_info),
    Endpoint(
        "confirm_commands",
        "POST",
        f"{_ROOM}/smart-live-jobs/{{job_id}}/batch-commands-confirm",
        confirm_commands,
        writes=True,
    ),
    Endpoint("rule_commands", "GET", "/v1/{project_id}/smart-live-command/rule-commands", list_unconfirmed),
    Endpoint(
        "script_commands", "GET", "/v1/{project_id}/smart-live-command/script-commands", list_unconfirmed
    ),
    Endpoint("show_config", "GET", _CONFIG, show_user_config),
    Endpoint("update_config", "PUT", _CONFIG, update_user_config, writes=True),
    Endpoint("token", "POST", "/v3/auth/tokens", issue_token, admits=lambda _: True),
)
