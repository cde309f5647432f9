"""What the commands of the cluster share."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from dev.cluster.network import Loopback, Namespaces, Network, is_entered

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def catch_signals() -> None:
    """Let a signal end the command as Ctrl-C does: with everything stopped."""
    for number in _SIGNALS:
        signal.signal(number, _interrupt)


@contextmanager
def network() -> Iterator[Network]:
    """Make the hosts: namespaces if this process is in one, else loopback."""
    if not is_entered():
        yield Loopback()
        return
    with Namespaces() as hosts:
        yield hosts


def _interrupt(number: int, frame: object) -> NoReturn:
    for other in _SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt
