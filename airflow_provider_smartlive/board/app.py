"""
The static app that serves the board's modules and nothing else.

Apps of plugins are reached without a login: no data may ever come from here. The board reads Airflow's public
REST API with the session of whoever looks.
"""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from airflow_provider_smartlive.board.bundle import MOUNT_PATH, Bundle, load_bundle

_HEADERS = {
    # The URL has the hash of the content: it never changes under the same URL.
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
}


def create_app(bundle: Bundle | None = None) -> Starlette:
    """
    Return the app.

    :param bundle: What is served; the installed one by default.
    """
    served = bundle or load_bundle()

    def module(request: Request) -> Response:
        content = served.modules.get(request.path_params["name"])
        # Under another hash stands another release: whoever asks for it must not keep this one in its place.
        if content is None or request.path_params["digest"] != served.digest:
            return Response(status_code=404, headers={"Cache-Control": "no-store"})
        return Response(content, media_type="text/javascript", headers=_HEADERS)

    return Starlette(routes=[Route("/{digest}/{name}", module, methods=["GET"])])


def board_app() -> dict[str, Any]:
    """Return the app and its path, as Airflow's API server mounts it."""
    return {"name": "smartlive board", "app": create_app(), "url_prefix": MOUNT_PATH}
