"""The sandbox's own API under ``/sandbox``: what happened, what goes wrong, what time it is. It holds no secrets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from itertools import zip_longest
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airflow_provider_smartlive.metastudio.events import EventType
from airflow_provider_smartlive.metastudio.jobs import JobState
from airflow_provider_smartlive.metastudio.outputs import describe_output
from airflow_provider_smartlive.sandbox.api import records
from airflow_provider_smartlive.sandbox.api.authenticator import Authenticator
from airflow_provider_smartlive.sandbox.api.body import RequestTooLargeError, parse_json, read_body
from airflow_provider_smartlive.sandbox.backend import Backend
from airflow_provider_smartlive.sandbox.clock import MAX_RATE, MAX_SECONDS
from airflow_provider_smartlive.sandbox.config import Scenario, explain
from airflow_provider_smartlive.sandbox.hashes import fingerprint, key_hash
from airflow_provider_smartlive.sandbox.model.faults import Fault
from airflow_provider_smartlive.sandbox.model.jobs import StoredJob
from airflow_provider_smartlive.sandbox.model.ledger import Kind
from airflow_provider_smartlive.sandbox.model.run import Ending, JobRun

_Model = TypeVar("_Model", bound=BaseModel)

#: Most entries of the ledger in one answer.
_MOST_ENTRIES = 10_000

#: The largest number of an entry that the ledger can have.
_LAST_ENTRY = 2**63 - 1

#: A scenario with hundreds of rooms is well below (bytes).
_LARGEST_CONTROL_BODY = 4 * 1024 * 1024


class ClockChange(BaseModel):
    """
    A change of the clock.

    :param rate: show seconds per second.
    :param step: show seconds to jump forward.
    :param skew: seconds by which the sandbox's time of day is off.
    """

    model_config = ConfigDict(extra="forbid")

    rate: float | None = Field(None, ge=0, le=MAX_RATE)
    step: float | None = Field(None, ge=0, le=MAX_SECONDS)
    skew: float | None = Field(None, ge=-MAX_SECONDS, le=MAX_SECONDS)


class JobAction(BaseModel):
    """What happens to a running job, or to all of them at once: see :data:`_ACTIONS`."""

    model_config = ConfigDict(extra="forbid")

    code: str = "MSS.00000004"
    message: str | None = None


class EventByHand(BaseModel):
    """
    An event that is sent on demand.

    :param message: its fields, besides the ids (and, for a state of the link, the output).
    """

    model_config = ConfigDict(extra="forbid")

    event_type: EventType
    message: dict[str, str] = Field(default_factory=dict)


class PlatformAction(BaseModel):
    """
    What the built-in platform does.

    :param job: whose stream is kicked.
    """

    model_config = ConfigDict(extra="forbid")

    job: str | None = None


class ControlApi:
    """The endpoints of ``/sandbox``."""

    def __init__(self, backend: Backend, authenticator: Authenticator) -> None:
        self._backend = backend
        self._authenticator = authenticator

    def routes(self) -> list[Route]:
        """Return the routes, without the prefix."""
        return [
            Route("/health", self._health, methods=["GET"]),
            Route("/ledger", self._ledger, methods=["GET"]),
            Route("/jobs", self._jobs, methods=["GET"]),
            Route("/jobs/{action}", self._act_on_all_jobs, methods=["POST"]),
            Route("/jobs/{job_id}/event", self._send_event, methods=["POST"]),
            Route("/jobs/{job_id}/{action}", self._act_on_job, methods=["POST"]),
            Route("/faults", self._faults, methods=["GET", "POST", "PUT", "DELETE"]),
            Route("/faults/{rule_id}", self._remove_fault, methods=["DELETE"]),
            Route("/scenario", self._load_scenario, methods=["POST"]),
            Route("/clock", self._clock, methods=["GET", "PUT"]),
            Route("/tokens", self._expire_tokens, methods=["DELETE"]),
            Route("/platform", self._platform, methods=["GET"]),
            Route("/platform/{action}", self._act_on_platform, methods=["POST"]),
            Route("/assumptions", self._assumptions, methods=["GET"]),
            Route("/records/{job_id}/{name}.json", self._record, methods=["GET"]),
        ]

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok", "active_jobs": len(self._backend.engine.active())})

    async def _ledger(self, request: Request) -> Response:
        query = request.query_params
        job = self._backend.engine.get(query["job"]) if "job" in query else None
        entries = self._backend.ledger.read(
            kind=query.get("kind"),
            job_id=job.job_id if job else query.get("job"),
            room_id=query.get("room"),
            after=_number(query.get("after"), 0, most=_LAST_ENTRY),
            limit=_number(query.get("limit"), 1000, most=_MOST_ENTRIES),
        )
        return JSONResponse({"entries": list(entries)})

    async def _record(self, request: Request) -> Response:
        return records.serve(self._backend, request)

    async def _jobs(self, request: Request) -> Response:
        return JSONResponse({"jobs": [self._describe(job) for job in self._backend.engine.jobs()]})

    def _describe(self, job: StoredJob) -> dict[str, Any]:
        view = job.view(self._backend.clock.shown(), report_url="", record_url=str, echo=False)
        kept = (
            "job_id",
            "room_id",
            "room_name",
            "state",
            "create_time",
            "start_time",
            "end_time",
            "error_info",
        )
        callback = job.callback.get("live_event_type_callback_url")
        return {
            **{name: view[name] for name in (*kept, "duration", "stream_duration") if name in view},
            "block_reason": job.block_reason,
            "outputs": self._describe_outputs(job),
            "callbacks": asdict(self._backend.callback_sender.counts(job)),
            "callback_url_hash": fingerprint(callback),
            "auth_type": job.callback.get("auth_type"),
            "now_playing": job.now_playing.model_dump() if job.now_playing else None,
            "faults": [fault.id for fault in job.faults],
        }

    def _describe_outputs(self, job: StoredJob) -> list[dict[str, Any]]:
        run = self._backend.engine.run_of(job)
        stats = run.output_links.stats() if run else []
        return [
            {
                "output": describe_output(output.url, output.stream_key, key=b"").label,
                "key_hash": key_hash(output.stream_key),
                "state": output.state,
                "connects": output.connects,
                "fps": stat.fps if stat else 0.0,
                "frames": stat.frames if stat else 0,
            }
            for output, stat in zip_longest(job.outputs, stats[: len(job.outputs)])
        ]

    async def _send_event(self, request: Request) -> Response:
        job = self._backend.engine.get(request.path_params["job_id"])
        if job is None:
            raise HTTPException(404, "there is no such job")
        event = await _read(request, EventByHand)
        if not job.callback.get("live_event_type_callback_url"):
            raise HTTPException(409, "the job asked for no callbacks")
        first = job.outputs[0] if job.outputs else None
        output = {"output_url": first.url, "stream_key": first.stream_key} if first else {}
        is_state = event.event_type is EventType.RTMP_STREAM_STATE_CHANGE
        self._backend.callback_sender.notify(
            job, event.event_type, {**(output if is_state else {}), **event.message}
        )
        await self._backend.callback_sender.drain(job)
        return JSONResponse({"callbacks": asdict(self._backend.callback_sender.counts(job))})

    async def _load_scenario(self, request: Request) -> Response:
        scenario = await _read(request, Scenario)
        if scenario.assumptions or scenario.seed is not None:
            raise HTTPException(409, "assumptions and seed are fixed at the start: use serve --scenario")
        for seed in scenario.rooms:
            self._backend.rooms.create(seed.body(), room_id=seed.room_id, seconds=seed.seconds)
        for rule in scenario.faults:
            self._add_fault(rule.model_dump())
        if scenario.time_scale is not None:
            self._backend.clock.rate = scenario.time_scale
        return JSONResponse({"rooms": len(scenario.rooms), "faults": len(scenario.faults)})

    async def _act_on_job(self, request: Request) -> Response:
        job = self._backend.engine.get(request.path_params["job_id"])
        run = self._backend.engine.run_of(job) if job else None
        act = _ACTIONS.get(request.path_params["action"])
        if job is None or act is None:
            raise HTTPException(404, "there is no such job or action")
        if run is None:
            raise HTTPException(409, "the job is over")
        done = act(run, await _read(request, JobAction))
        return JSONResponse({"done": done, "job": self._describe(job)})

    async def _act_on_all_jobs(self, request: Request) -> Response:
        act = _ACTIONS.get(request.path_params["action"])
        if act is None:
            raise HTTPException(404, "there is no such action")
        action = await _read(request, JobAction)
        runs = [run for job in self._backend.engine.active() if (run := self._backend.engine.run_of(job))]
        return JSONResponse({"done": sum(act(run, action) for run in runs)})

    async def _faults(self, request: Request) -> Response:
        book = self._backend.faults
        if request.method in ("PUT", "DELETE"):
            book.clear()
        if request.method in ("PUT", "POST"):
            content = await _json(request)
            for rule in content if isinstance(content, list) else [content]:
                self._add_fault(rule)
        return JSONResponse({"seed": book.seed, "faults": book.describe()})

    def _add_fault(self, content: Any) -> None:
        try:
            self._backend.faults.add(Fault.model_validate(content))
        except ValidationError as error:
            raise HTTPException(422, explain(error)) from error
        except ValueError as error:
            raise HTTPException(422, str(error)) from error

    async def _remove_fault(self, request: Request) -> Response:
        if not self._backend.faults.remove(request.path_params["rule_id"]):
            raise HTTPException(404, "there is no such fault")
        return JSONResponse({"faults": self._backend.faults.describe()})

    async def _clock(self, request: Request) -> Response:
        clock = self._backend.clock
        if request.method == "PUT":
            change = await _read(request, ClockChange)
            if change.rate is not None:
                clock.rate = change.rate
            if change.step is not None:
                clock.step(change.step)
            if change.skew is not None:
                clock.skew = timedelta(seconds=change.skew)
            self._backend.ledger.add(Kind.SANDBOX, what="clock", **change.model_dump(exclude_none=True))
        state = {"rate": clock.rate, "shown": clock.shown(), "skew": clock.skew.total_seconds()}
        return JSONResponse({**state, "now": clock.now().isoformat()})

    async def _expire_tokens(self, request: Request) -> Response:
        self._authenticator.expire_tokens()
        return Response(status_code=204)

    async def _platform(self, request: Request) -> Response:
        platform = self._backend.platform
        return JSONResponse(platform.describe() if platform else {"url": None, "streams": []})

    async def _act_on_platform(self, request: Request) -> Response:
        platform = self._backend.platform
        if platform is None:
            raise HTTPException(409, "this sandbox has no built-in platform: start it with --with-rtmp")
        action = request.path_params["action"]
        if action == "kick":
            change = await _read(request, PlatformAction)
            job = self._backend.engine.get(change.job or "")
            run = self._backend.engine.run_of(job) if job else None
            if run is None:
                raise HTTPException(404, "name an active job")
            return JSONResponse({"kicked": run.output_links.kick()})
        simple: dict[str, Callable[[], None]] = {
            "freeze": platform.server.freeze,
            "thaw": platform.server.thaw,
            "refuse": lambda: platform.server.refuse(True),
            "admit": lambda: platform.server.refuse(False),
        }
        if action not in simple:
            raise HTTPException(404, f"the platform can {', '.join(['kick', *simple])}")
        simple[action]()
        return JSONResponse(platform.describe())

    async def _assumptions(self, request: Request) -> Response:
        fields = type(self._backend.assumptions).model_fields
        values = self._backend.assumptions.model_dump()
        shown = [
            {"name": name, "value": values[name], "default": field.default, "description": field.description}
            for name, field in fields.items()
        ]
        return JSONResponse({"assumptions": shown})


def _block(run: JobRun, action: JobAction) -> bool:
    return run.end(Ending(JobState.BLOCKED, "blocked by hand", message=action.message))


def _fail(run: JobRun, action: JobAction) -> bool:
    message = action.message or "Internal Error"
    return run.end(Ending(JobState.FAILED, "failed by hand", action.code, message))


def _finish(run: JobRun, action: JobAction) -> bool:
    return run.end(Ending(JobState.SUCCEED, "finished by hand"))


def _play(run: JobRun, action: JobAction) -> bool:
    run.play_start()
    return True


_ACTIONS: dict[str, Callable[[JobRun, JobAction], bool]] = {
    "block": _block,
    "fail": _fail,
    "finish": _finish,
    "play": _play,
}


async def refuse(request: Request, error: Exception) -> Response:
    """Answer a wrong call of ``/sandbox``."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    text = error.detail if isinstance(error, HTTPException) else "the sandbox failed; see its log"
    return JSONResponse({"error": text}, status)


async def _json(request: Request) -> Any:
    try:
        return parse_json(await read_body(request, limit=_LARGEST_CONTROL_BODY) or b"{}")
    except RequestTooLargeError:
        raise HTTPException(413, f"the body is larger than {_LARGEST_CONTROL_BODY} bytes") from None
    except ValueError:
        raise HTTPException(400, "the body is not JSON") from None


async def _read(request: Request, model: type[_Model]) -> _Model:
    try:
        return model.model_validate(await _json(request))
    except ValidationError as error:
        raise HTTPException(422, explain(error)) from error


def _number(text: str | None, default: int, *, most: int) -> int:
    """Read a number that is not negative; a larger one means the most that there can be."""
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()):
        raise HTTPException(400, "after and limit must be numbers, 0 or more")
    return min(int(text[:20]), most)
