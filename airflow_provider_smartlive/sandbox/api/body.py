"""Bodies of requests: read up to a limit, and parsed to JSON that the sandbox can keep and answer again."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from starlette.requests import Request

#: Nested deeper than this is no request of the API, but an attack on the recursion limit.
MAX_JSON_DEPTH = 32


class RequestTooLargeError(Exception):
    """A body is larger than the limit; the rest of it was not read."""


async def read_body(request: Request, *, limit: int) -> bytes:
    """
    Read the body of a request.

    :param limit: the most that is taken, in bytes.
    :raises RequestTooLargeError: if there is more.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise RequestTooLargeError
    return bytes(body)


def parse_json(body: bytes) -> Any:
    """
    Parse JSON as the standard has it: without NaN and Infinity.

    :raises ValueError: if it is none, is nested deeper than :data:`MAX_JSON_DEPTH`, or has text that is no Unicode.
    """
    try:
        content = json.loads(body, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError(f"the JSON is nested deeper than {MAX_JSON_DEPTH} levels") from None
    _check(content, MAX_JSON_DEPTH)
    return content


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")


def _check(value: Any, levels: int) -> None:
    if isinstance(value, str):
        value.encode()  # half of a surrogate pair can be escaped in JSON, but not be written anywhere
    elif isinstance(value, list | dict):
        if not levels:
            raise ValueError(f"the JSON is nested deeper than {MAX_JSON_DEPTH} levels")
        for inner in [*value, *value.values()] if isinstance(value, dict) else value:
            _check(inner, levels - 1)
