"""Keeps foreign web pages out of the sandbox's own API, which asks for no key."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

#: Methods that change nothing; a page of another origin cannot read their answers.
_SAFE = ("GET", "HEAD")


class OriginCheck:
    """
    ASGI middleware: answers 403 to what a browser may have been made to send by a foreign page.

    A page whose name was rebound to this address sends its own name as ``Host``; a form or script of another
    page sends an ``Origin`` of its own, or says ``cross-site`` in ``Sec-Fetch-Site``.

    :param app: what is protected.
    :param hosts: names of this host, besides IP addresses and localhost.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        problem = self._problem(scope) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await JSONResponse({"error": problem}, 403)(scope, receive, send)

    def _problem(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_own(_hostname(host)):
            return "Host names another host: use an IP address or localhost, or start with --allow-host NAME"
        if scope["method"] in _SAFE:
            return None
        origin = headers.get("origin")
        if origin is not None and origin.lower() != f"{scope['scheme']}://{host}".lower():
            return "Origin is another one: pages of other sites may not use this API"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return "Sec-Fetch-Site is another site: pages of other sites may not use this API"
        return None

    def _is_own(self, name: str) -> bool:
        if name == "localhost" or name.endswith(".localhost") or name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _hostname(host: str) -> str:
    """Return the name in a Host header, in lower case; empty if there is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return ""
