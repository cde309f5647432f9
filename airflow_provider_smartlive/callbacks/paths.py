"""
What of a callback's path may be seen outside: nothing, in Airflow's access log.

The last segment of the path is a token. Airflow logs the path and query of every request, also of those that miss the
receiver by a slash or a capital letter. Not by masking values as secrets: strangers could fill the masker.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from airflow_provider_smartlive.callbacks.route import CALLBACK_PATH, MOUNT_PATH

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_SLASHES = re.compile(r"[/\\\\]+")


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
    Answers requests whose path is the receiver's but for its spelling, and hides what they asked for.

    They get what everybody gets who misses it: a doubled slash, another case or encoding is not what MetaStudio signed.

    :param app: Airflow's API server.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request that just misses the receiver, and pass all others on."""
        if scope["type"] == "http" and _is_near_miss(scope["path"], scope.get("root_path", "")):
            from airflow_provider_smartlive.callbacks.receiver import refusal

            # Airflow's access log may stand outside of us.
            scope["path"], scope["query_string"] = "/***", b""
            await refusal()(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _is_near_miss(path: str, root: str) -> bool:
    # Nearly every request is for Airflow itself, and is passed on after this one look.
    if "callbacks" not in path.lower() or path.removeprefix(root).startswith(f"{MOUNT_PATH}/"):
        return False
    return f"{MOUNT_PATH}{CALLBACK_PATH}" in _SLASHES.sub("/", unquote(unquote(path))).lower() + "/"
