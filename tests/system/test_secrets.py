"""
No secret stands where somebody could read it; and the scanner that says so does find secrets.

A whole livestream over RTMP is the subject, with every secret that was used for it.
"""

from __future__ import annotations

import base64
import html
import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from dev.full_stack import FullStack
from dev.secret_scan import Leak, scan, surfaces
from dev.stack import AirflowStack

DAG_ID = "smartlive_nightly"

#: Seconds; the show takes 8.
TIME_LIMIT = 240

SPELLINGS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "URL": lambda text: quote(text, safe=""),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "HTML": html.escape,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 inside of other text": lambda text: base64.b64encode(f"key={text}&".encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(f"k={text}".encode()).decode(),
}

SECRET = 'fake/secret+with "every" <kind> & more~~???>>>'


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_a_planted_secret_is_found_however_it_is_spelled(spell: Callable[[str], str]) -> None:
    content = f"before {spell(SECRET)} after".encode()
    assert scan({"log": {"a.log": content}}, {"stream key": SECRET}) == [Leak("stream key", "log", "a.log")]


def test_what_is_no_secret_is_not_found() -> None:
    assert scan({"log": {"a.log": SECRET[:-1].encode()}}, {"stream key": SECRET}) == []


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FullStack]:
    """A stage of its own, because secrets are planted on it in the end."""
    arguments = ("--picture", "small", "--assume", "show_seconds=14", "--any-room")
    with FullStack(tmp_path_factory.mktemp("secrets"), sandbox_arguments=arguments) as stage:
        yield stage


@pytest.fixture(scope="module")
def used(stage: FullStack) -> dict[str, str]:
    """Go live, and return every secret that was used for it, by what it is."""
    airflow = stage.airflow
    store_connections(stage)
    run_id = airflow.run_dag(DAG_ID)
    assert airflow.wait_for_run(DAG_ID, run_id, TIME_LIMIT) == "success"
    (job,) = stage.sandbox_client.list_jobs()
    callback = job["live_event_callback_config"]
    used = {
        "stream key": stage.stream_keys["smartlive_output"],
        "access key": stage.access_key,
        "secret key": stage.secret_key,
        "callback secret": airflow.callback_secret,
        "callback URL": callback["live_event_type_callback_url"],
        "callback token": callback["live_event_type_callback_url"].rpartition("/")[2],
        "callback key": callback["key"],
        "signature of a report URL": job["live_event_report_url"].partition("auth_key=")[2].partition("&")[0],
    }
    for user in job.get("rtc_room_info", {}).get("users", []):
        used[f"RTC signature of {user['user_type']}"] = user["signature"]
    assert all(len(value) > 10 for value in used.values())
    return used


def store_connections(stage: FullStack) -> None:
    """Keep the same secrets in Airflow's database, too, as most deployments do."""
    connection = stage.connections()["smartlive_default"]
    assert isinstance(connection, dict)
    body = {**connection, "connection_id": "smartlive_stored", "extra": json.dumps(connection["extra"])}
    stage.airflow.api.call("POST", "/connections", json=body)


@pytest.mark.processes
def test_no_secret_of_a_livestream_stands_anywhere(stage: FullStack, used: dict[str, str]) -> None:
    shown = surfaces(stage.airflow)
    for surface, places in shown.items():
        assert places, f"nothing was read: {surface}"
    assert len(shown["page"]) > 50
    assert [leak for leak in scan(shown, used) if not is_the_login(leak)] == []


def is_the_login(leak: Leak) -> bool:
    """
    Tell whether it is the access key where Airflow keeps and shows the login of a connection.

    Those who may edit connections see it in their form, and those who may read the audit log who entered it.
    """
    places = ("connection", "log", "airflow.db", "airflow.db-wal")
    pages = ("/api/v2/connections", "/api/v2/eventLogs")
    return leak.secret == "access key" and (leak.place in places or leak.place.startswith(pages))


@pytest.mark.processes
def test_planted_secrets_are_found_on_every_surface(stage: FullStack, used: dict[str, str]) -> None:
    planted = {surface: f"planted-{secrets.token_hex(12)}" for surface in ("xcom", "log", "database", "page")}
    airflow = stage.airflow
    run_id = plant_in_a_template(airflow, planted)
    path = f"/dags/{DAG_ID}/dagRuns/{run_id}"
    body = {"key": "planted", "value": planted["xcom"]}
    airflow.api.call("POST", f"{path}/taskInstances/go_live/xcomEntries", json=body)
    airflow.api.call("PATCH", path, json={"note": planted["page"]})
    airflow.api.call(
        "POST", "/variables", json={"key": "planted", "value": "x", "description": planted["database"]}
    )
    log: Path = next((airflow.home / "logs").rglob("attempt=1.log"))
    with log.open("a") as file:
        file.write(planted["log"])

    found = {(leak.secret, leak.surface) for leak in scan(surfaces(airflow), planted)}
    assert {(surface, surface) for surface in planted} <= found


def plant_in_a_template(airflow: AirflowStack, planted: dict[str, str]) -> str:
    """Run a task with a secret in a template field; it is stored before the task begins."""
    planted["rendered template"] = f"planted-{secrets.token_hex(12)}"
    run_id = airflow.run_dag(DAG_ID, conf={"room_id": planted["rendered template"]})
    airflow.wait_for_task(
        DAG_ID, run_id, "go_live", {"deferred", "up_for_retry", "failed", "success"}, TIME_LIMIT
    )
    airflow.api.mark_dag_run(DAG_ID, run_id, "failed")
    return run_id
