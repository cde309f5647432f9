"""Ctrl-C and its like end a command with everything stopped that it started."""

from __future__ import annotations

import signal
from typing import NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
