"""
Keep the paths of callbacks, which hold tokens, out of Airflow's access log.

The last segment of the path is a token. Airflow logs the path and query of every request, also of those that miss the
receiver by a slash or a capital letter, or hold the token in quite another place. Not by masking values as secrets:
strangers could fill the masker.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from airflow_provider_smartlive.callbacks.url import CALLBACK_PATH, MOUNT_PATH
from airflow_provider_smartlive.receiver.answers import refusal

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_SLASHES = re.compile(r"[/\\\\]+")

#: What each token begins with, and no path of Airflow's: Fernet's version and the first bytes of a time before the year
#: 2106. Tokens have more than 100 characters; a part of one that long is of no use to anybody.
_TOKEN = re.compile(r"gAAAA[\w-]{35}", re.ASCII)

#: How often a path may be percent-encoded and is still recognised: once for each proxy on the way that encodes anew.
_ENCODINGS = 5


class HiddenPath:
    """
    Hides path and query of what the receiver has served: Airflow reads them from the scope afterwards.

    :param app: The receiver.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, and hide what it asked for."""
        try:
            await self._app(scope, receive, send)
        finally:
            if scope["type"] == "http":
                mount = scope.get("root_path", "")
                inside = scope["path"].removeprefix(mount)
                if inside != "/health":
                    shown = CALLBACK_PATH if inside.startswith(CALLBACK_PATH) else "/"
                    scope["path"], scope["query_string"] = f"{mount}{shown}***", b""


class NearMiss:
    """
    Answers requests whose path is the receiver's but for its spelling, or that hold a token, and hides what they asked.

    They get what everybody gets who misses it: a doubled slash, another case, encoding or path is not what MetaStudio
    signed.

    :param app: Airflow's API server.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request that just misses the receiver, and pass all others on."""
        if scope["type"] == "http" and _is_near_miss(scope):
            # Airflow's access log may stand outside of us.
            scope["path"], scope["query_string"] = "/***", b""
            await refusal()(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _is_near_miss(scope: Scope) -> bool:
    path, query = scope["path"], scope.get("query_string", b"").decode("latin-1")
    if path.removeprefix(scope.get("root_path", "")).startswith(f"{MOUNT_PATH}/"):
        return False  # the receiver's own, which hides what it was asked for
    path, query = _decoded(path), _decoded(query)
    if _TOKEN.search(path) or _TOKEN.search(query):
        return True
    # Nearly every request is for Airflow itself, and is passed on after this look.
    if "callbacks" not in path.lower():
        return False
    return f"{MOUNT_PATH}{CALLBACK_PATH}" in _SLASHES.sub("/", path).lower() + "/"


def _decoded(text: str) -> str:
    """Take the percent-encoding off a text, however often it was put on within reason."""
    for _ in range(_ENCODINGS):
        if "%" not in text:
            break
        text = unquote(text)
    return text
