"""What strangers and mistakes send to our path, and nearly to it, stays out of Airflow's access log."""

from __future__ import annotations

import json

import httpx
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

TOKEN = "gAAAAA" + "A" * 194


@pytest.fixture(scope="module", params=["", "/prefix"])
def airflow(request):
    """Airflow's own way to put plugins and its access log around an app."""
    from airflow.api_fastapi.app import init_plugins
    from airflow.api_fastapi.common.http_access_log import HttpAccessLogMiddleware

    app = FastAPI(root_path=request.param)

    @app.api_route("/{path:path}", methods=["GET", "POST"])
    def page() -> str:
        return "Airflow's own page"

    plain_routes = list(app.router.routes)
    app.router.routes.clear()
    init_plugins(app)
    app.router.routes.extend(plain_routes)
    app.add_middleware(HttpAccessLogMiddleware)
    return app


async def _lines(app, path):
    """Return the answer to a request, and the lines of the access log."""
    with capture_logs() as lines:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://internal") as client:
            answer = await client.post(f"http://internal{app.root_path}{path}", content=b"{}")
    return answer, [line for line in lines if line["event"] == "request finished"]


@pytest.mark.parametrize(
    "path",
    [
        "//smartlive/callbacks/{}",
        "/smartlive//callbacks/{}",
        "/SmartLive/callbacks/{}",
        "/smartlive/Callbacks/{}",
        "/smartlive%2Fcallbacks/{}",
        "/smartlive%252Fcallbacks/{}",
        "/smartlive%2Fcallbacks%2F{}",
        "/%73martlive/callbacks/{}",
        "/another/prefix/smartlive/callbacks/{}",
        "/smartlive\\callbacks\\{}",
        "/smartlive/callbacks/{}",
        "/smartlive/callbacks/{}/",
        "/smartlive/{}",
        "/smartlive/health/{}",
        "/smartlive/callbacks/x?token={}",
        "//smartlive/callbacks/x?token={}",
        "/callbacks/{}",
        "/{}",
        "/{}/x",
        "/smartlive{}",
        "/smartlive-callbacks/{}",
        "/smart/live/callback/{}",
        "/dags/x{}",
        "/dags?x={}",
        "/dags?x=%2Fsmartlive%2Fcallbacks%2F{}",
        "/smartlive%25252Fcallbacks/x",
        "/api/v2/{}%00",
    ],
)
@pytest.mark.parametrize("encoded", [0, 1, 2, 3])
async def test_no_token_reaches_the_access_log_and_all_get_the_same_answer(airflow, path, encoded):
    token = TOKEN
    for _ in range(encoded):
        token = "".join(f"%{ord(character):02x}" for character in token[:6]) + token[6:]
    answer, lines = await _lines(airflow, path.format(token))

    assert (answer.status_code, answer.json()) == (404, {"error": "not found"})
    assert TOKEN[6:] not in json.dumps(lines)


@pytest.mark.parametrize(
    "path",
    [
        "/dags",
        "/callbacks/x",
        "/smartliver/callbacks",
        "/smartlive-callbacks/x",
        "/x?y=z",
        "/x/gAAAA",
        "/gAAAA-short",
    ],
)
async def test_airflows_own_paths_are_served_and_logged_as_ever(airflow, path):
    answer, (line,) = await _lines(airflow, path)

    assert answer.json() == "Airflow's own page"
    assert line["path"] == airflow.root_path + path.partition("?")[0]


async def test_health_is_shown_as_it_is(airflow):
    transport = httpx.ASGITransport(airflow)
    async with httpx.AsyncClient(transport=transport, base_url="http://internal") as client:
        answer = await client.get(f"{airflow.root_path}/smartlive/health")

    assert answer.text == "ok"
