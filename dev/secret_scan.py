"""
Looks for secrets where a deployment of Airflow could show them: XComs, rendered templates, logs, database, pages.

A secret is looked for as it is and as others may have spelled it: URL-, JSON-, HTML- and base64-encoded.
"""

from __future__ import annotations

import base64
import html
import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx

from dev.airflow_api import REQUEST_TIMEOUT, AirflowApi
from dev.stack import AirflowStack

#: Paths of the pages of Airflow's own UI, beside those that ``/openapi.json`` names.
UI_PATHS = (
    "/",
    "/dags/{dag_id}",
    "/dags/{dag_id}/runs/{dag_run_id}",
    "/dags/{dag_id}/runs/{dag_run_id}/tasks/{task_id}",
    "/ui/config",
    "/ui/dags",
    "/ui/dags/{dag_id}/latest_run",
    "/ui/connections/hook_meta",
    "/ui/dependencies",
    "/ui/grid/runs/{dag_id}",
    "/ui/grid/structure/{dag_id}",
    "/ui/gantt/{dag_id}/{dag_run_id}",
    "/smartlive/health",
)

#: A GET that streams until its run is over, and one that ends the session.
NOT_ASKED = ("/wait", "/logout")

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Leak:
    """
    A secret that stands where it should not.

    :param secret: what it is, never its value.
    :param surface: where it stands: a kind of place, and which one.
    """

    secret: str
    surface: str
    place: str


def spellings(secret: str) -> set[bytes]:
    """Return how a secret may be written: raw, URL-, JSON-, HTML- and base64-encoded."""
    json_text = json.dumps(secret)[1:-1]
    texts = {
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        json_text,
        json_text.replace("/", "\\/"),
        json.dumps(json_text)[1:-1],
        html.escape(secret),
    }
    return {text.encode() for text in texts} | _base64(secret.encode())


def _base64(secret: bytes) -> set[bytes]:
    """Base64 depends on what stands before: three texts, without the characters that neighbours change."""
    found = set()
    for shift in range(3):
        padded = bytes(shift) + secret
        whole = len(padded) // 3 * 3
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found.add(encode(padded[:whole])[4 if shift else 0 :])
    return found


def scan(surfaces: Mapping[str, Mapping[str, bytes]], secrets: Mapping[str, str]) -> list[Leak]:
    """
    Return every secret that is found.

    :param surfaces: content by place, by kind of place.
    :param secrets: values by what they are.
    """
    patterns = {name: spellings(value) for name, value in secrets.items()}
    return [
        Leak(name, surface, place)
        for surface, places in surfaces.items()
        for place, content in places.items()
        for name, pattern in patterns.items()
        if any(spelling in content for spelling in pattern)
    ]


def surfaces(airflow: AirflowStack) -> dict[str, dict[str, bytes]]:
    """Read everything that an Airflow on SQLite shows or keeps."""
    return {
        "xcom": dict(_xcoms(airflow.api)),
        "rendered template": dict(_rendered(airflow.api)),
        "log": dict(_logs(airflow.home)),
        "database": dict(_database(airflow.home / "airflow.db")),
        "page": dict(_pages(airflow)),
    }


def _instances(api: AirflowApi) -> list[dict[str, Any]]:
    path = "/dags/~/dagRuns/~/taskInstances"
    return list(api.call("GET", path, params={"limit": 1000})["task_instances"])


def _xcoms(api: AirflowApi) -> Iterator[tuple[str, bytes]]:
    for instance in _instances(api):
        path = "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/xcomEntries".format(**instance)
        for entry in api.call("GET", path, params={"limit": 1000})["xcom_entries"]:
            answer = api.request(
                "GET", f"{path}/{quote(entry['key'], safe='')}", params={"map_index": entry["map_index"]}
            )
            yield f"{path} {entry['key']}", answer.content


def _rendered(api: AirflowApi) -> Iterator[tuple[str, bytes]]:
    for instance in _instances(api):
        place = "{dag_id} {dag_run_id} {task_id}".format(**instance)
        yield place, json.dumps(instance["rendered_fields"]).encode()


def _logs(home: Path) -> Iterator[tuple[str, bytes]]:
    for folder in ("logs", "processes"):
        for path in (home / folder).rglob("*"):
            if path.is_file() and not path.is_symlink():
                yield str(path.relative_to(home)), path.read_bytes()


def _database(path: Path) -> Iterator[tuple[str, bytes]]:
    """All rows as text, and the files as they are: a value that was deleted may still stand there."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            rows = database.execute(f'SELECT * FROM "{table}"').fetchall()
            yield table, "\n".join(repr(row) for row in rows).encode()
    for file in path.parent.glob(f"{path.name}*"):
        yield file.name, file.read_bytes()


def _pages(airflow: AirflowStack) -> Iterator[tuple[str, bytes]]:
    """Every page and answer to a GET that can be addressed by a DAG, a run and a task of this Airflow."""
    documented = (
        httpx.get(f"{airflow.base_url}/openapi.json", timeout=REQUEST_TIMEOUT, trust_env=False)
        .raise_for_status()
        .json()
    )
    templates = [path for path, operations in documented["paths"].items() if "get" in operations]
    fetched = set()
    for instance in _instances(airflow.api):
        known = {**instance, "map_index": instance["map_index"], "task_try_number": 1, "try_number": 1}
        known |= {"run_id": instance["dag_run_id"], "connection_id": "smartlive_stored"}
        for template in (*templates, *UI_PATHS):
            if template.endswith(NOT_ASKED) or not set(_PLACEHOLDER.findall(template)) <= set(known):
                continue
            path = template.format(**{name: quote(str(value), safe="") for name, value in known.items()})
            if path not in fetched:
                fetched.add(path)
                yield path, airflow.api.fetch(path)
