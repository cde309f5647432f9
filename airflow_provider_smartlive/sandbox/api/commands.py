"""Operations on running jobs: commands, and the events that users report."""

from __future__ import annotations

import hmac
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import Field

from airflow_provider_smartlive.metastudio.base import RequestModel
from airflow_provider_smartlive.metastudio.commands import (
    Command,
    CommandRequest,
    PlayAudio,
    PlayText,
    RewriteRules,
    RewriteScript,
)
from airflow_provider_smartlive.metastudio.play import LiveExitConfig
from airflow_provider_smartlive.metastudio.reports import EventReport
from airflow_provider_smartlive.metastudio.rtmp import RtmpRequest
from airflow_provider_smartlive.sandbox.api.answers import ApiAnswer, ApiError, invalid
from airflow_provider_smartlive.sandbox.api.call import ApiCall, Endpoint
from airflow_provider_smartlive.sandbox.api.jobs import check_outputs, report_signature, report_url
from airflow_provider_smartlive.sandbox.api.paging import integer, listing
from airflow_provider_smartlive.sandbox.api.validation import validate
from airflow_provider_smartlive.sandbox.model.jobs import InsertedSpeech
from airflow_provider_smartlive.sandbox.model.ledger import Kind
from airflow_provider_smartlive.sandbox.model.output_links import make_outputs
from airflow_provider_smartlive.sandbox.model.run import JobRun
from airflow_provider_smartlive.sandbox.model.script import read_script

#: Show seconds of inserted audio: nobody decodes the file here.
_INSERTED_AUDIO_SECONDS = 5.0

#: What a handler of a command returns: the result, as JSON text in the answer.
Result = dict[str, Any] | None


class _CommandName(RequestModel):
    """The part of a command that is checked first."""

    command: str = Field(min_length=1, max_length=64)
    params: dict[str, Any] | None = None
    review_config: dict[str, Any] | None = None


async def execute(call: ApiCall) -> ApiAnswer:
    """Execute a command."""
    content = call.json()
    name = validate(_CommandName, content, refuse_unknown=False).command
    handler = _HANDLERS.get(name)
    if handler is None:
        raise ApiError(400, "MSS.20010053")
    request = validate(CommandRequest, content, refuse_unknown=_refuses(call))
    run = _running(call)
    command_id = str(uuid.uuid4())
    result = await handler(call, run, command_id, request.params)
    call.backend.ledger.add(
        Kind.JOB, job_id=run.job.job_id, room_id=run.job.room_id, why="command", command=name
    )
    answer = {"command_id": command_id, "command": name}
    if result is not None:
        answer["result"] = json.dumps(result, ensure_ascii=False)
    return ApiAnswer(200, answer)


async def list_insert_commands(call: ApiCall) -> ApiAnswer:
    """List the speech that was inserted and waits."""
    waiting = [
        {"command_id": c.command_id, "command": c.command, "params": c.params, "source": "EXTERNAL"}
        for c in call.job().commands
        if c.state == "waiting"
    ]
    empty = call.backend.assumptions.empty_lists
    return ApiAnswer(200, listing("insert_commands", call.query, waiting, empty=empty))


async def report_events(call: ApiCall) -> ApiAnswer:
    """Take live events that a user reports."""
    content = call.json()
    report = validate(EventReport, content, refuse_unknown=_refuses(call))
    if content.get("total") != len(report.events):
        raise invalid("total must be the number of events")
    run = _running(call)
    call.noted["events"] = len(report.events)
    if call.query.get("refresh_url", "").lower() != "true":
        return ApiAnswer(200, {})
    return ApiAnswer(200, {"live_event_report_url": report_url(call, run.job, at=call.backend.clock.now())})


def holds_report_url(call: ApiCall) -> bool:
    """Tell whether a caller comes with the pre-signed URL of the job."""
    key = call.query.get("auth_key") or call.headers.get("x-mss-auth-key")
    expires = call.query.get("expires_time") or call.headers.get("x-mss-expires-time")
    job = call.backend.engine.get(call.path["job_id"])
    if not key or not expires or job is None:
        return False
    until = integer({"expires_time": expires}, "expires_time", 0, 0, 4102415999000)
    if not hmac.compare_digest(key.encode(), report_signature(job, until).encode()):
        return False
    return until > call.backend.clock.now().timestamp() * 1000


# --- commands


async def _say(call: ApiCall, run: JobRun, command_id: str, params: Any) -> Result:
    text = PlayText.model_validate(params or {})
    words = text.text_config.text if text.text_config else ""
    seconds = max(1.0, len(words) / call.backend.assumptions.speech_rate)
    _insert(run, command_id, Command.INSERT_PLAY_SCRIPT, text, seconds, default="PLAY_NOW")
    return None


