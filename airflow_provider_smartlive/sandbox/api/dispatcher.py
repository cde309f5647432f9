"""Dispatches the calls of the API: checks each, applies its faults, lets the operation answer, and records it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from airflow_provider_smartlive.sandbox.api.answers import ApiAnswer, ApiError
from airflow_provider_smartlive.sandbox.api.authenticator import Authenticator, Throttle
from airflow_provider_smartlive.sandbox.api.body import RequestTooLargeError, read_body
from airflow_provider_smartlive.sandbox.api.call import ApiCall, Endpoint
from airflow_provider_smartlive.sandbox.backend import Backend
from airflow_provider_smartlive.sandbox.model.faults import Fault, Subject
from airflow_provider_smartlive.sandbox.model.ledger import Kind

log = logging.getLogger(__name__)

#: The gateway takes no larger body with AK/SK authentication (signing guide).
_LARGEST_BODY = 12 * 1024 * 1024

#: Real seconds for which a call hangs, or drips, when the fault does not say; longer than clients wait.
_HANG_SECONDS = 300.0

#: Real seconds between two bytes of an answer that drips.
DRIP_INTERVAL = 1.0

#: The exit code of a process that a fault lets crash; the one that SIGKILL leaves.
_CRASHED = 137


class Broken(Exception):  # noqa: N818 - not an error but an outcome
    """
    The connection breaks off instead of an answer.

    :ivar after: real seconds until it does.
    """

    def __init__(self, after: float = 0.0) -> None:
        super().__init__()
        self.after = after


class Dispatcher:
    """
    Turns operations into endpoints.

    :param backend: the sandbox's parts.
    :param authenticator: checks who calls.
    :param break_off: cuts the connection of a request.
    """

    def __init__(
        self, backend: Backend, authenticator: Authenticator, break_off: Callable[[Request], None]
    ) -> None:
        self._backend = backend
        self._authenticator = authenticator
        self._creating = Throttle(backend.assumptions.throttle_create)
        self._querying = Throttle(backend.assumptions.throttle_query)
        self._break_off = break_off

    def endpoint(self, operation: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        """Return the endpoint of an operation."""

        async def endpoint(request: Request) -> Response:
            return await self._serve(operation, request)

        return endpoint

    async def unknown(self, request: Request) -> Response:
        """Answer a path or method that the API does not have."""
        error = ApiError.of(self._backend.assumptions.unknown_path)
        request_id = uuid.uuid4().hex
        self._record("unknown", request, {}, error.answer, request_id, 0.0, {"path": request.scope["path"]})
        return _response(error.answer, request_id)

    async def _serve(self, operation: Endpoint, request: Request) -> Response:
        request_id = uuid.uuid4().hex
        started = time.monotonic()
        noted: dict[str, Any] = {}
        try:
            answer = await self._answer(operation, request, noted)
        except ApiError as error:
            answer = error.answer
        except (Broken, ClientDisconnect) as broken:
            took = time.monotonic() - started
            self._record(operation.name, request, request.path_params, None, request_id, took, noted)
            await asyncio.sleep(broken.after if isinstance(broken, Broken) else 0.0)
            self._break_off(request)
            return Response()  # goes nowhere
        except Exception:
            log.exception("Operation %s failed", operation.name)
            answer = ApiError(500, "MSS.00000004").answer
        took = time.monotonic() - started
        self._record(operation.name, request, request.path_params, answer, request_id, took, noted)
        response = _response(answer, request_id, is_garbled="garble" in noted.get("faults", ()))
        return response if answer.drips is None else self._dripping(response, request, answer.drips)

    def _dripping(self, whole: Response, request: Request, seconds: float) -> Response:
        """Return an answer whose body comes a byte at a time, until the connection breaks."""

        async def body() -> AsyncIterator[bytes]:
            until = time.monotonic() + seconds
            for number in range(len(whole.body)):
                if time.monotonic() >= until:
                    self._break_off(request)
                yield bytes(whole.body[number : number + 1])
                await asyncio.sleep(DRIP_INTERVAL)

        return StreamingResponse(body(), whole.status_code, whole.headers)

    async def _answer(self, operation: Endpoint, request: Request, noted: dict[str, Any]) -> ApiAnswer:
        backend = self._backend
        call = ApiCall(
            backend=backend,
            authenticator=self._authenticator,
            path=request.path_params,
            query=request.query_params,
            headers=_headers(request),
            body=await _read_body(request),
            base_url=f"{request.scope['scheme']}://{request.headers.get('host', '')}",
            noted=noted,
        )
        if not operation.admits(call):
            self._authenticator.check(request.method, _raw_url(request), call.headers, call.body)
        if "project_id" in call.path:
            self._authenticator.check_project(call.path["project_id"], call.headers)
        (self._creating if operation.writes else self._querying).check()
        subject = Subject(operation.name, call.path.get("room_id"), call.path.get("job_id"))
        call.faults = backend.faults.pick(subject)
        if call.faults:
            noted["faults"] = [fault.action for fault in call.faults]
        await self._apply(call.faults, "before")
        answer = await operation.handler(call)
        await self._apply(call.faults, "after")
        drip = call.fault("drip")
        return answer if drip is None else replace(answer, drips=drip.seconds or _HANG_SECONDS)

    async def _apply(self, faults: Sequence[Fault], when: str) -> None:
        for fault in faults:
            if fault.when != when:
                continue
            if fault.action == "latency":
                await asyncio.sleep(fault.seconds or 0.0)
            elif fault.action == "status":
                raise _injected(fault)
            elif fault.action == "hang":
                raise Broken(fault.seconds or _HANG_SECONDS)
            elif fault.action == "reset":
                raise Broken
            elif fault.action == "crash":
                if self._backend.config.may_crash:
                    os._exit(_CRASHED)
                raise Broken

    def _record(
        self,
        name: str,
        request: Request,
        path: dict[str, Any],
        answer: ApiAnswer | None,
        request_id: str,
        took: float,
        noted: dict[str, Any],
    ) -> None:
        facts = dict(noted)
        job_id = facts.pop("job_id", None) or path.get("job_id")
        self._backend.ledger.add(
            Kind.REQUEST,
            job_id=job_id,
            room_id=path.get("room_id"),
            operation=name,
            method=request.method,
            outcome="answered" if answer else "broken off",
            status=answer.status if answer else None,
            code=answer.error_code if answer else None,
            request_id=request_id,
            user=request.headers.get("x-app-userid"),
            ms=round(took * 1000, 1),
            **facts,
        )


def _headers(request: Request) -> dict[str, str]:
    """Return the headers by lower-case name, read as UTF-8: that is how clients sign them."""
    headers: dict[str, str] = {}
    for name, value in request.headers.raw:
        text = value.decode("utf-8", "replace")
        key = name.decode("latin-1").lower()
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    return headers


def _raw_url(request: Request) -> str:
    """Return the URL as it was on the wire; decoding it and encoding it again would change what was signed."""
    raw_path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    query: bytes = request.scope["query_string"]
    url = f"{request.scope['scheme']}://{request.headers.get('host', '')}{raw_path.decode('latin-1')}"
    return f"{url}?{query.decode('latin-1')}" if query else url


async def _read_body(request: Request) -> bytes:
    try:
        return await read_body(request, limit=_LARGEST_BODY)
    except RequestTooLargeError:
        raise ApiError(413, "APIGW.0201") from None


def _injected(fault: Fault) -> ApiError:
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return ApiError(fault.status, fault.code, fault.message, headers=headers)


def _response(answer: ApiAnswer, request_id: str, *, is_garbled: bool = False) -> Response:
    content = b"" if answer.content is None else json.dumps(answer.content, ensure_ascii=False).encode()
    if is_garbled:
        content = content[: len(content) // 2]
    headers = {"X-Request-Id": request_id, **answer.headers}
    media_type = "application/json;charset=utf-8" if content else None
    return Response(content, answer.status, headers, media_type)
