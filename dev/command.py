"""What the commands share that start processes: Ctrl-C and its like end them with everything stopped."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from dev.process import ProgramError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_command(main: Callable[[], int], *, failure: int = 2) -> int:
    """
    Run a command and return its exit code: 130 if it was interrupted.

    :param main: the command; it has stopped what it started when it raises.
    :param failure: the exit code if a program did not start, or ended.
    """
    catch_signals()
    try:
        return main()
    except KeyboardInterrupt:
        print("\nInterrupted; everything is stopped.", file=sys.stderr)
        return 130
    except ProgramError as error:
        print(f"\n{error}", file=sys.stderr)
        return failure


def catch_signals() -> None:
    """Let a signal end the command as Ctrl-C does, by a ``KeyboardInterrupt``; further ones are ignored."""
    for number in _SIGNALS:
        signal.signal(number, _interrupt)


def ignore_signals() -> None:
    """Let nothing disturb the stopping: a second Ctrl-C would leave processes behind."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, frame: object) -> NoReturn:
    ignore_signals()
    raise KeyboardInterrupt
