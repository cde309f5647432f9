"""The command ``smartlive-sandbox``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

#: Where ``serve`` listens by default, and where the other commands look for it.
DEFAULT_PORT = 8380

_EXIT_CODES = """\
exit codes: 0 done; 1 the sandbox or a job said no; 2 wrong arguments or file; 3 no sandbox at the URL
"""


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run a command.

    :param argv: the arguments; default: those of the process.
    :returns: the exit code.
    """
    arguments = _parser().parse_args(argv)
    # Only the chosen command is imported: "jobs" need not wait for a web server and a video encoder.
    if arguments.command in ("serve", "rtmp"):
        from airflow_provider_smartlive.sandbox.cli import serve as cli_serve

        return cli_serve.run(arguments)
    from airflow_provider_smartlive.sandbox.cli import client as cli_client

    return cli_client.run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smartlive-sandbox",
        description="A local MetaStudio: the API, real RTMP livestreams, signed callbacks, and faults on demand.",
        epilog=_EXIT_CODES,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_serve(commands)
    _add_rtmp(commands)
    _add_jobs(commands)
    _add_send_event(commands)
    _add_scenario(commands)
    return parser


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    serve = commands.add_parser("serve", help="run a local MetaStudio", epilog=_EXIT_CODES)
    _add_address(serve, DEFAULT_PORT)
    serve.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which /sandbox may be called, besides IP addresses and localhost; may be repeated",
    )
    account = serve.add_argument_group("the one account that may call")
    account.add_argument(
        "--access-key", metavar="AK", default="sandbox-access-key", help="default: %(default)s"
    )
    account.add_argument(
        "--secret-key",
        metavar="SK",
        default=os.environ.get("SMARTLIVE_SANDBOX_SECRET_KEY", "sandbox-secret-key"),
        help="default: $SMARTLIVE_SANDBOX_SECRET_KEY, or sandbox-secret-key",
    )
    account.add_argument("--project-id", metavar="P", default="sandbox-project", help="default: %(default)s")
    account.add_argument(
        "--security-token", metavar="T", help="makes the keys temporary ones with this token"
    )
    account.add_argument("--token", metavar="T", help="a token that X-Auth-Token may hold")
    account.add_argument("--iam-user", metavar="NAME", default="sandbox", help="default: %(default)s")
    account.add_argument("--iam-domain", metavar="NAME", default="sandbox", help="default: %(default)s")
    account.add_argument("--iam-password", metavar="PW", help="lets the user log in at POST /v3/auth/tokens")
    _add_show(serve)
    _add_behaviour(serve)


def _add_show(serve: argparse.ArgumentParser) -> None:
    show = serve.add_argument_group("the show")
    show.add_argument(
        "--room",
        metavar="ID=NAME[:SECONDS]",
        action="append",
        default=[],
        help="a room, and how long its script takes; may be repeated",
    )
    show.add_argument(
        "--any-room",
        action=argparse.BooleanOptionalAction,
        help="whether a start makes the room that it names; default: only if no room is given",
    )
    show.add_argument(
        "--time-scale", type=float, default=1.0, metavar="X", help="show seconds per second; default: 1"
    )
    show.add_argument(
        "--link",
        choices=("rtmp", "simulated"),
        default="rtmp",
        help="publish video by RTMP (default), or only claim to",
    )
    show.add_argument(
        "--picture",
        choices=("asked", "small"),
        default="asked",
        help="the size that the request asks for (default), or 270x480, which costs little",
    )
    show.add_argument("--audio", choices=("silent", "tone"), default="silent", help="default: %(default)s")
    show.add_argument("--with-rtmp", action="store_true", help="run an RTMP server beside it as the platform")
    show.add_argument(
        "--rtmp-port", type=int, default=0, metavar="PORT", help="its port; default: a free one"
    )
    show.add_argument(
        "--rtmp-key", action="append", default=[], metavar="KEY", help="a stream key it admits; default: any"
    )


