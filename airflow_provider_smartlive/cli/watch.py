"""Print something again and again, until Ctrl-C."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import datetime

from airflow.sdk.timezone import utcnow

from airflow_provider_smartlive.cli.output import at, say

#: Cursor to the first column of the first line, and everything from there on erased.
_CLEAR = "\x1b[H\x1b[J"


def watch(
    picture: Callable[[], str],
    interval: float,
    *,
    now: Callable[[], datetime] = utcnow,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """
    Print a picture every so many seconds, on a terminal each in the place of the one before. Ctrl-C returns.

    :param picture: makes the text. What it raises ends the watch.
    :param interval: seconds between two pictures.
    :param now: the clock, for the line above the picture.
    :param sleep: waits, in seconds.
    """
    try:
        while True:
            text = picture()  # before the screen is cleared: a slow answer leaves the old one to read
            head = f"{at(now())}, every {interval:g} s; Ctrl-C ends"
            if sys.stdout.isatty():
                sys.stdout.write(_CLEAR)
            say(f"{head}\n\n{text}")
            if not sys.stdout.isatty():
                say("")
            sleep(interval)
    except KeyboardInterrupt:
        # A terminal has shown ^C in the line of its cursor.
        say("")
