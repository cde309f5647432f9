"""Errors of commands: one line that says what is wrong, where, and the fix. ``--verbose`` shows the traceback."""

from __future__ import annotations

import functools
import logging
import os
import sys
from argparse import Namespace
from collections.abc import Callable
from typing import NoReturn

from airflow.exceptions import AirflowConfigException as CoreConfigException
from airflow.sdk.exceptions import AirflowConfigException, AirflowException

from airflow_provider_smartlive.cli.airflow_core import ConnectionNotFoundError, DatabaseError, quiet_logs
from airflow_provider_smartlive.cli.output import one_line
from airflow_provider_smartlive.client.connection import InvalidConnectionError
from airflow_provider_smartlive.client.diagnosis import explain
from airflow_provider_smartlive.metastudio.errors import MetaStudioError, NotFound

#: Airflow's core and its Task SDK each have their own.
_CONFIGURATION = (CoreConfigException, AirflowConfigException)

#: What goes wrong without a fault in this program. ``ValueError`` is a setting's, a connection's or an id's.
EXPECTED = (
    ConnectionNotFoundError,
    MetaStudioError,
    DatabaseError,
    AirflowException,
    *_CONFIGURATION,
    ValueError,
)


def fail(text: str) -> NoReturn:
    """End the command with exit code 1 and a line on stderr."""
    sys.exit(one_line(text))


def command(function: Callable[[Namespace], None]) -> Callable[[Namespace], None]:
    """Let a command end with one line instead of a traceback if something goes wrong that can be expected."""

    @functools.wraps(function)
    def run(args: Namespace) -> None:
        verbose = getattr(args, "verbose", False)
        try:
            with quiet_logs(logging.NOTSET if verbose else logging.WARNING):
                function(args)
        except KeyboardInterrupt:
            fail("Interrupted.")
        except BrokenPipeError:
            _discard_output()
            sys.exit(1)
        except EXPECTED as error:
            if verbose:
                raise
            fail(describe(error, args))

    return run


def _discard_output() -> None:
    """Let Python not complain once more at its exit, when whoever reads has enough (``| head``)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def describe(error: Exception, args: Namespace) -> str:
    """
    Return what is wrong, where, and the fix.

    :param error: one of :data:`EXPECTED`.
    :param args: the arguments of the command: its connection, room and job.
    """
    if isinstance(error, NotFound):
        return f"{_not_found(args)} MetaStudio says {error.error_code}: {error.error_msg}"
    if isinstance(error, MetaStudioError):
        text = explain(error)
        has_advice = not text.startswith(error.answer)
        return " ".join(
            filter(None, [f"Connection {args.conn_id!r}:", text, None if has_advice else error.fix])
        )
    if isinstance(error, InvalidConnectionError):
        return f"{error} Change it in the web interface, or see docs/connection.md."
    if isinstance(error, DatabaseError):
        # Its text has the statement and its values in it.
        kind = type(error).__name__
        return (
            f"Airflow's metadata database cannot be read ({kind}): check [database] sql_alchemy_conn on this "
            "machine, and `airflow db migrate`."
        )
    if isinstance(error, _CONFIGURATION):
        # Its text may have the output of a ..._cmd option in it.
        return "Airflow's configuration cannot be read; --verbose says where."
    return str(error)


def _not_found(args: Namespace) -> str:
    room = getattr(args, "room_id", None) or getattr(args, "room", None)
    job = getattr(args, "job_id", None) or getattr(args, "job", None)
    where = f"Connection {args.conn_id!r}: "
    if room and job:
        fix = f"`airflow smartlive jobs list --room {room} --ended`"
        return f"{where}there is no job {job} in room {room}, or no such room. {fix} lists the room's jobs."
    if room:
        fix = "`airflow smartlive jobs list` lists the rooms in which something runs"
        return f"{where}there is no room {room}. {fix}; rooms do not cross regions and projects."
    return f"{where}there is no MetaStudio or no such project here: check region or host, and project_id."
