"""What the commands of the cluster share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dev.cluster.network import Loopback, Namespaces, Network, is_entered


@contextmanager
def network() -> Iterator[Network]:
    """Make the hosts: namespaces if this process is in one, else loopback."""
    if not is_entered():
        yield Loopback()
        return
    with Namespaces() as hosts:
        yield hosts