async def _sound(call: ApiCall, run: JobRun, command_id: str, params: Any) -> Result:
    audio = PlayAudio.model_validate(params or {})
    _insert(run, command_id, Command.INSERT_PLAY_AUDIO, audio, _INSERTED_AUDIO_SECONDS, default="APPEND")
    return None


def _insert(
    run: JobRun, command_id: str, name: Command, params: PlayText | PlayAudio, seconds: float, *, default: str
) -> None:
    command = InsertedSpeech(
        command_id=command_id,
        command=name.value,
        params=params.model_dump(mode="json", exclude_none=True),
        seconds=seconds,
    )
    run.speech.insert(command, at_end=(params.play_type or default) == "APPEND")


async def _rewrite_script(call: ApiCall, run: JobRun, command_id: str, params: Any) -> Result:
    scenes = RewriteScript.model_validate(params or {}).model_dump(mode="json", exclude_none=True)[
        "scene_scripts"
    ]
    run.job.settings["scene_scripts"] = scenes
    run.job.script = read_script(scenes, speech_rate=call.backend.assumptions.speech_rate, seconds=None)
    return None


async def _rewrite_rules(call: ApiCall, run: JobRun, command_id: str, params: Any) -> Result:
    rules = RewriteRules.model_validate(params or {})
    run.job.settings["interaction_rules"] = rules.model_dump(mode="json", exclude_none=True)[
        "interaction_rules"
    ]
    return None


async def _current_scripts(call: ApiCall, run: JobRun, command_id: str, params: Any) -> Result:
    return {"scene_scripts": run.playing()}


async def _config_info(call: ApiCall, run: JobRun, command_id: str, params: Any) -> Result:
    room = call.backend.rooms.get(run.job.room_id)
    return {**(room.detail() if room else {}), **run.job.settings}


async def _clean_up(call: ApiCall, run: JobRun, command_id: str, params: Any) -> Result:
    run.speech.clean_up()
    return None


async def _reset_exit(call: ApiCall, run: JobRun, command_id: str, params: Any) -> Result:
    config = LiveExitConfig.model_validate(params or {})
    run.reset_exit_config(config.model_dump(mode="json", exclude_none=True))
    return None


async def _refresh_output(call: ApiCall, run: JobRun, command_id: str, params: Any) -> Result:
    # The parameters are not published; the names of the start request are the evident ones.
    request = validate(RtmpRequest, params or {}, refuse_unknown=_refuses(call))
    urls, keys = request.output_urls or [], request.stream_keys or []
    if not urls:
        raise invalid("params.output_urls must not be empty")
    check_outputs(urls, keys, most=call.backend.assumptions.max_outputs)
    await run.output_links.move(make_outputs(urls, keys))
    return None


async def _show_layer(call: ApiCall, run: JobRun, command_id: str, params: Any) -> Result:
    return None


_Handler = Callable[[ApiCall, JobRun, str, Any], Awaitable[Result]]

_HANDLERS: dict[str, _Handler] = {
    Command.INSERT_PLAY_SCRIPT: _say,
    Command.INSERT_PLAY_AUDIO: _sound,
    Command.REWRITE_PLAY_SCRIPT: _rewrite_script,
    Command.REWRITE_INTERACTION_RULES: _rewrite_rules,
    Command.GET_CURRENT_PLAYING_SCRIPTS: _current_scripts,
    Command.GET_LIVE_JOB_CONFIG_INFO: _config_info,
    Command.CLEAN_UP_INSERT_COMMAND: _clean_up,
    Command.RESET_EXIT_CONFIG: _reset_exit,
    Command.REFRESH_OUTPUT_URL: _refresh_output,
    Command.SHOW_LAYER: _show_layer,
}


def _running(call: ApiCall) -> JobRun:
    job = call.job()
    run = call.backend.engine.run_of(job)
    if run is None or job.processing_shown is None:
        raise ApiError.of(call.backend.assumptions.command_refused)
    return run


def _refuses(call: ApiCall) -> bool:
    return call.backend.assumptions.refuse_unknown_fields


_JOB = "/v1/{project_id}/smart-live-rooms/{room_id}/smart-live-jobs/{job_id}"

ENDPOINTS = (
    Endpoint("command", "POST", f"{_JOB}/command", execute, writes=True),
    Endpoint("insert_commands", "GET", f"{_JOB}/command/insert-commands", list_insert_commands),
    Endpoint(
        "report", "POST", f"{_JOB}/live-event-report", report_events, writes=True, admits=holds_report_url
    ),
)
