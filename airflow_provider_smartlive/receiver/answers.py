"""What the receiver answers."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

NO_STORE = {"Cache-Control": "no-store"}

#: Whom we refuse may still be sending: without this the server would hold the connection for as long as that lasts.
_NO_STORE_AND_CLOSE = {**NO_STORE, "Connection": "close"}


def answer(status: int, content: dict[str, str], retry_after: int | None = None) -> Response:
    """
    Return an answer in JSON.

    :param retry_after: seconds after which the sender may come back; None: nothing is said of that.
    """
    headers = NO_STORE if status == 200 else _NO_STORE_AND_CLOSE
    if retry_after is not None:
        headers = {**headers, "Retry-After": str(retry_after)}
    return JSONResponse(content, status, headers)


def refusal() -> Response:
    """Return the one answer that strangers get, whatever the reason."""
    return answer(404, {"error": "not found"})
