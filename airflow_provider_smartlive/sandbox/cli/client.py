"""``smartlive-sandbox jobs``, ``send-event`` and ``scenario``: the commands that talk to a running sandbox."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Any

from airflow_provider_smartlive.metastudio.callback_auth import AuthType, sign
from airflow_provider_smartlive.sandbox.cli.exit_codes import FAILED, OK, UNREACHABLE, USAGE
from airflow_provider_smartlive.sandbox.config import ConfigError, Scenario
from airflow_provider_smartlive.sandbox.model.callbacks import DeliveryError, encode_event

#: Real seconds between two looks of ``jobs --watch``.
_LOOK_EVERY = 1.0

_TIMEOUT = 10.0

_ACTIVE = ("WAITING", "PROCESSING")

#: No proxy of the environment stands between here and a sandbox on the same machine.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class SandboxError(Exception):
    """The sandbox refused; the text is its own."""


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    commands = {"jobs": _jobs, "send-event": _send_event, "scenario": _scenario}
    try:
        return commands[arguments.command](arguments)
    except ConfigError as error:
        return _complain(arguments, str(error), USAGE)
    except (SandboxError, DeliveryError) as error:
        return _complain(arguments, str(error), FAILED)
    except OSError as error:
        return _complain(arguments, f"no sandbox at {arguments.url} ({error})", UNREACHABLE)
    except KeyboardInterrupt:
        return OK


def _complain(arguments: argparse.Namespace, text: str, code: int) -> int:
    print(f"smartlive-sandbox {arguments.command}: {text}", file=sys.stderr)
    return code


def _call(arguments: argparse.Namespace, method: str, path: str, content: Any = None) -> Any:
    body = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(f"{arguments.url.rstrip('/')}/sandbox{path}", body, method=method)  # noqa: S310 (the user names the URL)
    try:
        with _opener.open(request, timeout=_TIMEOUT) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise SandboxError(json.loads(error.read() or b"{}").get("error", str(error))) from None


# --- jobs


def _jobs(arguments: argparse.Namespace) -> int:
    while True:
        jobs = _call(arguments, "GET", "/jobs")["jobs"]
        if arguments.job is not None:
            jobs = [job for job in jobs if _plain(job["job_id"]) == _plain(arguments.job)]
            if not jobs:
                raise SandboxError("there is no such job")
        _show_jobs(jobs, as_json=arguments.json, is_watched=arguments.watch)
        is_active = any(job["state"] in _ACTIVE for job in jobs)
        if not arguments.watch or not is_active:
            break
        time.sleep(_LOOK_EVERY)
    has_failed = any(job["state"] in ("FAILED", "BLOCKED") for job in jobs)
    return FAILED if arguments.job is not None and has_failed else OK


def _plain(job_id: str) -> str:
    return job_id.replace("-", "").lower()


def _show_jobs(jobs: list[dict[str, Any]], *, as_json: bool, is_watched: bool) -> None:
    if as_json:
        print(json.dumps(jobs, indent=None if is_watched else 2), flush=True)
        return
    if is_watched:
        print(f"--- {datetime.now(UTC):%H:%M:%S}Z")
    if not jobs:
        print("no jobs")
        return
    row = "{:<36}  {:<16}  {:<10}  {:>8}  {:<12}  {:>5}  {:>12}"
    print(row.format("JOB", "ROOM", "STATE", "SECONDS", "LINK", "FPS", "CALLBACKS"))
    for job in jobs:
        links = ",".join(output["state"] or "-" for output in job["outputs"]) or "-"
        fps = sum(output["fps"] for output in job["outputs"])
        calls = job["callbacks"]
        answered = f"{calls['answered']}/{calls['events']}"
        name = job["room_name"][:16]
        print(
            row.format(
                job["job_id"], name, job["state"], f"{job['duration']:.0f}", links, f"{fps:.0f}", answered
            )
        )
    sys.stdout.flush()


# --- send-event


def _send_event(arguments: argparse.Namespace) -> int:
    message = _message(arguments.set)
    if arguments.callback_url:
        status = asyncio.run(_send_directly(arguments, message))
        result = {"status": status}
    else:
        content = {"event_type": arguments.type, "message": message}
        result = _call(arguments, "POST", f"/jobs/{arguments.job}/event", content)
    print(json.dumps(result) if arguments.json else f"sent: {result}")
    is_refused = "status" in result and not 200 <= result["status"] < 300
    return FAILED if is_refused else OK


def _message(settings: list[str]) -> dict[str, str]:
    message: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set {setting!r} must look like NAME=VALUE")
        message[name] = value
    return message


async def _send_directly(arguments: argparse.Namespace, message: dict[str, str]) -> int:
    from airflow_provider_smartlive.sandbox.model.http_post import (
        HttpPost,  # aiohttp, which "jobs" need not wait for
    )

    ids = {"room_id": arguments.room_id, "job_id": arguments.job}
    try:
        url, headers = sign(
            arguments.callback_url,
            auth_type=AuthType(arguments.auth_type),
            key=arguments.key,
            now=datetime.now(UTC),
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error
    post = HttpPost()
    try:
        headers = {"Content-Type": "application/json", **headers}
        return await post(url, headers, encode_event(arguments.type, {**ids, **message}))
    finally:
        await post.close()


# --- scenario


def _scenario(arguments: argparse.Namespace) -> int:
    scenario = Scenario.load(arguments.file)
    if arguments.action == "load":
        loaded = _call(
            arguments, "POST", "/scenario", scenario.model_dump(mode="json", exclude_defaults=True)
        )
    else:
        loaded = {"rooms": len(scenario.rooms), "faults": len(scenario.faults)}
    print(json.dumps(loaded) if arguments.json else f"{arguments.file}: {_count(loaded)}")
    return OK


def _count(loaded: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in loaded.items())
