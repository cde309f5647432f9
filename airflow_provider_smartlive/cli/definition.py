"""
The commands and their arguments.

Airflow asks for these at every call of ``airflow``, so nothing else is imported here.
"""

from __future__ import annotations

from airflow.cli.cli_config import ActionCommand, Arg, CLICommand, GroupCommand, lazy_load_command

_CONN_ID = Arg(("--conn-id",), help="the connection to MetaStudio", default="smartlive_default")
_ROOM_ID = Arg(("room_id",), help="the room")
_JOB_ID = Arg(("job_id",), help="the job")
_ROOM = Arg(("--room",), metavar="ROOM_ID", help="only this room")
_JOB = Arg(("--job",), metavar="JOB_ID", help="only this job (with --room)")
_ALL = Arg(("--all",), help="every running job of the project", action="store_true")
_ENDED = Arg(("--ended",), help="also jobs that are over", action="store_true")
_YES = Arg(("-y", "--yes"), help="do not ask", action="store_true")
_JSON = Arg(("--json",), help="print JSON, one job a line", action="store_true")
_DAG_ID = Arg(("dag_id",), help="the DAG of the task that the event is for; it need not exist")
_RUN_ID = Arg(("run_id",), help="its run")
_TASK_ID = Arg(("task_id",), help="the task")
_MAP_INDEX = Arg(("--map-index",), help="its map index", type=int, default=-1)
_DRY_RUN = Arg(("--dry-run",), help="only say what would be stopped", action="store_true")


def _command(name: str, function: str, help_: str, *args: Arg) -> ActionCommand:
    func = lazy_load_command(f"airflow_provider_smartlive.cli.{function}")
    return ActionCommand(name=name, help=help_, func=func, args=args)


def get_commands() -> list[CLICommand]:
    """Return the commands, for Airflow's command line."""
    jobs = GroupCommand(
        name="jobs",
        help="Look at livestream jobs and stop them: the emergency brake",
        subcommands=(
            _command("list", "commands.list_jobs", "List jobs that run", _CONN_ID, _ROOM, _ENDED, _JSON),
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
    return [
        GroupCommand(
            name="smartlive",
            help="Livestreams on MetaStudio",
            subcommands=(
                _command(
                    "generate-secret",
                    "commands.generate_secret",
                    "Print a new secret for [smartlive] callback_secrets",
                ),
                jobs,
                _command(
                    "sweep",
                    "commands.sweep",
                    "Stop jobs that a task of this deployment started and that no task wants any more",
                    _CONN_ID,
                    _DRY_RUN,
                ),
                _command(
                    "send-test-event",
                    "probe.send_test_event",
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
