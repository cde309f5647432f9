"""What ``airflow smartlive ...`` does."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.hooks import SmartLiveHook
from airflow_provider_smartlive.livestream.ownership import route_of
from airflow_provider_smartlive.livestream.sighting import ACTIVE_STATES
from airflow_provider_smartlive.livestream.stop import is_over, stop_each

if TYPE_CHECKING:
    from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob


def generate_secret(args: Namespace) -> None:
    """Print a new callback secret."""
    from airflow_provider_smartlive.callbacks.route import generate_secret as generate

    _say(generate())


def list_jobs(args: Namespace) -> None:
    """Print jobs, one a line."""
    for job in _jobs(SmartLiveHook(args.conn_id), args.room, active_only=not args.ended):
        _say(_line(job, as_json=args.json))


def show_job(args: Namespace) -> None:
    """Print one job."""
    _say(_line(SmartLiveHook(args.conn_id).show_job(args.room_id, args.job_id), as_json=args.json))


def stop_jobs(args: Namespace) -> None:
    """Stop jobs, after asking; exits with 1 if one of them still runs."""
    hook = SmartLiveHook(args.conn_id)
    if args.job and not args.room:
        sys.exit("--job needs --room: MetaStudio finds a job by both.")
    if not (args.room or args.all):
        sys.exit("Say what to stop: --room ROOM_ID (with --job JOB_ID for one job), or --all.")
    found = [hook.show_job(args.room, args.job)] if args.job else _jobs(hook, args.room, active_only=True)
    jobs = [job for job in found if job.is_active]
    for job in jobs:
        _say(_line(job, as_json=False))
    if not jobs:
        _say("Nothing runs there.")
    elif not args.yes and input(f"Stop {len(jobs)} job(s)? [y/N] ").strip().lower() not in ("y", "yes"):
        sys.exit("Nothing was stopped.")
    else:
        _stop(hook, [(job.room_id or args.room, job.job_id) for job in jobs])


def sweep(args: Namespace) -> None:
    """Stop what no task wants any more; exits with 1 if one of the jobs still runs."""
    from airflow_provider_smartlive.callbacks.store import find_task
    from airflow_provider_smartlive.livestream.sweep import unwanted

    hook = SmartLiveHook(args.conn_id)
    jobs = hook.list_jobs(state=ACTIVE_STATES)
    found = list(unwanted(jobs, secrets=settings.callback_secrets(), find_task=find_task))
    for job, reason in found:
        _say(f"{_line(job, as_json=False)}  {reason}")
    if not found:
        _say("Every running job of this deployment is wanted.")
    elif not args.dry_run:
        _stop(hook, [(job.room_id or "", job.job_id) for job, _ in found])


def _jobs(hook: SmartLiveHook, room_id: str | None, *, active_only: bool) -> Iterable[SmartLiveJob]:
    filters: dict[str, Any] = {"state": ACTIVE_STATES} if active_only else {}
    return hook.list_room_jobs(room_id, **filters) if room_id else hook.list_jobs(**filters)


def _stop(hook: SmartLiveHook, jobs: Iterable[tuple[str, str]]) -> None:
    running = []
    for job_id, sighting in stop_each(hook, jobs, grace=settings.number("stop_grace")):
        _say(f"{job_id}  {sighting}")
        if not is_over(sighting):
            running.append(job_id)
    if running:
        sys.exit(f"Still running: {', '.join(running)}")


def _line(job: SmartLiveJob, *, as_json: bool) -> str:
    route = route_of(job, settings.callback_secrets())
    facts = {
        "job_id": job.job_id,
        "room_id": job.room_id,
        "room_name": job.room_name,
        "state": str(job.state),
        "started": _iso(job.start_time or job.create_time),
        "stream_seconds": job.stream_duration,
        "task": "/".join([route.identity.dag_id, route.identity.run_id, route.identity.task_id])
        if route
        else None,
    }
    if as_json:
        return json.dumps(facts)
    return "  ".join(str(value) if value is not None else "-" for value in facts.values())


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _say(text: str) -> None:
    print(text)  # noqa: T201 -- a command's output
