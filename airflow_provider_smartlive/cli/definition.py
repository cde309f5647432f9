"""
The commands and their arguments.

Airflow asks for these at every call of ``airflow``, so nothing else is imported here.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import date

from airflow.cli.cli_config import ActionCommand, Arg, CLICommand, GroupCommand, lazy_load_command

from airflow_provider_smartlive.provider_info import DEFAULT_CONN_ID

#: Names of a task that there need not be: the way of an event to the receiver can be tested with any.
TEST_TASK = ("smartlive_test", "test", "test")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 1 <= seconds <= 3600:
        raise ArgumentTypeError(f"must be 1 to 3600 seconds, not {text!r}")
    return seconds


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 366:
        raise ArgumentTypeError(f"must be 1 to 366 days, not {text!r}")
    return int(text)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"must be a date such as 2026-12-24, not {text!r} ({error})") from None


_CONN_ID = Arg(("--conn-id",), help="the connection to MetaStudio", default=DEFAULT_CONN_ID)
_ROOM_ID = Arg(("room_id",), help="the room")
_JOB_ID = Arg(("job_id",), help="the job")
_ROOM = Arg(("--room",), metavar="ROOM_ID", help="only this room")
_JOB = Arg(("--job",), metavar="JOB_ID", help="only this job (with --room)")
_ALL = Arg(("--all",), help="every running job of the project", action="store_true")
_ENDED = Arg(("--ended",), help="also jobs that are over", action="store_true")
_YES = Arg(("-y", "--yes"), help="do not ask", action="store_true")
_JSON = Arg(("--json",), help="print JSON, one job a line", action="store_true")
_CHECK_JSON = Arg(("--json",), help="print JSON", action="store_true")
_VERBOSE = Arg(("-v", "--verbose"), help="show the log, and the traceback of an error", action="store_true")
_WATCH = Arg(
    ("--watch",),
    metavar="SECONDS",
    help="list again every so many seconds (default 5), until Ctrl-C",
    nargs="?",
    type=_seconds,
    default=False,
)
_DAG_ID = Arg(
    ("dag_id",),
    help="the DAG of the task that the event is for; without it, of a task that does not exist",
    nargs="?",
    default=TEST_TASK[0],
)
_RUN_ID = Arg(("run_id",), help="its run", nargs="?", default=TEST_TASK[1])
_TASK_ID = Arg(("task_id",), help="the task", nargs="?", default=TEST_TASK[2])
_MAP_INDEX = Arg(("--map-index",), help="its map index", type=int, default=-1)
_FILES = Arg(("files",), metavar="FILE", help="campaign files, or folders with campaign files", nargs="+")
_DAYS = Arg(("--days",), help="how many days ahead (default 14)", type=_days, default=14)
_FROM = Arg(
    ("--from",), metavar="DATE", dest="begin", help="from this day on (default: from now on)", type=_day
)
_FORMAT = Arg(("--format",), help="table, json or ical", choices=("table", "json", "ical"), default="table")
_CONFLICTS = Arg(("--with-conflicts",), help="print the plan although it has conflicts", action="store_true")
_SHOW = Arg(("--show",), help="only this show", metavar="NAME")
_PATH = Arg(("--path",), help="print where the schema is installed", action="store_true")
_LOG = Arg(
    ("path",),
    metavar="PATH",
    help="the folder of the log, as ObjectStoragePath takes it (default: [smartlive] as_run_path)".replace(
        "[", r"\["
    ),
    nargs="?",
)
_SINCE = Arg(("--since",), metavar="DATE", help="only shows planned for this day or later", type=_day)
_LOG_JSON = Arg(("--json",), help="print JSON, one row a line", action="store_true")
_LOG_CSV = Arg(("--csv",), help="print CSV", action="store_true")
_DRY_RUN = Arg(("--dry-run",), help="only say what would be stopped", action="store_true")


def _command(name: str, function: str, help_: str, *args: Arg) -> ActionCommand:
    func = lazy_load_command(f"airflow_provider_smartlive.cli.{function}")
    # The help is printed by rich, which would take a word in brackets for a style.
    return ActionCommand(name=name, help=help_.replace("[", r"\["), func=func, args=(*args, _VERBOSE))


def get_commands() -> list[CLICommand]:
    """Return the commands, for Airflow's command line."""
    return [
        GroupCommand(
            name="smartlive",
            help="Livestreams on MetaStudio",
            subcommands=(
                _command(
                    "check",
                    "check.check",
                    "Check what a livestream needs: versions, database, settings, connection, callbacks, triggerer",
                    _CONN_ID,
                    _CHECK_JSON,
                ),
                _command(
                    "generate-secret",
                    "commands.generate_secret",
                    "Print a new secret for [smartlive] callback_secrets",
                ),
                _jobs(),
                _campaign(),
                _command(
                    "as-run",
                    "as_run.as_run",
                    "Print the as-run log: what was planned, what went out, and how sure that is",
                    _LOG,
                    _SINCE,
                    _LOG_JSON,
                    _LOG_CSV,
                ),
                _command(
                    "sweep",
                    "commands.sweep",
                    "Stop jobs that a task of this deployment started and that no task wants any more",
                    _CONN_ID,
                    _DRY_RUN,
                    _JSON,
                ),
                _command(
                    "send-test-event",
                    "callback_check.send_test_event",
                    "Send a harmless signed event to the callback receiver, and say what comes of it",
                    _DAG_ID,
                    _RUN_ID,
                    _TASK_ID,
                    _MAP_INDEX,
                    _CONN_ID,
                ),
            ),
        )
    ]


def _jobs() -> GroupCommand:
    return GroupCommand(
        name="jobs",
        help="Look at livestream jobs and stop them: the emergency brake",
        subcommands=(
            _command(
                "list",
                "commands.list_jobs",
                "List jobs that run, with their links and the tasks that own them",
                _CONN_ID,
                _ROOM,
                _ENDED,
                _WATCH,
                _JSON,
            ),
            _command("show", "commands.show_job", "Show one job", _ROOM_ID, _JOB_ID, _CONN_ID, _JSON),
            _command(
                "stop",
                "commands.stop_jobs",
                "Stop one job, those of a room, or all; asks before it does",
                _CONN_ID,
                _ROOM,
                _JOB,
                _ALL,
                _YES,
            ),
        ),
    )


def _campaign() -> GroupCommand:
    return GroupCommand(
        name="campaign",
        help="Campaign files: what goes live when",
        subcommands=(
            _command(
                "lint",
                "campaign.lint",
                "Say what is wrong with campaign files, and what gets in each other's way in the days ahead",
                _FILES,
                _DAYS,
                _CHECK_JSON,
            ),
            _command(
                "plan",
                "campaign.plan",
                "Print what goes live in the days ahead",
                _FILES,
                _DAYS,
                _FROM,
                _FORMAT,
                _CONFLICTS,
            ),
            _command(
                "check",
                "campaign.check",
                "Check now what each show needs: connection, room, outputs, callbacks, quota, pool",
                _FILES,
                _SHOW,
                _CHECK_JSON,
            ),
            _command("schema", "campaign.print_schema", "Print the JSON Schema of campaign files", _PATH),
        ),
    )