def _add_behaviour(serve: argparse.ArgumentParser) -> None:
    behaviour = serve.add_argument_group("behaviour")
    behaviour.add_argument(
        "--scenario", type=Path, metavar="FILE", help="rooms, faults, assumptions (YAML or JSON)"
    )
    behaviour.add_argument(
        "--assume", action="append", default=[], metavar="NAME=VALUE", help="change an assumption"
    )
    behaviour.add_argument("--seed", type=int, default=0, metavar="N", help="decides the dice of the faults")
    behaviour.add_argument(
        "--state", type=Path, metavar="FILE", help="keep the state in this file; default: memory"
    )
    behaviour.add_argument(
        "--ca-file", type=Path, metavar="FILE", help="trust these certificates of callback URLs"
    )


def _add_rtmp(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    rtmp = commands.add_parser(
        "rtmp",
        help="run an RTMP server that counts what arrives",
        description="Prints its URL. Prints what has arrived at the end, and whenever it gets SIGUSR1.",
        epilog=_EXIT_CODES,
    )
    _add_address(rtmp, 0)
    rtmp.add_argument(
        "--key", action="append", default=[], metavar="KEY", help="a stream key it admits; default: any"
    )
    rtmp.add_argument(
        "--every", type=float, metavar="SECONDS", help="print the counts so often, one line of JSON each"
    )


def _add_jobs(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    jobs = commands.add_parser("jobs", help="show the jobs of a running sandbox", epilog=_EXIT_CODES)
    jobs.add_argument("job", nargs="?", help="only this job; the exit code is 1 if it FAILED or was BLOCKED")
    jobs.add_argument("--watch", action="store_true", help="go on showing until nothing is active")
    jobs.add_argument(
        "--json", action="store_true", help="JSON instead of a table; with --watch a line each time"
    )
    _add_url(jobs)


def _add_send_event(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    event = commands.add_parser(
        "send-event",
        help="send a signed event callback",
        description="For a job of a running sandbox, or, with --callback-url, to any receiver.",
        epilog=_EXIT_CODES,
    )
    event.add_argument("job", help="the job's id")
    event.add_argument(
        "--type",
        default="RTMP_STREAM_STATE_CHANGE",
        choices=("RTMP_STREAM_STATE_CHANGE", "SHOOT_SCRIPT_SWITCH", "REPLY_COMMAND_FINISH"),
        help="default: %(default)s",
    )
    event.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a field of the message, like state=END",
    )
    event.add_argument("--callback-url", metavar="URL", help="send there, without a running sandbox")
    event.add_argument(
        "--auth-type",
        default="MSS_A_HEAD",
        choices=("NONE", "MSS_A", "MSS_A_HEAD"),
        help="default: %(default)s",
    )
    event.add_argument(
        "--key",
        default=os.environ.get("SMARTLIVE_SANDBOX_CALLBACK_KEY", ""),
        help="the callback key; default: $SMARTLIVE_SANDBOX_CALLBACK_KEY",
    )
    event.add_argument("--room-id", default="", metavar="ID", help="the room, with --callback-url")
    event.add_argument("--json", action="store_true", help="JSON instead of text")
    _add_url(event)


def _add_scenario(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    scenario = commands.add_parser("scenario", help="check a scenario file, or load it", epilog=_EXIT_CODES)
    scenario.add_argument(
        "action", choices=("check", "load"), help="check reads it; load gives it to a sandbox"
    )
    scenario.add_argument("file", type=Path, help="YAML or JSON")
    scenario.add_argument("--json", action="store_true", help="JSON instead of text")
    _add_url(scenario)


def _add_address(parser: argparse.ArgumentParser, port: int) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=port, help="0 takes a free one; default: %(default)s")


def _add_url(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        default=os.environ.get("SMARTLIVE_SANDBOX_URL", f"http://127.0.0.1:{DEFAULT_PORT}"),
        help="the sandbox; default: $SMARTLIVE_SANDBOX_URL, or http://127.0.0.1:8380",
    )
