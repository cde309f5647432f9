"""What ``airflow smartlive generate-secret``, ``jobs`` and ``sweep`` do."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.url import MIN_SECRET_LENGTH
from airflow_provider_smartlive.callbacks.url import generate_secret as new_secret
from airflow_provider_smartlive.cli.airflow_core import CommandHook, DatabaseError
from airflow_provider_smartlive.cli.errors import EXPECTED, command, describe, fail
from airflow_provider_smartlive.cli.jobs import ListedJob, jobs_table, listed
from airflow_provider_smartlive.cli.output import note, one_line, plural, say, say_json, table
from airflow_provider_smartlive.cli.watch import watch
from airflow_provider_smartlive.livestream.snapshot import ACTIVE_STATES
from airflow_provider_smartlive.livestream.stop import stop_each
from airflow_provider_smartlive.livestream.sweep import unwanted
from airflow_provider_smartlive.metastudio.errors import MetaStudioError
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.receiver.store import find_task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_smartlive.callbacks.task_ref import TaskRef
    from airflow_provider_smartlive.callbacks.task_status import TaskStatus
    from airflow_provider_smartlive.livestream.snapshot import JobSnapshot
    from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob

#: Seconds between two pictures of ``jobs list --watch``.
WATCH_INTERVAL = 5.0

#: What a sweep shows of a job.
UNWANTED = ("room", "name", "state", "on_air", "why", "task", "job")


@command
def generate_secret(args: Namespace) -> None:
    """Print a new callback secret."""
    say(new_secret())


@command
def list_jobs(args: Namespace) -> None:
    """Print the jobs that run, once or again and again."""
    hook = CommandHook(args.conn_id)
    if args.watch is not False:
        if args.json:
            fail("--watch is for people and --json for programs: use one of them.")
        watch(lambda: _picture(hook, args), WATCH_INTERVAL if args.watch is None else args.watch)
    elif args.json:
        for job in _listed(hook, args):
            say_json(job.facts())
    else:
        say(_words(hook, args, _listed(hook, args)))


@command
def show_job(args: Namespace) -> None:
    """Print one job."""
    job = CommandHook(args.conn_id).show_job(JobRef(args.room_id, args.job_id))
    (found,) = listed([job], _secrets())
    if args.json:
        say_json(found.facts())
        return
    details = found.details()
    width = max(map(len, details)) + 2
    for name, value in details.items():
        say(f"{name + ':':{width}}{one_line(value)}")


@command
def stop_jobs(args: Namespace) -> None:
    """Stop jobs, after asking; exits with 1 if one of them still runs."""
    if args.job and not args.room:
        fail("--job needs --room: MetaStudio finds a job by both.")
    if bool(args.room) == args.all:
        fail("Say what to stop: either --room ROOM_ID (with --job JOB_ID for one job), or --all.")
    hook = CommandHook(args.conn_id)
    found = [hook.show_job(JobRef(args.room, args.job))] if args.job else _jobs(hook, args.room)
    jobs = listed((job for job in found if job.is_active), _secrets())
    if not jobs:
        over = f"Nothing runs {_where(hook, args)}"
        if found:
            over = f"Job {found[0].job_id} is over already ({found[0].state})"
        say(one_line(f"{over}: there is nothing to stop."))
        return
    say(jobs_table(jobs))
    if not args.yes and not _confirmed(_question(jobs)):
        fail("Nothing was stopped.")
    _exit_if_running(_stop(hook, jobs, tell=say, room_id=args.room))


@command
def sweep(args: Namespace) -> None:
    """Stop what no task wants any more; exits with 1 if one of the jobs still runs, or cannot be judged."""
    secrets = _secrets()
    if not secrets:
        # Nothing would be found, which is no comfort.
        fail(
            "[smartlive] callback_secrets is empty on this machine: no job can be recognised as one of ours."
        )
    hook = CommandHook(args.conn_id)
    running = list(hook.list_jobs(state=ACTIVE_STATES))
    reasons, problem = _unwanted(running, secrets)
    jobs = listed((job for job in running if job.job_id in reasons), secrets)
    if jobs and not args.json:
        say(table(UNWANTED, [{**job.row(), "why": reasons[job.job.job_id]} for job in jobs]))
    seen = {} if args.dry_run else _stop(hook, jobs, tell=note if args.json else say)
    if args.json:
        for job in jobs:
            stopped = seen[job.job.job_id].status.is_over if seen else None
            say_json({**job.facts(), "reason": reasons[job.job.job_id], "stopped": stopped})
    _exit_if_running(seen)
    if problem:
        # The jobs whose tasks could not be looked up were left alone, which does not mean that they are wanted.
        raise problem
    if not jobs and not args.json:
        say(f"{plural(len(running), 'job')} running; nothing that this deployment started is unwanted.")


def _unwanted(
    running: Sequence[SmartLiveJob], secrets: Sequence[str]
) -> tuple[dict[str, str], DatabaseError | None]:
    """Return the jobs that no task wants, with the reason, and why not all tasks could be looked up."""
    problems: list[DatabaseError] = []

    def find(task_ref: TaskRef) -> TaskStatus | None:
        try:
            return find_task(task_ref)
        except DatabaseError as error:
            problems.append(error)
            raise

    found = unwanted(running, secrets=secrets, find_task=find)
    return {job.job_id: reason for job, reason in found}, next(iter(problems), None)


def _listed(hook: CommandHook, args: Namespace, tell: Callable[[str], None] = note) -> list[ListedJob]:
    return listed(_jobs(hook, args.room, ended=args.ended), _secrets(tell), tell)


def _jobs(hook: CommandHook, room_id: str | None, *, ended: bool = False) -> list[SmartLiveJob]:
    filters: dict[str, Any] = {} if ended else {"state": ACTIVE_STATES}
    if not room_id:
        return list(hook.list_jobs(**filters))
    jobs = list(hook.list_room_jobs(room_id, **filters))
    if not jobs:
        # "Nothing runs" of a mistyped room would be a false comfort.
        hook.show_room(room_id)
    return jobs


def _words(hook: CommandHook, args: Namespace, jobs: list[ListedJob]) -> str:
    if jobs:
        return jobs_table(jobs)
    return one_line(f"{'There are no jobs' if args.ended else 'Nothing runs'} {_where(hook, args)}.")


def _picture(hook: CommandHook, args: Namespace) -> str:
    """Return what a watch shows. A fault that passes ends no watch; refused credentials do: trying again locks them."""
    notes: list[str] = []
    try:
        words = _words(hook, args, _listed(hook, args, notes.append))
    except MetaStudioError as error:
        if not error.is_transient:
            raise
        words = one_line(describe(error, args))
    return "\n\n".join([words, *map(one_line, notes)])


def _where(hook: CommandHook, args: Namespace) -> str:
    profile = hook.profile()
    room = f"in room {args.room} of" if args.room else "in"
    return f"{room} project {profile.project_id} at {profile.endpoint} (connection {args.conn_id!r})"


def _secrets(tell: Callable[[str], None] = note) -> tuple[str, ...]:
    """Return the callback secrets that can be used. Without one jobs are shown and stopped all the same."""
    try:
        secrets = settings.callback_secrets()
    except EXPECTED:
        secrets = ("",)
    usable = tuple(secret for secret in secrets if len(secret) >= MIN_SECRET_LENGTH)
    if usable != secrets:
        tell("[smartlive] callback_secrets cannot be used as it is here: some tasks are not shown.")
    return usable


def _question(jobs: Sequence[ListedJob]) -> str:
    strangers = sum(not job.is_ours for job in jobs)
    of_others = f" ({strangers} of them not started by this deployment)" if strangers else ""
    return f"Stop {plural(len(jobs), 'job')}{of_others}? [y/N] "


def _confirmed(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        say("")
        fail("Nothing was stopped: nobody answered. In a script, say --yes.")


def _stop(
    hook: CommandHook, jobs: Sequence[ListedJob], *, tell: Callable[[str], None], room_id: str | None = None
) -> dict[str, JobSnapshot]:
    """
    Stop jobs, and return the last sighting of each.

    Every stop is sent before the first one is confirmed: a job that does not end must not let the others stream on.

    :param tell: told what became of each job.
    :param room_id: the room of jobs whose answer names none.
    """
    # An emergency brake does not fail for this: a broken option is an error in the log, and its default counts.
    grace = settings.usable_number("stop_grace")
    job_refs = [JobRef(job.job.room_id or room_id or "", job.job.job_id) for job in jobs]
    seen: dict[str, JobSnapshot] = {}
    try:
        for job_ref in job_refs:
            with suppress(MetaStudioError, ValueError):  # shows when the stop is confirmed
                hook.stop_job(job_ref)
        for job_ref, snapshot in stop_each(hook, job_refs, grace=grace):
            seen[job_ref.job_id] = snapshot
            outcome = (
                "is stopped, MetaStudio says" if snapshot.status.is_over else f"STILL RUNS after {grace} s:"
            )
            tell(one_line(f"Job {job_ref.job_id} in room {job_ref.room_id} {outcome} {snapshot}"))
    except KeyboardInterrupt:
        open_ = [str(job_ref) for job_ref in job_refs if job_ref.job_id not in seen]
        fail(f"Interrupted. May still run: {', '.join(open_)}. See `airflow smartlive jobs list`.")
    return seen


def _exit_if_running(seen: Mapping[str, JobSnapshot]) -> None:
    if running := [job_id for job_id, snapshot in seen.items() if not snapshot.status.is_over]:
        fail(
            f"Still running: {', '.join(running)}. Run the command again; MetaStudio's console can stop them, too, "
            "and max_live_duration ends them at the latest."
        )
